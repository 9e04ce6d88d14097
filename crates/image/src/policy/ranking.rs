//! A policy's answer kept up to date: a new tag is judged alone, whatever the number of others.
//!
//! Only the best candidates are kept. The others are counted: what is worse than the worst that is
//! kept cannot be selected before all of those are gone, and then the tags are read again.

use std::collections::VecDeque;

use super::{Candidate, PolicyError, Selection, Selector};

/// Candidates kept: more than registries delete between two scans.
const KEPT: usize = 64;

/// The best tags under a policy.
#[derive(Clone, Debug)]
pub struct Ranking {
    selector: Selector,
    /// Sorted, the best last: tags often come in their order, each better than those before.
    best: VecDeque<Candidate<'static>>,
    candidates: usize,
    /// Tags because of which the policy selects nothing.
    fatal: usize,
}

impl Ranking {
    /// Judges all of `tags`, each of which is there once.
    #[must_use]
    pub fn new<'a>(selector: Selector, tags: impl IntoIterator<Item = &'a str>) -> Self {
        let mut ranking = Self {
            selector,
            best: VecDeque::with_capacity(KEPT + 1),
            candidates: 0,
            fatal: 0,
        };
        for tag in tags {
            ranking.insert(tag);
        }
        ranking
    }

    /// Takes a tag in that was not there before.
    pub fn insert(&mut self, tag: &str) {
        match self.selector.judge(tag) {
            Ok(candidate) => {
                self.candidates += 1;
                let is_full = self.best.len() == KEPT;
                if is_full && self.best.front().is_some_and(|worst| candidate < *worst) {
                    return;
                }
                // What is not kept is worse than all that is; the place of one that went is not
                // for a tag that may be worse than those.
                let is_complete = self.best.len() == self.candidates - 1;
                let at = self.best.partition_point(|known| *known < candidate);
                if at == 0 && !is_complete {
                    return;
                }
                self.best.insert(at, candidate.into_owned());
                if self.best.len() > KEPT {
                    self.best.pop_front();
                }
            }
            Err(rejection) => self.fatal += usize::from(rejection.is_fatal()),
        }
    }

    /// Forgets a tag that was there.
    pub fn remove(&mut self, tag: &str) {
        match self.selector.judge(tag) {
            Ok(candidate) => {
                self.candidates = self.candidates.saturating_sub(1);
                if let Ok(at) = self.best.binary_search(&candidate) {
                    self.best.remove(at);
                }
            }
            Err(rejection) => {
                let fatal = usize::from(rejection.is_fatal());
                self.fatal = self.fatal.saturating_sub(fatal);
            }
        }
    }

    /// What the policy selects of `tags`, which are the tags that were taken in. They are read
    /// only when nothing is selected, to say why, and when all of the best are gone.
    ///
    /// # Errors
    /// Those of [`Selector::select`].
    pub fn select<'a>(
        &mut self,
        tags: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<Selection<'_>, PolicyError> {
        if self.fatal > 0 || self.candidates == 0 {
            self.selector.select(tags.clone())?;
        }
        if self.best.is_empty() {
            *self = Self::new(self.selector.clone(), tags.clone());
        }
        match self.best.back() {
            Some(best) => Ok(Selection {
                tag: best.tag(),
                key: best.key().to_owned(),
                candidates: self.candidates,
            }),
            None => Err(PolicyError::Nothing {
                why: "version list argument cannot be empty: the image has no tags".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn selector(policy: &serde_json::Value) -> Selector {
        let spec = json!({"imageRepositoryRef": {"name": "x"}, "policy": policy,
            "filterTags": {"pattern": "^[0-9vx.]+$"}});
        Selector::new(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_kept_is_found_again() {
        let tags: Vec<String> = (0..1000).map(|n| format!("1.{n}.0")).collect();
        let mut left: Vec<&str> = tags.iter().map(String::as_str).collect();
        let policy = json!({"semver": {"range": "*"}});
        let mut ranking = Ranking::new(selector(&policy), left.iter().copied());
        for _ in 0..300 {
            ranking.remove(left.pop().unwrap());
        }
        let selection = ranking.select(left.iter().copied()).unwrap();
        assert_eq!((selection.tag, selection.candidates), ("1.699.0", 700));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever comes and goes, the answer is that of a fresh look at all tags.
        #[test]
        fn agrees_with_a_fresh_look(
            steps in prop::collection::vec((any::<bool>(), 0..400_u32), 1..400),
            kind in 0..4_usize,
        ) {
            let policy = [
                json!({"semver": {"range": ">=1.0.0"}}),
                json!({"numerical": {"order": "desc"}}),
                json!({"alphabetical": {"order": "asc"}}),
                json!({"numerical": {"order": "asc"}}),
            ];
            let name = |n: u32| match (kind, n) {
                (0, n) if n % 7 == 0 => format!("v{n}.{n}"),
                (0, n) => format!("{}.{}.0", n % 3, n),
                (1, 13) => "1x".to_owned(),
                (_, n) => format!("{n}"),
            };
            let selector = selector(&policy[kind]);
            let mut tags = BTreeSet::new();
            let mut ranking = Ranking::new(selector.clone(), []);
            for (add, n) in steps {
                let tag = name(n);
                if add && tags.insert(tag.clone()) {
                    ranking.insert(&tag);
                } else if !add && tags.remove(&tag) {
                    ranking.remove(&tag);
                }
                let all = || tags.iter().map(String::as_str);
                prop_assert_eq!(ranking.select(all()), selector.select(all()));
            }
        }
    }
}

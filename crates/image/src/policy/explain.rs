//! The whole answer of a policy: every tag with its place or the reason why it has none.

use std::collections::BTreeMap;

use super::{Candidate, PolicyError, Rejection, Selector};

/// What a policy makes of a list of tags.
#[derive(Clone, Debug, Default)]
pub struct Explanation<'a> {
    /// The tags that take part, the best first.
    pub candidates: Vec<Candidate<'a>>,
    /// The tags that do not, in the order given, with the reason in words.
    pub rejected: Vec<(&'a str, String)>,
    /// What works, but perhaps not as meant.
    pub warnings: Vec<String>,
    /// Why nothing is selected.
    pub error: Option<PolicyError>,
}

impl<'a> Explanation<'a> {
    /// The candidate that is selected, if any.
    #[must_use]
    pub fn selected(&self) -> Option<&Candidate<'a>> {
        match self.error {
            Some(_) => None,
            None => self.candidates.first(),
        }
    }
}

impl Selector {
    /// Judges all tags, for people who want to know why. Agrees with [`Selector::select`].
    #[must_use]
    pub fn explain<'a>(&self, tags: &[&'a str]) -> Explanation<'a> {
        let mut explanation = Explanation {
            error: self.select(tags.iter().copied()).err(),
            ..Explanation::default()
        };
        for tag in tags {
            match self.judge(tag) {
                Ok(candidate) => explanation.candidates.push(candidate),
                Err(rejection) => {
                    explanation.rejected.push((tag, self.words(&rejection)));
                }
            }
        }
        explanation.candidates.sort_unstable_by(|a, b| b.cmp(a));
        explanation
            .candidates
            .dedup_by(|next, kept| next.tag() == kept.tag());
        explanation.warnings = self.warnings(&explanation.candidates);
        explanation
    }

    /// A rejection with the pattern or range that it is about.
    fn words(&self, rejection: &Rejection) -> String {
        let range = self.range().unwrap_or_default();
        match rejection {
            Rejection::Pattern => format!(
                "no match: spec.filterTags.pattern '{}' is not found in it",
                self.pattern().unwrap_or_default()
            ),
            Rejection::NotAVersion => {
                "not a version: a semver policy needs three numbers, as in 1.2.3".to_owned()
            }
            Rejection::Range => format!("not in range '{range}'"),
            Rejection::PreRelease => format!(
                "not in range '{range}': a pre-release, which a range admits only with a '-0', as \
                 in '>=1.0.0-0'"
            ),
            Rejection::NotANumber { key } => format!(
                "not a number: '{key}'; a numerical policy selects nothing as long as such a tag \
                 takes part"
            ),
        }
    }

    /// What is peculiar about the best candidates.
    fn warnings(&self, candidates: &[Candidate<'_>]) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for candidate in candidates {
            keys.entry(candidate.key())
                .or_default()
                .push(candidate.tag());
        }
        if let Some(best) = candidates.first() {
            let same = keys.get(best.key()).map_or(0, Vec::len);
            if same > 1 {
                warnings.push(format!(
                    "{same} tags have the key '{}': '{}' is selected because it is the byte-wise \
                     smallest; let spec.filterTags.extract tell them apart",
                    best.key(),
                    best.tag()
                ));
            }
            if let Some(next) = candidates.get(1).filter(|next| next.key() != best.key())
                && best.ranks_like(next)
            {
                warnings.push(format!(
                    "'{}' and '{}' are equal in the order of the policy: which of the two is \
                     selected depends on their spelling only",
                    best.tag(),
                    next.tag()
                ));
            }
        }
        let loose = self
            .pattern()
            .filter(|pattern| !pattern.is_empty() && !pattern.contains(['^', '$']));
        if let Some(pattern) = loose {
            warnings.push(format!(
                "spec.filterTags.pattern '{pattern}' has no ^ and no $: it is searched for \
                 anywhere in a tag"
            ));
        }
        warnings
    }
}

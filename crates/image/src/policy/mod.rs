//! Which tag an ImagePolicy selects.
//!
//! Flux keeps the filtered tags in a map, so that some of its answers depend on the order of that
//! map. Here they never do; where Flux has a usual outcome it is kept:
//!
//! - of several tags with the same key (`filterTags.extract`), the byte-wise smallest counts;
//! - of equal versions with different spelling (`1.0.0`, `v1.0.0`), the byte-wise greatest key;
//! - of equal numbers with different spelling (`1.0`, `1.00`), the byte-wise smallest key;
//! - `NaN` loses against every number, in both orders.

mod candidate;
mod error;
mod explain;
mod preview;
mod ranking;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use flux_api::{ImagePolicySpec, Order};
use flux_lang::gonumber;
use flux_lang::goregex::GoRegex;
use flux_lang::semver::{Constraint, Version};

pub use candidate::Candidate;
use candidate::Rank;
use error::Tally;
pub use error::{PolicyError, Rejection};
pub use explain::Explanation;
pub use preview::Preview;
pub use ranking::Ranking;

/// The compiled form of an ImagePolicy's `filterTags` and `policy`.
///
/// ```
/// # use flux_image::policy::Selector;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = serde_json::from_value(serde_json::json!({
///     "imageRepositoryRef": {"name": "agnhost"},
///     "filterTags": {"pattern": r"^(?P<maj>\d+)\.(?P<min>\d+)$", "extract": "$maj.$min.0"},
///     "policy": {"semver": {"range": ">=0.0.0"}},
/// }))?;
/// let selection = Selector::new(&spec)?.select(["2.9", "2.51", "2.39"])?;
/// assert_eq!((selection.tag, &*selection.key), ("2.51", "2.51.0"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Selector {
    filter: Option<Filter>,
    order: By,
}

#[derive(Clone, Debug)]
struct Filter {
    regex: GoRegex,
    pattern: String,
    /// Empty: the whole tag is the key.
    extract: String,
}

#[derive(Clone, Debug)]
enum By {
    Version {
        constraint: Constraint,
        range: String,
    },
    Text {
        descending: bool,
    },
    Number {
        descending: bool,
    },
}

/// What a policy selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The tag, as the registry has it.
    pub tag: &'a str,
    /// What it was ordered by: the tag, or what `filterTags.extract` made of it.
    pub key: String,
    /// How many tags took part.
    pub candidates: usize,
}

impl Selector {
    /// Compiles a policy. Of several orders in `spec.policy` the first counts, as in Flux: semver,
    /// alphabetical, numerical.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy names no order, or its pattern, range or order cannot be
    /// understood. The policy must be changed; trying again does not help.
    pub fn new(spec: &ImagePolicySpec) -> Result<Self, PolicyError> {
        let filter = match &spec.filter_tags {
            // An empty pattern finds something in every tag.
            Some(filter) => Some(Filter {
                regex: GoRegex::compile(&filter.pattern).map_err(|source| {
                    PolicyError::Pattern {
                        pattern: filter.pattern.clone(),
                        source,
                    }
                })?,
                pattern: filter.pattern.clone(),
                extract: filter.extract.clone(),
            }),
            None => None,
        };
        let choice = &spec.policy;
        let order = if let Some(semver) = &choice.semver {
            let range = semver.range.clone();
            let constraint = Constraint::parse(&range).map_err(|source| PolicyError::Range {
                range: range.clone(),
                source,
            })?;
            By::Version { constraint, range }
        } else if let Some(alphabetical) = &choice.alphabetical {
            By::Text {
                descending: is_descending(alphabetical.order.as_ref())?,
            }
        } else if let Some(numerical) = &choice.numerical {
            By::Number {
                descending: is_descending(numerical.order.as_ref())?,
            }
        } else {
            return Err(PolicyError::NoOrder);
        };
        Ok(Self { filter, order })
    }

    /// Judges one tag. The greatest [`Candidate`] is the one to select: a caller that keeps them
    /// sorted takes a new tag in without looking at the others.
    ///
    /// # Errors
    /// [`Rejection`]: why the tag does not take part. A policy with a tag that
    /// [is fatal](Rejection::is_fatal) selects nothing.
    pub fn judge<'a>(&self, tag: &'a str) -> Result<Candidate<'a>, Rejection> {
        let key = match &self.filter {
            None => None,
            Some(filter) if filter.extract.is_empty() => {
                if !filter.regex.is_match(tag) {
                    return Err(Rejection::Pattern);
                }
                None
            }
            Some(filter) => {
                let key = filter.regex.expand_first(tag, &filter.extract);
                Some(key.ok_or(Rejection::Pattern)?)
            }
        };
        let text = key.as_deref().unwrap_or(tag);
        let rank = match &self.order {
            By::Version { constraint, .. } => {
                let version = Version::parse_tag(text).map_err(|_| Rejection::NotAVersion)?;
                if !constraint.matches(&version) {
                    let pre = !version.pre_release().is_empty();
                    let hidden = pre && !constraint.admits_pre_releases();
                    return Err(if hidden {
                        Rejection::PreRelease
                    } else {
                        Rejection::Range
                    });
                }
                Rank::Version(version)
            }
            By::Text { descending } => Rank::Text {
                descending: *descending,
            },
            By::Number { descending } => {
                let number = gonumber::parse(text).ok_or_else(|| Rejection::NotANumber {
                    key: text.to_owned(),
                })?;
                Rank::Number {
                    number,
                    descending: *descending,
                }
            }
        };
        Ok(Candidate {
            tag: Cow::Borrowed(tag),
            key,
            rank,
        })
    }

    /// Selects the best of `tags`; their order does not matter.
    ///
    /// # Errors
    /// [`PolicyError::NotANumber`] when a numerical policy meets a key that is none, and
    /// [`PolicyError::Nothing`] when no tag is left to select.
    pub fn select<'a>(
        &self,
        tags: impl IntoIterator<Item = &'a str>,
    ) -> Result<Selection<'a>, PolicyError> {
        let mut best: Option<(&'a str, Candidate<'a>)> = None;
        let mut failed: Option<(&'a str, String)> = None;
        let mut tally = Tally::default();
        for tag in tags {
            match self.judge(tag) {
                Ok(candidate) => {
                    tally.candidates += 1;
                    if best.as_ref().is_none_or(|(_, best)| candidate > *best) {
                        best = Some((tag, candidate));
                    }
                }
                // The smallest of them is named, so that the message does not depend on the order.
                Err(Rejection::NotANumber { key }) => {
                    if failed.as_ref().is_none_or(|(known, _)| tag < *known) {
                        failed = Some((tag, key));
                    }
                }
                Err(rejection) => tally.reject(tag, &rejection),
            }
        }
        if let Some((tag, key)) = failed {
            let pattern = self.filter.as_ref().map(|filter| filter.pattern.clone());
            return Err(PolicyError::NotANumber {
                tag: tag.to_owned(),
                key,
                pattern,
            });
        }
        match best {
            Some((tag, best)) => Ok(Selection {
                tag,
                key: best.key().to_owned(),
                candidates: tally.candidates,
            }),
            None => Err(PolicyError::Nothing {
                why: tally.explain(self),
            }),
        }
    }

    fn pattern(&self) -> Option<&str> {
        self.filter.as_ref().map(|filter| filter.pattern.as_str())
    }

    fn range(&self) -> Option<&str> {
        match &self.order {
            By::Version { range, .. } => Some(range),
            By::Text { .. } | By::Number { .. } => None,
        }
    }
}

fn is_descending(order: Option<&Order>) -> Result<bool, PolicyError> {
    match order {
        None | Some(Order::Asc) => Ok(false),
        Some(Order::Desc) => Ok(true),
        Some(Order::Other(word)) => Err(PolicyError::Order(word.clone())),
    }
}

//! Why a tag is out, and why a policy selects nothing.

use flux_lang::goregex::GoRegexError;
use flux_lang::semver::ConstraintError;

use super::Selector;

/// Why a policy has no selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// `spec.policy` is empty.
    #[error("spec.policy is empty: set exactly one of semver, alphabetical, numerical")]
    NoOrder,
    /// `spec.filterTags.pattern` is not a Go regular expression.
    #[error("invalid regular expression pattern '{pattern}' in spec.filterTags.pattern: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: GoRegexError,
    },
    /// `spec.policy.semver.range` is not a version range.
    #[error(
        "invalid spec.policy.semver.range '{range}': {source}; examples: '>=1.0.0', '1.x', \
         '>=1.0.0-0' (with pre-releases)"
    )]
    Range {
        /// The range.
        range: String,
        /// What is wrong with it.
        source: ConstraintError,
    },
    /// An order that is none.
    #[error("invalid order '{0}' in spec.policy: write asc or desc")]
    Order(String),
    /// A numerical policy met something else. The text begins as in Flux.
    #[error("failed to parse invalid numeric value '{key}' of tag '{tag}': {}", numeric_remedy(.pattern.as_deref()))]
    NotANumber {
        /// The tag.
        tag: String,
        /// What was to be a number: the tag, or what `filterTags.extract` made of it.
        key: String,
        /// The pattern of `filterTags`, if there is one.
        pattern: Option<String>,
    },
    /// No tag is left. The text begins as in Flux.
    #[error("{why}")]
    Nothing {
        /// What happened to the tags, and what to write.
        why: String,
    },
}

fn numeric_remedy(pattern: Option<&str>) -> String {
    const EXAMPLE: &str = "for example pattern '^build-(?P<n>\\d+)$' with extract '$n'";
    match pattern {
        Some(pattern) => format!(
            "a numerical policy needs a number for every tag that the pattern '{pattern}' finds \
             a match in; anchor it with ^ and $ and capture digits only, {EXAMPLE}"
        ),
        None => format!(
            "a numerical policy needs every tag to be a number; select some with \
             spec.filterTags, {EXAMPLE}"
        ),
    }
}

/// Why a tag takes no part in a selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The pattern of `filterTags` is not found in it.
    #[error("does not match the pattern")]
    Pattern,
    /// Not a version of three numbers.
    #[error("is not a version of three numbers")]
    NotAVersion,
    /// A version outside of the range.
    #[error("is not in the range")]
    Range,
    /// A pre-release, and the range admits releases only.
    #[error("is a pre-release, which the range does not admit")]
    PreRelease,
    /// A numerical policy fails on it.
    #[error("'{key}' is not a number")]
    NotANumber {
        /// What was to be a number.
        key: String,
    },
}

impl Rejection {
    /// Whether the policy as a whole fails because of such a tag.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NotANumber { .. })
    }
}

/// Counts what happened to the tags, to say why nothing was selected.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) candidates: usize,
    unmatched: Group,
    unversioned: Group,
    outside: Group,
    pre_releases: Group,
}

#[derive(Debug, Default)]
struct Group {
    count: usize,
    /// The byte-wise greatest: likely a recent one, and independent of the order of tags.
    example: String,
}

impl Group {
    fn add(&mut self, tag: &str) {
        self.count += 1;
        if *tag > *self.example {
            tag.clone_into(&mut self.example);
        }
    }
}

impl Tally {
    pub(super) fn reject(&mut self, tag: &str, rejection: &Rejection) {
        match rejection {
            Rejection::Pattern => self.unmatched.add(tag),
            Rejection::NotAVersion => self.unversioned.add(tag),
            Rejection::Range => self.outside.add(tag),
            Rejection::PreRelease => self.pre_releases.add(tag),
            Rejection::NotANumber { .. } => {}
        }
    }

    /// The two beginnings are those of Flux: an empty list, and a list without a match.
    pub(super) fn explain(&self, selector: &Selector) -> String {
        let judged = self.unversioned.count + self.outside.count + self.pre_releases.count;
        if judged == 0 {
            const EMPTY: &str = "version list argument cannot be empty";
            return match selector.pattern().filter(|_| self.unmatched.count > 0) {
                Some(pattern) => format!(
                    "{EMPTY}: spec.filterTags.pattern '{pattern}' matches none of {} tags, for \
                     example not '{}'",
                    self.unmatched.count, self.unmatched.example
                ),
                None => format!("{EMPTY}: the image has no tags"),
            };
        }
        let range = selector.range().unwrap_or_default();
        let mut reasons = Vec::new();
        let mut reason = |group: &Group, what: &str| {
            if group.count > 0 {
                reasons.push(format!(
                    "{} {what}, such as '{}'",
                    group.count, group.example
                ));
            }
        };
        reason(&self.outside, "are outside of it");
        reason(
            &self.pre_releases,
            "are pre-releases, which it admits only with a '-0'",
        );
        reason(
            &self.unversioned,
            "are not versions of three numbers (spec.filterTags.extract can make them some: \
             '$maj.$min.0')",
        );
        reason(&self.unmatched, "do not match spec.filterTags.pattern");
        format!(
            "unable to determine latest version from provided list: no tag is in the range \
             '{range}': {}",
            reasons.join("; ")
        )
    }
}

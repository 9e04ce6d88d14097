//! Tags that take part, in the order of a policy.

use std::borrow::Cow;
use std::cmp::Ordering;

use flux_lang::semver::Version;

/// A tag that takes part in a selection. The greater one is the better one; candidates of one
/// [`Selector`](super::Selector) can be compared and sorted.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub(super) tag: Cow<'a, str>,
    /// Only where it is not the tag.
    pub(super) key: Option<String>,
    pub(super) rank: Rank,
}

#[derive(Clone, Debug)]
pub(super) enum Rank {
    Version(Version),
    Text { descending: bool },
    Number { number: f64, descending: bool },
}

impl Candidate<'_> {
    /// The tag, as the registry has it.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// What the tag is ordered by.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.tag)
    }

    /// Whether only their spelling tells the two apart.
    pub(super) fn ranks_like(&self, other: &Self) -> bool {
        match (&self.rank, &other.rank) {
            (Rank::Version(ours), Rank::Version(theirs)) => ours.cmp(theirs).is_eq(),
            (Rank::Number { number: ours, .. }, Rank::Number { number: theirs, .. }) => {
                numbers(*ours, *theirs, false).is_eq()
            }
            _ => self.key() == other.key(),
        }
    }

    /// The same, with a tag of its own.
    pub(super) fn into_owned(self) -> Candidate<'static> {
        Candidate {
            tag: Cow::Owned(self.tag.into_owned()),
            key: self.key,
            rank: self.rank,
        }
    }
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = self.key().cmp(other.key());
        let by_rank = match (&self.rank, &other.rank) {
            (Rank::Version(ours), Rank::Version(theirs)) => ours.cmp(theirs).then(keys),
            (
                Rank::Number {
                    number: ours,
                    descending,
                },
                Rank::Number { number: theirs, .. },
            ) => numbers(*ours, *theirs, *descending).then(keys.reverse()),
            (Rank::Text { descending: true }, _) => keys.reverse(),
            // Candidates of different selectors have no meaningful order.
            _ => keys,
        };
        by_rank.then_with(|| other.tag.cmp(&self.tag))
    }
}

/// NaN is the worst in both directions; negative and positive zero are the same.
fn numbers(ours: f64, theirs: f64, descending: bool) -> Ordering {
    match ours.partial_cmp(&theirs) {
        Some(order) if descending => order.reverse(),
        Some(order) => order,
        None => theirs.is_nan().cmp(&ours.is_nan()),
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate<'_> {}

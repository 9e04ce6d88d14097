//! Reading and changing a list of conditions as the conventions of Kubernetes ask for it.

use std::cmp::Ordering;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::names::{READY, RECONCILING, STALLED};

/// Longest message that the CRDs accept, in characters.
const MAX_MESSAGE: usize = 32_768;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A text of others that can be shown to people: what would steer a terminal is replaced.
pub fn visible(text: &str) -> String {
    text.chars().map(visible_char).collect()
}

fn visible_char(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The condition of a type.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type is there and says [`Status::True`].
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == Status::True.as_str())
}

/// Sets the condition of a type, now. See [`set_at`].
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: impl Into<Status>,
    reason: &str,
    message: &str,
    generation: i64,
) -> bool {
    set_at(
        conditions,
        type_,
        status,
        reason,
        message,
        generation,
        Timestamp::now(),
    )
}

/// Sets the condition of a type and tells whether anything changed.
///
/// The time of the last transition stays as it is while the status does. White space around the
/// message is dropped, what is longer than the CRDs accept is cut off, and what would steer a
/// terminal is replaced. Ready comes first, then
/// Reconciling and Stalled, then the others by name.
pub fn set_at(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: impl Into<Status>,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> bool {
    let status = status.into().as_str();
    let mut new = Condition {
        last_transition_time: Time(now),
        message: message
            .trim()
            .chars()
            .take(MAX_MESSAGE)
            .map(visible_char)
            .collect(),
        observed_generation: Some(generation),
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    };
    match conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_)
    {
        Some(old) => {
            if old.status == status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            if *old == new {
                return false;
            }
            *old = new;
        }
        None => {
            conditions.push(new);
            conditions.sort_by(by_importance);
        }
    }
    true
}

/// Removes the condition of a type and tells whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

fn by_importance(a: &Condition, b: &Condition) -> Ordering {
    let rank = |condition: &Condition| match condition.type_.as_str() {
        READY => 0,
        RECONCILING => 1,
        STALLED => 2,
        _ => 3,
    };
    rank(a).cmp(&rank(b)).then_with(|| a.type_.cmp(&b.type_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_follows_the_status_only() {
        let mut list = Vec::new();
        assert!(set_at(
            &mut list,
            READY,
            Status::Unknown,
            "Progressing",
            "a",
            1,
            at(1)
        ));
        assert!(set_at(
            &mut list,
            READY,
            Status::Unknown,
            "Progressing",
            "b",
            2,
            at(2)
        ));
        let ready = get(&list, READY).unwrap();
        assert_eq!(
            (ready.last_transition_time.0, ready.observed_generation),
            (at(1), Some(2))
        );

        assert!(set_at(&mut list, READY, true, "Succeeded", "b", 2, at(3)));
        assert_eq!(get(&list, READY).unwrap().last_transition_time.0, at(3));
        assert!(is_true(&list, READY));
    }

    #[test]
    fn the_same_again_is_no_change() {
        let mut list = Vec::new();
        assert!(set_at(
            &mut list,
            READY,
            true,
            "Succeeded",
            "done",
            1,
            at(1)
        ));
        assert!(!set_at(
            &mut list,
            READY,
            true,
            "Succeeded",
            " done\n",
            1,
            at(9)
        ));
    }

    #[test]
    fn messages_fit_the_schema() {
        let mut list = Vec::new();
        set(
            &mut list,
            READY,
            false,
            "Failed",
            &"\u{e9}".repeat(40_000),
            1,
        );
        assert_eq!(list[0].message.chars().count(), 32_768);
    }

    #[test]
    fn order_and_removal() {
        let mut list = Vec::new();
        for type_ in ["Healthy", STALLED, "ArtifactInStorage", READY, RECONCILING] {
            set(&mut list, type_, true, "R", "", 1);
        }
        let types: Vec<_> = list
            .iter()
            .map(|condition| condition.type_.as_str())
            .collect();
        assert_eq!(
            types,
            [READY, RECONCILING, STALLED, "ArtifactInStorage", "Healthy"]
        );
        assert!(remove(&mut list, STALLED));
        assert!(!remove(&mut list, STALLED));
        assert!(get(&list, STALLED).is_none());
    }

    #[test]
    fn messages_do_not_steer_terminals() {
        let mut list = Vec::new();
        set(
            &mut list,
            READY,
            false,
            "BuildFailed",
            "a\u{1b}[31m\u{1}.yaml:\n\tno",
            1,
        );
        assert_eq!(list[0].message, "a\u{fffd}[31m\u{fffd}.yaml:\n\tno");
    }
}

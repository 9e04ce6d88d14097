//! The status protocol common to all kinds (kstatus): how the end of a reconcile becomes
//! conditions.
//!
//! | verdict | Ready | Reconciling | Stalled | observedGeneration |
//! |---|---|---|---|---|
//! | ready | True | – | – | set |
//! | progressing | Unknown | True | – | kept |
//! | failed | False | True, ProgressingWithRetry | – | kept |
//! | stalled | False | – | True | set |
//! | unchanged | kept | kept | kept | kept |

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::conditions::{self, Status};
use flux_api::names;
use flux_api::{Condition, GoDuration};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How a reconcile ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The object is as it should be.
    Ready {
        /// Reason of the Ready condition.
        reason: &'static str,
        /// Message of the Ready condition.
        message: String,
    },
    /// Work goes on elsewhere; its end will wake the object.
    Progressing {
        /// Reason of the Reconciling condition.
        reason: &'static str,
        /// What is going on.
        message: String,
    },
    /// It did not work; it is tried again.
    Failed {
        /// Reason of the Ready condition.
        reason: &'static str,
        /// What failed, where, and what to do.
        message: String,
        /// When it is tried again.
        retry: Retry,
    },
    /// Nothing can be said yet, and what was said before still holds: nothing is written. After a
    /// restart objects wait for their sources like this instead of flapping.
    Unchanged,
    /// It cannot work before somebody changes the object.
    Stalled {
        /// Reason of the Ready condition.
        reason: &'static str,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

/// When a failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Sooner after the first failure than after the tenth.
    Backoff,
    /// After a fixed time.
    After(Duration),
    /// When something that the object waits for changes, and at the latest after this time.
    OnChange(Duration),
}

impl Verdict {
    /// Reason and message as users see them in the Ready condition.
    pub fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Ready { reason, message }
            | Self::Progressing { reason, message }
            | Self::Failed {
                reason, message, ..
            }
            | Self::Stalled { reason, message } => (reason, message),
            Self::Unchanged => ("", ""),
        }
    }

    /// Whether it ended well.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready { .. })
    }

    /// Writes the verdict into conditions; returns whether the generation counts as observed.
    pub fn conclude(&self, list: &mut Vec<Condition>, generation: i64) -> bool {
        let (reason, message) = self.words();
        let (ready, reconciling, stalled, observed) = match self {
            Self::Ready { .. } => (Status::True, None, false, true),
            Self::Progressing { .. } => (Status::Unknown, Some(reason), false, false),
            Self::Failed { .. } => (
                Status::False,
                Some(names::reason::PROGRESSING_WITH_RETRY),
                false,
                false,
            ),
            Self::Stalled { .. } => (Status::False, None, true, true),
            Self::Unchanged => return false,
        };
        match reconciling {
            Some(reason) => {
                conditions::set(
                    list,
                    names::RECONCILING,
                    Status::True,
                    reason,
                    message,
                    generation,
                );
            }
            None => {
                conditions::remove(list, names::RECONCILING);
            }
        }
        if stalled {
            conditions::set(
                list,
                names::STALLED,
                Status::True,
                reason,
                message,
                generation,
            );
        } else {
            conditions::remove(list, names::STALLED);
        }
        conditions::set(list, names::READY, ready, reason, message, generation);
        observed
    }
}

/// Stalls on a duration that is none. The schema of v1beta1 lets any text through, and running at
/// a made-up interval would hide the mistake.
///
/// # Errors
/// The verdict to conclude with.
pub fn check_duration(field: &str, duration: Option<&GoDuration>) -> Result<(), Verdict> {
    match duration.and_then(|d| Some((d, d.error()?))) {
        Some((duration, error)) => Err(Verdict::Stalled {
            reason: "InvalidDuration",
            message: format!("spec.{field} \"{duration}\" is not valid: {error}"),
        }),
        None => Ok(()),
    }
}

/// The JSON merge patch (RFC 7386) that turns a status into another; `None` when they are equal. Most of
/// a long status is the same before and after: its fields are compared as text, and only those that
/// differ are taken apart.
///
/// # Errors
/// When one of them cannot be written as JSON.
pub fn status_patch<S: Serialize>(
    before: Option<&S>,
    after: &S,
) -> Result<Option<Value>, serde_json::Error> {
    let Some(before) = before else {
        return serde_json::to_value(after).map(Some);
    };
    let (before, after) = (
        serde_json::to_string(before)?,
        serde_json::to_string(after)?,
    );
    let before: Fields<'_> = serde_json::from_str(&before)?;
    let after: Fields<'_> = serde_json::from_str(&after)?;
    let differing = |fields: &Fields<'_>, others: &Fields<'_>| {
        fields
            .iter()
            .filter(|(name, value)| others.get(*name).map(|v| v.get()) != Some(value.get()))
            .map(|(name, value)| Ok(((*name).to_owned(), serde_json::from_str(value.get())?)))
            .collect::<Result<_, serde_json::Error>>()
            .map(Value::Object)
    };
    Ok(merge_patch(
        &differing(&before, &after)?,
        &differing(&after, &before)?,
    ))
}

type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(change) = merge_patch(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(list: &[Condition]) -> Vec<(&str, &str, &str)> {
        let mut all: Vec<_> = list
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn verdicts_become_conditions() {
        let mut list = Vec::new();
        let failed = Verdict::Failed {
            reason: "BuildFailed",
            message: "no".into(),
            retry: Retry::Backoff,
        };
        assert!(!failed.conclude(&mut list, 1));
        assert_eq!(
            kinds(&list),
            [
                ("Ready", "False", "BuildFailed"),
                ("Reconciling", "True", "ProgressingWithRetry")
            ]
        );
        let stalled = Verdict::Stalled {
            reason: "AccessDenied",
            message: "no".into(),
        };
        assert!(stalled.conclude(&mut list, 1));
        assert_eq!(
            kinds(&list),
            [
                ("Ready", "False", "AccessDenied"),
                ("Stalled", "True", "AccessDenied")
            ]
        );
        let progressing = Verdict::Progressing {
            reason: "Progressing",
            message: "wait".into(),
        };
        assert!(!progressing.conclude(&mut list, 1));
        assert_eq!(
            kinds(&list),
            [
                ("Ready", "Unknown", "Progressing"),
                ("Reconciling", "True", "Progressing")
            ]
        );
        let ready = Verdict::Ready {
            reason: "Succeeded",
            message: "ok".into(),
        };
        assert!(ready.conclude(&mut list, 1));
        assert_eq!(kinds(&list), [("Ready", "True", "Succeeded")]);
    }

    #[test]
    fn durations_are_checked() {
        let duration = |text: &str| serde_json::from_value::<GoDuration>(json!(text)).unwrap();
        assert!(check_duration("timeout", None).is_ok());
        assert!(check_duration("interval", Some(&duration("1m0s"))).is_ok());
        let Err(Verdict::Stalled { message, .. }) =
            check_duration("interval", Some(&duration("whenever")))
        else {
            panic!("must stall");
        };
        assert!(
            message.starts_with("spec.interval \"whenever\" is not valid"),
            "{message}"
        );
    }

    #[test]
    fn patches_hold_the_difference_only() {
        for (old, new, want) in [
            (json!({"a": 1}), json!({"a": 1}), None),
            (
                json!({"a": 1, "b": 2}),
                json!({"a": 1}),
                Some(json!({"b": null})),
            ),
            (
                json!({"a": {"x": 1, "y": 2}}),
                json!({"a": {"x": 1, "y": 3}}),
                Some(json!({"a": {"y": 3}})),
            ),
            (
                json!({"a": [1]}),
                json!({"a": [1, 2]}),
                Some(json!({"a": [1, 2]})),
            ),
            (
                json!({}),
                json!({"a": {"b": 1}}),
                Some(json!({"a": {"b": 1}})),
            ),
        ] {
            assert_eq!(status_patch(Some(&old), &new).unwrap(), want);
        }
        let new = json!({"a": 1});
        assert_eq!(status_patch(None, &new).unwrap(), Some(new));
    }
}

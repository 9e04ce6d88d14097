//! What one state of an object says about a goal. Pure: the protocol is that of Flux's status
//! (`Ready`, `Reconciling`, `Stalled`, `observedGeneration`, `lastHandledReconcileAt`).

use flux_api::names::{self, reason};
use kube::api::DynamicObject;

use crate::cluster::{ConditionView, View};

/// The state of an object about which no controller has said anything.
pub(super) const UNTOUCHED: &str = "waiting to be reconciled";

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal<'a> {
    /// The request with this token has been handled.
    Handled {
        /// Value of the annotation that made the request.
        token: &'a str,
    },
    /// The present specification has been acted upon.
    Current {
        /// Value of an annotation that asked for it; needed where the specification is the same as
        /// before and what the status says may be out of date.
        token: Option<&'a str>,
    },
}

/// What a state means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The goal is reached.
    Reached,
    /// It was tried, and it did not work.
    Failed {
        /// Reason of the condition.
        reason: String,
        /// Message of the condition.
        message: String,
    },
    /// Nothing final yet.
    Pending {
        /// Whether the state shows by itself that a controller has seen what is waited for.
        attended: bool,
        /// What is going on.
        state: String,
    },
}

/// Judges one state.
pub(super) fn assess(object: &DynamicObject, goal: &Goal<'_>) -> Verdict {
    let (token, is_final): (_, fn(ConditionView<'_>) -> bool) = match goal {
        Goal::Handled { token } => (Some(*token), |_| true),
        // Without a request a failure may be about something that is about to come, such as the
        // first artifact of a source that was created a moment ago.
        Goal::Current { token } => (*token, |ready| !is_waiting_for_others(ready)),
    };
    if token.is_some_and(|token| !is_handled(object, token)) {
        return Verdict::Pending {
            attended: false,
            state: describe(object),
        };
    }
    judge(object, is_final)
}

/// Whether the controller has answered our request, or a later one that replaced it.
fn is_handled(object: &DynamicObject, token: &str) -> bool {
    let Some(handled) = object.text("/status/lastHandledReconcileAt") else {
        return false;
    };
    let requested = object
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(names::REQUESTED_AT));
    handled == token || requested.is_some_and(|requested| requested == handled)
}

fn judge(object: &DynamicObject, is_final: impl Fn(ConditionView<'_>) -> bool) -> Verdict {
    let generation = object.metadata.generation;
    let observed = object
        .at("/status/observedGeneration")
        .and_then(serde_json::Value::as_i64);
    let is_current = |condition: Option<i64>| condition.or(observed) == generation;
    let failed = |reason: &str, message: &str| Verdict::Failed {
        reason: reason.to_owned(),
        message: message.to_owned(),
    };

    if let Some(stalled) = object.condition(names::STALLED)
        && stalled.is_true()
        && is_current(stalled.observed_generation)
    {
        return failed(stalled.reason, stalled.message);
    }
    let pending = |attended| Verdict::Pending {
        attended,
        state: describe(object),
    };
    let Some(ready) = object.condition(names::READY) else {
        return pending(false);
    };
    if !is_current(ready.observed_generation) {
        return pending(false);
    }
    let is_reconciling = object
        .condition(names::RECONCILING)
        .is_some_and(|c| c.is_true());
    if ready.is_true() && !is_reconciling {
        Verdict::Reached
    } else if ready.is_false() && is_final(ready) {
        failed(ready.reason, ready.message)
    } else {
        pending(true)
    }
}

/// Whether another object's progress will lift a `Ready=False`.
fn is_waiting_for_others(ready: ConditionView<'_>) -> bool {
    match ready.reason {
        reason::DEPENDENCY_NOT_READY | reason::PROGRESSING | reason::PROGRESSING_WITH_RETRY => true,
        // Upstream uses one reason for a source that has not been fetched yet and for what is wrong
        // with its content; only the text tells.
        reason::ARTIFACT_FAILED => ready.message.contains("artifact not found, retrying"),
        _ => false,
    }
}

/// The state in one line, for the spinner and for the end of a wait that was too short.
fn describe(object: &DynamicObject) -> String {
    let reconciling = object
        .condition(names::RECONCILING)
        .filter(ConditionView::is_true);
    match reconciling.or_else(|| object.condition(names::READY)) {
        Some(condition) => format!("{}: {}", condition.reason, condition.message),
        None => UNTOUCHED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kube::api::{ApiResource, DynamicObject};
    use serde_json::{Value, json};

    use super::{Goal, Verdict, assess};
    use crate::kind::Kind;

    const TOKEN: &str = "2026-01-01T00:00:02Z";
    const BEFORE: &str = "2026-01-01T00:00:01Z";

    fn object(generation: i64, requested: Option<&str>, status: Value) -> DynamicObject {
        let resource: ApiResource = Kind::Kustomization.resource();
        let mut object = DynamicObject::new("apps", &resource).data(json!({ "status": status }));
        object.metadata.generation = Some(generation);
        object.metadata.annotations = requested
            .map(|at| [("reconcile.fluxcd.io/requestedAt".to_owned(), at.to_owned())].into());
        object
    }

    fn condition(type_: &str, status: &str, reason: &str, message: &str, generation: i64) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": message,
               "observedGeneration": generation})
    }

    fn failed(reason: &str, message: &str) -> Verdict {
        Verdict::Failed {
            reason: reason.into(),
            message: message.into(),
        }
    }

    #[test]
    fn a_request_counts_as_handled_only_by_its_own_token() {
        let ready = condition("Ready", "True", "ReconciliationSucceeded", "Applied", 1);
        let status = |at: &str| json!({"lastHandledReconcileAt": at, "observedGeneration": 1, "conditions": [ready]});
        let goal = Goal::Handled { token: TOKEN };
        let earlier = assess(&object(1, Some(TOKEN), status(BEFORE)), &goal);
        assert!(matches!(earlier, Verdict::Pending { .. }), "{earlier:?}");
        assert_eq!(
            assess(&object(1, Some(TOKEN), status(TOKEN)), &goal),
            Verdict::Reached
        );
        // Somebody else asked after us, and that was answered: ours is covered.
        let later = "2026-01-01T00:00:03Z";
        assert_eq!(
            assess(&object(1, Some(later), status(later)), &goal),
            Verdict::Reached
        );
        assert!(matches!(
            assess(&object(1, None, status(BEFORE)), &goal),
            Verdict::Pending { .. }
        ));
    }

    #[test]
    fn a_handled_request_that_failed_ends_the_wait_with_its_reason() {
        let status = json!({
            "lastHandledReconcileAt": TOKEN,
            "observedGeneration": 1,
            "conditions": [
                condition("Reconciling", "True", "ProgressingWithRetry", "retrying", 2),
                condition("Ready", "False", "BuildFailed", "kustomization path not found", 2),
            ],
        });
        assert_eq!(
            assess(
                &object(2, Some(TOKEN), status),
                &Goal::Handled { token: TOKEN }
            ),
            failed("BuildFailed", "kustomization path not found")
        );
    }

    #[test]
    fn a_handled_request_may_still_be_worked_on() {
        let status = json!({
            "lastHandledReconcileAt": TOKEN,
            "observedGeneration": 1,
            "conditions": [
                condition("Reconciling", "True", "Progressing", "Running health checks", 1),
                condition("Ready", "Unknown", "Progressing", "Reconciliation in progress", 1),
            ],
        });
        assert_eq!(
            assess(
                &object(1, Some(TOKEN), status),
                &Goal::Handled { token: TOKEN }
            ),
            Verdict::Pending {
                attended: true,
                state: "Progressing: Running health checks".into()
            }
        );
    }

    #[test]
    fn a_new_object_is_judged_when_its_generation_was_seen() {
        let goal = Goal::Current { token: None };
        let fresh = object(1, None, json!({"observedGeneration": -1}));
        assert_eq!(
            assess(&fresh, &goal),
            Verdict::Pending {
                attended: false,
                state: "waiting to be reconciled".into()
            }
        );
        let old = condition("Ready", "True", "Succeeded", "stored", 1);
        let outdated = object(
            2,
            None,
            json!({"observedGeneration": 1, "conditions": [old]}),
        );
        assert!(matches!(
            assess(&outdated, &goal),
            Verdict::Pending {
                attended: false,
                ..
            }
        ));
        let current = condition("Ready", "True", "Succeeded", "stored", 2);
        let done = object(
            2,
            None,
            json!({"observedGeneration": 2, "conditions": [current]}),
        );
        assert_eq!(assess(&done, &goal), Verdict::Reached);
    }

    #[test]
    fn a_new_object_may_wait_for_others_but_not_for_a_wrong_key() {
        let with = |reason: &str, message: &str| {
            let ready = condition("Ready", "False", reason, message, 1);
            let object = object(1, None, json!({ "conditions": [ready] }));
            assess(&object, &Goal::Current { token: None })
        };
        for (reason, message) in [
            ("DependencyNotReady", "dependency 'foo/infra' is not ready"),
            (
                "ArtifactFailed",
                "Source artifact not found, retrying in 30s",
            ),
        ] {
            let verdict = with(reason, message);
            assert!(
                matches!(verdict, Verdict::Pending { attended: true, .. }),
                "{verdict:?}"
            );
        }
        for (reason, message) in [
            ("AuthenticationFailed", "wrong key"),
            ("ArtifactFailed", "kustomization path not found: ./nope"),
        ] {
            assert_eq!(with(reason, message), failed(reason, message));
        }
    }

    #[test]
    fn what_was_said_before_the_update_does_not_count() {
        let ready = condition("Ready", "False", "AuthenticationFailed", "wrong key", 1);
        let mut status = json!({ "observedGeneration": 1, "conditions": [ready] });
        let goal = Goal::Current { token: Some(TOKEN) };
        let before = assess(&object(1, Some(TOKEN), status.clone()), &goal);
        assert!(matches!(
            before,
            Verdict::Pending {
                attended: false,
                ..
            }
        ));
        status["lastHandledReconcileAt"] = json!(TOKEN);
        assert_eq!(
            assess(&object(1, Some(TOKEN), status), &goal),
            failed("AuthenticationFailed", "wrong key")
        );
    }

    #[test]
    fn stalled_is_final() {
        let status = json!({"conditions": [
            condition("Stalled", "True", "URLInvalid", "no such scheme", 1),
            condition("Ready", "Unknown", "Progressing", "...", 1),
        ]});
        assert_eq!(
            assess(&object(1, None, status), &Goal::Current { token: None }),
            failed("URLInvalid", "no such scheme")
        );
    }
}

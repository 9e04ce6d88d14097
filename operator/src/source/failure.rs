//! The conditions that exist only while something is wrong.

use flux_api::names::{self, reason};
use flux_api::{Condition, conditions};

use crate::conclusion::Verdict;

/// Sets the condition of what failed, and removes those of what failed before.
pub(super) fn note(list: &mut Vec<Condition>, verdict: &Verdict, generation: i64) {
    let (reason, message) = verdict.words();
    let is_failure = matches!(verdict, Verdict::Failed { .. } | Verdict::Stalled { .. });
    let failed = is_failure.then(|| name_of(reason)).flatten();
    let over: &[_] = if is_failure {
        &[names::FETCH_FAILED, names::STORAGE_OPERATION_FAILED]
    } else {
        &[
            names::FETCH_FAILED,
            names::STORAGE_OPERATION_FAILED,
            names::ARTIFACT_OUTDATED,
            names::INCLUDE_UNAVAILABLE,
        ]
    };
    for name in over {
        if Some(*name) != failed {
            conditions::remove(list, name);
        }
    }
    if let Some(name) = failed {
        conditions::set(list, name, true, reason, message, generation);
    }
}

/// The condition of a failure, by its reason.
fn name_of(reason: &str) -> Option<&'static str> {
    match reason {
        reason::ARCHIVE_OPERATION_FAILED => Some(names::STORAGE_OPERATION_FAILED),
        // The condition SourceVerified says it; fetching was no problem.
        reason::VERIFICATION_ERROR
        | reason::INVALID_VERIFICATION_MODE
        | reason::INVALID_GIT_OBJECT
        | reason::INVALID_TAG_SIGNATURE
        | reason::INVALID_COMMIT_SIGNATURE => None,
        _ => Some(names::FETCH_FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conclusion::Retry;

    #[test]
    fn only_the_last_failure_is_shown() {
        let verdict = |reason: &'static str| Verdict::Failed {
            reason,
            message: "why".to_owned(),
            retry: Retry::Backoff,
        };
        let fetch = verdict(reason::GIT_OPERATION_FAILED);
        let storage = verdict(reason::ARCHIVE_OPERATION_FAILED);
        let signature = verdict(reason::INVALID_COMMIT_SIGNATURE);
        let good = Verdict::Ready {
            reason: reason::SUCCEEDED,
            message: "stored".to_owned(),
        };
        // What happens one after the other, and the conditions in the end.
        for (verdicts, expected) in [
            (&[&fetch][..], &[names::FETCH_FAILED][..]),
            (&[&fetch, &storage], &[names::STORAGE_OPERATION_FAILED]),
            (&[&storage, &fetch], &[names::FETCH_FAILED]),
            (&[&storage, &signature], &[]),
            (&[&fetch, &signature], &[]),
            (&[&storage, &good], &[]),
            (&[&fetch, &Verdict::Unchanged], &[]),
        ] {
            let mut list = Vec::new();
            for verdict in verdicts {
                note(&mut list, verdict, 1);
            }
            let names: Vec<_> = list.iter().map(|it: &Condition| &it.type_).collect();
            assert_eq!(names, expected, "{verdicts:?}");
        }
    }
}

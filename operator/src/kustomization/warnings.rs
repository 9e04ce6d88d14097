//! What the API server and its admission webhooks warned about while a revision was applied.
//!
//! At a terminal `kubectl apply` prints such warnings; for a change that arrives through Git they
//! are kept in a condition of their own and told once as an event.

use flux_api::{Condition, ObjectId, conditions};
use flux_apply::Outcome;
use flux_apply::applier::Action;
use flux_apply::object;

/// Type of the condition; not one of Flux's.
pub const CONDITION: &str = "AppliedWithWarnings";

/// Reason of the event.
pub const EVENT: &str = "AppliedWithWarnings";

const REASON: &str = "WarningsFromAPIServer";

/// The lines to show, and the event to publish when some of them are new.
///
/// An object that did not change this time was not warned about again: its lines are carried
/// over from the condition as it was.
pub fn merge<'a>(
    before: &[Condition],
    outcome: &Outcome,
    origin: impl Fn(&ObjectId) -> Option<&'a str>,
) -> (Vec<String>, Option<String>) {
    let fresh: Vec<_> = outcome
        .warnings
        .iter()
        .map(|(id, text)| match origin(id) {
            Some(origin) => format!("{}: {text} [{origin}]", object::display(id)),
            None => format!("{}: {text}", object::display(id)),
        })
        .collect();
    let old = conditions::get(before, CONDITION)
        .map(|c| c.message.as_str())
        .unwrap_or_default();
    let unchanged: Vec<_> = outcome
        .changes
        .iter()
        .filter(|(_, action)| matches!(action, Action::Unchanged | Action::Skipped(_)))
        .map(|(id, _)| format!("{}: ", object::display(id)))
        .collect();
    let carried = old
        .lines()
        .filter(|line| unchanged.iter().any(|p| line.starts_with(p)));
    let mut lines: Vec<_> = carried
        .map(str::to_owned)
        .chain(fresh.iter().cloned())
        .collect();
    lines.sort();
    lines.dedup();
    let news: Vec<_> = fresh
        .into_iter()
        .filter(|line| !old.lines().any(|o| o == line))
        .collect();
    let event = (!news.is_empty()).then(|| news.join("\n"));
    (lines, event)
}

/// Sets or removes the condition.
pub fn set(list: &mut Vec<Condition>, lines: &[String], generation: i64) {
    if lines.is_empty() {
        conditions::remove(list, CONDITION);
    } else {
        conditions::set(list, CONDITION, true, REASON, &lines.join("\n"), generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId {
            name: name.into(),
            kind: "Ingress".into(),
            ..ObjectId::default()
        }
    }

    #[test]
    fn warnings_stay_until_their_object_changes() {
        let mut list = Vec::new();
        let mut outcome = Outcome::default();
        outcome.changes.push((id("a"), Action::Created));
        outcome.warnings.push((id("a"), "mind the path".into()));
        let (lines, event) = merge(&list, &outcome, |_| Some("ingress.yaml:2"));
        assert_eq!(lines, ["Ingress/a: mind the path [ingress.yaml:2]"]);
        assert_eq!(
            event.as_deref(),
            Some("Ingress/a: mind the path [ingress.yaml:2]")
        );
        set(&mut list, &lines, 1);

        let mut again = Outcome::default();
        again.changes.push((id("a"), Action::Unchanged));
        let (lines, event) = merge(&list, &again, |_| None);
        assert_eq!((lines.len(), event), (1, None));

        let mut mended = Outcome::default();
        mended.changes.push((id("a"), Action::Configured));
        let (lines, _) = merge(&list, &mended, |_| None);
        set(&mut list, &lines, 1);
        assert!(list.is_empty());
    }
}

//! What a run tells about itself as events, with the revision that it is about.

use std::time::Duration;

use flux_api::names::{self, reason};
use flux_api::{Kustomization, ObjectId, go_string};
use flux_apply::applier::Action;
use flux_apply::object;

use super::run::Run;
use crate::conclusion::{Retry, Verdict};
use crate::driver::Controlled as _;
use crate::events::Event;

/// Reason of the event that names who changed what was applied.
const DRIFT_EVENT: &str = "DriftCorrected";

impl Run<'_> {
    pub(super) fn note_changes(&mut self, changes: &[(ObjectId, Action)]) {
        let lines: Vec<_> = changes
            .iter()
            .filter_map(|(id, action)| Some(format!("{} {}", object::display(id), action.word()?)))
            .collect();
        if lines.is_empty() {
            return;
        }
        self.changed = true;
        self.record(Event::normal(reason::PROGRESSING, lines.join("\n")));
    }

    pub(super) fn note_drifts(&mut self, drifts: &[(ObjectId, String)]) {
        let lines: Vec<_> = drifts
            .iter()
            .map(|(id, what)| format!("{}: {what}", object::display(id)))
            .collect();
        if !lines.is_empty() {
            let message = format!("Drift corrected\n{}", lines.join("\n"));
            self.record(Event::warning(DRIFT_EVENT, message));
        }
    }

    pub(super) fn tell_failure(&mut self, verdict: &Verdict) {
        let (reason, message) = verdict.words();
        let event = match verdict {
            Verdict::Failed { .. } if reason == reason::DEPENDENCY_NOT_READY => {
                let message = format!("Dependencies do not meet ready condition: {message}");
                Event::normal(reason, message)
            }
            // Waiting for something else is no failure of this object.
            Verdict::Failed {
                retry: Retry::OnChange(_),
                ..
            } => Event::normal(reason, message),
            Verdict::Failed { .. } | Verdict::Stalled { .. } => Event::warning(reason, message),
            Verdict::Ready { .. } | Verdict::Progressing { .. } | Verdict::Unchanged => return,
        };
        self.record(event);
    }

    /// Tells of a success: everybody where it is news on the object. A commit that changes nothing
    /// of it is news for the commit, whose status waits for it, and costs the API server nothing.
    pub(super) fn tell_success(&mut self, is_news: bool, interval: Duration) {
        let event = Event::normal(
            reason::RECONCILIATION_SUCCEEDED,
            format!(
                "Reconciliation finished in {}, next run in {}",
                go_string(self.started.elapsed()),
                go_string(interval)
            ),
        )
        .with(names::KUSTOMIZE_EVENT_COMMIT_STATUS, "update");
        let before = self.object.status.as_ref();
        let known = before.and_then(|status| status.last_applied_revision.as_ref());
        if is_news {
            self.record(event);
        } else if known != self.revision.as_ref() {
            let event = self.with_revision(event);
            let controller = Kustomization::CONTROLLER.as_str();
            let recorder = &self.context.recorder;
            recorder.forward(self.object, controller, &event);
        }
    }

    pub(super) fn record(&mut self, event: Event) {
        let event = self.with_revision(event);
        self.events.push(event);
    }

    fn with_revision(&self, event: Event) -> Event {
        match &self.revision {
            Some(revision) => event.with(names::KUSTOMIZE_EVENT_REVISION, revision),
            None => event,
        }
    }
}

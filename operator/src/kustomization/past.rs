//! What is remembered of the last complete run over a Kustomization, so that the next does only
//! what is new.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::names::{READY, reason};
use flux_api::{Kustomization, KustomizationStatus, conditions};
use flux_apply::Owner;

use super::inputs::Inputs;
use super::run::Run;
use super::{claims, inventory};
use crate::context::Shared;
use crate::key::Key;
use crate::source::Source;

/// Every so many intervals all objects are applied, also those that are known to be as they should
/// be: what an API server makes of an object can change without the object changing (a conversion,
/// a default, a webhook).
const FULL_EVERY: u32 = 10;

/// A run that applied everything.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// What the build read, where that can be told.
    pub(super) inputs: Option<Inputs>,
    /// Digest of what was built.
    pub(super) digest: String,
    /// When all objects were applied, whether they were known or not.
    pub(super) full: Instant,
    /// How often ConfigMaps and Secrets that it refers to had changed.
    references: u64,
}

/// A state of a source for a Kustomization: where it comes from, its revision, and the generation of
/// the Kustomization. Equal states have equal files.
type State = ((String, i64), String, i64);

/// What a run is about, for those who wait for it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Files of the source are read.
    Fetch,
    /// Objects are made of them.
    Build,
    /// Objects are compared and applied.
    Apply,
}

impl Step {
    /// Flux's words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Fetch => "Fetching manifests",
            Self::Build => "Building manifests",
            Self::Apply => "Detecting drift",
        }
    }
}

/// What is remembered of all Kustomizations.
#[derive(Default)]
pub struct Known {
    past: Shared<Arc<Past>>,
    /// In which state of its source what was read last was found unchanged.
    same: Shared<State>,
    references: Shared<u64>,
    /// At which revision it was last known what each applies.
    looked: Shared<String>,
    /// What runs under way are about.
    steps: Shared<Step>,
    /// Who applies what.
    pub claims: claims::Claims,
}

impl Known {
    /// Forgets a Kustomization that is gone.
    pub fn forget(&self, key: &Key) {
        self.past.remove(key);
        self.same.remove(key);
        self.references.remove(key);
        self.looked.remove(key);
    }

    /// The step that the run of a Kustomization is at, if one is under way.
    pub(super) fn step(&self, key: &Key) -> Option<Step> {
        self.steps.get(key)
    }

    /// What a Kustomization applies of a revision is known, or that it can apply nothing of it.
    pub(super) fn looked(&self, key: &Key, revision: &str) {
        if !self.has_looked(key, revision) {
            self.looked.set(key, revision.to_owned());
        }
    }

    /// Whether that is so.
    pub(super) fn has_looked(&self, key: &Key, revision: &str) -> bool {
        self.looked.get(key).as_deref() == Some(revision)
    }

    /// Something outside the source that a Kustomization refers to has changed: what a run that
    /// is under way remembers of its build is history, too.
    pub fn reference_changed(&self, key: &Key) {
        let count = self.references(key);
        self.references.set(key, count + 1);
    }

    pub(super) fn references(&self, key: &Key) -> u64 {
        self.references.get(key).unwrap_or_default()
    }
}

impl Run<'_> {
    pub(super) fn past(&self) -> Option<Arc<Past>> {
        self.context.known.past.get(&self.key)
    }

    pub(super) fn remember(&self, source: &Source, inputs: Option<Inputs>, full: Option<Instant>) {
        let Some(digest) = self.digest.clone() else {
            return;
        };
        let past = Past {
            inputs,
            digest,
            references: self.references,
            // Who was proven from what an earlier process left takes its turn within the period,
            // not all at once.
            full: full.unwrap_or_else(|| self.spread()),
        };
        // What was just read is the state of the source; it need not be compared with it.
        match self.state(source).filter(|_| past.inputs.is_some()) {
            Some(state) => drop(self.context.known.same.set(&self.key, state)),
            None => drop(self.context.known.same.remove(&self.key)),
        }
        self.context.known.past.set(&self.key, Arc::new(past));
    }

    fn spread(&self) -> Instant {
        let turn = flux_apply::seen::hash_value(&self.key.to_string().into());
        let turn = u32::try_from(turn % u64::from(FULL_EVERY)).unwrap_or_default();
        let now = Instant::now();
        now.checked_sub(self.interval().saturating_mul(turn))
            .unwrap_or(now)
    }

    /// Says what comes now.
    pub(super) fn step(&self, step: Step) {
        self.context.known.steps.set(&self.key, step);
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.context.known.steps.remove(&self.key);
    }

    /// Forgets what was done: an apply is under way that may not end.
    pub(super) fn begin(&self) {
        self.context.known.past.remove(&self.key);
    }

    pub(super) fn interval(&self) -> Duration {
        self.object.spec.interval.as_std()
    }

    /// Whether it is time to apply all objects.
    pub(super) fn is_full_due(&self) -> bool {
        // Intervals have jitter; the tenth must not be missed by a second.
        let period = self.interval().saturating_mul(FULL_EVERY) - self.interval() / 2;
        self.past()
            .is_some_and(|past| past.full.elapsed() >= period)
    }

    /// Whether nothing that the build reads has changed since the last run, and every object is as
    /// that run left it.
    pub(super) async fn is_unaffected(&self, source: &Source) -> bool {
        let Some(past) = self.past() else {
            return false;
        };
        let Some(inputs) = &past.inputs else {
            return false;
        };
        let references = self.context.known.references(&self.key);
        if past.references != references {
            return false;
        }
        if self.is_full_due() || !is_proven(self.object) || !self.is_settled() {
            return false;
        }
        // Most runs are over a revision that was looked at before: no tree is read again for them.
        let (known, state) = (&self.context.known, self.state(source));
        if state.is_some() && state == known.same.get(&self.key) {
            return true;
        }
        let same = inputs.are_in(source, self.generation(), self.context).await;
        if let Some(state) = state.filter(|_| same) {
            known.same.set(&self.key, state);
        }
        same
    }

    /// The state of a source that is read from a mirror.
    fn state(&self, source: &Source) -> Option<State> {
        source.mirrored()?;
        let revision = source.revision().to_owned();
        Some((source.origin(), revision, self.generation()))
    }

    fn is_settled(&self) -> bool {
        let ids: Option<Vec<_>> = inventory::entries(&self.status)
            .iter()
            .map(|entry| entry.object().ok())
            .collect();
        let owner = self.owner();
        let shared = |id: &_, first: &Owner| self.context.known.claims.has(id, first, self.context);
        let live = self.context.applier.live();
        ids.is_some_and(|ids| live.is_settled(&owner, &ids, &shared))
    }
}

/// Whether the status says that what was attempted last was applied completely. The revision is
/// written down before its objects are applied, so a run that was cut short does not pass.
fn is_proven(object: &Kustomization) -> bool {
    let Some(status) = &object.status else {
        return false;
    };
    conditions::is_true(&status.conditions, READY)
        && status.observed_generation == object.metadata.generation
        && status.last_applied_revision.is_some()
        && status.last_applied_revision == status.last_attempted_revision
}

/// Whether a status says that exactly what has this digest was applied last.
pub(super) fn proves(object: &Kustomization, digest: &str) -> bool {
    let latest = |status: &KustomizationStatus| {
        status.history.first().is_some_and(|entry| {
            entry.digest == digest
                && entry.last_reconciled_status == reason::RECONCILIATION_SUCCEEDED
        })
    };
    is_proven(object) && object.status.as_ref().is_some_and(latest)
}

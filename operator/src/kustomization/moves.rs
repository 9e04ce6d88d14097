//! Objects that move from one Kustomization to another in a single commit: the old one must not delete
//! what the new one is about to claim.
//!
//! Both begin at the same time. So one that has something to prune waits until all others of its
//! source have looked at the revision, which they do within moments, and comes again then. Flux
//! deletes such an object and makes it anew, or not, as it happens.

use std::time::Duration;

use flux_api::names::{self, reason};
use flux_api::{Kustomization, conditions};
use kube::ResourceExt;

use super::dependencies;
use crate::conclusion::Verdict;
use crate::context::Context;
use crate::key::Key;

/// How long after a revision is known others are waited for; one of them may never look at it.
const PATIENCE: Duration = Duration::from_secs(5);

/// When to look again.
pub(super) const AGAIN: Duration = Duration::from_millis(250);

/// The source of a Kustomization.
pub(super) fn source_key(object: &Kustomization) -> Key {
    let reference = &object.spec.source_ref;
    let namespace = reference.namespace.clone();
    let namespace = namespace.or_else(|| object.namespace());
    Key::new(namespace.unwrap_or_default(), &reference.name)
}

/// The verdict of a run that waits for others.
pub(super) fn others_first(revision: &str) -> Verdict {
    Verdict::Progressing {
        reason: reason::PROGRESSING,
        message: format!(
            "Applied revision {revision}; pruning once the other Kustomizations of the source have read it"
        ),
    }
}

/// Whether others may still claim what a Kustomization is about to prune. Those that wait for it
/// cannot.
pub(super) fn are_possible(object: &Kustomization, context: &Context) -> bool {
    let (key, source) = (Key::of(object), source_key(object));
    let Some(known) = context.source(&source) else {
        return false;
    };
    if known.age() >= PATIENCE {
        return false;
    }
    let revision = known.revision();
    context.stores.kustomizations.state().iter().any(|other| {
        let other_key = Key::of(&**other);
        if other_key == key
            || source_key(other) != source
            || context.known.has_looked(&other_key, revision)
        {
            return false;
        }
        let list = other.status.as_ref().map(|s| s.conditions.as_slice());
        let rests = other.spec.suspend
            || other.metadata.deletion_timestamp.is_some()
            || conditions::is_true(list.unwrap_or_default(), names::STALLED);
        !rests && context.owns(&**other) && !dependencies::are_on(other, &key, context)
    })
}

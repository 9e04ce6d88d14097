//! Objects that go of themselves when their work is done: Jobs with `ttlSecondsAfterFinished`.
//!
//! That such a Job is gone is neither drift, or it would run again and again, nor ill health. The
//! next run over its Kustomization that applies anything creates it anew, as in Flux.

use flux_api::inventory::ObjectId;
use serde_json::Value;

use super::{Entry, Live, group_kind, name};

/// Whether an object will go of itself.
pub(crate) fn expires(object: &Value) -> bool {
    object["kind"] == "Job" && object["spec"]["ttlSecondsAfterFinished"].is_number()
}

impl Live {
    /// An object is about to be applied that goes of itself when its work is done.
    pub(crate) fn note_expiring(&self, id: &ObjectId) {
        let mut kinds = self.0.kinds();
        if let Some(kind) = kinds.get_mut(&group_kind(id)) {
            kind.objects.entry(name(id)).or_default().expires = true;
        }
    }

    /// Whether an object was applied that may have gone of itself since.
    pub(crate) fn may_have_expired(&self, id: &ObjectId) -> bool {
        let kinds = self.0.kinds();
        let entry = kinds
            .get(&group_kind(id))
            .and_then(|kind| kind.objects.get(&name(id)));
        entry.is_some_and(|entry| entry.expires && !entry.applied.is_empty())
    }
}

impl Entry {
    /// Whether the object is on its way out, or gone of itself.
    pub(super) fn goes(&self) -> bool {
        match &self.seen {
            Some(seen) => seen.terminating,
            None => self.expires,
        }
    }
}

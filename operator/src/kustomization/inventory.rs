//! The inventory: what a Kustomization has applied and therefore may delete.

use std::collections::BTreeSet;

use flux_api::names::reason;
use flux_api::{Kustomization, KustomizationStatus, ObjectId, ResourceInventory, ResourceRef};
use flux_apply::applier::Failure;
use flux_apply::object;
use flux_apply::prune::Entry;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::run::{Applied, Run};
use crate::conclusion::Verdict;
use crate::context::Context;
use crate::driver::write_status;
use crate::key::Key;
use crate::words::api_error;

/// The entries of a status.
pub fn entries(status: &KustomizationStatus) -> Vec<ResourceRef> {
    status
        .inventory
        .as_ref()
        .map(|i| i.entries.clone())
        .unwrap_or_default()
}

/// Puts entries into a status, sorted by id so that an unchanged set is an unchanged status.
pub fn store(status: &mut KustomizationStatus, mut entries: Vec<ResourceRef>) {
    entries.sort();
    status.inventory = Some(ResourceInventory { entries });
}

/// All of `new`, and what `old` has beyond them.
pub fn union(new: &[ResourceRef], old: &[ResourceRef]) -> Vec<ResourceRef> {
    let ids: BTreeSet<_> = new.iter().map(|e| &e.id).collect();
    let rest = old.iter().filter(|e| !ids.contains(&e.id));
    new.iter().chain(rest).cloned().collect()
}

/// What `old` has and `new` has not. An entry that cannot be read is left out: what it meant
/// cannot be known, and deleting on a guess is worse than an orphan.
pub fn difference(old: &[ResourceRef], new: &[ResourceRef]) -> Vec<Entry> {
    let ids: BTreeSet<_> = new.iter().map(|e| &e.id).collect();
    old.iter()
        .filter(|e| !ids.contains(&e.id))
        .filter_map(|e| {
            Some(Entry {
                id: e.object().ok()?,
                version: e.v.clone(),
            })
        })
        .collect()
}

/// What a Kustomization has let go of between two statuses.
pub fn left(before: &KustomizationStatus, after: &KustomizationStatus) -> Vec<Entry> {
    if before.inventory == after.inventory {
        return Vec::new();
    }
    difference(&entries(before), &entries(after))
}

/// Puts entries back whose deletion failed: the next run tries again.
pub fn keep(status: &mut KustomizationStatus, failures: &[Failure], before: &[ResourceRef]) {
    let failed: BTreeSet<_> = failures.iter().map(|f| f.id.to_string()).collect();
    let kept = before.iter().filter(|e| failed.contains(&e.id)).cloned();
    let entries = entries(status).into_iter().chain(kept).collect();
    store(status, entries);
}

/// Writes the attempted revision of `status`, and its inventory where that has grown.
pub async fn write_intended(
    object: &Kustomization,
    status: &KustomizationStatus,
    grown: bool,
    context: &Context,
) -> Result<(), kube::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api = Api::namespaced(context.client.clone(), &namespace);
    let mut patch = json!({"lastAttemptedRevision": status.last_attempted_revision});
    if grown {
        patch["inventory"] = json!(status.inventory);
    }
    write_status::<Kustomization>(&api, &object.name_any(), patch, context).await
}

/// Who else applies an object, in words.
pub fn claimant(key: &Key, id: &ObjectId, context: &Context) -> Option<String> {
    let others = context.known.claims.others(key, id, context);
    Some(format!("Kustomization/{}", others.first()?))
}

/// Wakes the Kustomizations that apply what `key` has let go of. Such an object carries the labels
/// of its first owner; those who still apply it put their own on it, and may prune it later.
pub fn wake_heirs(key: &Key, left: &[Entry], context: &Context) {
    let heirs: BTreeSet<_> = left
        .iter()
        .flat_map(|entry| context.known.claims.others(key, &entry.id, context))
        .collect();
    for heir in heirs {
        context.triggers.kustomizations.wake(&heir);
    }
}

impl Run<'_> {
    /// Says what is intended before it is done: after a crash the next run knows what the lost
    /// one may have created, and that the revision may be applied in part.
    pub(super) async fn write_intended(
        &mut self,
        intended: Vec<ResourceRef>,
    ) -> Result<(), Verdict> {
        let known = entries(&self.status);
        let more = intended.len() != known.len();
        if more {
            store(&mut self.status, intended);
            self.claim();
        }
        self.looked();
        let newest = self.status.history.first().map(|entry| &entry.digest);
        if !more && newest == self.digest.as_ref() {
            return Ok(());
        }
        write_intended(self.object, &self.status, more, self.context)
            .await
            .map_err(|error| {
                self.failed(
                    reason::RECONCILIATION_FAILED,
                    format!(
                        "cannot write what is intended, nothing was applied: {}",
                        api_error(&error)
                    ),
                )
            })
    }

    /// Tells others what is in the inventory, and returns that.
    pub(super) fn claim(&self) -> Vec<ResourceRef> {
        let entries = entries(&self.status);
        let claims = &self.context.known.claims;
        claims.set(&self.key, &entries, self.context);
        entries
    }

    /// Takes back what was intended and refused, and so was never there: it must not keep those who
    /// have such an object from pruning it.
    pub(super) fn disclaim(&mut self, refused: &[ObjectId], before: &[ResourceRef]) {
        let ids = refused.iter().map(ToString::to_string);
        let ids: BTreeSet<_> = ids
            .filter(|id| before.iter().all(|entry| entry.id != *id))
            .collect();
        let mut left = entries(&self.status);
        left.retain(|entry| !ids.contains(&entry.id));
        let some = !ids.is_empty();
        self.context.known.claims.disclaim(&self.key, ids);
        if some {
            store(&mut self.status, left);
            self.claim();
        }
    }

    /// Whether something is to be pruned.
    pub(super) fn prunes(&self, applied: &Applied) -> bool {
        self.object.spec.prune && !difference(&applied.before, &applied.after).is_empty()
    }

    /// Lets go of what left the set, and prunes it where that is wanted.
    pub(super) async fn settle(&mut self, applied: &Applied) -> Result<(), Verdict> {
        let (before, after) = (&applied.before, &applied.after);
        store(&mut self.status, after.clone());
        let obsolete = difference(before, after);
        if obsolete.is_empty() {
            return Ok(());
        }
        if !self.object.spec.prune {
            for entry in obsolete {
                let live = self.context.applier.live();
                live.release(&entry.id, &self.owner());
            }
            return Ok(());
        }
        let (context, applier) = (self.context, self.applier().await?);
        let pruned = applier
            .prune(obsolete, &self.owner(), |id| {
                claimant(&self.key, id, context)
            })
            .await;
        self.note_changes(&pruned.changes);
        for (id, why) in &pruned.kept {
            tracing::info!(object = object::display(id), why, "kept");
        }
        if pruned.failures.is_empty() {
            return Ok(());
        }
        keep(&mut self.status, &pruned.failures, before);
        let lines: Vec<_> = pruned.failures.iter().map(ToString::to_string).collect();
        Err(self.failed(reason::PRUNE_FAILED, lines.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> ResourceRef {
        ResourceRef {
            id: id.into(),
            v: "v1".into(),
        }
    }

    #[test]
    fn sets_are_compared_by_id() {
        let old = [entry("a_x__Secret"), entry("a_y__Secret")];
        let mut changed_version = entry("a_y__Secret");
        changed_version.v = "v2".into();
        let new = [changed_version, entry("a_z__Secret")];
        assert_eq!(union(&new, &old).len(), 3);
        let gone = difference(&old, &new);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].id.to_string(), "a_x__Secret");
        assert!(difference(&[entry("nonsense")], &[]).is_empty());
    }
}

//! Deleting what left the desired set.
//!
//! Only what the owner's labels claim is deleted, never the namespace the owner lives in, and
//! nothing that somebody else's inventory holds.

use std::time::Duration;

use flux_api::inventory::ObjectId;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::applier::{Action, Applier, Failure};
use crate::object::{Gvk, Owner};
use crate::{request, rules, stages};

/// An entry of an inventory: an object and the version under which it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object.
    pub id: ObjectId,
    /// API version within the group.
    pub version: String,
}

impl Entry {
    fn gvk(&self) -> Gvk {
        Gvk {
            group: self.id.group.clone(),
            version: self.version.clone(),
            kind: self.id.kind.clone(),
        }
    }
}

/// The result of a prune.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What was deleted.
    pub changes: Vec<(ObjectId, Action)>,
    /// What was kept, and why.
    pub kept: Vec<(ObjectId, String)>,
    /// What could not be deleted; it stays in the inventory.
    pub failures: Vec<Failure>,
}

impl Applier {
    /// Deletes the objects of `entries` that are the owner's. `claimed` names another owner whose
    /// inventory holds an object.
    pub async fn prune(
        &self,
        mut entries: Vec<Entry>,
        owner: &Owner,
        claimed: impl Fn(&ObjectId) -> Option<String>,
    ) -> Pruned {
        let mut pruned = Pruned::default();
        let mut ids: Vec<_> = entries.iter().map(|e| e.id.clone()).collect();
        stages::sort_for_deletion(&mut ids);
        entries.sort_by_key(|e| ids.iter().position(|id| *id == e.id));
        for entry in entries {
            if entry.id.kind == "Namespace"
                && entry.id.group.is_empty()
                && entry.id.name == owner.namespace
            {
                let why = "the Kustomization lives in it; delete it by hand once the Kustomization is gone";
                pruned.kept.push((entry.id, why.into()));
                continue;
            }
            if let Some(other) = claimed(&entry.id) {
                pruned
                    .kept
                    .push((entry.id, format!("{other} applies it too")));
                continue;
            }
            match self.prune_one(&entry, owner).await {
                Ok(None) => pruned.changes.push((entry.id, Action::Deleted)),
                Ok(Some(why)) => pruned.kept.push((entry.id, why.into())),
                Err(error) => pruned.failures.push(Failure {
                    reason: error.reason().to_owned(),
                    message: format!("cannot be deleted: {error}"),
                    id: entry.id,
                }),
            }
        }
        pruned
    }

    /// Deletes one object; `Some` says why it was kept.
    async fn prune_one(
        &self,
        entry: &Entry,
        owner: &Owner,
    ) -> Result<Option<&'static str>, request::RequestError> {
        let Some((path, live)) = self.live(entry).await? else {
            return Ok(Some("it does not exist any more"));
        };
        if let Some(why) = rules::keeps_from_prune(&live, owner) {
            return Ok(Some(why));
        }
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        request::delete(&self.client, &path, uid).await?;
        Ok(None)
    }

    async fn live(&self, entry: &Entry) -> Result<Option<(String, Value)>, request::RequestError> {
        let gvk = entry.gvk();
        let resource = self
            .mapper
            .resource(&gvk)
            .await
            .map_err(|error| request::RequestError::Transport(Box::new(error)))?;
        // A kind that is not served any more has no objects left either.
        let Some(resource) = resource else {
            return Ok(None);
        };
        let path = request::path(&gvk, &resource, &entry.id.namespace, &entry.id.name);
        Ok(request::get_metadata(&self.client, &path)
            .await?
            .map(|live| (path, live)))
    }

    /// Waits until all of `entries` are gone; returns those that are still there at the end.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn await_gone(
        &self,
        entries: &[Entry],
        timeout: Duration,
    ) -> Result<Vec<ObjectId>, request::RequestError> {
        let deadline = Instant::now() + timeout;
        let mut left: Vec<&Entry> = entries.iter().collect();
        loop {
            let mut still = Vec::new();
            for entry in left {
                if self.live(entry).await?.is_some() {
                    still.push(entry);
                }
            }
            if still.is_empty() || Instant::now() >= deadline {
                return Ok(still.into_iter().map(|e| e.id.clone()).collect());
            }
            left = still;
            sleep(Duration::from_millis(500)).await;
        }
    }
}

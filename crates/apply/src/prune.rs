//! Deleting what left the desired set.
//!
//! Only what the owner's labels claim is deleted, never the namespace the owner lives in, and
//! nothing that somebody else's inventory holds.

use flux_api::inventory::ObjectId;

use crate::applier::{Action, Applier, Attempt, Failure};
use crate::object::{Gvk, Owner};
use crate::request::{self, RequestError};
use crate::seen::{Reading, Seen};
use crate::{rules, stages};

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
    /// What is being deleted already.
    pub going: Vec<ObjectId>,
    /// What was kept, and why.
    pub kept: Vec<(ObjectId, String)>,
    /// What could not be deleted; it stays in the inventory.
    pub failures: Vec<Failure>,
}

/// What becomes of an object.
enum Fate {
    Deleted,
    Gone,
    Going,
    Kept(&'static str),
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
            if let Some(why) = self.lives_in(&entry.id, owner) {
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
                Ok(Fate::Deleted) => pruned.changes.push((entry.id, Action::Deleted)),
                Ok(Fate::Going) => pruned.going.push(entry.id),
                Ok(Fate::Gone) => pruned
                    .kept
                    .push((entry.id, "it does not exist any more".into())),
                Ok(Fate::Kept(why)) => pruned.kept.push((entry.id, why.into())),
                Err(error) => pruned.failures.push(Failure {
                    attempt: Attempt::Delete,
                    reason: error.reason().to_owned(),
                    message: error.to_string(),
                    id: entry.id,
                }),
            }
        }
        pruned
    }

    /// Why a namespace is kept: somebody who would have to finish the work lives in it.
    fn lives_in(&self, id: &ObjectId, owner: &Owner) -> Option<&'static str> {
        if id.kind != "Namespace" || !id.group.is_empty() {
            None
        } else if id.name == owner.namespace {
            Some("the Kustomization lives in it; delete it by hand once the Kustomization is gone")
        } else if self.home.as_deref() == Some(&id.name) {
            Some("the operator lives in it; delete it by hand once the operator is gone")
        } else {
            None
        }
    }

    /// Deletes one object.
    async fn prune_one(&self, entry: &Entry, owner: &Owner) -> Result<Fate, RequestError> {
        self.live.release(&entry.id, owner);
        let Some(path) = self.path(entry).await? else {
            return Ok(Fate::Gone);
        };
        match self.prune_at(&path, entry, owner).await? {
            // It may be that only the version has gone in which it was applied.
            Fate::Gone => {
                self.mapper.forget(&entry.gvk().api_version());
                match self.path(entry).await? {
                    Some(other) if other != path => self.prune_at(&other, entry, owner).await,
                    _ => Ok(Fate::Gone),
                }
            }
            fate => Ok(fate),
        }
    }

    async fn prune_at(
        &self,
        path: &str,
        entry: &Entry,
        owner: &Owner,
    ) -> Result<Fate, RequestError> {
        /// An object that somebody writes all the time is deleted at the next run, or the one after.
        const ATTEMPTS: u32 = 5;
        let mut known = self.live.seen(&entry.id);
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let seen = match known.take() {
                Some(seen) => seen,
                None => match self.read(path).await? {
                    Some(seen) => seen,
                    None => return Ok(Fate::Gone),
                },
            };
            if let Some(why) = rules::keeps_from_prune(&seen, owner) {
                return Ok(Fate::Kept(why));
            }
            if seen.terminating {
                return Ok(Fate::Going);
            }
            match request::delete(&self.client, path, &seen).await {
                Ok(true) => return Ok(Fate::Deleted),
                Ok(false) => return Ok(Fate::Gone),
                // What was known is history: it is another one, or may be kept by now.
                Err(RequestError::Api { code: 409, .. }) if left > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What is at a path, in a few words.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Seen>, RequestError> {
        match request::get_metadata(&self.client, path).await? {
            Some(body) => Ok(Some(Reading::parse(&body, &self.manager)?.seen)),
            None => Ok(None),
        }
    }

    /// The URL path of an entry. A kind that no version of its group serves has no objects left
    /// either; one that was only applied in a version that is gone has.
    async fn path(&self, entry: &Entry) -> Result<Option<String>, RequestError> {
        let found = self
            .mapper
            .resource_in_any_version(&entry.gvk())
            .await
            .map_err(|error| RequestError::Transport(Box::new(error)))?;
        let ObjectId {
            namespace, name, ..
        } = &entry.id;
        Ok(found.map(|(gvk, resource)| request::path(&gvk, &resource, namespace, name)))
    }

    /// Those of `entries` that are there.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn left(&self, entries: &[Entry]) -> Result<Vec<ObjectId>, RequestError> {
        let mut left = Vec::new();
        for entry in entries {
            if let Some(path) = self.path(entry).await?
                && self.read(&path).await?.is_some()
            {
                left.push(entry.id.clone());
            }
        }
        Ok(left)
    }
}

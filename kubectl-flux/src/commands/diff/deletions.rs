//! What would be pruned, and what goes along with it.

use std::collections::{BTreeMap, BTreeSet};

use flux_api::{ObjectId, names};
use flux_apply::object::{Gvk, Owner};
use flux_apply::request::{self, RequestError};
use flux_apply::rules;
use flux_apply::seen::Reading;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::cluster::{Cluster, View};
use crate::commands::build::spec::Subject;
use crate::error::Error;
use crate::kind::Kind;

/// An object that left the desired set.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) id: ObjectId,
    /// The Kustomization that takes it along when it is deleted itself.
    pub(super) because: Option<String>,
    /// Why it stays nevertheless.
    pub(super) kept: Option<String>,
}

/// What pruning would delete: the inventory's objects that are not wanted any more, and for each
/// Kustomization among them those of its inventory, and so on.
///
/// # Errors
/// If the API server cannot be reached.
pub(super) async fn of(
    cluster: &Cluster,
    subject: &Subject,
    live: &DynamicObject,
    wanted: &BTreeMap<ObjectId, (String, String)>,
) -> Result<Vec<Deletion>, Error> {
    if !subject.spec.prune {
        return Ok(Vec::new());
    }
    let mapper = cluster.mapper();
    let own = (subject.namespace.clone(), subject.name.clone());
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(own.clone(), None, entries(live))];
    while let Some((owner, because, entries)) = open.pop() {
        let owner = Owner {
            namespace: owner.0,
            name: owner.1,
        };
        for (id, version) in entries {
            let is_moved = wanted.get(&id).is_some_and(|new| *new != own);
            if wanted.get(&id) == Some(&own) || !seen.insert(id.clone()) {
                continue;
            }
            let gvk = Gvk {
                group: id.group.clone(),
                version,
                kind: id.kind.clone(),
            };
            let Some(resource) = cluster.place_of(&mapper, &gvk).await? else {
                continue;
            };
            let path = request::path(&gvk, &resource, &id.namespace, &id.name);
            let kept = match cluster.look_at_metadata(&path).await {
                Ok(None) => continue,
                Ok(Some(json)) if !is_moved => kept(&json, &owner, &id),
                Ok(Some(_)) => wanted
                    .get(&id)
                    .map(|(namespace, name)| format!("goes to Kustomization/{namespace}/{name}")),
                // It is in the inventory; who may not look at it is told so much.
                Err(RequestError::Api { code: 403, .. }) => None,
                Err(error) => return Err(cluster.failure_of(error)),
            };
            if kept.is_none() && is_kustomization(&id) {
                let below = cluster
                    .find(Kind::Kustomization, &id.namespace, &id.name)
                    .await?;
                if let Some(below) = below.filter(takes_along) {
                    let owner = (id.namespace.clone(), id.name.clone());
                    let name = format!("Kustomization/{}/{}", id.namespace, id.name);
                    open.push((owner, Some(name), self::entries(&below)));
                }
            }
            found.push(Deletion {
                id,
                because: because.clone(),
                kept,
            });
        }
    }
    Ok(found)
}

fn kept(json: &[u8], owner: &Owner, id: &ObjectId) -> Option<String> {
    // The operator never deletes the namespace that it would lose itself with.
    if id.kind == "Namespace" && id.group.is_empty() && id.name == owner.namespace {
        return Some("the Kustomization lives in it".to_owned());
    }
    let reading = Reading::parse(json, &names::APPLY_FIELD_MANAGER.into()).ok()?;
    rules::keeps_from_prune(&reading.seen, owner).map(str::to_owned)
}

fn is_kustomization(id: &ObjectId) -> bool {
    id.kind == Kind::Kustomization.name() && id.group == Kind::Kustomization.group()
}

/// Whether the objects of a Kustomization are deleted when it is.
fn takes_along(object: &DynamicObject) -> bool {
    let prunes = object.flag("/spec/prune");
    !object.is_suspended()
        && match object.text("/spec/deletionPolicy") {
            Some("Orphan") => false,
            Some("Delete" | "WaitForTermination") => true,
            _ => prunes,
        }
}

/// The inventory: identities and versions.
fn entries(object: &DynamicObject) -> Vec<(ObjectId, String)> {
    let entries = object
        .at("/status/inventory/entries")
        .and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let id = entry["id"].as_str()?.parse().ok()?;
            Some((id, entry["v"].as_str()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::takes_along;
    use crate::kind::Kind;

    #[test]
    fn deletion_policies() {
        for (spec, expected) in [
            (json!({"prune": true}), true),
            (json!({"prune": false}), false),
            (json!({"prune": true, "suspend": true}), false),
            (json!({"prune": true, "deletionPolicy": "Orphan"}), false),
            (json!({"prune": false, "deletionPolicy": "Delete"}), true),
            (
                json!({"prune": false, "deletionPolicy": "MirrorPrune"}),
                false,
            ),
        ] {
            let object = DynamicObject::new("x", &Kind::Kustomization.resource())
                .data(json!({"spec": spec}));
            assert_eq!(takes_along(&object), expected, "{spec}");
        }
    }
}

//! What will be applied: identity, scope and namespace of every object, settled before the first
//! request that changes something.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use flux_api::inventory::{ObjectId, ResourceRef};
use serde_json::Value;

use crate::applier::{Applier, Attempt, Failure};
use crate::mapper::{self, Resource};
use crate::object::{self, Gvk, Owner};
use crate::words::api_error;
use crate::{ignore, normalize, request};

/// How objects are applied.
#[derive(Clone, Debug)]
pub struct Options {
    /// On whose behalf.
    pub owner: Owner,
    /// Delete and create again what cannot be changed in place.
    pub force: bool,
    /// Where objects go that name no namespace.
    pub default_namespace: String,
    /// Kinds, by group, that are applied before the other objects ([`crate::stages::Stage::Early`]).
    pub early: Arc<[(String, String)]>,
    /// Requests under way at once.
    pub concurrency: usize,
    /// How long to wait for new definitions to be served.
    pub definition_timeout: Duration,
    /// Fields that are left to others.
    pub ignore: ignore::Rules,
    /// Apply also what is known to be as it was applied.
    pub full: bool,
    /// This very set was applied completely, by an earlier process at the latest: an object whose
    /// fields are all still ours is as it should be.
    pub proven: bool,
}

impl Options {
    /// Those of an owner, everything else as it is by default.
    pub fn of(owner: Owner) -> Self {
        Self {
            force: false,
            default_namespace: owner.namespace.clone(),
            early: Arc::default(),
            concurrency: 4,
            definition_timeout: Duration::from_secs(60),
            ignore: ignore::Rules::default(),
            full: false,
            proven: false,
            owner,
        }
    }
}

/// An object that is ready to be applied.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its identity, with the namespace settled.
    pub id: ObjectId,
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Where it lives.
    pub resource: Resource,
    /// What is applied.
    pub object: Value,
    /// Fields of it that are left to others.
    pub ignored: ignore::Paths,
}

impl Planned {
    /// The URL path of the object.
    pub fn path(&self) -> String {
        request::path(&self.gvk, &self.resource, &self.id.namespace, &self.id.name)
    }
}

/// What will be applied, and what cannot be.
#[derive(Debug, Default)]
pub struct Plan {
    /// Objects to apply.
    pub objects: Vec<Planned>,
    /// Objects that cannot even be tried.
    pub failures: Vec<Failure>,
    /// Whether some of them are of kinds that the API server does not serve, or not now: what mends
    /// that is no change of the set, and nobody tells of it.
    pub awaits_kind: bool,
}

impl Plan {
    /// The inventory that this plan intends.
    pub fn inventory(&self) -> Vec<ResourceRef> {
        self.objects
            .iter()
            .map(|p| ResourceRef {
                id: p.id.to_string(),
                v: p.gvk.version.clone(),
            })
            .collect()
    }
}

impl Applier {
    /// Settles identity, scope and namespace of every object and brings it into the form that is
    /// applied. What cannot be planned is a failure of that object alone.
    pub async fn plan(&self, objects: Vec<Value>, options: &Options) -> Plan {
        let announced: HashMap<Gvk, Resource> = objects
            .iter()
            .filter(|o| o["kind"] == "CustomResourceDefinition")
            .flat_map(mapper::served_by)
            .collect();
        let mut plan = Plan::default();
        let mut seen = HashSet::new();
        for mut object in objects {
            let (Some(gvk), Some(mut id)) = (Gvk::of(&object), object::id(&object)) else {
                continue;
            };
            let mut fail = |id, reason: &str, message| {
                plan.failures.push(Failure {
                    attempt: Attempt::Apply,
                    reason: reason.to_owned(),
                    message,
                    id,
                });
            };
            let resource = match announced.get(&gvk) {
                Some(resource) => Ok(resource.clone()),
                None => self.followed(&gvk).await,
            };
            let resource = match resource {
                Ok(resource) => resource,
                Err((reason, message)) => {
                    fail(id, reason, message);
                    plan.awaits_kind = true;
                    continue;
                }
            };
            if let Some(fault) = normalize::secret_fault(&object) {
                fail(id, "Invalid", fault);
                continue;
            }
            normalize::normalize(&mut object, &options.owner);
            settle_namespace(&mut object, &mut id, &resource, &options.default_namespace);
            if seen.insert(id.clone()) {
                plan.objects.push(Planned {
                    ignored: options.ignore.paths(&gvk, &id, &object),
                    id,
                    gvk,
                    resource,
                    object,
                });
            } else {
                let message = "it is defined more than once; keep one of the manifests";
                fail(id, "Duplicate", message.to_owned());
            }
        }
        plan
    }
}

impl Applier {
    /// Where a kind lives, and its objects followed from now on; reason and message where there is
    /// none.
    async fn followed(&self, gvk: &Gvk) -> Result<Resource, (&'static str, String)> {
        let (kind, api_version) = (&gvk.kind, gvk.api_version());
        match self.mapper.resource(gvk).await {
            Ok(Some(resource)) => {
                self.live.follow(gvk, &resource).await;
                Ok(resource)
            }
            Ok(None) => Err((
                "NoMatch",
                format!(
                    "the cluster does not serve kind \"{kind}\" of {api_version}; install its CustomResourceDefinition first, or correct apiVersion and kind"
                ),
            )),
            Err(error) => Err((
                "DiscoveryFailed",
                format!(
                    "cannot read which kinds the API server serves of {api_version}: {}",
                    api_error(&error)
                ),
            )),
        }
    }
}

/// Puts an object into `default` where it names no namespace, and takes the namespace away from kinds
/// that have none.
pub fn settle_namespace(object: &mut Value, id: &mut ObjectId, resource: &Resource, default: &str) {
    let Some(metadata) = object::metadata_mut(object) else {
        return;
    };
    if !resource.namespaced {
        metadata.remove("namespace");
        id.namespace.clear();
    } else if id.namespace.is_empty() {
        metadata.insert("namespace".into(), Value::String(default.to_owned()));
        id.namespace = default.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_follow_the_scope() {
        let namespaced = Resource {
            plural: "services".into(),
            namespaced: true,
        };
        let cluster = Resource {
            plural: "namespaces".into(),
            namespaced: false,
        };
        for (namespace, resource, want) in [
            ("", &namespaced, "apps"),
            ("other", &namespaced, "other"),
            ("", &cluster, ""),
            ("other", &cluster, ""),
        ] {
            let mut object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}});
            if !namespace.is_empty() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            let mut id = object::id(&object).unwrap();
            settle_namespace(&mut object, &mut id, resource, "apps");
            assert_eq!(id.namespace, want);
            assert_eq!(object::namespace(&object), want);
        }
    }
}

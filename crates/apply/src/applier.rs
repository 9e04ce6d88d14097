//! Applying a set of objects: plan, stages, take-over, collected failures.
//!
//! One object that the API server refuses does not keep the others back: every object is tried,
//! all refusals are reported together. Flux stops at the first and applies nothing of the stage
//! (fluxcd/kustomize-controller issues 1231 and 1168 ask for the difference).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use flux_api::inventory::{ObjectId, ResourceRef};
use futures::{StreamExt, stream};
use kube::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::health::{self, Status};
use crate::mapper::{self, Mapper, Resource};
use crate::object::{self, Gvk, Owner};
use crate::request::{self, RequestError};
use crate::rules::{self, Decision};
use crate::stages::{self, Stage};
use crate::{managers, normalize};

/// How objects are applied.
#[derive(Clone, Debug)]
pub struct Options {
    /// On whose behalf.
    pub owner: Owner,
    /// Delete and create again what cannot be changed in place.
    pub force: bool,
    /// Where objects go that name no namespace.
    pub default_namespace: String,
    /// Requests under way at once.
    pub concurrency: usize,
    /// How long to wait for new definitions to be served.
    pub definition_timeout: Duration,
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

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It did not exist before.
    Created,
    /// Something in it changed.
    Configured,
    /// It was as desired already.
    Unchanged,
    /// An annotation asked to leave it alone.
    Skipped(&'static str),
    /// It was pruned.
    Deleted,
}

impl Action {
    /// The word of the change log; `None` for what is not worth a line.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Created => Some("created"),
            Self::Configured => Some("configured"),
            Self::Deleted => Some("deleted"),
            Self::Unchanged | Self::Skipped(_) => None,
        }
    }
}

/// An object that was not applied.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which one.
    pub id: ObjectId,
    /// The API server's reason, for example `Invalid`.
    pub reason: String,
    /// What it said.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} not applied ({}): {}",
            object::display(&self.id),
            self.reason,
            self.message
        )
    }
}

/// The result of an apply.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What happened, in the order of application.
    pub changes: Vec<(ObjectId, Action)>,
    /// What the API server warned about.
    pub warnings: Vec<(ObjectId, String)>,
    /// What was refused.
    pub failures: Vec<Failure>,
}

/// Applies objects with one client and field manager.
#[derive(Clone)]
pub struct Applier {
    pub(crate) client: Client,
    pub(crate) mapper: Mapper,
    pub(crate) manager: String,
}

impl Applier {
    /// An applier; `manager` is the field manager that will own what it applies.
    pub fn new(client: Client, mapper: Mapper, manager: impl Into<String>) -> Self {
        Self {
            client,
            mapper,
            manager: manager.into(),
        }
    }

    /// Settles identity, scope and namespace of every object and brings it into the form that is
    /// applied. What cannot be planned is a failure of that object alone.
    ///
    /// # Errors
    /// When the API server's discovery cannot be read.
    pub async fn plan(&self, objects: Vec<Value>, options: &Options) -> Result<Plan, kube::Error> {
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
            let resource = match announced.get(&gvk) {
                Some(resource) => Some(resource.clone()),
                None => self.mapper.resource(&gvk).await?,
            };
            let Some(resource) = resource else {
                plan.failures.push(Failure {
                    reason: "NoMatch".into(),
                    message: format!(
                        "the cluster does not serve kind \"{}\" of {}; install its CustomResourceDefinition first, or correct apiVersion and kind",
                        gvk.kind,
                        gvk.api_version()
                    ),
                    id,
                });
                continue;
            };
            normalize::normalize(&mut object, &options.owner);
            settle_namespace(&mut object, &mut id, &resource, &options.default_namespace);
            if seen.insert(id.clone()) {
                plan.objects.push(Planned {
                    id,
                    gvk,
                    resource,
                    object,
                });
            } else {
                plan.failures.push(Failure {
                    reason: "Duplicate".into(),
                    message: "it is defined more than once; keep one of the manifests".into(),
                    id,
                });
            }
        }
        Ok(plan)
    }

    /// Applies what was planned, stage by stage.
    pub async fn apply(&self, plan: Plan, options: &Options) -> Outcome {
        let mut outcome = Outcome {
            failures: plan.failures,
            ..Outcome::default()
        };
        let announced: HashSet<Gvk> = plan
            .objects
            .iter()
            .filter(|p| p.gvk.kind == "CustomResourceDefinition")
            .flat_map(|p| mapper::served_by(&p.object))
            .map(|(gvk, _)| gvk)
            .collect();
        let mut definitions = Vec::new();
        let mut settled = false;
        for (stage, batch) in stages::batches(plan.objects, |p| p.gvk.kind.as_str()) {
            if stage > Stage::Definitions && !settled {
                settled = true;
                self.await_definitions(&definitions, options, &mut outcome)
                    .await;
            }
            let results: Vec<_> = stream::iter(batch)
                .map(|planned| async {
                    let result = self.apply_one(&planned, &announced, options).await;
                    (planned, result)
                })
                .buffered(options.concurrency.max(1))
                .collect()
                .await;
            for (planned, result) in results {
                match result {
                    Ok((action, warnings)) => {
                        let changed = matches!(action, Action::Created | Action::Configured);
                        outcome.changes.push((planned.id.clone(), action));
                        outcome
                            .warnings
                            .extend(warnings.into_iter().map(|text| (planned.id.clone(), text)));
                        if changed && planned.gvk.kind == "CustomResourceDefinition" {
                            definitions.push(planned);
                        }
                    }
                    Err(error) => outcome.failures.push(Failure {
                        reason: error.reason().to_owned(),
                        message: error.to_string(),
                        id: planned.id,
                    }),
                }
            }
        }
        if !settled {
            self.await_definitions(&definitions, options, &mut outcome)
                .await;
        }
        outcome
    }

    async fn apply_one(
        &self,
        planned: &Planned,
        announced: &HashSet<Gvk>,
        options: &Options,
    ) -> Result<(Action, Vec<String>), RequestError> {
        let path = planned.path();
        let live = request::get_metadata(&self.client, &path).await?;
        if let Decision::Skip(why) = rules::decide(&planned.object, live.as_ref()) {
            return Ok((Action::Skipped(why), Vec::new()));
        }
        if let Some(patch) = live
            .as_ref()
            .and_then(|l| managers::take_over(l, &self.manager))
        {
            // A lost race only delays the take-over to the next run.
            match request::json_patch(&self.client, &path, &self.manager, &patch).await {
                Ok(_) => {}
                Err(RequestError::Api {
                    code: 404 | 409 | 422,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        let answer = loop {
            match request::apply(&self.client, &path, &self.manager, &planned.object).await {
                // A definition that is established may be unknown to the endpoint for a moment.
                Err(error)
                    if error.is_not_found()
                        && announced.contains(&planned.gvk)
                        && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(100)).await;
                }
                Err(error) if is_immutable(&error) => {
                    let Some(live) = live.as_ref() else {
                        return Err(error);
                    };
                    if !options.force && !rules::may_force(&planned.object, Some(live)) {
                        return Err(error);
                    }
                    self.recreate(planned, live, &path).await?;
                    let answer =
                        request::apply(&self.client, &path, &self.manager, &planned.object).await?;
                    return Ok((Action::Created, answer.warnings));
                }
                other => break other?,
            }
        };
        let before = live.as_ref().map(object::resource_version);
        let action = match before {
            _ if answer.created => Action::Created,
            Some(before) if before == object::resource_version(&answer.object) => Action::Unchanged,
            _ => Action::Configured,
        };
        Ok((action, answer.warnings))
    }

    /// Deletes an object and waits until it is gone.
    async fn recreate(
        &self,
        planned: &Planned,
        live: &Value,
        path: &str,
    ) -> Result<(), RequestError> {
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        request::delete(&self.client, path, uid).await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match request::get_metadata(&self.client, path).await? {
                Some(still) if still["metadata"]["uid"] == uid => {
                    if Instant::now() > deadline {
                        return Err(RequestError::Api {
                            code: 409,
                            reason: "Timeout".into(),
                            message: format!(
                                "{} was deleted to be created again (force) and is still there; finalizers: {}",
                                object::display(&planned.id),
                                still["metadata"]["finalizers"]
                            ),
                        });
                    }
                }
                _ => return Ok(()),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn await_definitions(
        &self,
        definitions: &[Planned],
        options: &Options,
        outcome: &mut Outcome,
    ) {
        let deadline = Instant::now() + options.definition_timeout;
        for definition in definitions {
            for (gvk, _) in mapper::served_by(&definition.object) {
                self.mapper.forget(&gvk.api_version()).await;
            }
            let path = definition.path();
            loop {
                let status = match request::get(&self.client, &path).await {
                    Ok(Some(live)) => health::status(&live),
                    Ok(None) => Status::NotFound,
                    Err(error) => Status::InProgress(error.to_string()),
                };
                if status == Status::Current {
                    break;
                }
                if Instant::now() > deadline || matches!(status, Status::Failed(_)) {
                    outcome.failures.push(Failure {
                        id: definition.id.clone(),
                        reason: "NotEstablished".into(),
                        message: format!("{} {}", status.name(), status.detail()),
                    });
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn settle_namespace(object: &mut Value, id: &mut ObjectId, resource: &Resource, default: &str) {
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

/// Whether the refusal says that a field cannot be changed in place. Other validation errors are
/// not taken for it: deleting an object because its new form is invalid would lose it
/// (fluxcd/kustomize-controller issue 734).
fn is_immutable(error: &RequestError) -> bool {
    match error {
        RequestError::Api {
            code: 422, message, ..
        } => {
            message.contains("immutable")
                || message.contains("may not be changed")
                || message.contains("updates to statefulset spec")
                || message.contains("is forbidden: pod updates")
        }
        _ => false,
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

    #[test]
    fn only_immutability_may_lead_to_a_deletion() {
        let refused = |code, message: &str| RequestError::Api {
            code,
            reason: "Invalid".into(),
            message: message.into(),
        };
        assert!(is_immutable(&refused(
            422,
            "spec.selector: Invalid value: field is immutable"
        )));
        assert!(!is_immutable(&refused(
            422,
            "spec.replicas: must be greater than 0"
        )));
        assert!(!is_immutable(&refused(
            403,
            "field is immutable, says a webhook"
        )));
    }
}

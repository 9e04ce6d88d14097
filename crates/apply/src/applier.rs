//! Applying a set of objects: stages, take-over, collected failures.
//!
//! One object that the API server refuses does not keep the others back: every object is tried,
//! all refusals are reported together. Flux stops at the first and applies nothing of the stage
//! (fluxcd/kustomize-controller issues 1231 and 1168 ask for the difference).

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use flux_api::inventory::ObjectId;
use futures::{StreamExt, stream};
use kube::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::health::{self, Status};
use crate::managers;
use crate::mapper::{self, Mapper};
use crate::object::{self, Gvk, Owner};
use crate::plan::{Options, Plan, Planned};
use crate::request::{self, RequestError};
use crate::rules::{self, Decision};
use crate::stages::{self, Stage};

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

    /// Applies what was planned, stage by stage.
    ///
    /// `shared` says whether another owner applies an object, too. Such an object stays labelled
    /// as theirs: two owners that each put their own labels on it would write it for ever.
    pub async fn apply(
        &self,
        plan: Plan,
        options: &Options,
        shared: &(dyn Fn(&ObjectId, &Owner) -> bool + Sync),
    ) -> Outcome {
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
                    let result = self.apply_one(&planned, &announced, options, shared).await;
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
        shared: &(dyn Fn(&ObjectId, &Owner) -> bool + Sync),
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
        let desired = labelled(planned, live.as_ref(), &options.owner, shared);
        let deadline = Instant::now() + Duration::from_secs(5);
        let answer = loop {
            match request::apply(&self.client, &path, &self.manager, &desired).await {
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

/// The object as it is applied: with the labels of its first owner where that still applies it.
fn labelled<'a>(
    planned: &'a Planned,
    live: Option<&Value>,
    owner: &Owner,
    shared: &(dyn Fn(&ObjectId, &Owner) -> bool + Sync),
) -> Cow<'a, Value> {
    match live.and_then(Owner::of) {
        Some(first) if first != *owner && shared(&planned.id, &first) => {
            let mut object = planned.object.clone();
            object::set_labels(&mut object, first.labels());
            Cow::Owned(object)
        }
        _ => Cow::Borrowed(&planned.object),
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
    use crate::mapper::Resource;

    #[test]
    fn a_shared_object_keeps_its_first_owner() {
        let owner = |name: &str| Owner {
            name: name.into(),
            namespace: "flux-system".into(),
        };
        let mut object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foo"}});
        let (mut live, id) = (object.clone(), object::id(&object).unwrap());
        object::set_labels(&mut object, owner("second").labels());
        object::set_labels(&mut live, owner("first").labels());
        let planned = Planned {
            id,
            gvk: Gvk::of(&object).unwrap(),
            resource: Resource {
                plural: "namespaces".into(),
                namespaced: false,
            },
            object,
        };
        for (live, is_shared, want) in [
            (None, true, "second"),
            (Some(&live), true, "first"),
            (Some(&live), false, "second"),
        ] {
            let found = labelled(&planned, live, &owner("second"), &|_, _| is_shared);
            assert_eq!(Owner::of(&found), Some(owner(want)));
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

//! Server-side apply of a set of objects, stage by stage, and their deletion.

use std::time::Duration;

use flux_apply::health::Status;
use flux_apply::object::{self, Gvk};
use flux_apply::{Mapper, definitions, stages};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::errors::{ClusterError, is_missing_object};
use super::{Cluster, FIELD_MANAGER};
use crate::error::Error;

/// Pause between attempts while the API server is away.
const RETRY: Duration = Duration::from_millis(500);

/// What an apply did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was not there.
    Created,
    /// Something in it changed.
    Configured,
    /// Nothing changed.
    Unchanged,
}

impl Change {
    /// The word that kubectl and Flux print.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// `Kind/namespace/name`, or `Kind/name` for what has no namespace.
pub(crate) fn display(object: &Value) -> String {
    object::id(object).map_or_else(|| "an object".to_owned(), |id| object::display(&id))
}

impl Cluster {
    /// Tries an apply without changing anything. Objects of a namespace that does not exist yet
    /// cannot be tried; the others tell whether rights, admission and schema are all right.
    ///
    /// # Errors
    /// The first refusal, with the object that it is about.
    pub(crate) async fn rehearse(&self, objects: &[Value]) -> Result<(), Error> {
        let mapper = Mapper::new(self.client.clone());
        let params = params().dry_run();
        for object in objects {
            let attempt = async {
                let api = self.api_of(&mapper, object).await?;
                let patch = Patch::Apply(object);
                api.patch(object::name(object), &params, &patch).await
            };
            match attempt.await {
                Ok(_) => {}
                // Its namespace is among the objects.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(self.refused(object, error)),
            }
        }
        Ok(())
    }

    /// Applies objects in an order in which they can work, and waits until new definitions are
    /// served. `tell` hears of each object. While the API server is away, it tries again.
    ///
    /// # Errors
    /// The first refusal, with the object that it is about; what was applied before stays.
    pub(crate) async fn apply(
        &self,
        objects: Vec<Value>,
        timeout: Duration,
        mut tell: impl FnMut(&Value, Change),
    ) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        let mapper = Mapper::new(self.client.clone());
        let kind = |object: &Value| object["kind"].as_str().unwrap_or_default().to_owned();
        let keyed: Vec<(String, Value)> = objects.into_iter().map(|o| (kind(&o), o)).collect();
        let mut definitions = Vec::new();
        let mut last = stages::Stage::Definitions;
        for (stage, batch) in stages::batches(keyed, |(kind, _)| kind.as_str(), |_| false) {
            if stage != last {
                last = stage;
                self.await_definitions(&definitions, deadline).await?;
                definitions.clear();
            }
            for (kind, object) in batch {
                let change = self.apply_one(&mapper, &object, deadline).await?;
                tell(&object, change);
                if kind == "CustomResourceDefinition" {
                    definitions.push(object);
                }
            }
        }
        self.await_definitions(&definitions, deadline).await
    }

    async fn apply_one(
        &self,
        mapper: &Mapper,
        object: &Value,
        deadline: Instant,
    ) -> Result<Change, Error> {
        loop {
            let attempt = async {
                let api = self.api_of(mapper, object).await?;
                let name = object::name(object);
                let before = api.get_metadata_opt(name).await?;
                let after = api.patch(name, &params(), &Patch::Apply(object)).await?;
                Ok(match before {
                    None => Change::Created,
                    Some(before) if before.resource_version() == after.resource_version() => {
                        Change::Unchanged
                    }
                    Some(_) => Change::Configured,
                })
            };
            match attempt.await {
                Err(error) if is_transient(&error) && Instant::now() < deadline => {
                    sleep(RETRY).await;
                }
                result => return result.map_err(|error| self.refused(object, error)),
            }
        }
    }

    async fn await_definitions(&self, all: &[Value], deadline: Instant) -> Result<(), Error> {
        let mapper = Mapper::new(self.client.clone());
        for definition in all {
            let what = display(definition);
            match definitions::await_served(&self.client, &mapper, definition, deadline).await {
                Ok(()) => {}
                Err(Status::Failed(why)) => {
                    return Err(Error::input(format!("{what} cannot be served: {why}")));
                }
                Err(status) => {
                    return Err(Error::input(format!(
                        "{what} is not served in time: {} {}",
                        status.name(),
                        status.detail()
                    )));
                }
            }
        }
        Ok(())
    }

    async fn api_of(&self, mapper: &Mapper, object: &Value) -> kube::Result<Api<DynamicObject>> {
        let unknown = |message: String| {
            let mut status = kube::core::Status::failure(&message, "NotFound");
            status.code = 404;
            kube::Error::Api(Box::new(status))
        };
        let gvk = Gvk::of(object).ok_or_else(|| unknown("a manifest without kind".to_owned()))?;
        let Some(found) = mapper.resource(&gvk).await? else {
            return Err(unknown(format!(
                "the cluster does not serve {} of {}",
                gvk.kind,
                gvk.api_version()
            )));
        };
        let resource = ApiResource {
            api_version: gvk.api_version(),
            group: gvk.group,
            version: gvk.version,
            kind: gvk.kind,
            plural: found.plural,
        };
        let client = self.client.clone();
        Ok(if found.namespaced {
            Api::namespaced_with(client, object::namespace(object), &resource)
        } else {
            Api::all_with(client, &resource)
        })
    }

    /// Merges a patch into an object of any kind, if there is one and it is `wanted`; says whether that
    /// is so.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) async fn merge_where(
        &self,
        reference: &Value,
        patch: &Value,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> Result<bool, Error> {
        let mapper = Mapper::new(self.client.clone());
        let attempt = async {
            let api = self.api_of(&mapper, reference).await?;
            let name = object::name(reference);
            if !wanted(&api.get(name).await?) {
                return Ok(false);
            }
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            api.patch(name, &params, &Patch::Merge(patch)).await?;
            Ok(true)
        };
        match attempt.await {
            Ok(done) => Ok(done),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(self.refused(reference, error)),
        }
    }

    fn refused(&self, object: &Value, error: kube::Error) -> Error {
        let what = display(object);
        match self.error(error) {
            ClusterError::Refused { message, .. } => Error::input(format!("{what}: {message}")),
            other => other.into(),
        }
    }

    /// Deletes exactly this object, in the background; gone already is fine. Says whether it was
    /// there.
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) async fn delete_exactly(
        &self,
        api: &Api<DynamicObject>,
        object: &DynamicObject,
        is_rehearsal: bool,
    ) -> Result<bool, Error> {
        let mut params = DeleteParams::background();
        params.dry_run = is_rehearsal;
        params.preconditions = Some(Preconditions {
            uid: object.uid(),
            resource_version: None,
        });
        match api.delete(&object.name_any(), &params).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if is_missing_object(&status) => Ok(false),
            // Another object of that name has taken its place.
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => Err(self.error(error).into()),
        }
    }

    /// Changes an object by a JSON patch (RFC 6902).
    ///
    /// # Errors
    /// What the API server refuses.
    pub(crate) async fn amend(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        patch: json_patch::Patch,
    ) -> Result<(), ClusterError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::<()>::Json(patch))
            .await
            .map_err(|error| self.error(error))?;
        Ok(())
    }
}

fn params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// Whether the same request may succeed a moment later: the API server is away or overloaded.
fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 429 | 500..=504),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}

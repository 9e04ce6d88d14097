//! Writing statuses.
//!
//! The answer to a write is the whole object. At the end of a run all of it is known but the version,
//! so the API server is asked for the metadata only, which tell the version, and whether the object is
//! otherwise still the one that the run was over.

use std::collections::BTreeMap;

use flux_api::{Lean, Time};
use kube::api::{Patch, PatchParams};
use kube::core::request::Request;
use kube::{Api, Resource, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Controlled, DriverError};
use crate::client::answer_briefly;
use crate::context::Context;

/// The part of an answer that is looked at.
#[derive(Debug, Deserialize)]
struct Written {
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    annotations: BTreeMap<String, String>,
    deletion_timestamp: Option<Time>,
    finalizers: Vec<String>,
    generation: Option<i64>,
    labels: BTreeMap<String, String>,
    resource_version: Option<String>,
}

impl Metadata {
    /// Whether nothing but the status of an object has changed.
    fn is_of(&self, object: &impl Resource) -> bool {
        self.generation == object.meta().generation
            && self.deletion_timestamp == object.meta().deletion_timestamp
            && self.finalizers == object.finalizers()
            && self.annotations == *object.annotations()
            && self.labels == *object.labels()
    }
}

/// Writes the difference between the status that `stored` has and `status`, and remembers the result.
/// An object that is gone meanwhile needs none.
///
/// # Errors
/// When the API server refuses it or cannot be asked.
pub(super) async fn conclude<K: Controlled>(
    stored: &K,
    status: K::Status,
    difference: Value,
    api: &Api<Lean<K>>,
    context: &Context,
) -> Result<(), DriverError> {
    let params = PatchParams {
        field_manager: Some(K::MANAGER.into()),
        ..PatchParams::default()
    };
    let path = K::url_path(&(), stored.meta().namespace.as_deref());
    let patch = Patch::Merge(json!({"status": difference}));
    let request = Request::new(path)
        .patch_subresource("status", &stored.name_any(), &params, &patch)
        .map_err(kube::Error::BuildRequest)?;
    let Written { metadata } = match context.client.request(answer_briefly(request)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        written => written?,
    };
    if metadata.is_of(stored) {
        let mut object = stored.clone();
        *object.status_mut() = Some(status);
        object.meta_mut().resource_version = metadata.resource_version;
        context.remember(object);
    } else if let Some(Lean(object)) = api.get_opt(&stored.name_any()).await? {
        // Somebody changed it while the run was under way.
        context.remember(object);
    }
    Ok(())
}

/// Writes a change of status; an object that is gone meanwhile needs none.
pub(crate) async fn write_status<K: Controlled>(
    api: &Api<Lean<K>>,
    name: &str,
    patch: serde_json::Value,
    context: &Context,
) -> Result<(), kube::Error> {
    let params = PatchParams {
        field_manager: Some(K::MANAGER.into()),
        ..PatchParams::default()
    };
    match api
        .patch_status(name, &params, &Patch::Merge(json!({"status": patch})))
        .await
    {
        Ok(Lean(object)) => {
            context.remember(object);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use flux_api::Kustomization;

    use super::*;

    #[test]
    fn only_a_status_of_the_same_object_is_taken_as_known() {
        let object = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "a", "namespace": "b", "generation": 2, "resourceVersion": "7",
                "finalizers": ["finalizers.fluxcd.io"], "labels": {"x": "y"},
                "annotations": {"reconcile.fluxcd.io/requestedAt": "1"}},
            "spec": {"interval": "1m", "prune": true, "path": "./",
                "sourceRef": {"kind": "GitRepository", "name": "c"}}});
        let stored: Kustomization = serde_json::from_value(object.clone()).unwrap();
        for (pointer, value, same) in [
            ("/metadata/resourceVersion", json!("8"), true),
            ("/metadata/managedFields", json!([{"manager": "m"}]), true),
            ("/metadata/generation", json!(3), false),
            ("/metadata/labels/x", json!("z"), false),
            ("/metadata/annotations", json!({}), false),
            ("/metadata/finalizers", json!([]), false),
            (
                "/metadata/deletionTimestamp",
                json!("2026-01-01T00:00:00Z"),
                false,
            ),
        ] {
            let mut answer = object.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            answer.pointer_mut(parent).unwrap()[key] = value;
            let written: Written = serde_json::from_value(answer).unwrap();
            assert_eq!(written.metadata.is_of(&stored), same, "{pointer}");
        }
    }
}

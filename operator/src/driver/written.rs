//! Writing statuses.
//!
//! The answer to a write is the whole object. At the end of a run its spec and its status are known, so
//! the API server is asked for the metadata only, which also tell whether the spec is still the one that
//! the run was over.

use std::sync::Arc;

use flux_api::{Lean, LeanMetadata};
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::core::request::Request;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Controlled, DriverError};
use crate::client::answer_briefly;
use crate::context::Context;

/// The part of an answer that is looked at.
#[derive(Debug, Deserialize)]
struct Written {
    metadata: LeanMetadata,
}

impl Written {
    /// The object as it is stored now, if its spec is that of `known`.
    fn object<K: Controlled>(self, known: &K, status: K::Status) -> Option<K> {
        let metadata = ObjectMeta::from(self.metadata);
        let before = known.meta();
        if metadata.uid != before.uid || metadata.generation != before.generation {
            return None;
        }
        let mut object = known.clone();
        *object.meta_mut() = metadata;
        *object.status_mut() = Some(status);
        Some(object)
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
    let written: Written = match context.client.request(answer_briefly(request)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        written => written?,
    };
    if let Some(object) = written.object(stored, status) {
        context.remember(Arc::new(object));
        return Ok(());
    }
    // Somebody changed it while the run was under way. What the run has to tell stays true without it.
    let name = stored.name_any();
    match api.get_opt(&name).await {
        Ok(Some(Lean(object))) => context.remember(Arc::new(object)),
        Ok(None) => {}
        Err(error) => tracing::warn!(kind = K::KIND, name, %error, "cannot read what was changed"),
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
            context.remember(Arc::new(object));
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use flux_api::{Kustomization, KustomizationStatus};

    use super::*;

    #[test]
    fn an_answer_tells_all_unless_the_spec_is_another() {
        let mut object = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "a", "namespace": "b", "generation": 2, "resourceVersion": "7",
                "uid": "u", "finalizers": ["finalizers.fluxcd.io"], "labels": {"x": "y"},
                "annotations": {"reconcile.fluxcd.io/requestedAt": "1"}},
            "spec": {"interval": "1m", "prune": true, "path": "./",
                "sourceRef": {"kind": "GitRepository", "name": "c"}},
            "status": {"lastAppliedRevision": "main@sha1:1"}});
        let known: Kustomization = serde_json::from_value(object.clone()).unwrap();
        let status = KustomizationStatus {
            last_applied_revision: Some("main@sha1:2".to_owned()),
            ..KustomizationStatus::default()
        };
        object["status"] = json!(status);
        for (pointer, value, same) in [
            ("/metadata/resourceVersion", json!("8"), true),
            ("/metadata/labels/x", json!("z"), true),
            ("/metadata/annotations", json!({}), true),
            ("/metadata/finalizers", json!([]), true),
            (
                "/metadata/deletionTimestamp",
                json!("2026-01-01T00:00:00Z"),
                true,
            ),
            ("/metadata/generation", json!(3), false),
            ("/metadata/uid", json!("v"), false),
        ] {
            let mut stored = object.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            stored.pointer_mut(parent).unwrap()[key] = value;
            let answer = json!({"kind": "PartialObjectMetadata", "metadata": stored["metadata"]});
            let written: Written = serde_json::from_value(answer).unwrap();
            let stored = serde_json::from_value(stored).unwrap();
            let expected = same.then_some(stored);
            assert_eq!(
                written.object(&known, status.clone()),
                expected,
                "{pointer}"
            );
        }
    }
}

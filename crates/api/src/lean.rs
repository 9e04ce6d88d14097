//! Reading objects without `metadata.managedFields`: as JSON trees they are larger than all else that
//! an object has, and only who merges fields looks at them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::object::{HasSpec, HasStatus};
use serde::{Deserialize, Deserializer};

use crate::Time;

/// What to accept (the header) for an answer or a watch that brings the metadata of objects alone.
pub const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// An object of a custom kind that is read without its managed fields; a watch of `Lean<K>` does not
/// even decode them.
#[derive(Clone, Debug, Default)]
pub struct Lean<K>(pub K);

#[derive(Deserialize)]
struct Parts<P, U> {
    metadata: LeanMetadata,
    spec: P,
    #[serde(default = "none")]
    status: Option<U>,
}

fn none<U>() -> Option<U> {
    None
}

impl<'de, K> Deserialize<'de> for Lean<K>
where
    K: Default + Resource + HasSpec + HasStatus,
    <K as HasSpec>::Spec: Deserialize<'de>,
    <K as HasStatus>::Status: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parts {
            metadata,
            spec,
            status,
        } = Parts::deserialize(deserializer)?;
        let mut object = K::default();
        *object.meta_mut() = metadata.into();
        *object.spec_mut() = spec;
        *object.status_mut() = status;
        Ok(Self(object))
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Metadata as the API server sends it, less the managed fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeanMetadata {
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    generate_name: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    name: Option<String>,
    namespace: Option<String>,
    owner_references: Option<Vec<OwnerReference>>,
    resource_version: Option<String>,
    uid: Option<String>,
}

impl From<LeanMetadata> for ObjectMeta {
    fn from(read: LeanMetadata) -> Self {
        Self {
            annotations: read.annotations,
            creation_timestamp: read.creation_timestamp,
            deletion_grace_period_seconds: read.deletion_grace_period_seconds,
            deletion_timestamp: read.deletion_timestamp,
            finalizers: read.finalizers,
            generate_name: read.generate_name,
            generation: read.generation,
            labels: read.labels,
            managed_fields: None,
            name: read.name,
            namespace: read.namespace,
            owner_references: read.owner_references,
            resource_version: read.resource_version,
            self_link: None,
            uid: read.uid,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Kustomization;

    #[test]
    fn nothing_is_lost_but_the_managed_fields() {
        let mut object = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {
                "annotations": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": 0, "deletionTimestamp": "2026-01-02T00:00:00Z",
                "finalizers": ["x"], "generateName": "n", "generation": 2, "labels": {"c": "d"},
                "name": "n", "namespace": "ns", "resourceVersion": "7", "uid": "u",
                "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "k", "uid": "v"}],
            },
            "spec": {"interval": "1m", "prune": true, "path": "./",
                "sourceRef": {"kind": "GitRepository", "name": "c"}},
            "status": {"lastAppliedRevision": "main@sha1:1"},
        });
        let whole: Kustomization = serde_json::from_value(object.clone()).unwrap();
        object["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": {"f:spec": {}}}]);
        let lean: Lean<Kustomization> = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(lean.0, whole);
        object.as_object_mut().unwrap().remove("status");
        let lean: Lean<Kustomization> = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(lean.0.status, None);
        object.as_object_mut().unwrap().remove("spec");
        let error = serde_json::from_value::<Lean<Kustomization>>(object).unwrap_err();
        assert!(
            error.to_string().contains("missing field `spec`"),
            "{error}"
        );
    }
}

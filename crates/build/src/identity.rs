//! When two objects are one and the same, as kustomize sees it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;

use crate::manifest::{describe, text};
use crate::{BuildError, Object, Origin};

/// Built-in kinds without a namespace, so that a namespace written by mistake does not make two
/// objects of one.
const CLUSTER_SCOPED: [(&str, &str); 21] = [
    ("", "ComponentStatus"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "IngressClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodSecurityPolicy"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// API version, kind, namespace (`None` without one) and name.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl Identity {
    fn of(value: &Value) -> Self {
        let part = |pointer| text(value, pointer).unwrap_or_default().to_owned();
        let (api_version, kind) = (part("/apiVersion"), part("/kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let namespace = if CLUSTER_SCOPED.contains(&(group, kind.as_str())) {
            None
        } else {
            let namespace = part("/metadata/namespace");
            Some(if namespace.is_empty() {
                "default".to_owned()
            } else {
                namespace
            })
        };
        Self {
            api_version,
            kind,
            namespace,
            name: part("/metadata/name"),
        }
    }
}

/// The objects seen so far.
#[derive(Default)]
pub(crate) struct Seen(HashMap<Identity, Option<Origin>>);

impl Seen {
    /// Adds an object.
    ///
    /// # Errors
    /// [`BuildError::Duplicate`] when it was there already.
    pub(crate) fn add(&mut self, object: &Object) -> Result<(), BuildError> {
        match self.0.entry(Identity::of(&object.value)) {
            Entry::Vacant(entry) => {
                entry.insert(object.origin.clone());
                Ok(())
            }
            Entry::Occupied(entry) => {
                let place = |origin: &Option<Origin>| {
                    origin.clone().unwrap_or(Origin {
                        file: "?".to_owned(),
                        line: None,
                    })
                };
                Err(BuildError::Duplicate {
                    object: describe(&object.value),
                    first: place(entry.get()),
                    second: place(&object.origin),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn same_objects() {
        let object = |api: &str, kind: &str, namespace: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": namespace}});
        let same = |left: &Value, right: &Value| Identity::of(left) == Identity::of(right);
        assert!(same(
            &object("v1", "ConfigMap", ""),
            &object("v1", "ConfigMap", "default")
        ));
        assert!(!same(
            &object("v1", "ConfigMap", ""),
            &object("v1", "ConfigMap", "x")
        ));
        assert!(same(
            &object("v1", "Namespace", ""),
            &object("v1", "Namespace", "x")
        ));
        assert!(!same(
            &object("a/v1", "Foo", ""),
            &object("a/v2", "Foo", "")
        ));
    }
}

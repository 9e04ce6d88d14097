//! The order in which kustomize writes objects: by kind, then by name.
//!
//! It is the order called `legacy`, which kustomize uses unless a kustomization file asks for
//! another one. The apply sorts again, by its own rules; here it makes results comparable.

use std::cmp::{Ordering, Reverse};

use serde_json::Value;

use crate::Object;
use crate::manifest::text;

/// Kinds that come first, in this order.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that come last, in this order.
const LAST: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Sorts objects.
pub(crate) fn sort(objects: &mut [Object]) {
    objects.sort_by_cached_key(|object| Key::of(&object.value));
}

#[derive(PartialEq, Eq)]
struct Key {
    rank: usize,
    /// Group, version and kind, as kustomize joins them.
    kind: String,
    /// Namespace and name, as kustomize joins them.
    name: String,
    core_namespace: bool,
}

impl Key {
    fn of(value: &Value) -> Self {
        let part = |pointer| text(value, pointer).unwrap_or_default();
        // What stands for nothing sorts after all names: '~' is after every letter.
        let or = |text: &str, nothing: &str| {
            if text.is_empty() {
                nothing.to_owned()
            } else {
                text.to_owned()
            }
        };
        let (group, version) = part("/apiVersion")
            .split_once('/')
            .unwrap_or(("", part("/apiVersion")));
        let kind = part("/kind");
        let first = FIRST.iter().position(|name| *name == kind);
        let last = LAST.iter().position(|name| *name == kind);
        let rank = match (first, last) {
            (Some(index), _) => index,
            (None, None) => FIRST.len(),
            (None, Some(index)) => FIRST.len() + 1 + index,
        };
        let namespace = or(part("/metadata/namespace"), "~X");
        Self {
            rank,
            core_namespace: kind == "Namespace" && group.is_empty(),
            kind: format!("{}_{}_{kind}", or(group, "~G"), or(version, "~V")),
            name: format!("{namespace}|{}", part("/metadata/name")),
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let kinds = if self.core_namespace || other.core_namespace {
            // The Namespace of Kubernetes comes before those of others.
            Reverse(&self.kind).cmp(&Reverse(&other.kind))
        } else {
            self.kind.cmp(&other.kind)
        };
        self.rank
            .cmp(&other.rank)
            .then(kinds)
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn by_kind_then_name() {
        let mut objects: Vec<Object> = [
            (
                "admissionregistration.k8s.io/v1",
                "MutatingWebhookConfiguration",
                "",
                "w",
            ),
            ("batch/v1", "Job", "", "j"),
            ("v1", "Pod", "", "p"),
            ("v1", "Service", "", "s"),
            ("v1", "ConfigMap", "", "c"),
            ("v1", "ConfigMap", "a", "c"),
            ("v1", "ConfigMap", "ab", "c"),
            ("example.com/v1", "Namespace", "", "n"),
            ("v1", "Namespace", "", "n"),
        ]
        .map(|(api, kind, namespace, name)| Object {
            value: json!({"apiVersion": api, "kind": kind,
                "metadata": {"namespace": namespace, "name": name}}),
            origin: None,
        })
        .into();
        sort(&mut objects);
        let order: Vec<_> = objects
            .iter()
            .map(|object| {
                format!(
                    "{} {}",
                    object.value["apiVersion"], object.value["metadata"]["namespace"]
                )
            })
            .map(|text| text.replace('"', ""))
            .collect();
        assert_eq!(
            order,
            [
                "v1 ",
                "example.com/v1 ",
                "v1 ab",
                "v1 a",
                "v1 ",
                "v1 ",
                "batch/v1 ",
                "v1 ",
                "admissionregistration.k8s.io/v1 "
            ]
        );
    }
}

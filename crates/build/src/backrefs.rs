//! Where kustomize changes objects though no kustomization file asks for it.
//!
//! Two of its steps always run. It follows references between objects, and writes the namespace
//! of a ServiceAccount or Service into a reference that has none. And it rewrites annotations:
//! values become texts, its own keys go. The in-process build does neither; objects that would be
//! changed are left to the program.

use std::collections::HashSet;

use serde_json::Value;

use crate::Object;
use crate::manifest::{describe, text};

/// Prefix of kustomize's working annotations.
const INTERNAL: &str = "internal.config.kubernetes.io/";
/// Annotations that kustomize removes at the end of a build.
const REMOVED: [&str; 5] = [
    "config.kubernetes.io/index",
    "config.kubernetes.io/path",
    "config.k8s.io/id",
    "config.kubernetes.io/origin",
    "alpha.config.kubernetes.io/transformations",
];

/// What kustomize would change, if anything.
pub(crate) fn changed_by_kustomize(objects: &[Object]) -> Option<String> {
    let named = |kind: &str| -> HashSet<&str> {
        let values = objects.iter().map(|object| &object.value);
        values
            .filter(|value| {
                text(value, "/kind") == Some(kind)
                    && text(value, "/apiVersion") == Some("v1")
                    && text(value, "/metadata/namespace").is_some_and(|name| !name.is_empty())
            })
            .filter_map(|value| text(value, "/metadata/name"))
            .collect()
    };
    let (accounts, services) = (named("ServiceAccount"), named("Service"));
    objects.iter().find_map(|Object { value, .. }| {
        let problem = if rewrites_annotations(value) {
            "has annotations that kustomize rewrites"
        } else if subjects(value).any(|subject| lacks_namespace(subject, &accounts))
            || webhook_services(value).any(|service| lacks_namespace(service, &services))
        {
            "refers to an object without its namespace"
        } else {
            return None;
        };
        Some(format!("{} {problem}", describe(value)))
    })
}

fn rewrites_annotations(value: &Value) -> bool {
    let annotations = value
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    annotations.is_some_and(|annotations| {
        annotations.iter().any(|(key, value)| {
            !value.is_string() || key.starts_with(INTERNAL) || REMOVED.contains(&key.as_str())
        })
    })
}

fn subjects(value: &Value) -> impl Iterator<Item = &Value> {
    let binding = matches!(
        text(value, "/kind"),
        Some("RoleBinding" | "ClusterRoleBinding")
    );
    items(value, "subjects", binding)
}

fn webhook_services(value: &Value) -> impl Iterator<Item = &Value> {
    let configuration = matches!(
        text(value, "/kind"),
        Some("ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration")
    );
    items(value, "webhooks", configuration)
        .filter_map(|webhook| webhook.pointer("/clientConfig/service"))
}

fn items<'a>(value: &'a Value, field: &str, wanted: bool) -> impl Iterator<Item = &'a Value> {
    let list = value
        .get(field)
        .and_then(Value::as_array)
        .filter(|_| wanted);
    list.into_iter().flatten()
}

fn lacks_namespace(reference: &Value, names: &HashSet<&str>) -> bool {
    let name = text(reference, "/name").unwrap_or_default();
    reference.get("namespace").is_none() && names.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(values: &[Value]) -> Option<String> {
        let objects: Vec<Object> = values
            .iter()
            .map(|value| Object {
                value: value.clone(),
                origin: None,
            })
            .collect();
        changed_by_kustomize(&objects)
    }

    #[test]
    fn references_and_annotations() {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "a", "namespace": "n"}});
        let binding = |subject: Value| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "b"}, "subjects": [subject]})
        };
        let full = binding(json!({"kind": "ServiceAccount", "name": "a", "namespace": "n"}));
        let bare = binding(json!({"kind": "ServiceAccount", "name": "a"}));
        assert_eq!(changed(&[account.clone(), full]), None);
        assert_eq!(
            changed(&[account, bare.clone()]).as_deref(),
            Some("RoleBinding/b refers to an object without its namespace")
        );
        assert_eq!(changed(&[bare]), None);
        let annotated = |annotations: Value| {
            changed(&[json!({"kind": "X", "metadata": {"name": "x", "annotations": annotations}})])
        };
        assert_eq!(annotated(json!({"a": "true"})), None);
        assert!(annotated(json!({"a": true})).is_some());
        assert!(annotated(json!({"internal.config.kubernetes.io/x": ""})).is_some());
    }
}

//! `spec.targetNamespace`, and `namespace` of kustomization files, without the `kustomize` program,
//! where nothing but `metadata.namespace` changes by it.
//!
//! kustomize sets the namespace of everything that is not known to be cluster-scoped, renames
//! Namespaces, and follows references: subjects of bindings, Services of webhooks. What is known
//! to need none of that is done here; it is what most directories hold.

use std::collections::HashSet;

use serde_json::Value;

use crate::Object;
use crate::identity::Seen;
use crate::manifest::{describe, text};
use crate::native::Stop;

/// Namespaced kinds that nothing refers to with a namespace, by their API group.
const PLAIN: [(&str, &[&str]); 7] = [
    (
        "",
        &[
            "ConfigMap",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
    (
        "apps",
        &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
    ),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("batch", &["CronJob", "Job"]),
    ("networking.k8s.io", &["Ingress", "NetworkPolicy"]),
    ("policy", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io", &["Role"]),
];

/// Names that YAML takes for something else than a text.
const WORDS: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];

/// Moves all objects into a namespace.
///
/// # Errors
/// Why only the program can do it, or two objects that become one; the objects are of no use then.
pub(crate) fn set(objects: &mut [Object], namespace: &str) -> Result<(), Stop> {
    let begins = namespace.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins || WORDS.contains(&namespace) {
        return Err(Stop::Program(format!("the namespace is {namespace:?}")));
    }
    if objects.is_empty() {
        let why = "a namespace is set, and nothing is listed".to_owned();
        return Err(Stop::Program(why));
    }
    let (mut seen, mut names) = (Seen::default(), HashSet::new());
    let why = |problem: &str| Stop::Program(format!("a namespace is set, and {problem}"));
    for object in objects {
        let value = &mut object.value;
        if !is_plain(value) {
            return Err(why(&format!("{} may need more than that", describe(value))));
        }
        let [kind, name] = ["/kind", "/metadata/name"]
            .map(|pointer| text(value, pointer).unwrap_or_default().to_owned());
        let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
        let Some(metadata) = metadata else {
            return Err(why(&format!("{} has no metadata", describe(value))));
        };
        metadata.insert("namespace".to_owned(), namespace.into());
        seen.add(object)?;
        if !names.insert((kind, name)) {
            let name = describe(&object.value);
            return Err(why(&format!("there are two of {name}")));
        }
    }
    Ok(())
}

fn is_plain(value: &Value) -> bool {
    let version = text(value, "/apiVersion").unwrap_or_default();
    let (group, _) = version.split_once('/').unwrap_or(("", version));
    let kind = text(value, "/kind").unwrap_or_default();
    PLAIN
        .iter()
        .any(|(plain, kinds)| *plain == group && kinds.contains(&kind))
}

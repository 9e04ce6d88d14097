//! Who owns which fields: reading `metadata.managedFields`.
//!
//! A field set (`FieldsV1`, see sigs.k8s.io/structured-merge-diff, `fieldpath/serialize.go`) is a
//! tree whose keys are `f:` and a field's name, `k:` and the key fields of a list's item, or `v:`
//! and the value of a set's item; an empty node is a leaf or something that is owned as a whole.
//! Nothing here knows schemas: a desired object is followed into the tree of the server.

use serde_json::{Map, Value};

/// Fields that an object is found by; nobody owns them.
const IDENTITY: &[&str] = &["apiVersion", "kind"];
const NAMES: &[&str] = &["name", "namespace"];

/// One step from an object to one of its fields.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Field(&'a str),
    Item(usize, &'a Value),
}

/// Whether a field set holds every field of a desired object. A writer who changes a field takes
/// it away from the set of everybody else, so a set that still holds all is unchanged.
pub fn covers(fields: &Value, desired: &Value) -> bool {
    let mut all = true;
    leaves(desired, &mut |path| all &= holds(fields, path));
    all
}

/// Who owns fields of a desired object that `manager` applied and does not own any more, with the
/// fields: `kubectl-edit changed .spec.replicas`.
pub fn writers(managed_fields: &Value, desired: &Value, manager: &str) -> Vec<String> {
    let entries = managed_fields.as_array().map(Vec::as_slice);
    let entries = entries.unwrap_or_default();
    let is_ours = |e: &Value| e["manager"] == manager && e["operation"] == "Apply";
    let ours = entries.iter().find(|e| is_ours(e));
    let ours = ours.map_or(&Value::Null, |e| &e["fieldsV1"]);
    let mut found = Vec::new();
    for entry in entries.iter().filter(|e| !is_ours(e)) {
        let mut paths = Vec::new();
        leaves(desired, &mut |path| {
            if !holds(ours, path) && holds(&entry["fieldsV1"], path) {
                paths.push(display(path));
            }
        });
        if !paths.is_empty() {
            let name = entry["manager"].as_str().unwrap_or("somebody");
            found.push(format!("{name} changed {}", shorten(paths)));
        }
    }
    found
}

/// Whether anybody but `manager` owns a field.
pub(crate) fn is_owned_by_others(managed_fields: &Value, path: &[Step<'_>], manager: &str) -> bool {
    managed_fields.as_array().is_some_and(|entries| {
        entries
            .iter()
            .filter(|e| !(e["manager"] == manager && e["operation"] == "Apply"))
            .any(|e| holds(&e["fieldsV1"], path))
    })
}

fn shorten(mut paths: Vec<String>) -> String {
    const SHOWN: usize = 5;
    let more = paths.len().saturating_sub(SHOWN);
    paths.truncate(SHOWN);
    let text = paths.join(", ");
    match more {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Visits the path of every field that has a value.
fn leaves<'a>(desired: &'a Value, visit: &mut dyn FnMut(&[Step<'a>])) {
    let mut path = Vec::new();
    for (key, value) in desired.as_object().into_iter().flatten() {
        if IDENTITY.contains(&key.as_str()) {
            continue;
        }
        path.push(Step::Field(key));
        descend(value, &mut path, visit);
        path.pop();
    }
}

fn descend<'a>(value: &'a Value, path: &mut Vec<Step<'a>>, visit: &mut dyn FnMut(&[Step<'a>])) {
    match value {
        // The API server drops what is null or empty in some places and keeps it in others.
        Value::Null => {}
        Value::Object(map) => {
            let metadata = matches!(path.as_slice(), [Step::Field("metadata")]);
            for (key, value) in map {
                if metadata && NAMES.contains(&key.as_str()) {
                    continue;
                }
                path.push(Step::Field(key));
                descend(value, path, visit);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Item(index, item));
                match item {
                    Value::Object(_) => descend(item, path, visit),
                    _ => visit(path),
                }
                path.pop();
            }
        }
        _ => visit(path),
    }
}

fn holds(fields: &Value, path: &[Step<'_>]) -> bool {
    let Some(mut node) = fields.as_object().filter(|map| !map.is_empty()) else {
        return false;
    };
    for step in path {
        if node.is_empty() {
            return true;
        }
        let next = match step {
            Step::Field(name) => node.get(&format!("f:{name}")),
            Step::Item(_, item) => child_of_item(node, item),
        };
        match next.and_then(Value::as_object) {
            Some(map) => node = map,
            None => return false,
        }
    }
    true
}

/// The node of a list's item: by its value, or by key fields. Key fields that the item leaves out
/// were filled in by the API server (`protocol: TCP`).
fn child_of_item<'a>(node: &'a Map<String, Value>, item: &Value) -> Option<&'a Value> {
    if let Some(found) = node.get(&format!("v:{item}")) {
        return Some(found);
    }
    node.iter()
        .filter_map(|(key, child)| Some((key.strip_prefix("k:")?, child)))
        .find(|(key, _)| {
            let keys: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            !keys.is_empty()
                && keys
                    .iter()
                    .all(|(key, value)| item.get(key).is_none_or(|found| found == value))
        })
        .map(|(_, child)| child)
}

fn display(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if name.contains(['.', '/']) => {
                text.push_str(&format!("[{name}]"));
            }
            Step::Field(name) => text.push_str(&format!(".{name}")),
            Step::Item(index, item) => match item["name"].as_str() {
                Some(name) => text.push_str(&format!("[{name}]")),
                None => text.push_str(&format!("[{index}]")),
            },
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "a", "labels": {"example.org/app": "web"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {
                "containers": [{"name": "app", "image": "app:1", "args": ["-v", "-x"],
                    "ports": [{"containerPort": 80}], "resources": {}}]}}}})
    }

    fn fields() -> Value {
        json!({"f:metadata": {"f:labels": {"f:example.org/app": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"app\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                        {".": {}, "f:containerPort": {}}}}}}}}})
    }

    #[test]
    fn a_set_covers_what_was_applied() {
        assert!(covers(&fields(), &deployment()));
        assert!(!covers(&json!({}), &deployment()));
        assert!(!covers(&Value::Null, &deployment()));
        for (pointer, gone) in [
            ("/f:spec", "f:replicas"),
            ("", "f:metadata"),
            (
                "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"app\"}",
                "f:image",
            ),
        ] {
            let mut less = fields();
            let node = less.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            node.remove(gone);
            assert!(!covers(&less, &deployment()), "without {gone}");
        }
    }

    #[test]
    fn items_are_found_by_value_and_by_key() {
        let finalizers = json!({"metadata": {"finalizers": ["a/b", "c/d"]}});
        let owned = json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}, "v:\"c/d\"": {}}}});
        assert!(covers(&owned, &finalizers));
        let other = json!({"f:metadata": {"f:finalizers": {"v:\"a/b\"": {}}}});
        assert!(!covers(&other, &finalizers));
        let udp = json!({"spec": {"ports": [{"port": 53, "protocol": "UDP"}]}});
        let tcp = json!({"f:spec": {"f:ports": {"k:{\"port\":53,\"protocol\":\"TCP\"}":
            {"f:port": {}, "f:protocol": {}}}}});
        assert!(!covers(&tcp, &udp));
    }

    #[test]
    fn other_writers_are_named_with_their_fields() {
        let mut ours = fields();
        ours["f:spec"].as_object_mut().unwrap().remove("f:replicas");
        let managed = json!([
            {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": ours},
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}}},
        ]);
        assert_eq!(
            writers(&managed, &deployment(), "kustomize-controller"),
            ["kubectl-edit changed .spec.replicas"]
        );
        let image = json!([{"manager": "x", "operation": "Update", "fieldsV1": {"f:spec": {"f:template":
            {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}}}}]);
        assert_eq!(
            writers(&image, &deployment(), "kustomize-controller"),
            ["x changed .spec.template.spec.containers[app].image"]
        );
    }
}

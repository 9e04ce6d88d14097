//! Taking over fields that another way of applying left behind.
//!
//! A manifest that was first applied with `kubectl apply` and is now synced from Git would keep
//! kubectl as co-owner of its fields: what is later removed in Git would stay in the cluster. The
//! entries of such managers are therefore merged into ours, as Flux does.
//!
//! Our own entry may be a predecessor, too: of a manifest that has moved on to another API version.
//! The API server reads the entry in the version it names, which fails where the live object has
//! fields that this version does not know ("field not declared in schema"), and forgets it where the
//! version is not served any more. The entry is therefore moved to the new version first.

use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Managers whose fields are ours once the object is synced, by prefix.
const PREDECESSORS: &[&str] = &["kubectl", "before-first-apply"];

/// What `kubectl apply` and old versions of Flux remember; stale once the object is synced.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const STALE_ANNOTATIONS: &[&str] = &[
    LAST_APPLIED,
    "kustomize.toolkit.fluxcd.io/checksum",
    "fluxcd.io/sync-checksum",
];
const STALE_LABELS: &[&str] = &["fluxcd.io/sync-gc-mark"];

/// Our field manager: its name, and whose fields it takes over beside those of all clusters.
#[derive(Clone, Debug)]
pub struct Manager {
    name: Arc<str>,
    overridden: Arc<[String]>,
}

impl From<&str> for Manager {
    fn from(name: &str) -> Self {
        Self {
            name: name.into(),
            overridden: Arc::default(),
        }
    }
}

impl Deref for Manager {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Manager {
    /// The same, and it takes over from managers whose names begin so.
    #[must_use]
    pub fn overriding(self, managers: &[String]) -> Self {
        Self {
            overridden: managers.into(),
            ..self
        }
    }

    /// Whether an entry of `managedFields` belongs to somebody whose fields are taken over.
    pub fn succeeds(&self, name: &str, operation: &str, subresource: &str) -> bool {
        let overridden = self.overridden.iter().map(String::as_str);
        let mut predecessors = PREDECESSORS.iter().copied().chain(overridden);
        subresource.is_empty()
            && (predecessors.any(|prefix| name.starts_with(prefix))
                || (name.starts_with(&**self) && operation == "Update"))
    }
}

/// Whose fields are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of predecessors, and those that we applied in another API version.
    Everybody,
    /// Only the latter: the fields of others are left to them.
    Ourselves,
}

/// The JSON patch by which `manager` takes over fields before it applies in `api_version`, guarded by
/// the resource version; `None` when there is nothing to take over.
pub fn take_over(
    live: &Value,
    manager: &Manager,
    whose: Whose,
    api_version: &str,
) -> Option<Value> {
    let entries = live["metadata"]["managedFields"].as_array()?;
    let (old, mut kept): (Vec<&Value>, Vec<Value>) = {
        let (old, kept): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default();
            let (name, operation) = (text("manager"), text("operation"));
            whose == Whose::Everybody && manager.succeeds(name, operation, text("subresource"))
        });
        (old, kept.into_iter().cloned().collect())
    };
    let ours = kept.iter_mut().find(|entry| is_ours(entry, manager));
    let ours = match ours {
        Some(ours) if old.is_empty() && ours["apiVersion"] == api_version => return None,
        Some(ours) => ours,
        None => {
            let mut entry = (*old.first()?).clone();
            entry["manager"] = json!(&**manager);
            entry["operation"] = json!("Apply");
            kept.insert(0, entry);
            kept.first_mut()?
        }
    };
    ours["apiVersion"] = json!(api_version);
    for entry in &old {
        merge(&mut ours["fieldsV1"], &entry["fieldsV1"]);
    }
    let mut patch = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion",
            "value": live["metadata"]["resourceVersion"]}),
        json!({"op": "replace", "path": "/metadata/managedFields", "value": kept}),
    ];
    let stale = [("annotations", STALE_ANNOTATIONS), ("labels", STALE_LABELS)];
    for (field, keys) in stale.into_iter().filter(|_| !old.is_empty()) {
        for key in keys {
            if live["metadata"][field][*key].is_string() {
                let path = format!("/metadata/{field}/{}", key.replace('/', "~1"));
                patch.push(json!({"op": "remove", "path": path}));
            }
        }
    }
    Some(Value::Array(patch))
}

fn is_ours(entry: &Value, manager: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == "Apply" && entry["subresource"].is_null()
}

/// Adds the field set of `from` to `into`; both are trees of `f:`, `k:` and `v:` keys.
fn merge(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(into) = into.as_object_mut() {
        for (key, value) in from {
            merge(into.entry(key.clone()).or_insert_with(|| json!({})), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> Manager {
        "kustomize-controller".into()
    }

    #[test]
    fn some_are_succeeded() {
        let manager = manager().overriding(&["helm".to_owned()]);
        for (name, operation, subresource, expected) in [
            ("kubectl-edit", "Update", "", true),
            ("kubectl", "Apply", "", true),
            ("before-first-apply", "Apply", "", true),
            ("kustomize-controller", "Update", "", true),
            ("kustomize-controller", "Apply", "", false),
            ("helm", "Update", "", true),
            ("helm", "Apply", "", true),
            ("flux-client-side-apply", "Update", "", false),
            ("kubectl-edit", "Update", "status", false),
            ("kube-controller-manager", "Update", "", false),
        ] {
            assert_eq!(
                manager.succeeds(name, operation, subresource),
                expected,
                "{name} {operation} {subresource}"
            );
        }
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn live(entries: Vec<Value>) -> Value {
        json!({"metadata": {"resourceVersion": "7", "managedFields": entries,
            "annotations": {LAST_APPLIED: "{}"}}})
    }

    #[test]
    fn kubectl_hands_over_its_fields() {
        let live = live(vec![
            entry(
                "kubectl-client-side-apply",
                "Update",
                json!({"f:data": {"f:a": {}}}),
            ),
            entry(
                "kustomize-controller",
                "Apply",
                json!({"f:data": {"f:b": {}}}),
            ),
            entry("other", "Update", json!({"f:data": {"f:c": {}}})),
        ]);
        let patch = take_over(&live, &manager(), Whose::Everybody, "v1").unwrap();
        let kept = patch[1]["value"].as_array().unwrap();
        assert_eq!(kept.len(), 2);
        assert_eq!(
            kept[0]["fieldsV1"],
            json!({"f:data": {"f:a": {}, "f:b": {}}})
        );
        assert_eq!(kept[1]["manager"], "other");
        assert_eq!(patch[0]["value"], "7");
        assert_eq!(patch[2]["op"], "remove");
    }

    #[test]
    fn an_entry_is_made_where_we_have_none() {
        let live = live(vec![entry("kubectl", "Apply", json!({"f:spec": {}}))]);
        let patch = take_over(&live, &manager(), Whose::Everybody, "v1").unwrap();
        assert_eq!(patch[1]["value"][0]["manager"], "kustomize-controller");
        assert_eq!(patch[1]["value"][0]["operation"], "Apply");
    }

    #[test]
    fn nothing_to_take_over() {
        let ours = entry("kustomize-controller", "Apply", json!({}));
        let mut status = entry("kubectl", "Update", json!({}));
        status["subresource"] = json!("status");
        for entries in [vec![ours], vec![status], vec![]] {
            let patch = take_over(&live(entries), &manager(), Whose::Everybody, "v1");
            assert_eq!(patch, None);
        }
    }

    #[test]
    fn our_entry_moves_to_the_version_that_is_applied() {
        let ours = entry("kustomize-controller", "Apply", json!({"f:spec": {}}));
        let mut status = entry("kustomize-controller", "Apply", json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let other = entry("other", "Update", json!({"f:spec": {}}));
        let kubectl = entry("kubectl", "Update", json!({"f:data": {}}));
        let live = live(vec![status, ours, other, kubectl]);
        for (whose, version, versions, fields) in [
            (Whose::Ourselves, "v1", &[][..], json!(null)),
            (
                Whose::Ourselves,
                "v2",
                &["v1", "v2", "v1", "v1"],
                json!({"f:spec": {}}),
            ),
            (
                Whose::Everybody,
                "v2",
                &["v1", "v2", "v1"],
                json!({"f:data": {}, "f:spec": {}}),
            ),
        ] {
            let patch = take_over(&live, &manager(), whose, version);
            let kept = patch.as_ref().map(|patch| &patch[1]["value"]);
            let Some(kept) = kept.and_then(Value::as_array) else {
                assert!(versions.is_empty(), "{version}");
                continue;
            };
            let found: Vec<_> = kept.iter().map(|entry| &entry["apiVersion"]).collect();
            assert_eq!(found, versions);
            assert_eq!(kept[1]["fieldsV1"], fields);
            // What kubectl remembers stays while its fields are its own.
            let removes = patch
                .as_ref()
                .is_some_and(|patch| patch[2]["op"] == "remove");
            assert_eq!(removes, whose == Whose::Everybody);
        }
    }
}

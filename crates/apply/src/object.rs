//! Identity and metadata of objects that are kept as JSON values.
//!
//! Typed structs would drop fields they do not know; everything that is applied on somebody's
//! behalf therefore stays a [`Value`].

use std::collections::BTreeMap;

use flux_api::inventory::ObjectId;
use flux_api::names;
use serde_json::{Map, Value};

/// The Flux object on whose behalf something is applied: its labels mark what it owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Name of the Kustomization.
    pub name: String,
    /// Namespace of the Kustomization.
    pub namespace: String,
}

impl Owner {
    /// The two labels by which an owned object is recognised.
    pub fn labels(&self) -> [(&'static str, &str); 2] {
        [
            (names::OWNER_NAME_LABEL, &self.name),
            (names::OWNER_NAMESPACE_LABEL, &self.namespace),
        ]
    }

    /// The owner that an object's labels name, if any.
    pub fn of(object: &Value) -> Option<Self> {
        Self::from_labels(|key| object["metadata"]["labels"][key].as_str())
    }

    /// The owner that labels name, if any.
    pub fn from_labels<'a>(label: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        Some(Self {
            name: label(names::OWNER_NAME_LABEL)?.to_owned(),
            namespace: label(names::OWNER_NAMESPACE_LABEL)?.to_owned(),
        })
    }

    /// Whether `labels` say that this owner applied the object.
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels()
            .iter()
            .all(|(key, value)| labels.get(*key).is_some_and(|found| found == value))
    }
}

/// A group, version and kind as an object spells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group, empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Gvk {
    /// Reads `apiVersion` and `kind`; `None` when one of them is missing or empty.
    pub fn of(object: &Value) -> Option<Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let kind = object.get("kind")?.as_str()?;
        if api_version.is_empty() || kind.is_empty() {
            return None;
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    /// `group/version`, or the bare version for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// The object's name, empty when it has none.
pub fn name(object: &Value) -> &str {
    metadata_str(object, "name")
}

/// The object's namespace, empty when it has none.
pub fn namespace(object: &Value) -> &str {
    metadata_str(object, "namespace")
}

/// The object's resource version, empty when it was never stored.
pub fn resource_version(object: &Value) -> &str {
    metadata_str(object, "resourceVersion")
}

fn metadata_str<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The inventory id of an object whose namespace is already settled.
pub fn id(object: &Value) -> Option<ObjectId> {
    let gvk = Gvk::of(object)?;
    Some(ObjectId {
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
        group: gvk.group,
        kind: gvk.kind,
    })
}

/// `Kind/namespace/name`, or `Kind/name` where there is no namespace: how events and conditions
/// name an object.
pub fn display(id: &ObjectId) -> String {
    if id.namespace.is_empty() {
        format!("{}/{}", id.kind, id.name)
    } else {
        format!("{}/{}/{}", id.kind, id.namespace, id.name)
    }
}

/// The labels or annotations of an object, empty when there are none.
pub fn string_map(object: &Value, field: &str) -> BTreeMap<String, String> {
    object
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                .collect()
        })
        .unwrap_or_default()
}

/// The object's `metadata` as a map that can be written to; it is created where it is missing.
pub fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

/// Sets labels, keeping those that are there.
pub fn set_labels<'a>(object: &mut Value, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let Some(metadata) = metadata_mut(object) else {
        return;
    };
    let entry = metadata.entry("labels").or_insert(Value::Null);
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    if let Some(map) = entry.as_object_mut() {
        for (key, value) in labels {
            map.insert(key.to_owned(), Value::String(value.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identity_is_read_from_the_object() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "foo", "namespace": "bar"}});
        let id = id(&deployment).unwrap();
        assert_eq!(id.to_string(), "bar_foo_apps_Deployment");
        assert_eq!(display(&id), "Deployment/bar/foo");
        assert_eq!(Gvk::of(&json!({"kind": "X"})), None);
        assert_eq!(Gvk::of(&json!({"apiVersion": "v1", "kind": ""})), None);
    }

    #[test]
    fn labels_are_added_beside_those_that_are_there() {
        let mut object = json!({"metadata": {"labels": {"app": "foo"}}});
        let owner = Owner {
            name: "apps".into(),
            namespace: "flux-system".into(),
        };
        set_labels(&mut object, owner.labels());
        assert!(owner.owns(&string_map(&object, "labels")));
        assert_eq!(object["metadata"]["labels"]["app"], "foo");
        let mut bare = json!({"metadata": {"labels": null}});
        set_labels(&mut bare, owner.labels());
        assert!(owner.owns(&string_map(&bare, "labels")));
    }
}

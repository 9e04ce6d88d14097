//! What is kept of an object that the API server showed: its metadata in a few words.
//!
//! Thousands of objects are followed; none of their content is held, and `managedFields` only as a
//! hash of what is ours.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::managers::Manager;
use crate::object::Owner;
use crate::rules::Marks;

/// Metadata of an object at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its uid.
    pub uid: Box<str>,
    /// Its resource version, which grows within a kind.
    pub version: u64,
    /// Its generation, 0 for kinds without.
    pub generation: i64,
    /// Whom its labels name as owner.
    pub owner: Option<Owner>,
    /// The annotations and labels that steer.
    pub marks: Marks,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether there are fields of predecessors to take over ([`managers`]).
    pub predecessors: bool,
    /// Hash of the field set that our manager applied, 0 when there is none.
    pub fields: u64,
    /// Hash of the time at which our manager changed it last.
    pub time: u64,
    /// Hash of the API version in which our manager applied it, 0 when it did not.
    pub api_version: u64,
}

/// An object's metadata as it was read, with the parts that are not kept for long.
#[derive(Debug)]
pub struct Reading {
    /// Namespace, empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What is kept.
    pub seen: Seen,
    /// The field set that our manager applied.
    pub fields: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Partial<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(default)]
    generation: i64,
    #[serde(borrow, default)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow, default)]
    annotations: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow, default)]
    managed_fields: Option<Vec<Managed<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    #[serde(borrow, default)]
    manager: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default, rename = "fieldsV1")]
    fields: Option<&'a RawValue>,
}

impl Reading {
    /// Reads the JSON of an object or of its metadata alone; `manager` is our field manager.
    ///
    /// # Errors
    /// When it is no object with metadata.
    pub fn parse(json: &[u8], manager: &Manager) -> Result<Self, serde_json::Error> {
        let metadata = serde_json::from_slice::<Partial<'_>>(json)?.metadata;
        let managed = metadata.managed_fields.unwrap_or_default();
        let ours = managed
            .iter()
            .find(|m| m.manager == **manager && m.operation == "Apply" && m.subresource.is_empty());
        let fields = ours.and_then(|m| m.fields);
        let (labels, annotations) = (
            metadata.labels.unwrap_or_default(),
            metadata.annotations.unwrap_or_default(),
        );
        let label = |key: &str| labels.get(key).map(AsRef::as_ref);
        let annotation = |key: &str| annotations.get(key).map(AsRef::as_ref);
        Ok(Self {
            seen: Seen {
                uid: metadata.uid.into(),
                version: metadata.resource_version.parse().unwrap_or_default(),
                generation: metadata.generation,
                owner: Owner::from_labels(label),
                marks: Marks::read(|key| [label(key), annotation(key)]),
                terminating: metadata.deletion_timestamp.is_some(),
                predecessors: managed
                    .iter()
                    .any(|m| manager.succeeds(&m.manager, &m.operation, &m.subresource)),
                fields: fields.map_or(0, |raw| hash_text(raw.get())),
                time: ours.map_or(0, |m| hash_text(&m.time)),
                api_version: ours.map_or(0, |m| hash_text(&m.api_version)),
            },
            fields: fields.map(ToOwned::to_owned),
            namespace: metadata.namespace.into_owned(),
            name: metadata.name.into_owned(),
        })
    }
}

impl Seen {
    /// Whether our manager applied it in another API version than this.
    pub fn is_of_another_version(&self, api_version: &str) -> bool {
        self.api_version != 0 && self.api_version != hash_text(api_version)
    }
}

/// A hash of a text that does not depend on how JSON was indented.
fn hash_text(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in text.as_bytes().split(u8::is_ascii_whitespace) {
        hasher.write(part);
    }
    hasher.finish().max(1)
}

/// A hash of a JSON value; the same value has the same hash as long as the process lives.
pub fn hash_value(value: &Value) -> u64 {
    struct Write(DefaultHasher);
    impl std::io::Write for Write {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Write(DefaultHasher::new());
    // Writing into a hasher cannot fail, nor can a value be no JSON.
    let _ = serde_json::to_writer(&mut writer, value);
    writer.0.finish().max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_matters_is_read() {
        let object = json!({"kind": "PartialObjectMetadata", "metadata": {
            "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "12", "generation": 3,
            "labels": {"kustomize.toolkit.fluxcd.io/name": "apps",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
            "annotations": {"kustomize.toolkit.fluxcd.io/prune": "Disabled", "quoted": "a \"b\""},
            "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {}}},
                {"manager": "kustomize-controller", "operation": "Apply", "time": "now",
                    "apiVersion": "v1", "fieldsV1": {"f:data": {"f:x": {}}}}]}});
        let text = object.to_string();
        let reading = Reading::parse(text.as_bytes(), &"kustomize-controller".into()).unwrap();
        assert_eq!(
            (reading.namespace.as_str(), reading.name.as_str()),
            ("b", "a")
        );
        assert_eq!((reading.seen.version, reading.seen.generation), (12, 3));
        assert_eq!(reading.seen.owner.as_ref().unwrap().name, "apps");
        assert!(reading.seen.predecessors && !reading.seen.terminating);
        assert!(reading.seen.marks.prune_disabled);
        assert!(reading.seen.is_of_another_version("v2"));
        assert!(!reading.seen.is_of_another_version("v1"));
        assert_eq!(reading.fields.unwrap().get(), r#"{"f:data":{"f:x":{}}}"#);

        let pretty = serde_json::to_string_pretty(&object).unwrap();
        let again = Reading::parse(pretty.as_bytes(), &"kustomize-controller".into()).unwrap();
        assert_eq!(again.seen, reading.seen);
        let bare = Reading::parse(br#"{"metadata":{"name":"x"}}"#, &"m".into())
            .unwrap()
            .seen;
        assert!(!bare.is_of_another_version("v1"));
        assert_eq!((bare.fields, bare.time, bare.owner), (0, 0, None));
    }
}

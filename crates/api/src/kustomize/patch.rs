//! What a Kustomization changes in objects before it applies them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;
use crate::schema;

/// A change to the objects that the target selects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// A strategic merge patch, or a JSON patch, as YAML or JSON text.
    pub patch: String,

    /// Objects to change; the object that a strategic merge patch names when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// Selects objects; every field that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// API group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,

    /// API version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,

    /// Name, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Namespace, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// Label selector, written as for `kubectl -l`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,

    /// Selector over annotations, written as for `kubectl -l`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation_selector: Option<String>,
}

/// Replaces a container image wherever it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Image to replace, without its tag.
    pub name: String,

    /// Image to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,

    /// Tag to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_tag: Option<String>,

    /// Digest to use instead of a tag; wins over `newTag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Fields of objects that others own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// JSON pointers to the fields, for example `/spec/replicas`.
    pub paths: Vec<String>,

    /// Objects concerned; all objects when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// A JSON patch in the form of old versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Json6902Patch {
    /// The operations, in order.
    pub patch: Vec<Json6902Operation>,

    /// Objects to change.
    pub target: Selector,
}

/// One operation of a JSON patch (RFC 6902).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Json6902Operation {
    /// What to do.
    pub op: Json6902Op,

    /// JSON pointer to the field to change.
    pub path: String,

    /// JSON pointer to the field to move or copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,

    /// Value to add, to set or to compare with.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "schema::anything")]
    pub value: Option<serde_json::Value>,
}

open_enum! {
    /// Operations of a JSON patch.
    pub enum Json6902Op {
        /// Fails the patch unless the value is there.
        Test = "test",
        /// Removes a field.
        Remove = "remove",
        /// Adds a field or a list item.
        #[default]
        Add = "add",
        /// Sets an existing field.
        Replace = "replace",
        /// Moves a field.
        Move = "move",
        /// Copies a field.
        Copy = "copy",
    }
}

/// Keeps `value: null`, which means something in a JSON patch, apart from no value at all.
fn given<'de, D>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    serde_json::Value::deserialize(deserializer).map(Some)
}

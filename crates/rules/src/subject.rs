//! The object under review, as rules look at it.

use serde_json::Value;

/// Reads an object without trusting its shape: whatever is missing or of another type is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    object: &'a Value,
}

impl<'a> Subject<'a> {
    /// A view of `object`.
    #[must_use]
    pub const fn new(object: &'a Value) -> Self {
        Self { object }
    }

    /// The whole object.
    #[must_use]
    pub const fn object(self) -> &'a Value {
        self.object
    }

    /// What stands at an RFC 6901 pointer; `null` counts as absent.
    #[must_use]
    pub fn get(self, pointer: &str) -> Option<&'a Value> {
        walk(self.object, pointer).filter(|value| !value.is_null())
    }

    /// Whether a field is set, judgeable or not.
    #[must_use]
    pub fn has(self, pointer: &str) -> bool {
        self.get(pointer).is_some()
    }

    /// A text that can be judged: `None` where there is none, or where its final value is unknown.
    #[must_use]
    pub fn text(self, pointer: &str) -> Option<&'a str> {
        self.get(pointer).and_then(judgeable)
    }

    /// The entries of a list, none if it is absent.
    #[must_use]
    pub fn list(self, pointer: &str) -> &'a [Value] {
        self.get(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The names of those of `fields` that are set below `pointer`, in the order given.
    #[must_use]
    pub fn set_among(self, pointer: &str, fields: &[&'static str]) -> Vec<&'static str> {
        fields
            .iter()
            .copied()
            .filter(|field| self.has(&format!("{pointer}/{field}")))
            .collect()
    }

    /// `metadata.name`, or a stand-in for an object whose name the API server makes up.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.get("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("NAME")
    }

    /// `metadata.namespace`, `default` if the manifest leaves it to `kubectl`.
    #[must_use]
    pub fn namespace(self) -> &'a str {
        self.get("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or("default")
    }

    /// The annotations, with values that can be judged.
    pub fn annotations(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.get("/metadata/annotations")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), judgeable(value)?)))
    }

    /// One annotation, if its value can be judged.
    #[must_use]
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        self.get("/metadata/annotations")?
            .get(key)
            .and_then(judgeable)
    }
}

/// What stands at a pointer. Rules ask for thousands of them, mostly without anything escaped, for
/// which no text has to be made up.
fn walk<'a>(mut value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    let mut parts = pointer.split('/');
    if !parts.next().unwrap_or_default().is_empty() {
        return None;
    }
    for part in parts {
        value = match value {
            Value::Object(map) => map.get(part)?,
            // As in RFC 6901, an index has no sign and no leading zero.
            Value::Array(items) if part == "0" || !part.starts_with(['0', '+']) => {
                items.get(part.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    Some(value)
}

/// The pointer of an annotation.
pub(crate) fn annotation_pointer(key: &str) -> String {
    format!("/metadata/annotations/{}", escaped(key))
}

/// A key as it stands in a JSON pointer (RFC 6901).
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that stands in a JSON pointer.
pub(crate) fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// A text whose final value is what stands there: no variable to be substituted later
/// (`postBuild.substitute` of a Kustomization, envsubst), no SOPS ciphertext.
pub(crate) fn judgeable(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|text| !text.contains("${") && !text.starts_with("ENC[AES256_GCM,"))
}

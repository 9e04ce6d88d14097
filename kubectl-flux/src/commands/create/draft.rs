//! The object that flags describe, before it is exported or applied. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Shared;
use crate::cli::values;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;

/// An object to be.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: Value,
    /// Fields of the spec, as dotted paths, that the command's flags decide about. An update
    /// replaces these and leaves all others of the existing object alone.
    pub(super) decided: &'static [&'static str],
}

impl Draft {
    /// A draft with the name, namespace and labels that were typed.
    pub(super) fn new(
        kind: Kind,
        names: &[String],
        shared: &Shared,
        context: &Context,
    ) -> Result<Self, Error> {
        Ok(Self {
            kind,
            namespace: context.namespace().to_owned(),
            name: values::object_name(names)?.to_owned(),
            labels: values::labels(&shared.label)?,
            spec: Value::Null,
            decided: &[],
        })
    }

    /// The manifest.
    pub(super) fn manifest(&self) -> Value {
        let mut metadata = json!({ "name": self.name, "namespace": self.namespace });
        if !self.labels.is_empty() {
            metadata["labels"] = json!(self.labels);
        }
        json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.name(),
            "metadata": metadata,
            "spec": self.spec,
        })
    }

    /// The existing object's spec with what the flags decide in place of what was decided before.
    pub(super) fn merged_spec(&self, existing: &Value) -> Value {
        let mut spec = existing.clone();
        for path in self.decided {
            remove(&mut spec, path);
        }
        overlay(&mut spec, &self.spec);
        spec
    }
}

/// Takes the value at a dotted path away, and the maps that become empty by it.
fn remove(value: &mut Value, path: &str) {
    let Some(map) = value.as_object_mut() else {
        return;
    };
    match path.split_once('.') {
        None => {
            map.remove(path);
        }
        Some((key, rest)) => {
            let Some(child) = map.get_mut(key) else {
                return;
            };
            remove(child, rest);
            if child.as_object().is_some_and(Map::is_empty) {
                map.remove(key);
            }
        }
    }
}

/// Puts one tree over another; maps are merged, everything else replaced.
fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Collects the fields of a spec; what was not typed is left out.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Sets a field.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a field if there is something to set.
    pub(super) fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.set(key, value);
        }
        self
    }

    /// Sets a text unless it is missing or empty, as `omitempty` does.
    pub(super) fn text(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        self.set_some(key, value.filter(|text| !text.is_empty()))
    }

    /// Sets a switch only if it is on.
    pub(super) fn switch(&mut self, key: &str, on: bool) -> &mut Self {
        self.set_some(key, on.then_some(true))
    }

    /// Sets a reference to an object by name.
    pub(super) fn reference(&mut self, key: &str, name: Option<&str>) -> &mut Self {
        let name = name.filter(|name| !name.is_empty());
        self.set_some(key, name.map(|name| json!({ "name": name })))
    }

    /// The fields as a value.
    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Draft;
    use crate::kind::Kind;

    fn draft(spec: serde_json::Value, decided: &'static [&'static str]) -> Draft {
        Draft {
            kind: Kind::Kustomization,
            namespace: "foo".into(),
            name: "foo".into(),
            labels: [].into(),
            spec,
            decided,
        }
    }

    #[test]
    fn an_update_keeps_what_flags_cannot_express() {
        let existing = json!({
            "interval": "10m",
            "path": "./old",
            "wait": true,
            "suspend": true,
            "postBuild": {"substitute": {"a": "b"}},
            "kubeConfig": {"secretRef": {"name": "remote", "key": "value"}},
            "git": {"push": {"branch": "auto", "options": {"x": "y"}}},
        });
        let draft = draft(
            json!({"interval": "1m0s", "path": "./new", "git": {"push": {"branch": "main"}}}),
            &[
                "interval",
                "path",
                "wait",
                "kubeConfig.secretRef.name",
                "git.push.branch",
            ],
        );
        assert_eq!(
            draft.merged_spec(&existing),
            json!({
                "interval": "1m0s",
                "path": "./new",
                "suspend": true,
                "postBuild": {"substitute": {"a": "b"}},
                "kubeConfig": {"secretRef": {"key": "value"}},
                "git": {"push": {"branch": "main", "options": {"x": "y"}}},
            })
        );
    }

    #[test]
    fn maps_that_become_empty_go() {
        let draft = draft(json!({}), &["ref.branch", "a.b.c"]);
        assert_eq!(
            draft.merged_spec(&json!({"ref": {"branch": "main"}, "a": {"b": {"c": 1}}, "x": 2})),
            json!({"x": 2})
        );
    }

    #[test]
    fn labels_are_printed_only_when_given() {
        let mut draft = draft(json!({"prune": true}), &[]);
        assert_eq!(
            draft.manifest()["metadata"],
            json!({"name": "foo", "namespace": "foo"})
        );
        draft.labels.insert("a".into(), "b".into());
        assert_eq!(draft.manifest()["metadata"]["labels"], json!({"a": "b"}));
        assert_eq!(
            draft.manifest()["apiVersion"],
            "kustomize.toolkit.fluxcd.io/v1"
        );
    }
}

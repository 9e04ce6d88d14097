//! The shape of objects: which fields there are, of which type. From the CRDs for Flux's kinds,
//! from a table for Ingress; other kinds have no schema here.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde_json::Value;

use crate::finding::dotted;
use crate::subject::{escaped, judgeable};
use crate::text::{first_of, nearest, quote};

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Whole,
    Number,
    Truth,
    Map,
    List,
    Any,
}

/// One node of a schema.
#[derive(Debug)]
pub(super) struct Node {
    type_: Type,
    fields: BTreeMap<String, Node>,
    /// What the items of a list, or the values of a map with free keys, have to be.
    each: Option<Box<Node>>,
    /// Whether fields that are not named are allowed.
    open: bool,
    required: Vec<String>,
    words: Vec<String>,
}

/// Something that does not fit the schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) rule: &'static str,
    pub(super) certain: bool,
    pub(super) pointer: String,
    /// Whether the key is at fault, not the value.
    pub(super) at_key: bool,
    pub(super) message: String,
    /// What to do with the token of the value.
    pub(super) remedy: Remedy,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    None,
    /// Put quotes around what is written.
    Quote,
    /// Write this instead, as it is.
    Write(String),
}

/// Where a value stands: written down only when there is something to say about it.
#[derive(Clone, Copy)]
enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointer(self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(above, key) => {
                let key = escaped(key);
                format!("{}/{key}", above.pointer())
            }
            Self::Item(above, index) => format!("{}/{index}", above.pointer()),
        }
    }
}

impl Node {
    fn new(type_: Type) -> Self {
        Self {
            type_,
            fields: BTreeMap::new(),
            each: None,
            open: false,
            required: Vec::new(),
            words: Vec::new(),
        }
    }

    fn each(type_: Type, each: Self) -> Self {
        Self {
            each: Some(Box::new(each)),
            ..Self::new(type_)
        }
    }

    fn map<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self {
            fields: fields.map(|(name, node)| (name.to_owned(), node)).into(),
            ..Self::new(Type::Map)
        }
    }

    /// Reads a structural schema (OpenAPI 3, as CRDs have it).
    fn read(schema: &Value) -> Self {
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
        let texts = |name: &str| -> Vec<String> {
            let list = schema.get(name).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let type_ = match schema.get("type").and_then(Value::as_str) {
            _ if flag("x-kubernetes-int-or-string") => Type::Any,
            Some("string") => Type::Text,
            Some("integer") => Type::Whole,
            Some("number") => Type::Number,
            Some("boolean") => Type::Truth,
            Some("object") => Type::Map,
            Some("array") => Type::List,
            _ => Type::Any,
        };
        let each = schema
            .get("items")
            .or_else(|| schema.get("additionalProperties"))
            .filter(|each| each.is_object());
        let fields = schema.get("properties").and_then(Value::as_object);
        Self {
            type_,
            open: flag("x-kubernetes-preserve-unknown-fields") || fields.is_none(),
            fields: fields
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::read(schema)))
                .collect(),
            each: each.map(|each| Box::new(Self::read(each))),
            required: texts("required"),
            words: texts("enum"),
        }
    }

    /// Everything that does not fit.
    pub(super) fn check(&self, value: &Value, found: &mut Vec<Misfit>) {
        self.check_at(value, At::Root, found);
    }

    fn check_at(&self, value: &Value, at: At<'_>, found: &mut Vec<Misfit>) {
        let fits = match (self.type_, value) {
            // The API server drops a null.
            (_, Value::Null) | (Type::Any, _) => return,
            (Type::Text, Value::String(text)) => {
                self.word(text, at, found);
                return;
            }
            (Type::Whole, Value::Number(number)) => !number.is_f64(),
            (Type::Number, Value::Number(_)) | (Type::Truth, Value::Bool(_)) => true,
            (Type::List, Value::Array(items)) => {
                if let Some(each) = &self.each {
                    for (index, item) in items.iter().enumerate() {
                        each.check_at(item, At::Item(&at, index), found);
                    }
                }
                true
            }
            (Type::Map, Value::Object(map)) => {
                for (key, value) in map {
                    self.field(key, value, at, found);
                }
                for name in self.required.iter().filter(|name| !map.contains_key(*name)) {
                    let missing = At::Field(&at, name).pointer();
                    found.push(Misfit {
                        rule: "FL10",
                        certain: true,
                        at_key: true,
                        message: format!("{} is required and missing.", dotted(&missing)),
                        pointer: missing,
                        remedy: Remedy::None,
                    });
                }
                true
            }
            // What is substituted later may well become a number.
            (_, Value::String(_)) if judgeable(value).is_none() => true,
            _ => false,
        };
        if !fits {
            found.push(self.mistyped(value, at.pointer()));
        }
    }

    fn word(&self, text: &str, at: At<'_>, found: &mut Vec<Misfit>) {
        let known = self.words.iter().any(|word| word == text);
        if self.words.is_empty() || known || text.contains("${") {
            return;
        }
        let pointer = at.pointer();
        let near = nearest(text, self.words.iter().map(String::as_str));
        let instead = near.map_or_else(
            || format!("One of: {}.", first_of(&self.words, 8)),
            |near| format!("Write {}.", quote(near)),
        );
        found.push(Misfit {
            rule: "FL11",
            certain: true,
            at_key: false,
            message: format!(
                "{} {} is not a word for it. {instead}",
                dotted(&pointer),
                quote(text)
            ),
            pointer,
            remedy: near.map_or(Remedy::None, |near| Remedy::Write(near.to_owned())),
        });
    }

    fn field(&self, key: &str, value: &Value, at: At<'_>, found: &mut Vec<Misfit>) {
        let below = At::Field(&at, key);
        if let Some(node) = self.fields.get(key) {
            node.check_at(value, below, found);
        } else if let Some(each) = &self.each {
            each.check_at(value, below, found);
        } else if !self.open {
            let below = below.pointer();
            let free = |name: &&str| value.is_null() || !name.is_empty();
            let names = self.fields.keys().map(String::as_str).filter(free);
            let near = nearest(key, names);
            let message = match near {
                Some(near) => format!("There is no field {}. Did you mean {near}?", dotted(&below)),
                None => format!(
                    "There is no field {}: it is dropped or refused. There are: {}.",
                    dotted(&below),
                    first_of(&self.fields.keys().collect::<Vec<_>>(), 8)
                ),
            };
            found.push(Misfit {
                rule: "FL02",
                certain: near.is_some(),
                pointer: below,
                at_key: true,
                message,
                remedy: Remedy::None,
            });
        }
    }

    fn mistyped(&self, value: &Value, pointer: String) -> Misfit {
        let is = match value {
            Value::Bool(value) => format!("a boolean: {value}"),
            Value::Number(number) => format!("a number: {number}"),
            Value::String(text) => format!("a text: {}", quote(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a map".to_owned(),
            Value::Null => "nothing".to_owned(),
        };
        let (wanted, advice, remedy) = match (self.type_, value) {
            (Type::Text, Value::Bool(_) | Value::Number(_)) => {
                ("a text", " Put it between quotes.", Remedy::Quote)
            }
            (Type::Whole | Type::Number, Value::String(text)) if text.parse::<i64>().is_ok() => (
                "a number",
                " Write it without quotes.",
                Remedy::Write(text.clone()),
            ),
            (Type::Truth, Value::String(text)) if text == "true" || text == "false" => (
                "true or false",
                " Write it without quotes.",
                Remedy::Write(text.clone()),
            ),
            (Type::Text, _) => ("a text", "", Remedy::None),
            (Type::Whole, _) => ("a whole number", "", Remedy::None),
            (Type::Number, _) => ("a number", "", Remedy::None),
            (Type::Truth, _) => ("true or false", "", Remedy::None),
            (Type::List, _) => ("a list", " Begin each item with a dash.", Remedy::None),
            (Type::Map | Type::Any, _) => ("a map", "", Remedy::None),
        };
        Misfit {
            rule: "FL03",
            certain: true,
            at_key: false,
            message: format!(
                "{} must be {wanted}, but is {is}.{advice}",
                dotted(&pointer)
            ),
            pointer,
            remedy,
        }
    }
}

/// The schema of an object, if there is one.
pub(super) fn of(api_version: &str, kind: &str) -> Option<&'static Node> {
    static SCHEMAS: OnceLock<HashMap<String, HashMap<String, Node>>> = OnceLock::new();
    if !(api_version.contains(".toolkit.fluxcd.io/") || api_version == "networking.k8s.io/v1") {
        return None;
    }
    SCHEMAS.get_or_init(all).get(api_version)?.get(kind)
}

/// All schemas, by version and kind.
fn all() -> HashMap<String, HashMap<String, Node>> {
    let mut schemas: HashMap<String, HashMap<String, Node>> = HashMap::new();
    let mut add = |version: String, kind: String, node: Node| {
        schemas
            .entry(version)
            .or_default()
            .insert(kind, with_metadata(node));
    };
    for definition in flux_api::crd::all() {
        let spec = definition.spec;
        for version in spec.versions {
            let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
            let Ok(schema) = serde_json::to_value(schema) else {
                continue;
            };
            let api_version = format!("{}/{}", spec.group, version.name);
            add(api_version, spec.names.kind.clone(), Node::read(&schema));
        }
    }
    add(
        "networking.k8s.io/v1".to_owned(),
        "Ingress".to_owned(),
        ingress(),
    );
    schemas
}

/// Of metadata a CRD says nothing.
fn with_metadata(mut node: Node) -> Node {
    let text = || Node::new(Type::Text);
    let any = || Node::new(Type::Any);
    let metadata = Node::map([
        ("name", text()),
        ("generateName", text()),
        ("namespace", text()),
        // Looked at for objects of every kind elsewhere.
        ("labels", any()),
        ("annotations", any()),
        ("finalizers", Node::each(Type::List, text())),
        ("ownerReferences", Node::new(Type::List)),
        ("managedFields", any()),
        ("creationTimestamp", any()),
        ("deletionTimestamp", any()),
        ("deletionGracePeriodSeconds", any()),
        ("generation", any()),
        ("resourceVersion", any()),
        ("selfLink", any()),
        ("uid", any()),
    ]);
    node.fields.insert("metadata".to_owned(), metadata);
    for name in ["apiVersion", "kind"] {
        node.fields.insert(name.to_owned(), text());
    }
    node.fields.insert("status".to_owned(), any());
    node
}

/// `networking.k8s.io/v1` Ingress.
fn ingress() -> Node {
    let text = || Node::new(Type::Text);
    let backend = || {
        Node::map([
            (
                "service",
                Node::map([
                    ("name", text()),
                    (
                        "port",
                        Node::map([("name", text()), ("number", Node::new(Type::Whole))]),
                    ),
                ]),
            ),
            (
                "resource",
                Node::map([("apiGroup", text()), ("kind", text()), ("name", text())]),
            ),
        ])
    };
    let mut path = Node::map([
        ("path", text()),
        ("pathType", text()),
        ("backend", backend()),
    ]);
    path.required = vec!["pathType".to_owned(), "backend".to_owned()];
    if let Some(path_type) = path.fields.get_mut("pathType") {
        path_type.words = ["Exact", "Prefix", "ImplementationSpecific"]
            .map(str::to_owned)
            .to_vec();
    }
    let rule = Node::map([
        ("host", text()),
        ("http", Node::map([("paths", Node::each(Type::List, path))])),
    ]);
    let tls = Node::map([
        ("hosts", Node::each(Type::List, text())),
        ("secretName", text()),
    ]);
    let spec = Node::map([
        ("ingressClassName", text()),
        ("defaultBackend", backend()),
        ("tls", Node::each(Type::List, tls)),
        ("rules", Node::each(Type::List, rule)),
    ]);
    Node::map([("spec", spec)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn misfits(object: &Value) -> Vec<String> {
        let text = |key: &str| object[key].as_str().expect("a text").to_owned();
        let mut found = Vec::new();
        of(&text("apiVersion"), &text("kind"))
            .expect("a schema")
            .check(object, &mut found);
        found
            .into_iter()
            .map(|misfit| format!("{} {}", misfit.rule, misfit.message))
            .collect()
    }

    #[test]
    fn fields_and_types_are_compared_with_the_definitions() {
        let object = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "a", "anotations": {}},
            "spec": {"url": "https://a/b", "intervall": "1m", "interval": 60, "suspend": "true",
                "ref": {"brnch": "main"}, "nonsense": 1},
        });
        assert_eq!(
            misfits(&object),
            [
                "FL02 There is no field metadata.anotations. Did you mean annotations?",
                "FL03 spec.interval must be a text, but is a number: 60. Put it between quotes.",
                "FL02 There is no field spec.intervall. Did you mean interval?",
                "FL02 There is no field spec.nonsense: it is dropped or refused. There are: accessFrom, gitImplementation, ignore, include, interval, provider, proxySecretRef, recurseSubmodules and 8 more.",
                "FL02 There is no field spec.ref.brnch. Did you mean branch?",
                "FL03 spec.suspend must be true or false, but is a text: \"true\". Write it without quotes.",
            ]
        );
    }

    #[test]
    fn words_and_required_fields_are_checked() {
        let object = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "a"},
            "spec": {"interval": "1m", "prune": true, "sourceRef": {"kind": "gitrepository"}},
        });
        assert_eq!(
            misfits(&object),
            [
                "FL11 spec.sourceRef.kind \"gitrepository\" is not a word for it. Write \"GitRepository\".",
                "FL10 spec.sourceRef.name is required and missing.",
            ]
        );
    }

    #[test]
    fn an_ingress_has_a_schema_too() {
        let object = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"},
            "spec": {"rules": [{"host": "a", "http": {"paths": [{"path": "/", "pathtype": "Prefix",
                "backend": {"serviceName": "a", "servicePort": 80}}]}}]},
        });
        let found = misfits(&object);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.contains(&"FL02 There is no field spec.rules[0].http.paths[0].pathtype. Did you mean pathType?".to_owned()));
    }
}

//! What is done to an object between its manifest and the API server.
//!
//! Everything here has one reason: a manifest must mean the same whether it was written by hand,
//! exported by `kubectl get -o yaml` or printed by a generator.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::object::{self, Owner};

/// Fields of `metadata` that only the API server writes. Exported manifests carry them, and a
/// server-side apply that sends them fails or conflicts.
const SERVER_FIELDS: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Brings an object into the form that is applied: no status, no server-side metadata, Secrets
/// with `data` only, and the owner's labels.
pub fn normalize(object: &mut Value, owner: &Owner) {
    strip(object);
    if object["kind"] == "Secret" && object["apiVersion"] == "v1" {
        fold_string_data(object);
    }
    if object["kind"] == "CustomResourceDefinition" {
        drop_placeholder_authority(object);
    }
    object::set_labels(object, owner.labels());
}

/// Drops the authority of a conversion webhook that is none: generators leave `Cg==` for somebody to
/// fill in, which the API server refuses.
fn drop_placeholder_authority(definition: &mut Value) {
    const AUTHORITY: &str = "caBundle";
    let Some(Value::Object(client)) =
        definition.pointer_mut("/spec/conversion/webhook/clientConfig")
    else {
        return;
    };
    let is_certificate = |bundle: &str| {
        let bundle = STANDARD.decode(bundle).unwrap_or_default();
        String::from_utf8_lossy(&bundle).contains("-----BEGIN CERTIFICATE-----")
    };
    let bundle = client.get(AUTHORITY).and_then(Value::as_str);
    if bundle.is_some_and(|bundle| !is_certificate(bundle)) {
        client.remove(AUTHORITY);
    }
}

/// Removes what only the API server writes: status and its part of the metadata.
pub fn strip(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = object::metadata_mut(object) {
        for field in SERVER_FIELDS {
            metadata.remove(*field);
        }
    }
}

/// What is wrong with the data of a Secret, without its values: one that is no text is dropped by
/// some readers and shown by the API server's refusal, and both are worse than to be told here.
pub fn secret_fault(object: &Value) -> Option<String> {
    const QUOTES: &str =
        "write it in quotes (those around a variable do not count, only those of its value)";
    if object["kind"] != "Secret" || object["apiVersion"] != "v1" {
        return None;
    }
    for field in ["data", "stringData"] {
        let entries = match &object[field] {
            Value::Null => continue,
            Value::Object(entries) => entries,
            _ => return Some(format!("{field} must be a map of texts")),
        };
        let is_text = |value: &Value| value.is_string() || value.is_null();
        if let Some((key, value)) = entries.iter().find(|(_, value)| !is_text(value)) {
            let (what, mend) = match value {
                Value::Bool(_) => ("a boolean", QUOTES),
                Value::Number(_) => ("a number", QUOTES),
                _ => (
                    "a map or a list",
                    "write it as text, for example after \"|\"",
                ),
            };
            return Some(format!(
                "{field}.{key} must be a text and is {what}; {mend}"
            ));
        }
    }
    None
}

/// Moves `stringData` into `data`. The API server does the same, but on the live object only: the
/// applied field would stay `stringData`, and a key removed there would stay in `data` for ever.
fn fold_string_data(secret: &mut Value) {
    let Some(map) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(strings)) = map.remove("stringData") else {
        return;
    };
    let data = map.entry("data").or_insert(Value::Null);
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    if let Some(data) = data.as_object_mut() {
        for (key, value) in strings {
            if let Some(text) = value.as_str() {
                data.insert(key, Value::String(STANDARD.encode(text)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> Owner {
        Owner {
            name: "apps".into(),
            namespace: "flux-system".into(),
        }
    }

    #[test]
    fn values_of_secrets_that_are_no_texts_are_named_and_not_shown() {
        let secret = |fields: Value| {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret"});
            for (field, value) in fields.as_object().unwrap() {
                secret[field] = value.clone();
            }
            secret
        };
        for (fields, fault) in [
            (json!({}), None),
            (
                json!({"data": null, "stringData": {"a": "x", "b": null}}),
                None,
            ),
            (
                json!({"stringData": {"PORT": 5432}}),
                Some(
                    "stringData.PORT must be a text and is a number; write it in quotes (those around a variable do not count, only those of its value)",
                ),
            ),
            (
                json!({"data": {"on": true}}),
                Some(
                    "data.on must be a text and is a boolean; write it in quotes (those around a variable do not count, only those of its value)",
                ),
            ),
            (
                json!({"stringData": {"c": {"pin": 4711}}}),
                Some(
                    "stringData.c must be a text and is a map or a list; write it as text, for example after \"|\"",
                ),
            ),
            (
                json!({"stringData": "a"}),
                Some("stringData must be a map of texts"),
            ),
        ] {
            assert_eq!(secret_fault(&secret(fields)).as_deref(), fault);
        }
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": 1}});
        assert_eq!(secret_fault(&other), None);
    }

    #[test]
    fn exported_manifests_can_be_applied() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "foo", "uid": "1", "resourceVersion": "2", "generation": 3,
                "creationTimestamp": null, "managedFields": []},
            "status": {"phase": "Active"},
        });
        normalize(&mut object, &owner());
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foo", "labels": {
                "kustomize.toolkit.fluxcd.io/name": "apps",
                "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}})
        );
    }

    #[test]
    fn a_placeholder_is_no_authority() {
        let bundle = |bundle: Value| {
            let mut definition = json!({"kind": "CustomResourceDefinition", "metadata": {},
                "spec": {"conversion": {"strategy": "Webhook",
                    "webhook": {"clientConfig": {"service": {"name": "x"}, "caBundle": bundle}}}}});
            normalize(&mut definition, &owner());
            definition["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"].clone()
        };
        let real =
            STANDARD.encode("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
        for placeholder in [json!("Cg=="), json!(""), json!("?")] {
            assert!(bundle(placeholder.clone()).is_null(), "{placeholder}");
        }
        assert_eq!(bundle(json!(real)), real);
    }

    #[test]
    fn string_data_wins_over_data() {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}});
        normalize(&mut secret, &owner());
        assert_eq!(secret["data"], json!({"a": "bmV3", "b": "Yg=="}));
        assert!(secret.get("stringData").is_none());
    }
}

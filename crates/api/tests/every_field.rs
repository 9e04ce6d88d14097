//! An object with every field of its schema passes through its Rust type unchanged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A value that the schema accepts, as full as possible.
fn sample(schema: &JSONSchemaProps) -> Value {
    if let Some(words) = &schema.enum_ {
        return words.last().unwrap().0.clone();
    }
    match schema.type_.as_deref() {
        Some("boolean") => json!(true),
        Some("integer") => json!(7),
        Some("string") if schema.format.as_deref() == Some("date-time") => {
            json!("2024-04-27T09:52:39Z")
        }
        Some("string") => json!("1m30s"),
        Some("array") => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => json!([sample(items)]),
            other => panic!("{other:?}"),
        },
        Some("object") => match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => json!({ "key": sample(values) }),
            _ => {
                let properties = schema.properties.iter().flatten();
                let fields = properties.map(|(name, schema)| (name.clone(), sample(schema)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        },
        _ => json!({ "any": [null, 1.5, "value"] }),
    }
}

fn check<K: CustomResourceExt + DeserializeOwned + Serialize>() {
    let name = K::crd_name();
    let crd = flux_api::crd::all()
        .into_iter()
        .find(|crd| crd.metadata.name.as_deref() == Some(name));
    let crd = crd.unwrap();
    for version in &crd.spec.versions {
        let schema = version
            .schema
            .as_ref()
            .unwrap()
            .open_api_v3_schema
            .as_ref()
            .unwrap();
        let mut object = sample(schema);
        object["apiVersion"] = json!(format!("{}/v1", crd.spec.group));
        object["kind"] = json!(crd.spec.names.kind);
        object["metadata"] = json!({ "name": "example", "namespace": "default" });

        let typed: K = serde_json::from_value(object.clone())
            .unwrap_or_else(|error| panic!("{name} {}: {error}", version.name));
        assert_eq!(
            serde_json::to_value(&typed).unwrap(),
            object,
            "{name} {}",
            version.name
        );
    }
}

#[test]
fn survives() {
    check::<GitRepository>();
    check::<Kustomization>();
    check::<ImageRepository>();
    check::<ImagePolicy>();
    check::<ImageUpdateAutomation>();
}

#[test]
fn unknown_fields_are_ignored() {
    let object: Kustomization = serde_json::from_value(json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": { "name": "x" },
        "spec": {
            "interval": "1m",
            "prune": true,
            "sourceRef": { "kind": "SomethingNew", "name": "y", "later": 1 },
            "later": {},
        },
        "status": { "observedGeneration": -1, "later": [] },
    }))
    .unwrap();
    assert_eq!(object.spec.source_ref.kind.as_str(), "SomethingNew");
    assert_eq!(object.status.unwrap().observed_generation, Some(-1));
}

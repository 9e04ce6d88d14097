//! Every manifest of the walk, byte for byte, against a real API server with our CRDs.
//!
//! Today's Flux refuses the old versions; ours serves them and loses no field.

use std::{fs, path::PathBuf};

use flux_tests::env::Env;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
    discovery,
};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/seed")
        .join(name)
}

fn parse(path: &PathBuf) -> DynamicObject {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The API of an object, at the very version that it is written in.
async fn api(client: &Client, object: &DynamicObject, namespace: &str) -> Api<DynamicObject> {
    let types = object.types.clone().unwrap();
    let gvk = GroupVersionKind::try_from(&types).unwrap();
    let (resource, capabilities) = discovery::pinned_kind(client, &gvk).await.unwrap();
    match capabilities.scope {
        discovery::Scope::Cluster => Api::all_with(client.clone(), &resource),
        discovery::Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// Everything of `expected` that `found` lacks or has differently.
fn missing(expected: &Value, found: &Value, path: &str, into: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                let path = format!("{path}.{key}");
                missing(value, found.get(key).unwrap_or(&Value::Null), &path, into);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                missing(expected, found, &format!("{path}[{index}]"), into);
            }
        }
        _ if expected == found => {}
        _ => into.push(format!("{path}: {expected} became {found}")),
    }
}

#[track_caller]
fn has_all(name: &str, expected: &DynamicObject, found: &DynamicObject) {
    let json = |object: &DynamicObject| serde_json::to_value(object).unwrap();
    let mut differences = Vec::new();
    missing(&json(expected), &json(found), "", &mut differences);
    assert!(differences.is_empty(), "{name}: {}", differences.join("; "));
}

/// What the walk applies, in its order. The second column is where objects go that name no
/// namespace: a Kustomization's `targetNamespace`, or that of the person's context.
const MANIFESTS: [(&str, &str); 22] = [
    ("namespace-foo.yaml", ""),
    ("namespace-bar.yaml", ""),
    ("deployment-foo.yaml", "foo"),
    ("deployment-bar.yaml", "bar"),
    ("service-foo.yaml", "foo"),
    ("service-bar.yaml", "bar"),
    ("gitrepository-foo.yaml", ""),
    ("gitrepository-bar.yaml", ""),
    ("kustomization-foo.yaml", ""),
    ("kustomization-bar.yaml", ""),
    ("imagerepository-foo.yaml", ""),
    ("imagerepository-bar.yaml", ""),
    ("imagepolicy-foo.yaml", ""),
    ("imagepolicy-bar.yaml", ""),
    ("deployment-foo-marked.yaml", "foo"),
    ("deployment-bar-marked.yaml", "bar"),
    ("imageupdateautomation-foo.yaml", ""),
    ("imageupdateautomation-bar.yaml", ""),
    ("ingress-verbatim.yaml", ""),
    ("ingress-expanded.yaml", ""),
    ("imagerepository-foo-observed.yaml", ""),
    ("imagerepository-bar-observed.yaml", ""),
];

#[tokio::test]
async fn every_manifest_of_the_walk_applies_and_keeps_every_field() {
    let env = Env::shared().await.unwrap();
    let client = env.client().await.unwrap();
    // The walk expects an Ingress controller to be there already.
    env.kubectl(&["create", "namespace", "ingress-nginx"])
        .await
        .unwrap()
        .success()
        .unwrap();

    for (name, default_namespace) in MANIFESTS {
        let path = fixture(name);
        let mut manifest = parse(&path);
        let namespace = manifest
            .namespace()
            .unwrap_or_else(|| default_namespace.to_owned());
        let observed = name.contains("observed");
        let api = if observed {
            // A printed object: what the server sets itself must go before it can be applied.
            manifest.metadata.uid = None;
            manifest.metadata.resource_version = None;
            manifest.metadata.creation_timestamp = None;
            manifest.metadata.generation = None;
            let text = serde_json::to_string(&manifest).unwrap();
            let apply = ["apply", "-f", "-"];
            env.kubectl_with_input(&apply, &text)
                .await
                .unwrap()
                .success()
                .unwrap();
            let api = api(&client, &manifest, &namespace).await;
            let status = serde_json::json!({"status": manifest.data["status"]});
            api.patch_status("agnhost", &PatchParams::default(), &Patch::Merge(status))
                .await
                .unwrap();
            api
        } else {
            let path = path.to_str().unwrap();
            let mut arguments = vec!["apply", "-f", path];
            if !default_namespace.is_empty() {
                arguments.extend(["--namespace", default_namespace]);
            }
            let output = env.kubectl(&arguments).await.unwrap();
            let old = manifest
                .types
                .as_ref()
                .unwrap()
                .api_version
                .contains("v1beta");
            assert_eq!(old, output.stderr.contains("Warning:"), "{name}: {output}");
            output.success().unwrap();
            api(&client, &manifest, &namespace).await
        };
        let stored = api.get(&manifest.name_any()).await.unwrap();
        has_all(name, &manifest, &stored);
    }
}

#[tokio::test]
async fn the_services_as_their_heredocs_write_them_are_refused() {
    let env = Env::shared().await.unwrap();
    let namespace = env.namespace("verbatim").await.unwrap();
    for name in ["service-foo-verbatim.yaml", "service-bar-verbatim.yaml"] {
        let path = fixture(name);
        let apply = [
            "apply",
            "--namespace",
            &namespace,
            "-f",
            path.to_str().unwrap(),
        ];
        env.kubectl(&apply).await.unwrap().failure().unwrap();
    }
}

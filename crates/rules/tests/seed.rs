//! The walk's manifests, byte for byte: what a person hears about each of them, and nothing else.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use flux_rules::{Context, Objects, Settings, Severity, review};
use serde_json::{Value, json};

fn manifest(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/seed")
        .join(file);
    let text = std::fs::read_to_string(&path).expect(file);
    let mut documents = flux_lang::yaml::read(&text).expect(file);
    documents.remove(0).value
}

/// The cluster at the end of the walk, with ingress-nginx in it.
fn cluster() -> Context {
    let files = [
        "imagerepository-foo-observed.yaml",
        "imagerepository-bar-observed.yaml",
        "service-foo.yaml",
        "service-bar.yaml",
        "gitrepository-foo.yaml",
        "gitrepository-bar.yaml",
        "imagepolicy-foo.yaml",
        "imagepolicy-bar.yaml",
    ];
    let mut objects: Vec<Value> = files.into_iter().map(manifest).collect();
    for service in objects
        .iter_mut()
        .filter(|object| object["kind"] == "Service")
    {
        service["metadata"]["namespace"] = service["metadata"]["name"].clone();
    }
    for namespace in ["foo", "bar"] {
        let metadata = json!({"name": "k8s-kind-apps", "namespace": namespace});
        objects.push(json!({"kind": "Secret", "metadata": metadata}));
    }
    objects.push(json!({
        "kind": "IngressClass", "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }));
    Context::new(Settings::default(), Arc::new(Objects::complete(objects)))
}

fn heard(object: &Value) -> Vec<String> {
    let review = review(object, None, &cluster());
    assert_eq!(review.defaults, [], "the walk's manifests are complete");
    review
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| format!("{} {}", finding.severity, finding.rule))
        .collect()
}

#[test]
fn each_manifest_gets_the_warnings_it_deserves() {
    let table: [(&str, &[&str]); 7] = [
        ("gitrepository", &[]),
        ("kustomization", &[]),
        ("imagerepository", &[]),
        ("imagepolicy", &["warning IP17", "warning IP18"]),
        ("imageupdateautomation", &["warning IU05"]),
        ("deployment", &[]),
        ("namespace", &[]),
    ];
    for (kind, expected) in table {
        for app in ["foo", "bar"] {
            let file = format!("{kind}-{app}.yaml");
            assert_eq!(heard(&manifest(&file)), expected, "{file}");
        }
    }
}

#[test]
fn the_command_of_the_walk_selects_the_wrong_tag_and_is_told_so() {
    let mut policy = manifest("imagepolicy-foo.yaml");
    policy["spec"]["filterTags"]["pattern"] = json!(r"\d\.\d");
    assert_eq!(
        heard(&policy),
        ["warning IP17", "warning IP18", "warning IP23"]
    );
}

#[test]
fn every_mistake_of_the_ingress_is_named() {
    let verbatim = [
        "warning IN01",
        "warning IN15",
        "warning IN15",
        "warning IN30",
        "warning IN30",
    ];
    assert_eq!(heard(&manifest("ingress-verbatim.yaml")), verbatim);
    let expanded = heard(&manifest("ingress-expanded.yaml"));
    assert_eq!(
        expanded
            .iter()
            .filter(|heard| *heard == "warning IN11")
            .count(),
        2
    );
    assert_eq!(expanded.len(), verbatim.len() + 2);
}

#[test]
fn the_corrected_ingress_is_silent() {
    let mut ingress = manifest("ingress-verbatim.yaml");
    ingress["metadata"]["namespace"] = json!("foo");
    ingress["spec"]["ingressClassName"] = json!("nginx");
    let rule = &mut ingress["spec"]["rules"][0];
    rule["host"] = json!("apps.example.com");
    rule["http"]["paths"]
        .as_array_mut()
        .expect("paths")
        .truncate(1);
    rule["http"]["paths"][0]["pathType"] = json!("ImplementationSpecific");
    assert_eq!(heard(&ingress), [""; 0]);
}

//! The program and clusters that lack something.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "api/mod.rs"]
mod api;

use std::process::Command;

use serde_json::{Value, json};

use api::{Api, list, refusal};

fn run(api: &Api, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-flux"))
        .args(args)
        .env("KUBECONFIG", api.kubeconfig())
        .env_remove("FLUX_SYSTEM_NAMESPACE")
        .env_remove("FLUX_NS_FOLLOWS_KUBE_CONTEXT")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn definition(name: &str, group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{name}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": "X", "plural": name},
            "versions": [{"name": "v1", "served": true, "storage": true}],
        },
        "status": {
            "storedVersions": ["v1"], "conditions": [{"type": "Established", "status": "True"}],
            "acceptedNames": {"kind": "X", "plural": name},
        },
    })
}

/// A Flux without the components that are extra, with one Kustomization that is ready.
fn default_flux(path: &str) -> (u16, Value) {
    if path.starts_with("/apis/image.toolkit.fluxcd.io/") {
        return refusal(404, "404 page not found");
    }
    if path == "/version" {
        let version = json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.1", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        });
        return (200, version);
    }
    if path.ends_with("/customresourcedefinitions") {
        return list(&[
            definition("gitrepositories", "source.toolkit.fluxcd.io"),
            definition("kustomizations", "kustomize.toolkit.fluxcd.io"),
        ]);
    }
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": "flux-system", "generation": 1},
        "spec": {}, "status": {"observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded",
                            "message": "done", "observedGeneration": 1,
                            "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    match path.ends_with("/kustomizations") {
        true => list(&[kustomization]),
        false => list(&[]),
    }
}

#[test]
fn a_flux_without_image_controllers_is_a_whole_one() {
    let api = Api::start(default_flux);
    for (args, expected) in [
        (&["get", "all"][..], 0),
        (&["stats"], 0),
        (&["check"], 0),
        (
            &["check", "--components-extra=image-reflector-controller"],
            1,
        ),
        (&["get", "images", "all"], 1),
        (&["get", "images", "policy"], 1),
    ] {
        let (code, out, err) = run(&api, args);
        assert_eq!(code, Some(expected), "{args:?}: {out}{err}");
        assert_eq!(
            expected == 1,
            err.contains('\u{2717}'),
            "{args:?}: {out}{err}"
        );
    }
    // Its objects are found; the server that has no watch does not say more about them.
    let (_, _, err) = run(&api, &["wait", "--all", "--timeout=100ms"]);
    assert!(err.contains("waiting for 1 objects"), "{err}");
}

/// A program that reads the answer gets one.
#[test]
fn nothing_is_an_empty_list() {
    let api = Api::start(|_| list(&[]));
    let (code, out, err) = run(&api, &["get", "all", "-A", "-o", "json"]);
    assert_eq!(code, Some(0), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["items"], json!([]));
    let (code, out, err) = run(&api, &["get", "all", "-A"]);
    assert_eq!((code, &*out), (Some(0), ""), "{err}");
    assert!(err.contains("No Flux objects found"), "{err}");
}

//! The built program against an API server that answers from a script: what it asks for, and what
//! it makes of answers that a real server gives too seldom to wait for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::process::Output;
use std::sync::Mutex;

use serde_json::{Value, json};

#[path = "cluster/fake.rs"]
mod fake;

use fake::{list, ok, refusal};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn said(output: &Output) -> &str {
    text(&output.stderr)
}

fn kind_of(path: &str) -> &'static str {
    match path {
        path if path.contains("/gitrepositories") => "GitRepository",
        path if path.contains("/kustomizations") => "Kustomization",
        _ => "",
    }
}

/// An object that is ready.
fn object(path: &str, name: &str) -> Value {
    let kind = kind_of(path);
    let group = match kind {
        "GitRepository" => "source.toolkit.fluxcd.io/v1",
        _ => "kustomize.toolkit.fluxcd.io/v1",
    };
    json!({
        "apiVersion": group, "kind": kind,
        "metadata": {
            "name": name, "namespace": "apps", "generation": 1, "resourceVersion": "1", "uid": name,
        },
        "spec": {},
        "status": {
            "observedGeneration": 1,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "fine",
                "observedGeneration": 1,
            }],
        },
    })
}

/// The name that a read or a watch of one object is about.
fn name_of(request: &fake::Request) -> String {
    match request.query.split_once("metadata.name%3D") {
        Some((_, rest)) => rest.split('&').next().unwrap().to_owned(),
        None => request.path.rsplit('/').next().unwrap().to_owned(),
    }
}

#[test]
fn a_source_that_is_missing_holds_back_its_own_only() {
    let asked = Mutex::new(Vec::<String>::new());
    let output = fake::run(
        &[
            "reconcile",
            "ks",
            "a",
            "b",
            "c",
            "--with-source",
            "-n",
            "apps",
            "--timeout=10s",
        ],
        move |request| {
            let name = name_of(request);
            let kind = kind_of(&request.path);
            if kind == "GitRepository" && name == "gone" {
                let status = json!({"kind": "Status", "code": 404, "reason": "NotFound",
                    "message": "\"gone\" not found", "details": {"name": "gone"}});
                return (404, status.to_string());
            }
            if kind.is_empty() {
                return list(&[]);
            }
            let mut found = object(&request.path, &name);
            let source = if name == "a" { "gone" } else { "here" };
            found["spec"] = json!({"sourceRef": {"kind": "GitRepository", "name": source}});
            let mut asked = asked.lock().unwrap();
            let key = format!("{kind}/{name}/");
            if request.method == "PATCH" {
                let token =
                    &request.body["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"];
                asked.push(format!("{key}{}", token.as_str().unwrap()));
            }
            let token = asked.iter().find_map(|line| line.strip_prefix(&key));
            found["status"]["lastHandledReconcileAt"] = token.into();
            match () {
                () if request.query.contains("watch=true") => refusal(403, "no watch"),
                () if request.query.contains("metadata.name") => list(&[found]),
                () => ok(&found),
            }
        },
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "Kustomization a is left alone: its source was not fetched",
        "annotating Kustomization b",
        "annotating Kustomization c",
        "b: applied revision",
        "c: applied revision",
        "gone",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("annotating Kustomization a"), "{said}");
}

//! Reviews as an API server sends them, and what goes back.

use flux_rules::{Context, IngressNginx, Release, Settings};
use serde_json::{Value, json};

use super::*;

fn body(operation: &str, object: &Value, old: Option<&Value>) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "source.toolkit.fluxcd.io", "version": "v1", "kind": "GitRepository"},
            "operation": operation,
            "userInfo": {"username": "kubernetes-admin"},
            "object": object,
            "oldObject": old,
            "dryRun": false,
        },
    });
    serde_json::to_vec(&review).expect("serializable")
}

fn ask(stage: Stage, object: &Value, old: Option<&Value>, context: &Context) -> Value {
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let request = Request::read(&body(operation, object, old)).expect("readable");
    let policy = Policy::new("flux-system");
    let body = request.answer(stage, context, &policy).body;
    assert_eq!(body["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(
        body["response"]["uid"],
        "705ab4f5-6393-11e8-b7cc-42010a800002"
    );
    body["response"].clone()
}

fn repository(spec: &Value) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1beta2",
        "kind": "GitRepository",
        "metadata": {"name": "apps", "namespace": "foo"},
        "spec": spec,
    })
}

#[test]
fn a_good_object_passes_in_silence() {
    let object = repository(&json!({
        "url": "ssh://git@github.com/org/repo.git", "interval": "1m0s", "timeout": "60s",
        "ref": {"branch": "main"}, "secretRef": {"name": "apps"},
    }));
    for stage in [Stage::Mutate, Stage::Validate] {
        let response = ask(stage, &object, None, &Context::default());
        assert_eq!(response, json!({"uid": response["uid"], "allowed": true}));
    }
}

#[test]
fn what_the_schema_would_refuse_is_explained_before_it() {
    let object = repository(&json!({"url": "git@github.com:org/repo", "interval": "1d"}));
    let response = ask(Stage::Mutate, &object, None, &Context::default());
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    assert_eq!(response["status"]["reason"], "Invalid");
    let message = response["status"]["message"].as_str().expect("a message");
    for part in [
        "[GR01]",
        "ssh://git@github.com/org/repo",
        "[GR31]",
        "\"24h\"",
        "[GR20]",
    ] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
}

#[test]
fn required_fields_are_filled_in_and_named() {
    let object = repository(&json!({"url": "https://github.com/org/repo", "ref": {"branch": "m"}}));
    let response = ask(Stage::Mutate, &object, None, &Context::default());
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = STANDARD
        .decode(response["patch"].as_str().expect("a patch"))
        .expect("base64");
    let patch: Value = serde_json::from_slice(&patch).expect("JSON");
    assert_eq!(
        patch,
        json!([{"op": "add", "path": "/spec/interval", "value": "5m"}])
    );
    assert_eq!(
        response["warnings"],
        json!(["[GR30] spec.interval is required and missing: 5m is used. Set it."])
    );
    assert_eq!(
        response["auditAnnotations"],
        json!({"rules": "GR30", "defaults": "/spec/interval", "mode": "enforce"})
    );
}

#[test]
fn what_the_schema_accepts_is_denied_after_it() {
    let object = repository(&json!({
        "url": "ssh://git@github.com/org/repo", "interval": "1m", "ref": {"branch": "main"},
    }));
    let mutated = ask(Stage::Mutate, &object, None, &Context::default());
    assert_eq!(mutated["allowed"], true);
    assert_eq!(
        mutated.get("warnings"),
        None,
        "said once, by the validating webhook"
    );
    let validated = ask(Stage::Validate, &object, None, &Context::default());
    assert_eq!(validated["allowed"], false);
    let unchanged = ask(Stage::Validate, &object, Some(&object), &Context::default());
    assert_eq!(
        unchanged["allowed"], true,
        "an old mistake does not block an update"
    );
    assert_eq!(unchanged["warnings"].as_array().map(Vec::len), Some(1));
}

/// The Ingress of the walk: as it is written, or as an unquoted here-document writes it.
fn ingress(target: &str) -> Value {
    let path = |name: &str| {
        json!({
            "pathType": "Prefix", "path": format!("/{name}(/|$)(.*)"),
            "backend": {"service": {"name": name, "port": {"number": 8080}}},
        })
    };
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "nginx-ingress", "namespace": "ingress-nginx",
            "annotations": {"nginx.ingress.kubernetes.io/rewrite-target": target},
        },
        "spec": {"rules": [{"http": {"paths": [path("foo"), path("bar")]}}]},
    })
}

fn cluster(settings: Settings) -> Context {
    let objects = [
        json!({"kind": "IngressClass", "metadata": {"name": "nginx"},
               "spec": {"controller": "k8s.io/ingress-nginx"}}),
        json!({"kind": "Service", "metadata": {"name": "foo", "namespace": "foo"}}),
    ];
    Context::new(
        settings,
        std::sync::Arc::new(flux_rules::Objects::complete(objects)),
    )
}

fn rules_of(response: &Value) -> Vec<&str> {
    let warnings = response["warnings"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    warnings
        .iter()
        .filter_map(|warning| warning.as_str()?.get(1..5))
        .collect()
}

#[test]
fn every_mistake_of_the_walks_ingress_is_warned_about() {
    let context = cluster(Settings::default());
    let written = ask(Stage::Validate, &ingress("/$2"), None, &context);
    assert_eq!(written["allowed"], true);
    assert_eq!(rules_of(&written), ["IN01", "IN15", "IN30"]);
    let expanded = ask(Stage::Validate, &ingress("/"), None, &context);
    assert_eq!(expanded["allowed"], true);
    assert_eq!(rules_of(&expanded), ["IN01", "IN11", "IN15", "IN30"]);
}

#[test]
fn a_declared_controller_makes_it_a_denial_that_names_all() {
    let controller = IngressNginx::new(Release(1, 12, 1));
    let context = cluster(Settings {
        ingress_nginx: Some(controller),
    });
    let response = ask(Stage::Validate, &ingress("/"), None, &context);
    assert_eq!(response["allowed"], false);
    let message = response["status"]["message"].as_str().expect("a message");
    for (rule, times) in [("[IN15]", 2), ("[IN01]", 1), ("[IN11]", 2), ("[IN30]", 2)] {
        assert_eq!(message.matches(rule).count(), times, "{rule} in {message}");
    }
}

#[test]
fn every_failure_is_a_review() {
    let unreadable: [&[u8]; 4] = [b"", b"{", b"{}", b"{\"request\": {\"uid\": []}}"];
    for body in unreadable {
        let answer = Request::read(body).expect_err("unreadable").body;
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["allowed"], false);
        assert_eq!(answer["response"]["status"]["code"], 400);
    }
    let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "request": {"uid": "7"}});
    let answer = Request::read(old.to_string().as_bytes())
        .expect_err("another version")
        .body;
    assert_eq!(answer["response"]["uid"], "7");
}

#[test]
fn objects_that_nobody_knows_pass() {
    for object in [
        json!(null),
        json!({}),
        json!({"apiVersion": "v1", "kind": "Pod"}),
    ] {
        let response = ask(Stage::Validate, &object, None, &Context::default());
        assert_eq!(response["allowed"], true);
    }
}

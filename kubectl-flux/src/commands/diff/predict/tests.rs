use serde_json::{Value, json};

use super::*;

fn live(managed: &[(&str, Value)]) -> Value {
    let managed: Vec<Value> = managed
        .iter()
        .map(|(manager, fields)| {
            json!({"manager": manager, "operation": "Apply", "fieldsV1": fields})
        })
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "uid": "u", "resourceVersion": "7", "managedFields": managed,
            "annotations": {LAST_APPLIED: "{}"}},
        "spec": {
            "replicas": 2,
            "paused": true,
            "selector": {"matchLabels": {"app": "web", "old": "x"}},
            "template": {"spec": {"containers": [
                {"name": "app", "image": "app:1", "imagePullPolicy": "Always",
                    "resources": {"limits": {"cpu": "500m"}},
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                {"name": "proxy", "image": "proxy:1"},
                {"name": "injected", "image": "mesh:1"}]}}},
        "status": {"replicas": 2},
    })
}

fn ours() -> Value {
    let item = json!({".": {}, "f:name": {}, "f:image": {}, "f:ports": {
        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}});
    json!({"f:spec": {"f:paused": {}, "f:replicas": {}, "f:selector": {},
        "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"app\"}": item,
            "k:{\"name\":\"proxy\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}})
}

fn mesh() -> Value {
    json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"injected\"}": {".": {}, "f:name": {}, "f:image": {}}}}}}})
}

fn desired() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [
                {"name": "app", "image": "app:2", "resources": {"limits": {"cpu": "0.5"}},
                    "ports": [{"containerPort": 80}]}]}}},
    })
}

#[test]
fn an_apply_sets_ours_removes_what_was_ours_and_leaves_the_rest() {
    let live = live(&[("kustomize-controller", ours()), ("mesh", mesh())]);
    let after = stripped(merged(&live, &desired()));
    assert_eq!(
        after["spec"],
        json!({
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [
                {"name": "app", "image": "app:2", "imagePullPolicy": "Always",
                    "resources": {"limits": {"cpu": "500m"}},
                    "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                {"name": "injected", "image": "mesh:1"}]}}})
    );
    assert_eq!(after["metadata"], json!({"name": "web"}));
    assert_eq!(after.get("status"), None);
}

#[test]
fn what_kubectl_applied_and_git_does_not_have_goes() {
    let live = live(&[("kubectl-client-side-apply", ours()), ("mesh", mesh())]);
    let after = taken_over(live.clone(), &live, &desired());
    assert_eq!(after["spec"].get("paused"), None);
    let containers = after["spec"]["template"]["spec"]["containers"].as_array();
    let names: Vec<_> = containers.unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["app", "injected"]);
    assert_eq!(after["spec"]["replicas"], 2, "values are the server's");
}

#[test]
fn encrypted_values_count_as_unchanged() {
    let live = json!({"kind": "Secret", "data": {"a": "b25l"}, "x": "plain"});
    let mut desired = json!({"kind": "Secret",
        "data": {"a": "KipTT1BTKio=", "b": "KipTT1BTKio="}, "x": "ENC[AES256_GCM,data:...]"});
    fill_encrypted(&mut desired, &live);
    assert_eq!(
        desired,
        json!({"kind": "Secret", "data": {"a": "b25l", "b": "KipTT1BTKio="}, "x": "plain"})
    );
}

#[test]
fn quantities() {
    for (one, other, expected) in [
        (json!("500m"), json!("0.5"), true),
        (json!("1Gi"), json!("1024Mi"), true),
        (json!("2"), json!(2), true),
        (json!("1G"), json!("1Gi"), false),
        (json!("x"), json!("x2"), false),
    ] {
        assert_eq!(same_quantity(&one, &other), expected, "{one} {other}");
    }
}

#[test]
fn sets_and_whole_lists() {
    let mut node = json!({"finalizers": ["a", "b"], "rules": [{"host": "x", "filled": 1}]});
    let owned = json!({"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}}, "f:rules": {}});
    let desired = json!({"finalizers": ["c"], "rules": [{"host": "y"}]});
    release(
        &mut node,
        &json!({"f:finalizers": {"v:\"a\"": {}}}),
        Some(&desired),
        &Value::Null,
    );
    overlay(&mut node, &desired, Some(&owned), false);
    assert_eq!(
        node,
        json!({"finalizers": ["b", "c"], "rules": [{"host": "y", "filled": 1}]})
    );
}

//! Waiting: for other Kustomizations, and for health.

use std::time::Duration;

use flux_api::{GitRepository, Kustomization};
use serde_json::json;

use super::{
    manifests::{config_map, deployment, is_ready},
    scene::Scene,
};

/// A dependant that is not woken looks again only after 30 seconds.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_dependant_goes_on_as_soon_as_its_dependency_is_ready() {
    let scene = Scene::start("depends").await;
    let (infra, apps) = (scene.repository("infra"), scene.repository("apps"));
    infra.commit(&[("README", Some("nothing yet\n"))]);
    let revision = apps.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.source("infra", &infra).await;
    scene.source("apps", &apps).await;
    scene
        .kustomization("infra", "infra", "./base", json!({}))
        .await;
    let depends = json!({"dependsOn": [{"name": "infra"}]});
    scene.kustomization("apps", "apps", "./", depends).await;
    let dependency = format!("'{}/infra'", scene.namespace);
    let words = ["dependency", &dependency, "not ready", "./base"];
    scene
        .says::<Kustomization>("apps", "False", "DependencyNotReady", &words)
        .await;
    assert_eq!(scene.value("app").await, None);

    scene.others_go_on().await;
    infra.commit(&[("base/base.yaml", Some(&config_map("base", "1")))]);
    scene.request::<GitRepository>("infra").await;
    scene
        .until_within::<Kustomization, _>(AT_ONCE, "apps", "is released", is_ready)
        .await;
    scene.applied("apps", &revision).await;
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn each_commit_passes_through_a_chain_of_dependencies_at_once() {
    let scene = Scene::start("chain").await;
    let repository = scene.repository("apps");
    let names = ["first", "second", "third"];
    let commit = |value: &str| {
        let files = names.map(|name| (format!("{name}/app.yaml"), config_map(name, value)));
        let files = files
            .each_ref()
            .map(|(f, c)| (f.as_str(), Some(c.as_str())));
        repository.commit(&files)
    };
    let mut revision = commit("0");
    scene.source("apps", &repository).await;
    for (index, name) in names.into_iter().enumerate() {
        let depends: Vec<_> = names[..index].iter().map(|n| json!({"name": n})).collect();
        let (path, fields) = (format!("./{name}"), json!({"dependsOn": depends}));
        scene.kustomization(name, "apps", &path, fields).await;
    }
    for value in ["1", "2", "3", "4", "5"] {
        scene.applied_within(AT_ONCE, "third", &revision).await;
        revision = commit(value);
        scene.request::<GitRepository>("apps").await;
    }
    for name in names {
        scene.applied_within(AT_ONCE, name, &revision).await;
    }
    scene.others_go_on().await;
}

#[tokio::test]
async fn those_that_wait_for_each_other_say_so_and_rest() {
    let scene = Scene::start("circle").await;
    let repository = scene.repository("apps");
    let revision = repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.source("apps", &repository).await;
    for (name, other) in [("hen", "egg"), ("egg", "hen")] {
        let depends = json!({"dependsOn": [{"name": other}]});
        scene.kustomization(name, "apps", "./", depends).await;
    }
    for (name, other) in [("hen", "egg"), ("egg", "hen")] {
        let namespace = &scene.namespace;
        let circle = format!("{namespace}/{name} -> {namespace}/{other} -> {namespace}/{name}");
        let words = ["cycle", &circle, "spec.dependsOn"];
        scene
            .says::<Kustomization>(name, "False", "DependencyNotReady", &words)
            .await;
    }
    scene.others_go_on().await;
    scene.kustomization("hen", "apps", "./", json!({})).await;
    scene.applied_within(AT_ONCE, "egg", &revision).await;
}

#[tokio::test]
async fn waiting_for_health_holds_nobody_up() {
    let scene = Scene::start("health").await;
    let repository = scene.repository("apps");
    // There is no node: its pod stays pending.
    let web = deployment("web", "web");
    let settings = config_map("settings", "1");
    repository.commit(&[
        ("web/web.yaml", Some(&web)),
        ("web/settings.yaml", Some(&settings)),
        ("empty/README", Some("no objects\n")),
    ]);
    scene.source("apps", &repository).await;
    let wait = |timeout: &str| json!({"wait": true, "timeout": timeout});
    scene
        .kustomization("web", "apps", "./web", wait("5m"))
        .await;
    // More of them than the operator reconciles at once.
    let check = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}]);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        let fields = json!({"healthChecks": check, "timeout": "5m"});
        scene.kustomization(name, "apps", "./empty", fields).await;
    }
    for name in names.into_iter().chain(["web"]) {
        let words = ["health checks", "5m0s"];
        scene
            .says::<Kustomization>(name, "Unknown", "Progressing", &words)
            .await;
    }
    scene.others_go_on().await;

    scene
        .kustomization("web", "apps", "./web", wait("1s"))
        .await;
    let object = format!("Deployment/{}/web", scene.namespace);
    let words = ["health check failed", "timeout", &object, "available: 0/1"];
    let failed = scene
        .says::<Kustomization>("web", "False", "HealthCheckFailed", &words)
        .await;
    assert!(
        !failed["status"].to_string().contains("ConfigMap/"),
        "what is well is not blamed: {}",
        failed["status"]
    );

    // Without replicas there is nothing to wait for: all six are released by the same commit.
    let web = web.replace("spec:\n  selector", "spec:\n  replicas: 0\n  selector");
    let revision = repository.commit(&[("web/web.yaml", Some(&web))]);
    scene.request::<GitRepository>("apps").await;
    for name in names.into_iter().chain(["web"]) {
        scene.applied(name, &revision).await;
    }
}

//! Commits that cannot be built or applied.

use flux_api::{GitRepository, Kustomization};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event},
};
use kube::api::ListParams;
use serde_json::json;

use super::{
    manifests::{condition, config_map, deployment},
    scene::{Repository, Scene},
};

const APPS: &str = "apps";

/// A source and a Kustomization of its folder `apps`, ready with these files.
async fn working(name: &str, files: &[(&str, Option<&str>)]) -> (Scene, Repository) {
    let scene = Scene::start(name).await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(files);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./apps", json!({})).await;
    scene.applied(APPS, &revision).await;
    (scene, repository)
}

#[tokio::test]
async fn yaml_that_cannot_be_read_is_pointed_at() {
    let good = config_map("good", "1");
    let (scene, repository) = working("yaml", &[("apps/good.yaml", Some(&good))]).await;
    let bad =
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n  labels: {a: b\ndata: {}\n";
    let next = config_map("good", "2");
    let files = [
        ("apps/bad.yaml", Some(bad)),
        ("apps/good.yaml", Some(&next)),
    ];
    let revision = repository.commit(&files);
    scene.request::<GitRepository>(APPS).await;
    let words = ["apps/bad.yaml:6:", "invalid YAML"];
    let object = scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &words)
        .await;
    assert_eq!(object["status"]["lastAttemptedRevision"], revision);
    assert_ne!(object["status"]["lastAppliedRevision"], revision);
    // Nothing of it was applied, and what was there stays.
    assert_eq!(scene.value("good").await.as_deref(), Some("1"));

    scene.others_go_on().await;
    let revision = repository.commit(&[("apps/bad.yaml", Some(&config_map("bad", "1")))]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    assert_eq!(scene.value("good").await.as_deref(), Some("2"));
    assert_eq!(scene.value("bad").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_named_with_those_that_do() {
    let app = config_map("app", "1");
    let (scene, repository) = working("path", &[("apps/app.yaml", Some(&app))]).await;
    scene.kustomization(APPS, APPS, "./aps", json!({})).await;
    let words = ["./aps", "not a directory", "./apps"];
    scene
        .says::<Kustomization>(APPS, "False", "ArtifactFailed", &words)
        .await;
    assert_eq!(
        scene.value("app").await.as_deref(),
        Some("1"),
        "nothing is pruned"
    );

    scene.others_go_on().await;
    let files = [
        ("aps/app.yaml", Some(app.as_str())),
        ("apps/app.yaml", None),
    ];
    let revision = repository.commit(&files);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
}

#[tokio::test]
async fn a_link_in_place_of_a_kustomization_file_is_named_once() {
    let app = |value: &str| config_map("app", value);
    let (scene, repository) = working("link", &[("apps/app.yaml", Some(&app("1")))]).await;
    let file = "apps/kustomization.yaml";
    let link = repository.copy.dir().join(file);
    std::os::unix::fs::symlink("../base/kustomization.yaml", &link).unwrap();
    let list = "resources: [app.yaml]\n";
    repository.commit(&[("base/kustomization.yaml", Some(list))]);
    for value in ["2", "3"] {
        let revision = repository.commit(&[("apps/app.yaml", Some(&app(value)))]);
        scene.request::<GitRepository>(APPS).await;
        scene.applied(APPS, &revision).await;
        // As if there were no such file.
        assert_eq!(scene.value("app").await.as_deref(), Some(value));
    }
    let object = async || {
        let object = scene.api::<Kustomization>().get(APPS).await.unwrap();
        serde_json::to_value(object).unwrap()
    };
    let named = condition(&object().await, "LinkLeftOut");
    let message = named["message"].as_str().unwrap();
    assert!(
        message.starts_with("./apps/kustomization.yaml is a symbolic link"),
        "{message}"
    );
    let params = ListParams::default().fields("reason=LinkLeftOut,type=Warning");
    let events = scene.api::<Event>().list(&params).await.unwrap().items;
    let counts: Vec<_> = events.iter().map(|event| &event.data["count"]).collect();
    assert_eq!(counts, [1], "{events:#?}");

    std::fs::remove_file(link).unwrap();
    let revision = repository.commit(&[(file, Some(list))]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    assert!(condition(&object().await, "LinkLeftOut").is_null());
}

#[tokio::test]
async fn objects_that_the_api_server_refuses_keep_no_others_back() {
    let (changed, left) = (config_map("changed", "1"), config_map("left", "1"));
    let files = [
        ("apps/changed.yaml", Some(changed.as_str())),
        ("apps/left.yaml", Some(left.as_str())),
    ];
    let (scene, repository) = working("refused", &files).await;
    let [changed, new] = [("changed", "2"), ("new", "1")].map(|(n, v)| config_map(n, v));
    let misnamed = format!("# A name\n---\n{}", config_map("Not_A_Name", "1"));
    let revision = repository.commit(&[
        ("apps/changed.yaml", Some(&changed)),
        ("apps/left.yaml", None),
        ("apps/new.yaml", Some(&new)),
        ("apps/misnamed.yaml", Some(&misnamed)),
        ("apps/web.yaml", Some(&deployment("web", "other"))),
    ]);
    scene.request::<GitRepository>(APPS).await;
    let namespace = &scene.namespace;
    let words = [
        &format!("ConfigMap/{namespace}/Not_A_Name dry-run failed (Invalid)"),
        "metadata.name",
        "[apps/misnamed.yaml:3]",
        &format!("Deployment/{namespace}/web dry-run failed (Invalid)"),
        "selector",
        "[apps/web.yaml:1]",
        "The 2 other objects of this revision are applied",
        "nothing was pruned",
    ];
    let object = scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;
    assert_eq!(object["status"]["lastAttemptedRevision"], revision);
    assert_ne!(object["status"]["lastAppliedRevision"], revision);
    for (name, value) in [("changed", "2"), ("new", "1"), ("left", "1")] {
        assert_eq!(scene.value(name).await.as_deref(), Some(value), "{name}");
    }

    scene.others_go_on().await;
    let revision = repository.commit(&[
        ("apps/misnamed.yaml", None),
        ("apps/web.yaml", Some(&deployment("web", "web"))),
    ]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    scene.gone::<ConfigMap>("left").await;
    scene.api::<Deployment>().get("web").await.unwrap();
    let object = scene.api::<Kustomization>().get(APPS).await.unwrap();
    let entries = object.data["status"]["inventory"]["entries"].clone();
    let expected = ["__ConfigMap", "__ConfigMap", "_apps_Deployment"];
    let ids: Vec<_> = ["changed", "new", "web"]
        .iter()
        .zip(expected)
        .map(|(name, kind)| format!("{namespace}_{name}{kind}"))
        .collect();
    let found: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn values_of_secrets_are_refused_without_being_shown() {
    let app = config_map("app", "1");
    let (scene, repository) = working("shown", &[("apps/app.yaml", Some(app.as_str()))]).await;
    scene.secret("keys", &[("PIN", "471147")]).await;
    let keys = json!({"substituteFrom": [{"kind": "Secret", "name": "keys"}]});
    let spec = json!({"spec": {"postBuild": keys}});
    scene.patch::<Kustomization>(APPS, spec).await;
    let data = "data:\n  pin: ${PIN}\n";
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  port: 543254\n";
    let config = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: pin\n{data}");
    repository.commit(&[
        ("apps/secret.yaml", Some(secret)),
        ("apps/config.yaml", Some(&config)),
    ]);
    scene.request::<GitRepository>(APPS).await;
    let words = [
        "stringData.port must be a text and is a number; write it in quotes (those around",
        "[apps/secret.yaml:1]",
        "data.pin: expected string, got ${PIN} (quotes count only as part of",
        "[apps/config.yaml:1]",
    ];
    let object = scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;
    let said = object["status"].to_string();
    for secret in ["471147", "543254"] {
        assert!(!said.contains(secret), "{said}");
    }
    scene.secret("keys", &[("PIN", "\"471147\"")]).await;
    let secret = secret.replace("543254", "\"543254\"");
    let revision = repository.commit(&[("apps/secret.yaml", Some(&secret))]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    scene.others_go_on().await;
}

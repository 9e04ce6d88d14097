//! The operator is killed and starts again: nobody notices.

use std::collections::BTreeMap;

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use flux_tests::{endurance::kills, sandbox::git::Access};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::{Resource, api::ListParams};
use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    manifests::{condition, config_map},
    scene::Scene,
};

const APP: &str = "app";

/// Everything that is of one kind in the namespace: its conditions without messages.
async fn conditions<K: Resource<DynamicType = ()>>(
    scene: &Scene,
    into: &mut BTreeMap<String, Value>,
) {
    let list = scene.api::<K>().list(&ListParams::default()).await.unwrap();
    for object in list {
        let object = serde_json::to_value(object).unwrap();
        let name = format!("{}/{}", K::kind(&()), object["metadata"]["name"]);
        into.insert(name, object["status"]["conditions"].clone());
    }
}

/// What must not change: all conditions of all objects, with times and messages, and the Warning
/// events with their counts.
async fn picture(scene: &Scene) -> BTreeMap<String, Value> {
    let mut picture = BTreeMap::new();
    conditions::<GitRepository>(scene, &mut picture).await;
    conditions::<Kustomization>(scene, &mut picture).await;
    conditions::<ImageRepository>(scene, &mut picture).await;
    conditions::<ImagePolicy>(scene, &mut picture).await;
    conditions::<ImageUpdateAutomation>(scene, &mut picture).await;
    let warnings = ListParams::default().fields("type=Warning");
    for event in scene.api::<Event>().list(&warnings).await.unwrap() {
        let name = format!("Event/{}", event.data["message"]);
        picture.insert(name, event.data["count"].clone());
    }
    picture
}

#[tokio::test]
async fn a_killed_operator_comes_back_without_a_flicker() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "restart").await;
    let repository = scene.repository(APP);
    let image_path = format!("{}/{APP}", scene.namespace);
    let registry = scene.env.registry().unwrap();
    registry.push_tags(&image_path, &["1.0.0"]).await.unwrap();
    let image = registry.image(&image_path);
    let marker = format!("# {{\"$imagepolicy\": \"{}:{APP}\"}}", scene.namespace);
    let value = format!("{image}:1.0.0");
    let marked = config_map(APP, &value).replace("0\"\n", &format!("0\" {marker}\n"));
    repository.commit(&[
        ("app/app.yaml", Some(&marked)),
        ("next/app.yaml", Some(&config_map("next", "1"))),
    ]);
    scene.source(APP, &repository).await;
    scene
        .kustomization(APP, APP, "./app", json!({"wait": true}))
        .await;
    let depends = json!({"dependsOn": [{"name": APP}]});
    scene.kustomization("next", APP, "./next", depends).await;
    let spec = json!({"image": image, "interval": "10m"});
    scene.apply::<ImageRepository>(APP, spec).await;
    let policy = json!({
        "imageRepositoryRef": {"name": APP},
        "policy": {"semver": {"range": "*"}},
    });
    scene.apply::<ImagePolicy>(APP, policy).await;
    scene.ready::<ImagePolicy>(APP).await;
    let automation = json!({
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": APP},
        "git": {"commit": {"author": {"email": "bot@example.com"}}},
    });
    scene.apply::<ImageUpdateAutomation>(APP, automation).await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
    scene.ready::<Kustomization>(APP).await;
    scene.ready::<Kustomization>("next").await;
    scene.ready::<Kustomization>("bystander").await;

    let before = picture(&scene).await;
    for conditions in before.values() {
        let object = json!({"status": {"conditions": conditions}});
        assert_eq!(condition(&object, "Ready")["status"], "True", "{before:#?}");
    }
    for empty in [false, true] {
        operator.crash(scene.env, empty).await;
        // Handled requests prove that each has had its first run of the new process.
        scene.reconcile::<GitRepository>(APP).await;
        scene.reconcile::<Kustomization>(APP).await;
        scene.reconcile::<Kustomization>("next").await;
        scene.reconcile::<ImageRepository>(APP).await;
        scene.reconcile::<ImagePolicy>(APP).await;
        scene.reconcile::<ImageUpdateAutomation>(APP).await;
        assert_eq!(picture(&scene).await, before, "empty storage: {empty}");
    }
    scene.others_go_on().await;
}

#[tokio::test]
async fn killed_at_any_moment_it_loses_nothing_and_leaves_nothing_behind() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "killed").await;
    let report = kills::run(scene.env, &scene.namespace, 5, async || {
        operator.crash(scene.env, false).await;
        Ok(())
    });
    eprintln!("{:?}", report.await.unwrap());
    scene.others_go_on().await;
}

#[tokio::test]
async fn what_lost_its_source_stays_ready_and_answers_when_asked() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "lost").await;
    let repository = scene.repository(APP);
    let revision = repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    scene.source(APP, &repository).await;
    scene.kustomization(APP, APP, "./", json!({})).await;
    scene.applied(APP, &revision).await;
    let before = scene.api::<Kustomization>().get(APP).await.unwrap();

    let path = scene.git().repository_path(&repository.name);
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    operator.crash(scene.env, true).await;
    scene.request::<GitRepository>(APP).await;
    let words = [repository.name.as_str(), "not found"];
    scene
        .says::<GitRepository>(APP, "False", "GitOperationFailed", &words)
        .await;
    scene.others_go_on().await;
    let after = scene.api::<Kustomization>().get(APP).await.unwrap();
    assert_eq!(after.data["status"], before.data["status"]);

    scene.reconcile::<Kustomization>(APP).await;
    scene
        .says::<Kustomization>(APP, "False", "ArtifactFailed", &words)
        .await;
    assert_eq!(scene.value(APP).await.as_deref(), Some("1"));
    std::fs::rename(&away, &path).unwrap();
    scene.request::<GitRepository>(APP).await;
    scene.applied(APP, &revision).await;
}

#[tokio::test]
async fn what_is_suspended_keeps_its_rules_until_it_is_resumed() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "suspended").await;
    let repository = scene.repository(APP);
    let revision = repository.commit(&[
        ("kept.yaml", Some(&config_map("kept", "1"))),
        ("left.yaml", Some(&config_map("left", "1"))),
    ]);
    scene.source(APP, &repository).await;
    scene.kustomization(APP, APP, "./", json!({})).await;
    scene.applied(APP, &revision).await;
    let artifact = async || {
        let object = scene.api::<GitRepository>().get(APP).await.unwrap();
        object.data["status"]["artifact"].clone()
    };
    let before = artifact().await;
    let change = json!({"spec": {"suspend": true, "ignore": "left.yaml"}});
    scene.patch::<GitRepository>(APP, change).await;
    operator.crash(scene.env, false).await;
    // It builds again, whatever it knows of the last build.
    let path = json!({"commonMetadata": {"labels": {"built": "again"}}});
    scene.kustomization(APP, APP, "./", path).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("left").await.as_deref(), Some("1"));
    assert_eq!(artifact().await, before);

    scene
        .patch::<GitRepository>(APP, json!({"spec": {"suspend": false}}))
        .await;
    scene.gone::<ConfigMap>("left").await;
    assert_eq!(scene.value("kept").await.as_deref(), Some("1"));
    assert_ne!(artifact().await["digest"], before["digest"]);
    scene.others_go_on().await;
}

#[tokio::test]
async fn a_source_outlives_its_secret() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "secretless").await;
    let repository = scene.repository(APP);
    let revision = repository.commit(&[
        ("1/app.yaml", Some(&config_map("one", "1"))),
        ("2/app.yaml", Some(&config_map("two", "1"))),
        ("3/app.yaml", Some(&config_map("three", "1"))),
    ]);
    let [right, wrong] = ["right", "wrong"].map(|name| scene.key(name));
    scene.add_deploy_key(&repository, &right, Access::ReadOnly);
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(APP, &right, &known_hosts).await;
    scene.ssh_source(APP, &repository).await;
    scene.kustomization(APP, APP, "./1", json!({})).await;
    scene.applied(APP, &revision).await;

    scene.ssh_secret(APP, &wrong, &known_hosts).await;
    scene
        .says::<GitRepository>(APP, "False", "AuthenticationFailed", &[])
        .await;
    operator.crash(scene.env, false).await;
    scene.kustomization(APP, APP, "./2", json!({})).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("two").await.as_deref(), Some("1"));

    scene
        .patch::<GitRepository>(APP, json!({"spec": {"suspend": true}}))
        .await;
    scene.delete::<Secret>(APP).await;
    operator.crash(scene.env, false).await;
    scene.kustomization(APP, APP, "./3", json!({})).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("three").await.as_deref(), Some("1"));

    scene.ssh_secret(APP, &right, &known_hosts).await;
    scene
        .patch::<GitRepository>(APP, json!({"spec": {"suspend": false}}))
        .await;
    scene.ready::<GitRepository>(APP).await;
    scene.others_go_on().await;
}

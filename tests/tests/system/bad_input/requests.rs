//! Suspension and requests, for all five kinds.

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use serde_json::json;

use super::{
    manifests::{condition, config_map},
    scene::Scene,
};

const APP: &str = "app";

#[tokio::test]
async fn what_is_suspended_does_nothing_until_it_is_resumed() {
    let scene = Scene::start("suspended").await;
    let repository = scene.repository(APP);
    let revision = repository.commit(&[
        ("quiet/app.yaml", Some(&config_map("quiet", "1"))),
        ("loud/app.yaml", Some(&config_map("loud", "1"))),
    ]);
    scene.source(APP, &repository).await;
    for name in ["quiet", "loud"] {
        let path = format!("./{name}");
        scene.kustomization(name, APP, &path, json!({})).await;
        scene.applied(name, &revision).await;
    }
    let suspend = |suspended: bool| json!({"spec": {"suspend": suspended}});
    scene.patch::<Kustomization>("quiet", suspend(true)).await;
    scene.request::<Kustomization>("quiet").await;
    let next = repository.commit(&[
        ("quiet/app.yaml", Some(&config_map("quiet", "2"))),
        ("loud/app.yaml", Some(&config_map("loud", "2"))),
    ]);
    scene.request::<GitRepository>(APP).await;
    scene.applied("loud", &next).await;
    // Whatever the commit and the request set off has had its turn before this.
    scene.others_go_on().await;
    assert_eq!(scene.value("quiet").await.as_deref(), Some("1"));
    let quiet = scene.api::<Kustomization>().get("quiet").await.unwrap();
    assert_eq!(quiet.data["status"]["lastAppliedRevision"], revision);
    assert_eq!(quiet.data["status"]["lastHandledReconcileAt"], json!(null));

    scene.patch::<Kustomization>("quiet", suspend(false)).await;
    scene.applied("quiet", &next).await;
    assert_eq!(scene.value("quiet").await.as_deref(), Some("2"));

    // A suspended source fetches nothing: what reads it stays where it is.
    scene.patch::<GitRepository>(APP, suspend(true)).await;
    repository.commit(&[("loud/app.yaml", Some(&config_map("loud", "3")))]);
    scene.request::<GitRepository>(APP).await;
    scene.reconcile::<Kustomization>("loud").await;
    assert_eq!(scene.value("loud").await.as_deref(), Some("2"));

    // What is suspended and deleted leaves its objects alone.
    scene.patch::<Kustomization>("loud", suspend(true)).await;
    scene.delete::<Kustomization>("loud").await;
    scene.gone::<Kustomization>("loud").await;
    assert_eq!(scene.value("loud").await.as_deref(), Some("2"));
}

#[tokio::test]
async fn requests_are_handled_by_all_five_kinds() {
    let scene = Scene::start("requests").await;
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry.push_tags(&path, &["1.0.0"]).await.unwrap();
    let repository = scene.repository(APP);
    repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    let key = scene.key("deploy");
    scene.add_deploy_key(
        &repository,
        &key,
        flux_tests::sandbox::git::Access::ReadOnly,
    );
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(APP, &key, &known_hosts).await;
    scene.ssh_source(APP, &repository).await;
    scene.kustomization(APP, APP, "./", json!({})).await;
    let image = json!({"image": registry.image(&path), "interval": "10m"});
    scene.apply::<ImageRepository>(APP, image).await;
    let policy = json!({
        "imageRepositoryRef": {"name": APP},
        "policy": {"semver": {"range": "*"}},
    });
    scene.apply::<ImagePolicy>(APP, policy).await;
    let automation = json!({
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": APP},
        "git": {"commit": {"author": {"email": "bot@example.com"}}},
    });
    scene.apply::<ImageUpdateAutomation>(APP, automation).await;
    scene.ready::<GitRepository>(APP).await;
    scene.ready::<Kustomization>(APP).await;
    scene.ready::<ImageRepository>(APP).await;
    scene.ready::<ImagePolicy>(APP).await;
    scene.ready::<ImageUpdateAutomation>(APP).await;

    scene.reconcile::<GitRepository>(APP).await;
    scene.reconcile::<Kustomization>(APP).await;
    scene.reconcile::<ImageRepository>(APP).await;
    scene.reconcile::<ImagePolicy>(APP).await;
    scene.reconcile::<ImageUpdateAutomation>(APP).await;

    // One that fails is handled, too: a person who asks wants to hear of it.
    scene.kustomization(APP, APP, "./nowhere", json!({})).await;
    scene.reconcile::<Kustomization>(APP).await;
    let failed = scene.api::<Kustomization>().get(APP).await.unwrap();
    let failed = serde_json::to_value(failed).unwrap();
    assert_eq!(condition(&failed, "Ready")["reason"], "ArtifactFailed");
    scene.others_go_on().await;
}

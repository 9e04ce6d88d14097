//! Pushing without being allowed to.

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use flux_tests::sandbox::git::Access;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::{
    manifests::{deployment, fingerprint},
    scene::Scene,
};

const APP: &str = "app";

#[tokio::test]
async fn a_read_only_deploy_key_piles_up_no_commit() {
    let scene = Scene::start("read-only").await;
    let repository = scene.repository("apps");
    let registry = scene.env.registry().unwrap();
    let image_path = format!("{}/{APP}", scene.namespace);
    let image = registry.image(&image_path);
    registry
        .push_tags(&image_path, &["1.0.0", "1.1.0"])
        .await
        .unwrap();
    let marked = |tag: &str| {
        let marker = format!("# {{\"$imagepolicy\": \"{}:{APP}\"}}", scene.namespace);
        deployment(APP, APP).replace("app:1\n", &format!("{image}:{tag} {marker}\n"))
    };
    repository.commit(&[("app.yaml", Some(&marked("1.0.0")))]);
    let key = scene.key("deploy");
    scene.add_deploy_key(&repository, &key, Access::ReadOnly);
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(APP, &key, &known_hosts).await;
    scene.ssh_source(APP, &repository).await;
    scene.kustomization(APP, APP, "./", json!({})).await;
    scene
        .apply::<ImageRepository>(APP, json!({"image": image, "interval": "10m"}))
        .await;
    let policy = json!({
        "imageRepositoryRef": {"name": APP},
        "policy": {"semver": {"range": "1.x"}},
    });
    scene.apply::<ImagePolicy>(APP, policy).await;
    let automation = json!({
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": APP},
        "git": {"commit": {"author": {"name": "bot", "email": "bot@example.com"}}},
    });
    scene.apply::<ImageUpdateAutomation>(APP, automation).await;

    let (host, ours) = (
        format!("127.0.0.1:{}", scene.git().ssh_port()),
        fingerprint(&key.public),
    );
    let words = [
        "read-only",
        &ours,
        &host,
        &repository.name,
        "Allow write access",
    ];
    let refused = async || {
        scene
            .says::<ImageUpdateAutomation>(APP, "False", "GitOperationFailed", &words)
            .await
    };
    refused().await;
    // Again, and again with another tag: what was not pushed is forgotten, not kept for later.
    scene.reconcile::<ImageUpdateAutomation>(APP).await;
    registry.push_tags(&image_path, &["1.2.0"]).await.unwrap();
    scene.request::<ImageRepository>(APP).await;
    scene
        .says::<ImagePolicy>(APP, "True", "Succeeded", &["resolved to 1.2.0"])
        .await;
    scene.reconcile::<ImageUpdateAutomation>(APP).await;
    refused().await;
    let commits = || {
        repository.copy.pull().unwrap();
        repository
            .copy
            .git(&["rev-list", "--count", "HEAD"])
            .unwrap()
    };
    assert_eq!(commits(), "1");
    scene.ready::<GitRepository>(APP).await;
    scene.others_go_on().await;

    scene.git().remove_key(&key.public).unwrap();
    scene.add_deploy_key(&repository, &key, Access::ReadWrite);
    scene.request::<ImageUpdateAutomation>(APP).await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
    assert_eq!(commits(), "2");
    assert_eq!(repository.copy.read("app.yaml").unwrap(), marked("1.2.0"));
    let revision = format!("main@sha1:{}", repository.copy.head().unwrap());
    scene
        .until::<Kustomization, _>(APP, "has applied the commit", |object| {
            let applied = &object["status"]["lastAppliedRevision"];
            (*applied == revision)
                .then_some(())
                .ok_or_else(|| applied.to_string())
        })
        .await;
    let running = scene.api::<Deployment>().get(APP).await.unwrap();
    assert_eq!(
        running.data["spec"]["template"]["spec"]["containers"][0]["image"],
        format!("{image}:1.2.0")
    );
}

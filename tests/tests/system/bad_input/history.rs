//! What is written into `status.history`, and what is not.

use flux_api::{GitRepository, Kustomization};
use serde_json::json;

use super::{
    manifests::{config_map, deployment},
    scene::Scene,
};

const APPS: &str = "apps";

#[tokio::test]
async fn runs_that_end_before_their_build_are_no_history() {
    let scene = Scene::start("history").await;
    let repository = scene.repository(APPS);
    let good = repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.source(APPS, &repository).await;
    let fields = json!({"wait": true, "retryInterval": "1s"});
    scene.kustomization(APPS, APPS, "./", fields).await;
    scene.applied(APPS, &good).await;
    let history = async || {
        let object = scene.api::<Kustomization>().get(APPS).await.unwrap();
        object.data["status"]["history"].clone()
    };
    let before = history().await;
    assert_eq!(before[0]["metadata"]["revision"], good);

    let bad = repository.commit(&[("app.yaml", Some("kind: {\n"))]);
    scene.request::<GitRepository>(APPS).await;
    let object = scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &["app.yaml"])
        .await;
    assert_eq!(object["status"]["lastAttemptedRevision"], bad);
    scene.reconcile::<Kustomization>(APPS).await;
    assert_eq!(history().await, before);
    // Something to wait for that does not come: neither is that an outcome of a build.
    let depends = json!({"dependsOn": [{"name": "nobody"}]});
    scene
        .patch::<Kustomization>(APPS, json!({"spec": depends}))
        .await;
    scene
        .says::<Kustomization>(APPS, "False", "DependencyNotReady", &["nobody"])
        .await;
    assert_eq!(history().await, before);

    // A wait that ends badly is one: of the build that was waited for.
    let slow = repository.commit(&[
        ("app.yaml", Some(&config_map("app", "2"))),
        ("never.yaml", Some(&deployment("never", "never"))),
    ]);
    scene.request::<GitRepository>(APPS).await;
    let free = json!({"spec": {"dependsOn": null, "timeout": "2s", "retryInterval": "10m"}});
    scene.patch::<Kustomization>(APPS, free).await;
    scene
        .says::<Kustomization>(APPS, "False", "HealthCheckFailed", &["never"])
        .await;
    let after = history().await;
    assert_eq!(after[0]["metadata"]["revision"], slow);
    assert_eq!(after[0]["lastReconciledStatus"], "HealthCheckFailed");
    assert_ne!(after[0]["digest"], before[0]["digest"]);
}

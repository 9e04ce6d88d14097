//! What goes along with a Kustomization that is deleted: the four policies.

use flux_api::Kustomization;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{manifests::config_map, scene::Scene};

const APPS: &str = "apps";

#[tokio::test]
async fn a_deletion_policy_decides_what_goes_along() {
    let scene = Scene::start("deletion").await;
    let repository = scene.repository(APPS);
    let cases = [
        ("mirrors-pruning", "MirrorPrune", true, false),
        ("mirrors-keeping", "MirrorPrune", false, true),
        ("deletes", "Delete", false, false),
        ("orphans", "Orphan", true, true),
    ];
    let waits = "waits";
    for name in cases.map(|case| case.0).into_iter().chain([waits]) {
        let file = format!("{name}/app.yaml");
        repository
            .copy
            .write(&file, &config_map(name, "1"))
            .unwrap();
    }
    let revision = repository.commit(&[]);
    scene.source(APPS, &repository).await;
    for (name, policy, prune, _) in cases {
        let fields = json!({"deletionPolicy": policy, "prune": prune});
        let path = format!("./{name}");
        scene.kustomization(name, APPS, &path, fields).await;
    }
    let wait = |timeout: &str| json!({"deletionPolicy": "WaitForTermination", "prune": false, "timeout": timeout});
    scene
        .kustomization(waits, APPS, "./waits", wait("5m"))
        .await;
    for name in cases.map(|case| case.0).into_iter().chain([waits]) {
        scene.applied(name, &revision).await;
    }

    for (name, policy, _, stays) in cases {
        scene.delete::<Kustomization>(name).await;
        scene.gone::<Kustomization>(name).await;
        if !stays {
            scene.gone::<ConfigMap>(name).await;
        }
        let found = scene.value(name).await;
        assert_eq!(found.is_some(), stays, "{policy}");
    }

    // Something else holds the object back: the Kustomization stays as long as it does.
    let held = |finalizers| json!({"metadata": {"finalizers": finalizers}});
    let hold = held(json!(["example.com/hold"]));
    scene.patch::<ConfigMap>(waits, hold).await;
    scene.delete::<Kustomization>(waits).await;
    scene
        .until::<ConfigMap, _>(waits, "is being deleted", |object| {
            let at = &object["metadata"]["deletionTimestamp"];
            at.is_string()
                .then_some(())
                .ok_or_else(|| "not yet".to_owned())
        })
        .await;
    scene.others_go_on().await;
    let object = scene.api::<Kustomization>().get(waits).await.unwrap();
    assert!(object.metadata.deletion_timestamp.is_some());
    scene.patch::<ConfigMap>(waits, held(json!(null))).await;
    scene.gone::<Kustomization>(waits).await;
    assert_eq!(scene.value(waits).await, None);

    // It does so for as long as the timeout.
    scene
        .kustomization(waits, APPS, "./waits", wait("1s"))
        .await;
    scene.applied(waits, &revision).await;
    let hold = held(json!(["example.com/hold"]));
    scene.patch::<ConfigMap>(waits, hold).await;
    scene.delete::<Kustomization>(waits).await;
    scene.gone::<Kustomization>(waits).await;
    assert!(scene.value(waits).await.is_some());
    scene.patch::<ConfigMap>(waits, held(json!(null))).await;
}

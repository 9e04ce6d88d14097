//! Objects that more than one Kustomization has to do with, and who may delete them.

use flux_api::{GitRepository, Kustomization};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use serde_json::json;

use super::{manifests::config_map, scene::Scene};

const APPS: &str = "apps";

#[tokio::test]
async fn an_object_moves_to_another_kustomization_and_stays() {
    let scene = Scene::start("moves").await;
    let repository = scene.repository(APPS);
    let (shared, other) = (config_map("shared", "1"), config_map("other", "1"));
    // The one is built in no time, the other by kustomize.
    let kustomization = "resources: [other.yaml]\nnameSuffix: -suffix\n";
    let both = "resources: [other.yaml, shared.yaml]\ncommonAnnotations: {a: b}\n";
    let mut revision = repository.commit(&[
        ("quick/other.yaml", Some(&config_map("quick", "1"))),
        ("quick/shared.yaml", Some(&shared)),
        ("slow/other.yaml", Some(&other)),
        ("slow/kustomization.yaml", Some(kustomization)),
    ]);
    scene.source(APPS, &repository).await;
    for name in ["quick", "slow"] {
        let path = format!("./{name}");
        scene.kustomization(name, APPS, &path, json!({})).await;
        scene.applied(name, &revision).await;
    }
    let uid = async || {
        let object = scene.api::<ConfigMap>().get("shared").await.unwrap();
        object.metadata.uid.unwrap()
    };
    let before = uid().await;
    for to_slow in [true, false, true] {
        let (from, to) = match to_slow {
            true => ("quick/shared.yaml", "slow/shared.yaml"),
            false => ("slow/shared.yaml", "quick/shared.yaml"),
        };
        let content = if to_slow { both } else { kustomization };
        revision = repository.commit(&[
            (from, None),
            (to, Some(&shared)),
            ("slow/kustomization.yaml", Some(content)),
        ]);
        scene.request::<GitRepository>(APPS).await;
        scene.applied("quick", &revision).await;
        scene.applied("slow", &revision).await;
        assert_eq!(uid().await, before, "it was deleted and made anew");
    }
    // Its new owner may delete it.
    repository.commit(&[
        ("slow/shared.yaml", None),
        ("slow/kustomization.yaml", Some(kustomization)),
    ]);
    scene.request::<GitRepository>(APPS).await;
    scene.gone::<ConfigMap>("shared").await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn what_a_tenant_may_not_apply_is_its_owners_to_prune() {
    let scene = Scene::start("claim").await;
    let repository = scene.repository(APPS);
    let shared = config_map("shared", "1");
    let revision = repository.commit(&[
        ("owner/shared.yaml", Some(&shared)),
        ("owner/other.yaml", Some(&config_map("other", "1"))),
        ("tenant/shared.yaml", Some(&shared)),
    ]);
    scene.source(APPS, &repository).await;
    scene
        .kustomization("owner", APPS, "./owner", json!({}))
        .await;
    scene.applied("owner", &revision).await;
    scene.fields::<ServiceAccount>("tenant", json!({})).await;
    let tenant = json!({"serviceAccountName": "tenant", "retryInterval": "1s"});
    scene
        .kustomization("tenant", APPS, "./tenant", tenant)
        .await;
    let refused = async || {
        let words = ["ConfigMap", "orbidden"];
        scene
            .says::<Kustomization>("tenant", "False", "ReconciliationFailed", &words)
            .await
    };
    let object = refused().await;
    let entries = &object["status"]["inventory"]["entries"];
    assert!(
        entries.as_array().is_none_or(Vec::is_empty),
        "it was never applied: {entries}"
    );

    repository.commit(&[("owner/shared.yaml", None)]);
    scene.request::<GitRepository>(APPS).await;
    scene.gone::<ConfigMap>("shared").await;
    refused().await;
    scene.others_go_on().await;
}

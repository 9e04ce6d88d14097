//! What is pruned, and what is not.

use flux_api::{GitRepository, Kustomization};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{manifests::config_map, scene::Scene};

const APPS: &str = "apps";

#[tokio::test]
async fn prune_disabled_keeps_an_object_for_good() {
    let scene = Scene::start("prune").await;
    let repository = scene.repository(APPS);
    let label = "  labels:\n    kustomize.toolkit.fluxcd.io/prune: disabled\n";
    let kept = config_map("kept", "1").replace("\ndata:", &format!("\n{label}data:"));
    let [stays, goes] = ["stays", "goes"].map(|name| config_map(name, "1"));
    let revision = repository.commit(&[
        ("kept.yaml", Some(&kept)),
        ("goes.yaml", Some(&goes)),
        ("stays.yaml", Some(&stays)),
    ]);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene.applied(APPS, &revision).await;

    let revision = repository.commit(&[("kept.yaml", None), ("goes.yaml", None)]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    scene.gone::<ConfigMap>("goes").await;
    assert_eq!(scene.value("kept").await.as_deref(), Some("1"));

    scene.delete::<Kustomization>(APPS).await;
    scene.gone::<Kustomization>(APPS).await;
    scene.gone::<ConfigMap>("stays").await;
    assert_eq!(scene.value("kept").await.as_deref(), Some("1"));
    scene.others_go_on().await;
}

#[tokio::test]
async fn an_object_of_two_kustomizations_goes_with_the_last() {
    let scene = Scene::start("shared").await;
    let repository = scene.repository(APPS);
    let shared = config_map("shared", "1");
    let [first, second] = ["first", "second"].map(|name| config_map(name, "1"));
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}-too\n",
        scene.namespace
    );
    let revision = repository.commit(&[
        ("first/own.yaml", Some(&first)),
        ("first/shared.yaml", Some(&shared)),
        ("first/namespace.yaml", Some(&namespace)),
        ("second/own.yaml", Some(&second)),
        ("second/shared.yaml", Some(&shared)),
        ("second/namespace.yaml", Some(&namespace)),
    ]);
    scene.source(APPS, &repository).await;
    for name in ["first", "second"] {
        let path = format!("./{name}");
        scene.kustomization(name, APPS, &path, json!({})).await;
        scene.applied(name, &revision).await;
    }

    scene.delete::<Kustomization>("first").await;
    scene.gone::<Kustomization>("first").await;
    scene.gone::<ConfigMap>("first").await;
    let alive = async || {
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(scene.env.client().await.unwrap());
        let name = format!("{}-too", scene.namespace);
        let namespace = namespaces.get_opt(&name).await.unwrap();
        namespace.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
    };
    assert_eq!(scene.value("shared").await.as_deref(), Some("1"));
    assert!(alive().await, "the namespace is still in use");

    // The one that is left takes them with it, although the other applied them first.
    let revision = repository.commit(&[
        ("second/shared.yaml", None),
        ("second/namespace.yaml", None),
    ]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied("second", &revision).await;
    scene.gone::<ConfigMap>("shared").await;
    assert!(!alive().await, "nobody uses the namespace any more");
    assert_eq!(scene.value("second").await.as_deref(), Some("1"));
    scene.others_go_on().await;
}

//! From one version to the next and back: everything stays what it is.

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount},
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::api::ApiResource;

use super::scene::{REGISTRY, Scene};

/// All that has to outlive an upgrade.
async fn everything(scene: &Scene) -> Vec<String> {
    let mut kinds = vec![
        ApiResource::erase::<CustomResourceDefinition>(&()),
        ApiResource::erase::<Namespace>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ClusterRole>(&()),
        ApiResource::erase::<ClusterRoleBinding>(&()),
    ];
    kinds.push(ApiResource::erase::<flux_api::GitRepository>(&()));
    kinds.push(ApiResource::erase::<flux_api::Kustomization>(&()));
    scene.uids(&kinds).await
}

#[tokio::test]
async fn to_the_next_version_and_back() {
    let scene = Scene::start().await;
    let next = scene.flux(&format!("install --export {REGISTRY}")).await;
    let next = next.success().unwrap();
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    // The version before had another image, and none of what is restricted now.
    let before: Vec<&str> = next
        .split("---\n")
        .filter(|document| !document.contains("kind: NetworkPolicy"))
        .collect();
    let before = before.join("---\n").replace(version, "v0.0.9");
    scene.apply_as("flux", &before).await;

    let git = scene.env.git().unwrap();
    git.create_repository("upgraded/app").unwrap();
    let copy = git.work_copy("upgraded/app").unwrap();
    copy.write(
        "app.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: upgraded\n",
    )
    .unwrap();
    copy.commit_and_push("app").unwrap();
    let url = git.https_url("upgraded/app");
    let operator = scene.operator().await;
    for line in [
        format!("create source git app --url={url} --branch=main"),
        "create kustomization app --source=GitRepository/app --prune=true".to_owned(),
    ] {
        scene.flux(&line).await.success().unwrap();
    }
    operator.stop();
    let at_first = everything(&scene).await;
    assert!(
        at_first
            .iter()
            .any(|object| object.contains("ConfigMap/flux-system/upgraded ")),
        "{at_first:?}"
    );
    let image = "-n flux-system get deployment sync-operator -o jsonpath={.spec.template.spec.containers[0].image}";
    let stored =
        "get crds -l app.kubernetes.io/part-of=flux -o jsonpath={.items[*].status.storedVersions}";

    scene
        .flux(&format!("install {REGISTRY}"))
        .await
        .success()
        .unwrap();
    let now = scene.kubectl(image).await.success().unwrap();
    assert!(now.ends_with(version), "{now}");
    let operator = scene.operator().await;
    scene
        .flux("reconcile kustomization app --with-source")
        .await
        .success()
        .unwrap();
    operator.stop();
    let after = everything(&scene).await;
    let lost: Vec<_> = at_first.iter().filter(|o| !after.contains(o)).collect();
    assert!(lost.is_empty(), "{lost:?}");

    scene.apply_as("flux", &before).await;
    let now = scene.kubectl(image).await.success().unwrap();
    assert!(now.ends_with("v0.0.9"), "{now}");
    assert_eq!(everything(&scene).await, after);
    let versions = scene.kubectl(stored).await.success().unwrap();
    assert_eq!(versions, r#"["v1"] ["v1"] ["v1"] ["v1"] ["v1"]"#);
    scene.flux("uninstall --silent").await.success().unwrap();
}

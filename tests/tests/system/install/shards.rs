//! A Flux whose work is shared among shards is taken over as a whole, and given back so.

use super::{
    conflicts::flux,
    scene::{REGISTRY, Scene},
};

/// A shard as the sharding guide of Flux makes it: another name, the same labels.
fn shard() -> String {
    let flux = flux();
    let controller = flux
        .split("---\n")
        .find(|part| part.contains("{name: kustomize-controller,"))
        .unwrap();
    controller
        .replace(
            "{name: kustomize-controller,",
            "{name: kustomize-controller-shard1,",
        )
        .replace(
            "app: kustomize-controller",
            "app: kustomize-controller-shard1",
        )
        .replace(
            "image: x",
            "image: x, args: ['--watch-label-selector=sharding.fluxcd.io/key=shard1']",
        )
}

#[tokio::test]
async fn a_take_over_stops_all_of_them() {
    let scene = Scene::start().await;
    let unlabelled = "image: x, args: ['--watch-label-selector=!sharding.fluxcd.io/key']";
    scene.apply(&flux().replace("image: x", unlabelled)).await;
    scene.apply(&shard()).await;
    scene
        .kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=flux")
        .await;

    let refused = scene.flux(&format!("install {REGISTRY}")).await;
    let refused = refused.failure().unwrap();
    let running = "✗ Deployment flux-system/kustomize-controller-shard1 of Flux v2.9.0 is running";
    assert!(refused.contains(running), "{refused}");
    // Ours would work on what the one of Flux works on, and not start.
    let same = "install --watch-label-selector=sharding.fluxcd.io/key=shard1 --namespace=gitops";
    let refused = scene.flux(&format!("{same} {REGISTRY}")).await;
    let refused = refused.failure().unwrap();
    assert!(
        refused.contains("kustomize-controller-shard1 of Flux"),
        "{refused}"
    );
    assert!(!refused.contains("source-controller of Flux"), "{refused}");

    let line = format!("install --take-over {REGISTRY}");
    scene.flux(&line).await.success().unwrap();
    let replicas = async || {
        let line = "-n flux-system get deployment kustomize-controller-shard1 -o jsonpath={.spec.replicas}";
        scene.kubectl(line).await.success().unwrap()
    };
    assert_eq!(replicas().await, "0");
    // It finds nobody in its way.
    let operator = scene.operator().await;
    scene
        .until("the Leases of ours", async || {
            let line = "-n flux-system get lease kustomize-controller-leader-election -o name";
            scene
                .kubectl(line)
                .await
                .success()
                .map(drop)
                .map_err(|e| e.to_string())
        })
        .await;
    operator.stop();
    let given = scene.flux("uninstall --give-back --silent").await;
    given.success().unwrap();
    assert_eq!(replicas().await, "1");
}

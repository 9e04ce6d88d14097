//! The plugin in a cluster without our definitions, or with those of an older release.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};

use super::scene::Scene;

#[tokio::test]
async fn what_is_not_served_is_named_with_the_way_to_get_it() {
    let scene = Scene::start().await;
    let advice = "install the resource definitions: kubectl flux install";
    for line in [
        "get ks",
        "get all",
        "reconcile ks apps",
        "suspend ks apps",
        "tree ks apps",
    ] {
        let said = scene.flux(line).await.failure().unwrap();
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("✗ ") && last.contains(advice),
            "{line}: {said}"
        );
    }

    // An API server that serves what Flux had years ago.
    let api: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let mut crds = flux_api::crd::all();
    let crd = crds
        .iter_mut()
        .find(|crd| crd.spec.names.kind == "Kustomization")
        .unwrap();
    crd.spec
        .versions
        .retain(|version| version.name == "v1beta2");
    crd.spec.versions[0].storage = true;
    let params = PatchParams::apply("flux-tests").force();
    let name = crd.name_any();
    api.patch(&name, &params, &Patch::Apply(&*crd))
        .await
        .unwrap();
    scene
        .until("the old version", async || {
            let line = "get kustomizations.v1beta2.kustomize.toolkit.fluxcd.io -A";
            let output = scene.kubectl(line).await.success();
            output.map(drop).map_err(|error| error.to_string())
        })
        .await;
    let said = scene.flux("get ks").await.failure().unwrap();
    assert!(
        said.contains("does not know Kustomization in version v1") && said.contains(advice),
        "{said}"
    );
    scene
        .kubectl(&format!("delete crd {name}"))
        .await
        .success()
        .unwrap();
}

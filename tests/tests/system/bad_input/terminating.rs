//! Namespaces that are being deleted while something is applied into them, or lives in them.

use flux_api::Kustomization;
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{cluster::PATIENCE, manifests::config_map, scene::Scene};

const APPS: &str = "apps";

/// A namespace beside the scene's, which something of ours keeps from going.
struct Held {
    namespaces: Api<Namespace>,
    maps: Api<ConfigMap>,
    name: String,
}

impl Held {
    async fn create(scene: &Scene) -> Self {
        let client = scene.env.client().await.unwrap();
        let name = scene.env.namespace(&scene.namespace).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name);
        let mut holder = ConfigMap::default();
        holder.metadata.name = Some("holder".to_owned());
        holder.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
        maps.create(&PostParams::default(), &holder).await.unwrap();
        let namespaces = Api::all(client);
        Self {
            namespaces,
            maps,
            name,
        }
    }

    async fn delete(&self) {
        let params = DeleteParams::default();
        self.namespaces.delete(&self.name, &params).await.unwrap();
    }

    /// Lets it go, and waits until it has.
    async fn release(&self) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let params = PatchParams::default();
        self.maps.patch("holder", &params, &patch).await.unwrap();
        let what = format!("the end of namespace {}", self.name);
        wait::until(&what, PATIENCE * 2, None, async || {
            let found = self.namespaces.get_opt(&self.name).await;
            match found.map_err(|error| error.to_string())? {
                Some(namespace) => Err(format!("{:?}", namespace.status)),
                None => Ok(()),
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn what_goes_into_a_namespace_that_is_being_deleted_waits_for_the_next_one() {
    let scene = Scene::start("terminating").await;
    let held = Held::create(&scene).await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    held.delete().await;
    scene.source(APPS, &repository).await;
    // It is looked at long before its interval.
    let fields = json!({"targetNamespace": held.name, "interval": "1h", "wait": true});
    scene.kustomization(APPS, APPS, "./", fields).await;
    let name = &held.name;
    let words = [
        &*format!("ConfigMap/{name}/app dry-run failed (Forbidden)"),
        &*format!(
            "(namespace {name} is being deleted; the object is applied once it is gone and made again) [app.yaml:1]"
        ),
    ];
    scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;
    scene.others_go_on().await;

    held.release().await;
    scene.reconcile::<Kustomization>(APPS).await;
    let words = [&*format!(
        "(namespace {name} does not exist; the object is applied once it is made)"
    )];
    scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.clone());
    let params = PostParams::default();
    held.namespaces.create(&params, &namespace).await.unwrap();
    scene.applied_within(PATIENCE * 2, APPS, &revision).await;
    assert!(held.maps.get_opt("app").await.unwrap().is_some());
}

#[tokio::test]
async fn a_kustomization_goes_with_the_namespace_that_it_lives_in() {
    let scene = Scene::start("leaving").await;
    let repository = scene.repository(APPS);
    let foreign = scene.env.namespace("stays").await.unwrap();
    let elsewhere = config_map("elsewhere", "1").replace(
        "metadata:\n",
        &format!("metadata:\n  namespace: {foreign}\n"),
    );
    let revision = repository.commit(&[
        ("app.yaml", Some(&config_map("app", "1"))),
        ("elsewhere.yaml", Some(&elsewhere)),
    ]);
    scene.source(APPS, &repository).await;
    let fields = json!({"deletionPolicy": "WaitForTermination", "timeout": "1m"});
    scene.kustomization(APPS, APPS, "./", fields).await;
    scene.applied(APPS, &revision).await;
    let client = scene.env.client().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let params = DeleteParams::default();
    namespaces.delete(&scene.namespace, &params).await.unwrap();
    let what = format!("the end of namespace {}", scene.namespace);
    wait::until(&what, PATIENCE * 2, None, async || {
        let found = namespaces.get_opt(&scene.namespace).await;
        match found.map_err(|error| error.to_string())? {
            Some(namespace) => Err(format!("{:?}", namespace.status)),
            None => Ok(()),
        }
    })
    .await
    .unwrap();
    // What it applied elsewhere has gone with it.
    let maps: Api<ConfigMap> = Api::namespaced(client, &foreign);
    assert!(maps.get_opt("elsewhere").await.unwrap().is_none());
}

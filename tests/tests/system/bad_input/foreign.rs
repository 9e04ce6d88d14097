//! What others have done to objects before and after they are applied.

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    cluster::PATIENCE,
    manifests::{condition, config_map},
    scene::Scene,
};

const APPS: &str = "apps";

impl Scene {
    /// Changes a ConfigMap as somebody else.
    async fn intrude(&self, name: &str, value: &str) {
        let params = PatchParams {
            field_manager: Some("intruder".to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"data": {"value": value}}));
        let api = self.api::<ConfigMap>();
        api.patch(name, &params, &patch).await.unwrap();
    }

    async fn corrected(&self, name: &str) {
        self.eventually::<ConfigMap>(name, "is as in Git again", |object| {
            object["data"]["value"] == "1"
        })
        .await;
    }

    /// Waits until an object is there and so.
    async fn eventually<K: kube::Resource<DynamicType = ()>>(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) {
        let check = |object: &Value| is_so(object).then_some(()).ok_or(object.to_string());
        self.until::<K, _>(name, what, check).await;
    }

    async fn messages(&self, reason: &str) -> Vec<String> {
        let params = ListParams::default().fields(&format!("reason={reason}"));
        let events = self.api::<Event>().list(&params).await.unwrap();
        let message = |e: &kube::api::DynamicObject| e.data["message"].as_str().map(str::to_owned);
        events.iter().filter_map(message).collect()
    }
}

#[tokio::test]
async fn drift_is_corrected_at_once_with_the_other_writer_named() {
    let scene = Scene::start("drift").await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene.applied(APPS, &revision).await;

    scene.intrude("app", "2").await;
    scene.corrected("app").await;
    scene.delete::<ConfigMap>("app").await;
    scene.corrected("app").await;
    // A field that is not in Git is none of ours.
    let other = json!({"data": {"other": "x"}});
    scene.patch::<ConfigMap>("app", other).await;
    scene.intrude("app", "3").await;
    scene.corrected("app").await;
    let app = scene.api::<ConfigMap>().get("app").await.unwrap();
    assert_eq!(app.data["data"]["other"], "x");
    let told = scene.messages("DriftCorrected").await.join("\n");
    let name = format!("ConfigMap/{}/app", scene.namespace);
    assert!(
        told.contains(&format!("{name}: intruder changed .data.value")),
        "{told}"
    );
    assert!(told.contains(&format!("{name}: it was deleted")), "{told}");

    // Three times a minute is enough; then the interval or a request decides.
    scene.intrude("app", "4").await;
    scene.others_go_on().await;
    assert_eq!(scene.value("app").await.as_deref(), Some("4"));
    scene.reconcile::<Kustomization>(APPS).await;
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_commit_elsewhere_is_shown_and_nothing_else_happens() {
    let scene = Scene::start("elsewhere").await;
    let repository = scene.repository(APPS);
    let overlay = "resources: [../base]\n";
    let revision = repository.commit(&[
        ("base/app.yaml", Some(&config_map("based", "1"))),
        ("base/kustomization.yaml", Some("resources: [app.yaml]\n")),
        ("overlay/kustomization.yaml", Some(overlay)),
        ("plain/app.yaml", Some(&config_map("plain", "1"))),
    ]);
    scene.source(APPS, &repository).await;
    for name in ["overlay", "plain"] {
        let path = format!("./{name}");
        scene.kustomization(name, APPS, &path, json!({})).await;
        scene.applied(name, &revision).await;
    }
    let history = async |name: &str| {
        let object = scene.api::<Kustomization>().get(name).await.unwrap();
        object.data["status"]["history"].clone()
    };
    let before = [history("overlay").await, history("plain").await];

    let revision = repository.commit(&[("base/app.yaml", Some(&config_map("based", "2")))]);
    scene.request::<GitRepository>(APPS).await;
    for name in ["overlay", "plain"] {
        scene.applied(name, &revision).await;
    }
    assert_eq!(scene.value("based").await.as_deref(), Some("2"));
    assert_eq!(history("plain").await, before[1]);
    assert_ne!(history("overlay").await, before[0]);
    // The bystander, both, and the overlay once more; events come a moment after the status.
    wait::until("four events", PATIENCE, None, async || {
        let finished = scene.messages("ReconciliationSucceeded").await;
        (finished.len() == 4)
            .then_some(())
            .ok_or_else(|| format!("{finished:?}"))
    })
    .await
    .unwrap();
    scene.others_go_on().await;
}

#[tokio::test]
async fn what_flux_left_is_taken_over_untouched() {
    let scene = Scene::start("take-over").await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.source(APPS, &repository).await;
    let suspended = json!({"suspend": true});
    scene.kustomization(APPS, APPS, "./", suspended).await;
    let flux = PatchParams::apply("kustomize-controller").force();
    let maps = scene.api::<ConfigMap>();
    for name in ["app", "left"] {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "1"},
            "metadata": {"name": name, "namespace": scene.namespace, "labels": {
                "kustomize.toolkit.fluxcd.io/name": APPS,
                "kustomize.toolkit.fluxcd.io/namespace": scene.namespace}}});
        maps.patch(name, &flux, &Patch::Apply(object))
            .await
            .unwrap();
    }
    let id =
        |name: &str| json!({"id": format!("{}_{name}__ConfigMap", scene.namespace), "v": "v1"});
    let entry = json!({"digest": format!("sha256:{}", "0".repeat(64)), "totalReconciliations": 3,
        "firstReconciled": "2026-01-01T00:00:00Z", "lastReconciled": "2026-01-02T00:00:00Z",
        "lastReconciledDuration": "412ms", "lastReconciledStatus": "ReconciliationSucceeded",
        "metadata": {"revision": revision}});
    let status = json!({"status": {
        "observedGeneration": 1, "lastAppliedRevision": revision,
        "lastAttemptedRevision": revision, "history": [entry],
        "inventory": {"entries": [id("app"), id("left")]},
        "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1,
            "reason": "ReconciliationSucceeded", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": format!("Applied revision: {revision}")}]}});
    let manager = PatchParams {
        field_manager: Some("gotk-kustomize-controller".to_owned()),
        ..PatchParams::default()
    };
    let kustomizations = scene.api::<Kustomization>();
    let patch = Patch::Merge(status);
    kustomizations
        .patch_status(APPS, &manager, &patch)
        .await
        .unwrap();
    let finalizers = json!({"metadata": {"finalizers": ["finalizers.fluxcd.io"]}});
    scene.patch::<Kustomization>(APPS, finalizers).await;
    let before = maps.get("app").await.unwrap();

    let resumed = json!({"spec": {"suspend": false}});
    scene.patch::<Kustomization>(APPS, resumed).await;
    scene.applied(APPS, &revision).await;
    scene.gone::<ConfigMap>("left").await;
    let after = maps.get("app").await.unwrap();
    assert_eq!(
        after.metadata, before.metadata,
        "not even its version changes"
    );
    let object = kustomizations.get(APPS).await.unwrap();
    let entries = &object.data["status"]["inventory"]["entries"];
    assert_eq!(*entries, json!([id("app")]));
    scene.others_go_on().await;
}

#[tokio::test]
async fn what_two_apply_is_named_on_both() {
    let scene = Scene::start("twice").await;
    let repository = scene.repository(APPS);
    let shared = config_map("shared", "1");
    let revision =
        repository.commit(&[("a/app.yaml", Some(&shared)), ("b/app.yaml", Some(&shared))]);
    scene.source(APPS, &repository).await;
    for name in ["a", "b"] {
        let path = format!("./{name}");
        scene.kustomization(name, APPS, &path, json!({})).await;
        scene.applied(name, &revision).await;
    }
    for (name, other) in [("a", "b"), ("b", "a")] {
        let namespace = &scene.namespace;
        let words = format!("ConfigMap/{namespace}/shared by Kustomization/{namespace}/{other}");
        scene
            .eventually::<Kustomization>(name, "names the other", |object| {
                let shared = condition(object, "SharedObjects");
                let message = shared["message"].as_str().unwrap_or_default();
                shared["status"] == "True" && message.contains(&words)
            })
            .await;
    }
    scene.delete::<Kustomization>("a").await;
    scene
        .eventually::<Kustomization>("b", "is alone with it", |object| {
            condition(object, "SharedObjects").is_null()
        })
        .await;
    let owner = "kustomize.toolkit.fluxcd.io/name";
    scene
        .eventually::<ConfigMap>("shared", "carries the labels of the other", |object| {
            object["metadata"]["labels"][owner] == "b"
        })
        .await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn ignored_fields_are_left_to_others() {
    let scene = Scene::start("ignored").await;
    let repository = scene.repository(APPS);
    let two = |other: &str| format!("{}  other: {other}\n", config_map("app", "1"));
    let revision = repository.commit(&[("app.yaml", Some(&two("a")))]);
    scene.source(APPS, &repository).await;
    let rule = json!({"paths": ["/data/value"], "target": {"kind": "ConfigMap"}});
    let fields = json!({"ignore": [rule]});
    scene.kustomization(APPS, APPS, "./", fields).await;
    scene.applied(APPS, &revision).await;
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));

    scene.intrude("app", "2").await;
    let revision = repository.commit(&[("app.yaml", Some(&two("b")))]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    let app = scene.api::<ConfigMap>().get("app").await.unwrap();
    assert_eq!(app.data["data"], json!({"value": "2", "other": "b"}));
    let told = scene.messages("DriftCorrected").await;
    assert!(told.is_empty(), "nothing was corrected: {told:?}");
    scene.others_go_on().await;
}

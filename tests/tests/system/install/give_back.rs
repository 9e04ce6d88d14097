//! Flux is taken over and gets everything back: nothing is deleted, made anew or restarted on the
//! way there and back.

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{ConfigMap, Namespace, Pod, Service},
        networking::v1::NetworkPolicy,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::{Value, json};

use super::{
    conflicts::flux,
    scene::{REGISTRY, Scene},
};

/// What Flux has under names of ours.
const SHARED: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: source-controller
  namespace: flux-system
  labels: {app.kubernetes.io/part-of: flux, app.kubernetes.io/component: source-controller}
spec:
  ports: [{name: http, port: 80, protocol: TCP, targetPort: http}]
  selector: {app: source-controller}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-scraping
  namespace: flux-system
  labels: {app.kubernetes.io/part-of: flux}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 8080, protocol: TCP}]}]
  policyTypes: [Ingress]
";

const APP: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: given-back
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: given-back
data:
  colour: blue
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: foo
  namespace: given-back
spec:
  selector:
    matchLabels:
      app: foo
  template:
    metadata:
      labels:
        app: foo
    spec:
      containers:
      - name: foo
        image: foo:1
";

/// An object of each kind that Flux syncs with, as its controllers leave them.
fn objects(url: &str, revision: &str) -> [Value; 3] {
    let ids = [
        "_given-back__Namespace",
        "given-back_settings__ConfigMap",
        "given-back_foo_apps_Deployment",
    ];
    let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
    let ready = json!([{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded",
        "message": format!("Applied revision: {revision}"), "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let kustomization = |name: &str, inventory: Value, suspend: bool| {
        json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "flux-system",
                "finalizers": ["finalizers.fluxcd.io"]},
            "spec": {"interval": "10m", "path": "./", "prune": true, "suspend": suspend,
                "sourceRef": {"kind": "GitRepository", "name": "app"}},
            "status": {"conditions": ready, "inventory": {"entries": inventory},
                "lastAppliedRevision": revision, "lastAttemptedRevision": revision,
                "observedGeneration": 1}})
    };
    let root = json!([{"id": "flux-system_source-controller_apps_Deployment", "v": "v1"}]);
    [
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "app", "namespace": "flux-system",
                "finalizers": ["finalizers.fluxcd.io"]},
            "spec": {"interval": "10m", "url": url, "ref": {"branch": "main"}}}),
        kustomization("app", json!(entries), false),
        kustomization("flux-system", root, false),
    ]
}

/// Kinds of which nothing may be lost.
fn kinds() -> Vec<ApiResource> {
    let toolkit = |group: &str, kind: &str| {
        let gvk =
            kube::api::GroupVersionKind::gvk(&format!("{group}.toolkit.fluxcd.io"), "v1", kind);
        ApiResource::from_gvk_with_plural(
            &gvk,
            match kind {
                "GitRepository" => "gitrepositories",
                _ => "kustomizations",
            },
        )
    };
    vec![
        toolkit("source", "GitRepository"),
        toolkit("kustomize", "Kustomization"),
        ApiResource::erase::<CustomResourceDefinition>(&()),
        ApiResource::erase::<Namespace>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
    ]
}

/// Everything about the workloads, to the version: whatever is written shows here.
async fn workloads(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    for resource in [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<ConfigMap>(&()),
    ] {
        let api: Api<DynamicObject> =
            Api::namespaced_with(scene.client.clone(), "given-back", &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let (name, version) = (object.name_any(), object.resource_version());
            found.push(format!(
                "{} {name} {:?} {version:?}",
                resource.kind,
                object.uid()
            ));
        }
    }
    found
}

#[tokio::test]
async fn flux_gets_everything_back() {
    let scene = Scene::start().await;
    let git = scene.env.git().unwrap();
    git.create_repository("given/back").unwrap();
    let copy = git.work_copy("given/back").unwrap();
    copy.write("app.yaml", APP).unwrap();
    let id = copy.commit_and_push("app").unwrap();
    scene.apply(&flux()).await;
    scene.apply(SHARED).await;
    scene
        .kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=flux")
        .await;
    let owned = "metadata:\n  labels: {kustomize.toolkit.fluxcd.io/name: app, kustomize.toolkit.fluxcd.io/namespace: flux-system}\n  name:";
    let app = APP.replace("metadata:\n  name:", owned);
    scene.apply_as("kustomize-controller", &app).await;
    let revision = format!("main@sha1:{id}");
    for object in objects(&git.https_url("given/back"), &revision) {
        scene.apply(&object.to_string()).await;
        let status = json!({"status": object["status"]}).to_string();
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let plural = format!("{}s", kind.as_str().unwrap().to_lowercase()).replace("rys", "ries");
        let words = [
            "-n",
            "flux-system",
            "patch",
            &plural,
            name.as_str().unwrap(),
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        scene.env.kubectl(&words).await.unwrap().success().unwrap();
    }
    let settled = "-n given-back wait --for=condition=Progressing deployment/foo";
    scene.kubectl(settled).await.success().unwrap();
    let line = "-n given-back wait --for=jsonpath={.status.observedGeneration}=1 deployment/foo";
    scene.kubectl(line).await.success().unwrap();
    let (before, running) = (scene.uids(&kinds()).await, workloads(&scene).await);

    // There.
    scene
        .flux(&format!("install --take-over {REGISTRY}"))
        .await
        .success()
        .unwrap();
    let operator = scene.operator().await;
    scene
        .until("the app is ready under ours", async || {
            let line = "-n flux-system get kustomization app -o jsonpath={.status.history}";
            let history = scene.kubectl(line).await.stdout;
            (!history.is_empty()).then_some(()).ok_or(history)
        })
        .await;
    assert_eq!(workloads(&scene).await, running, "nothing was written");
    let left = scene.flux("uninstall --dry-run").await;
    assert!(
        left.stderr.contains("--give-back starts them again"),
        "{left}"
    );
    let rehearsal = scene.flux("uninstall --give-back --dry-run").await;
    let line = "✔ Deployment/flux-system/source-controller scaled to 1 (dry run)";
    assert!(rehearsal.stderr.contains(line), "{rehearsal}");
    operator.stop();

    // And back.
    let given = scene.flux("uninstall --give-back --silent").await;
    let text = given.stderr.clone();
    given.success().unwrap();
    for line in [
        "✔ Deployment/flux-system/sync-operator deleted",
        "✔ Service/flux-system/source-controller given back",
        "✔ NetworkPolicy/flux-system/allow-scraping given back",
        "✔ Deployment/flux-system/source-controller scaled to 1",
        "✔ Deployment/flux-system/kustomize-controller scaled to 1",
        "✔ Kustomization/flux-system/flux-system resumed",
        "✔ source-controller: deployment ready",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert_eq!(workloads(&scene).await, running, "nothing was written");
    let after = scene.uids(&kinds()).await;
    let lost: Vec<_> = before.iter().filter(|o| !after.contains(o)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    for (line, expected) in [
        (
            "get service source-controller -o jsonpath={.spec.selector}",
            r#"{"app":"source-controller"}"#,
        ),
        (
            "get service source-controller -o jsonpath={.metadata.labels}",
            r#"{"app.kubernetes.io/component":"source-controller","app.kubernetes.io/part-of":"flux"}"#,
        ),
        (
            "get networkpolicy allow-scraping -o jsonpath={.spec.podSelector}",
            "{}",
        ),
        (
            "get deployment kustomize-controller -o jsonpath={.metadata.annotations.flux-sync/replicas-before-take-over}{.metadata.annotations.kustomize\\.toolkit\\.fluxcd\\.io/reconcile}",
            "",
        ),
        (
            "get kustomization flux-system -o jsonpath={.spec.suspend}{.metadata.annotations}",
            "",
        ),
        (
            "get kustomization app -o jsonpath={.metadata.finalizers[0]}",
            "finalizers.fluxcd.io",
        ),
        (
            "get deployment -l app.kubernetes.io/name=flux-sync -o name",
            "",
        ),
    ] {
        let found = scene.kubectl(&format!("-n flux-system {line}")).await;
        assert_eq!(found.success().unwrap(), expected, "{line}");
    }
    let again = scene.flux("uninstall --give-back --silent").await;
    assert!(
        again.stderr.contains("there is nobody to give back to"),
        "{again}"
    );
    scene
        .kubectl("delete namespace given-back --wait=false")
        .await;
}

//! Flags that confine what an operator does.

use flux_api::{GitRepository, Kustomization};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::DynamicObject, core::ApiResource};
use serde_json::json;

use super::cluster::{Cluster, NAMESPACE};

#[tokio::test]
async fn an_operator_is_confined_by_its_flags() {
    let cluster = Cluster::start().await;
    let flags = [
        "--no-cross-namespace-refs",
        "--default-service-account=tenant",
        "--watch-all-namespaces=false",
        "--runtime-namespace=default",
        "--drift-correction=interval",
    ];
    let operator = cluster.operator("confined", 0, &flags).await;
    operator.readyz(true).await;
    let elsewhere = Some("elsewhere");
    cluster
        .create("v1", "Namespace", None, "elsewhere", json!({}))
        .await;
    let copy = cluster.source("app").await;
    let url = cluster.env.git().unwrap().https_url("process/app");
    let spec = json!({"url": url, "interval": "10m", "ref": {"branch": "main"}});
    let version = "source.toolkit.fluxcd.io/v1";
    let source = json!({"spec": spec});
    cluster
        .create(version, "GitRepository", elsewhere, "other", source)
        .await;
    let revision = cluster.push(&copy, "app", "app", "1").await;

    // Sources of other namespaces are not for everybody.
    let spec = json!({"interval": "10m", "prune": true, "path": "./",
        "sourceRef": {"kind": "GitRepository", "name": "other", "namespace": "elsewhere"}});
    let (version, cross) = ("kustomize.toolkit.fluxcd.io/v1", json!({"spec": spec}));
    cluster
        .create(version, "Kustomization", Some(NAMESPACE), "cross", cross)
        .await;
    let words = ["GitRepository/elsewhere/other", "--no-cross-namespace-refs"];
    let ready = cluster
        .says::<Kustomization>("cross", "False", &words)
        .await;
    assert_eq!(ready.reason, "AccessDenied");

    // Who names no account has the rights of the default one: none, so far.
    cluster.kustomization("app", "app", json!({})).await;
    let words = ["orbidden", "system:serviceaccount:default:tenant"];
    let ready = cluster.says::<Kustomization>("app", "False", &words).await;
    assert_eq!(ready.reason, "ReconciliationFailed");
    assert!(
        cluster
            .api::<ConfigMap>()
            .get_opt("app")
            .await
            .unwrap()
            .is_none()
    );
    let rbac = "rbac.authorization.k8s.io/v1";
    let role = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]});
    cluster
        .create(rbac, "Role", Some(NAMESPACE), "tenant", role)
        .await;
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": NAMESPACE}]});
    cluster
        .create(rbac, "RoleBinding", Some(NAMESPACE), "tenant", binding)
        .await;
    request(&cluster, "app", "rights").await;
    cluster.applied("app", &revision, "app", "1").await;

    // A foreign change stays until the interval, or until somebody asks: a whole push to another
    // source is longer than its correction would take.
    let foreign = json!({"data": {"value": "foreign"}});
    cluster.patch::<ConfigMap>("app", foreign).await;
    let next = cluster.source("next").await;
    cluster.kustomization("next", "next", json!({})).await;
    let revision_of_next = cluster.push(&next, "next", "next", "1").await;
    cluster
        .applied("next", &revision_of_next, "next", "1")
        .await;
    let value = async || {
        let map = cluster.api::<ConfigMap>().get("app").await.unwrap();
        map.data.unwrap().remove("value").unwrap()
    };
    assert_eq!(value().await, "foreign");
    request(&cluster, "app", "drift").await;
    cluster.handled::<Kustomization>("app", "drift").await;
    assert_eq!(value().await, "1");

    // All this time nobody cared for the other namespace.
    let resource = ApiResource::erase::<GitRepository>(&());
    let others: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), "elsewhere", &resource);
    let other = others.get("other").await.unwrap();
    assert_eq!(other.data.pointer("/status/conditions"), None);
    assert_eq!(other.metadata.finalizers, None);
    operator.process.stop();
    cluster.env.stop().await;
}

async fn request(cluster: &Cluster, name: &str, token: &str) {
    let annotations = json!({"reconcile.fluxcd.io/requestedAt": token});
    cluster
        .patch::<Kustomization>(name, json!({"metadata": {"annotations": annotations}}))
        .await;
}

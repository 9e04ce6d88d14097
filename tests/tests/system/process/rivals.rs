//! A controller of Flux's that wakes up while an operator works.

use serde_json::json;

use super::{ELECT, cluster::Cluster};

#[tokio::test]
async fn one_that_no_lease_holds_back_ends_the_operator() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("operator", 0, &[ELECT]).await;
    operator.readyz(true).await;
    // Its Leases are in its own namespace.
    let labels = json!({
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/component": "kustomize-controller"});
    let flux = json!({
        "metadata": {"labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "flux"}},
            "template": {
                "metadata": {"labels": {"app": "flux"}},
                "spec": {"containers": [
                    {"name": "manager", "image": "example.com/none", "args": [ELECT]}]}}}});
    let name = "kustomize-controller-shard1";
    let namespace = Some("default");
    cluster
        .create("apps/v1", "Deployment", namespace, name, flux)
        .await;
    assert!(!operator.ended().await.success());
    let output = operator.process.output();
    let found = "Deployment default/kustomize-controller-shard1 (replicas: 1)";
    assert!(output.contains(found), "{output}");
    assert!(output.contains("this process ends"), "{output}");
    cluster.env.stop().await;
}

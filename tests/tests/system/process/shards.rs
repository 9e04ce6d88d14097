//! Two operators that share the Kustomizations of a cluster.

use flux_api::GitRepository;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{
    APPLY,
    cluster::{Cluster, NAMESPACE},
};

const KEY: &str = "sharding.fluxcd.io/key";

#[tokio::test]
async fn an_object_moves_from_one_shard_to_another() {
    let cluster = Cluster::start().await;
    let rest = format!("--watch-label-selector=!{KEY}");
    let one = cluster.operator("one", 0, &[&rest]).await;
    let two = format!("--watch-label-selector={KEY}=two");
    let two = cluster.operator("two", 0, &[APPLY, &two]).await;
    let copy = cluster.source("app").await;
    let manifest = |name: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name}, "data": {"value": "1"}});
        map.to_string()
    };
    let push = async || {
        let id = copy.commit_and_push("feat: next").unwrap();
        let asked = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": id}}});
        cluster.patch::<GitRepository>("app", asked).await;
        format!("main@sha1:{id}")
    };
    for (name, labels) in [("one", json!({})), ("two", json!({KEY: "two"}))] {
        copy.write(&format!("{name}/{name}.yaml"), &manifest(name))
            .unwrap();
        let spec = json!({"interval": "10m", "prune": true, "path": name,
            "sourceRef": {"kind": "GitRepository", "name": "app"}});
        let version = "kustomize.toolkit.fluxcd.io/v1";
        let object = json!({"metadata": {"labels": labels}, "spec": spec});
        cluster
            .create(version, "Kustomization", Some(NAMESPACE), name, object)
            .await;
    }
    copy.write("one/moves.yaml", &manifest("moves")).unwrap();
    let revision = push().await;
    for name in ["one", "two"] {
        cluster.applied(name, &revision, name, "1").await;
    }
    let moves = async || cluster.api::<ConfigMap>().get("moves").await.unwrap();
    let before = moves().await.metadata.uid;

    copy.write("two/moves.yaml", &manifest("moves")).unwrap();
    let revision = push().await;
    cluster.applied("two", &revision, "moves", "1").await;
    copy.remove("one/moves.yaml").unwrap();
    let revision = push().await;
    cluster.applied("one", &revision, "one", "1").await;
    // What is deleted by one would come back from the other as another object.
    cluster.applied("two", &revision, "moves", "1").await;
    assert_eq!(moves().await.metadata.uid, before);
    for operator in [one, two] {
        operator.process.stop();
    }
    cluster.env.stop().await;
}

//! Several operators in one cluster: beside Flux's controllers, split by controller, one standing
//! by for another, and after a restart while the Git server is away; and one when everything around
//! it goes wrong.

mod clock;
mod cluster;
mod disk;
mod ending;
mod events;
mod faulty;
mod flags;
mod git_servers;
mod outages;
mod progress;
mod pushes;
mod rivals;
mod scrape;
mod secrets;
mod shards;

use std::time::Instant;

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::wait::{self, free_port};
use k8s_openapi::{
    api::{apps::v1::Deployment, coordination::v1::Lease},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use serde_json::json;

use cluster::{Cluster, NAMESPACE, PATIENCE, artifact};

const SOURCE: &str =
    "--controllers=source-controller,image-reflector-controller,image-automation-controller";
const APPLY: &str = "--controllers=kustomize-controller";
const ELECT: &str = "--enable-leader-election";

#[tokio::test]
async fn flux_is_not_worked_against_but_taken_over() {
    let cluster = Cluster::start().await;
    let pod = json!({
        "metadata": {"labels": {"app": "kustomize-controller"}},
        "spec": {"containers": [{"name": "manager", "image": "example.com/none"}]}});
    let labels = json!({
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/component": "kustomize-controller"});
    let flux = json!({
        "metadata": {"labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "kustomize-controller"}},
            "template": pod}});
    let system = Some("flux-system");
    cluster
        .create(
            "apps/v1",
            "Deployment",
            system,
            "kustomize-controller",
            flux,
        )
        .await;
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "kustomize-controller-leader-election"},
        "spec": {
            "holderIdentity": "kustomize-controller-0_1",
            "leaseDurationSeconds": 10,
            "renewTime": format!("{:.6}", Timestamp::now())}}))
    .unwrap();
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "flux-system");
    leases.create(&PostParams::default(), &lease).await.unwrap();

    let refused = cluster.operator("refused", 0, &[]).await;
    assert!(!refused.ended().await.success());
    let output = refused.process.output();
    for part in [
        "Deployment flux-system/kustomize-controller (replicas: 2)",
        "held by kustomize-controller-0_1",
        "--take-over",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    // What Flux does not do here may run.
    let beside = cluster
        .operator("beside", 0, &["--controllers=image-reflector-controller"])
        .await;
    beside.readyz(true).await;
    beside.process.stop();

    let taken = cluster.operator("taken", 0, &["--take-over", ELECT]).await;
    taken.readyz(true).await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client.clone(), "flux-system");
    let flux = deployments.get("kustomize-controller").await.unwrap();
    assert_eq!(flux.spec.replicas, Some(0));
    let annotations = flux.metadata.annotations.unwrap();
    assert_eq!(annotations["flux-sync/replicas-before-take-over"], "2");
    assert_eq!(
        annotations["kustomize.toolkit.fluxcd.io/reconcile"],
        "disabled"
    );
    let line = r#"leader_election_master_status{name="kustomize-controller-leader-election"} 1"#;
    taken.metric(line).await;
    taken.process.stop();
    let lease = leases
        .get("kustomize-controller-leader-election")
        .await
        .unwrap();
    let holder = lease.spec.unwrap().holder_identity;
    assert_eq!(holder.as_deref(), Some(""), "given back");
    cluster.env.stop().await;
}

#[tokio::test]
async fn processes_share_the_work_and_replace_each_other() {
    let cluster = Cluster::start().await;
    let port = free_port().unwrap();
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;

    // Split: what one fetches the other applies.
    let source = cluster.operator("source", port, &[SOURCE, ELECT]).await;
    let first = cluster.operator("apply", 0, &[APPLY, ELECT]).await;
    scrape::first_turns(&source, &first).await;
    let revision = cluster.push(&copy, "app", "app", "1").await;
    cluster.applied("app", &revision, "app", "1").await;
    source.readyz(true).await;
    first.metric("flux_sync_kustomizations_verified 1").await;
    first.metric(r#"gotk_reconcile_condition{kind="Kustomization",name="app",namespace="default",type="Ready",status="True"} 1"#).await;

    // A second one stands by: ready where it has nothing to serve, not ready where it has.
    let second = cluster.operator("apply-2", 0, &[APPLY, ELECT]).await;
    second.readyz(true).await;
    scrape::queues_are_seen_at_work(&source, &first, &second).await;
    let standby = cluster
        .operator("source-2", free_port().unwrap(), &[SOURCE, ELECT])
        .await;
    standby.readyz(false).await;
    standby.process.stop();
    let revision = cluster.push(&copy, "app", "app", "2").await;
    cluster.applied("app", &revision, "app", "2").await;

    // The leader dies.
    let start = Instant::now();
    first.kill().await;
    let revision = cluster.push(&copy, "app", "app", "3").await;
    cluster.applied("app", &revision, "app", "3").await;
    eprintln!(
        "after the loss of the leader sync went on after {:?}",
        start.elapsed()
    );

    // The leader is asked to go.
    let third = cluster.operator("apply-3", 0, &[APPLY, ELECT]).await;
    third.readyz(true).await;
    let start = Instant::now();
    second.process.stop();
    let revision = cluster.push(&copy, "app", "app", "4").await;
    cluster.applied("app", &revision, "app", "4").await;
    eprintln!(
        "after the leader ended sync went on after {:?}",
        start.elapsed()
    );

    // Somebody takes a Lease away: its holder ends at once.
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "flux-system");
    let mut lease = leases
        .get("kustomize-controller-leader-election")
        .await
        .unwrap();
    lease.spec.as_mut().unwrap().holder_identity = Some("flux".into());
    lease.spec.as_mut().unwrap().lease_duration_seconds = Some(1);
    leases
        .replace(
            "kustomize-controller-leader-election",
            &PostParams::default(),
            &lease,
        )
        .await
        .unwrap();
    assert!(!third.ended().await.success());
    assert!(third.process.output().contains("lost the Lease"));

    // Shards: only objects with the label, with sources of others.
    cluster
        .kustomization("shard", "app", json!({"sharding.fluxcd.io/key": "one"}))
        .await;
    let selector = "--watch-label-selector=sharding.fluxcd.io/key=one";
    let shard = cluster
        .operator("shard", 0, &[APPLY, ELECT, selector])
        .await;
    let revision = cluster.push(&copy, "app", "app", "5").await;
    cluster.applied("shard", &revision, "app", "5").await;
    let other = cluster.api::<Kustomization>().get("app").await.unwrap();
    assert_ne!(other.status.unwrap().last_applied_revision, Some(revision));
    shard.process.stop();

    // The Git server is away when everything starts again; nothing but the mirrors is there.
    cluster
        .patch::<GitRepository>("app", json!({"spec": {"suspend": true}}))
        .await;
    let before = artifact(&cluster, "app").await;
    source.kill().await;
    let path = cluster.env.git().unwrap().repository_path("process/app");
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    let folder = cluster.env.sandbox().dir().join("source/artifacts");
    std::fs::remove_dir_all(folder).unwrap();
    let source = cluster.operator("source", port, &[]).await;
    source.readyz(true).await;
    let answer = reqwest::get(&before.url).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    assert_eq!(artifact(&cluster, "app").await, before);
    cluster.kustomization("late", "app", json!({})).await;
    wait::until("late", PATIENCE, Some(&source.process), async || {
        let late = cluster.api::<Kustomization>().get("late").await.unwrap();
        let applied = late.status.and_then(|s| s.last_applied_revision);
        (applied.as_ref() == Some(&before.revision))
            .then_some(())
            .ok_or_else(|| format!("{applied:?} in {NAMESPACE}"))
    })
    .await
    .unwrap();
    source.process.stop();
    assert!(source.process.exit_status().is_some());
    cluster.env.stop().await;
}

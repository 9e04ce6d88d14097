//! The API server at its worst: overloaded, forgetful, without its database. The operator waits,
//! loses nothing, and goes on by itself.

use std::time::{Duration, Instant};

use flux_api::Kustomization;
use flux_tests::sandbox::{process::Process, wait};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use rustix::process::Signal;
use serde_json::json;

use super::cluster::{Cluster, Operator, PATIENCE};
use super::proxy::Proxy;

/// How long a process is stopped: longer than an apply takes, shorter than a test should.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits until a count has reached a number.
async fn reaches(what: &str, operator: &Operator, number: usize, count: impl Fn() -> usize) {
    wait::until(what, PATIENCE, Some(&operator.process), async || {
        let found = count();
        (found >= number)
            .then_some(())
            .ok_or_else(|| found.to_string())
    })
    .await
    .unwrap();
}

/// Nobody is blamed for what the API server did.
async fn is_ready(cluster: &Cluster, name: &str) -> bool {
    let object = cluster.api::<Kustomization>().get(name).await.unwrap();
    let conditions = object.status.unwrap_or_default().conditions;
    flux_api::conditions::is_true(&conditions, "Ready")
}

#[tokio::test]
async fn an_overloaded_and_forgetful_api_server_is_waited_for() {
    let cluster = Cluster::start().await;
    let folder = cluster.env.sandbox().dir().to_owned();
    let proxy = Proxy::start(cluster.client.clone(), folder).await;
    let operator = cluster
        .operator_with(Some(&proxy.kubeconfig), "storm", 0, &[])
        .await;
    operator.readyz(true).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    let revision = cluster.push(&copy, "app", "app", "1").await;
    cluster.applied("app", &revision, "app", "1").await;

    // A storm of refusals: requests give way instead of adding to it.
    proxy.overload(true);
    let start = Instant::now();
    let revision = cluster.push(&copy, "app", "app", "2").await;
    reaches("refusals", &operator, 5, || proxy.refused()).await;
    let (count, took) = (proxy.refused(), start.elapsed());
    eprintln!("{count} requests were refused within {took:?}");
    assert!(
        is_ready(&cluster, "app").await,
        "an apply is due, nothing has failed"
    );
    proxy.overload(false);
    cluster.applied("app", &revision, "app", "2").await;

    // All watches end, and what they saw last is forgotten: everything is listed anew.
    let maps: Api<ConfigMap> = cluster.api();
    let version = async || maps.get("app").await.unwrap().resource_version();
    let before = version().await;
    proxy.expire_watches();
    reaches("expired watches", &operator, 5, || proxy.expired()).await;
    assert_eq!(version().await, before, "nothing was written again");
    let revision = cluster.push(&copy, "app", "app", "3").await;
    cluster.applied("app", &revision, "app", "3").await;
    cluster
        .patch::<ConfigMap>("app", json!({"data": {"value": "foreign"}}))
        .await;
    wait::until(
        "the correction",
        PATIENCE,
        Some(&operator.process),
        async || {
            let object = maps.get("app").await.map_err(|error| error.to_string())?;
            let value = object
                .data
                .unwrap_or_default()
                .remove("value")
                .unwrap_or_default();
            (value == "3").then_some(()).ok_or(value)
        },
    )
    .await
    .unwrap();
    operator.process.stop();
    cluster.env.stop().await;
}

#[tokio::test]
async fn without_its_database_the_api_server_is_waited_for() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("outage", 0, &[]).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    let revision = cluster.push(&copy, "app", "app", "1").await;
    cluster.applied("app", &revision, "app", "1").await;

    let control_plane = cluster.env.sandbox().control_plane().unwrap();
    for (stopped, value) in [
        (control_plane.etcd(), "2"),
        (control_plane.api_server(), "3"),
    ] {
        let paused = pause(stopped).await;
        let revision = cluster.push(&copy, "app", "app", value).await;
        let start = Instant::now();
        cluster.applied("app", &revision, "app", value).await;
        eprintln!(
            "after {paused:?} without {} a commit was applied within {:?}",
            stopped.name(),
            start.elapsed()
        );
        assert!(operator.process.exit_status().is_none());
    }
    operator.process.stop();
    cluster.env.stop().await;
}

/// Stops a process as a frozen machine is, and lets it go on. Not a wait for anything: the time is
/// the outage.
async fn pause(process: &Process) -> Duration {
    process.id().signal(Signal::STOP);
    tokio::time::sleep(PAUSE).await;
    process.id().signal(Signal::CONT);
    PAUSE
}

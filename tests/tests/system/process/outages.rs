//! The API server at its worst: overloaded, forgetful, without its database. The operator waits,
//! loses nothing, and goes on by itself.

use std::time::{Duration, Instant};

use flux_api::Kustomization;
use flux_tests::{
    endurance::{
        hostile::{self, Trap},
        large, outages,
        proxy::Proxy,
        storm,
    },
    measure::Meter,
    sandbox::wait,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::cluster::{Cluster, NAMESPACE, Operator, PATIENCE};

/// How long a server is away: longer than an apply takes, shorter than a test should.
const OUTAGE: Duration = Duration::from_secs(3);

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
    let folder = cluster.env.sandbox().dir();
    let proxy = Proxy::start(cluster.client.clone(), folder).await.unwrap();
    let through = [("KUBECONFIG", proxy.kubeconfig.clone().into())];
    let operator = cluster.operator_with(&through, "storm", 0, &[]).await;
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
    // The same code as `soak storm`.
    let storms = storm::run(&cluster.env, NAMESPACE, &proxy, (OUTAGE, 1)).await;
    for storm in storms.unwrap() {
        eprintln!("{storm}");
    }
    operator.process.stop();
    cluster.env.stop().await;
}

#[tokio::test]
async fn without_its_database_the_api_server_is_waited_for() {
    let cluster = Cluster::start().await;
    // Shorter than the outage: the Leases are lost in it.
    let leases = [
        "--leader-election-lease-duration=3s",
        "--leader-election-renew-deadline=2s",
        "--leader-election-retry-period=500ms",
    ];
    let outages = outages::run(&cluster.env, "default", OUTAGE, &leases).await;
    let outages = outages.unwrap();
    for outage in &outages {
        eprintln!("{outage}");
    }
    assert!(outages.iter().any(|outage| outage.restarts > 0));
    cluster.env.stop().await;
}

/// The same code with the figures of the issue: `soak git`.
#[tokio::test]
async fn the_history_is_not_fetched_and_a_poll_lists_one_ref() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("large", 0, &[]).await;
    operator.readyz(true).await;
    let sizes = large::Sizes {
        commits: 2_000,
        files: 500,
        refs: 10_000,
    };
    let id = operator.process.id();
    let report = large::run(&cluster.env, "default", id, sizes)
        .await
        .unwrap();
    eprintln!("{report:?}");
    // 2,000 commits with their trees would be ten times that.
    assert!(report.first_bytes < 100_000, "{report:?}");
    assert!(report.poll_bytes < 2048, "{report:?}");
    cluster.env.stop().await;
}

/// The same code with the figures of the issue: `soak hostile`.
#[tokio::test]
async fn hostile_repositories_are_refused_and_hold_nobody_up() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("hostile", 0, &[]).await;
    operator.readyz(true).await;
    let meter = Meter::start(operator.process.id());
    let sizes = hostile::Sizes {
        file: 101 << 20,
        files: 101_000,
        levels: 300,
    };
    let verdicts = hostile::run(&cluster.env, "default", sizes).await.unwrap();
    for verdict in &verdicts {
        eprintln!("{verdict:#?}");
    }
    let usage = meter.usage().unwrap();
    eprintln!("peak {} MiB", usage.peak >> 20);
    assert!(usage.peak <= hostile::MEMORY, "{usage:?}");
    for verdict in &verdicts {
        let (whole, source) = (&verdict.whole, &verdict.source);
        assert!(whole.contains(verdict.trap.word()), "{verdict:#?}");
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!format!("{source}{whole}").contains(steers), "{verdict:#?}");
        assert!(!whole.contains("root:"), "{verdict:#?}");
        // What cannot be packed cannot be part of an artifact; all else is of no concern to whoever
        // reads another folder.
        let packed = ![Trap::LargeFile, Trap::Depth].contains(&verdict.trap);
        let ok = |words: &str| words.starts_with("ok: ");
        assert_eq!(ok(source), packed, "{verdict:#?}");
        assert_eq!(ok(&verdict.part), packed, "{verdict:#?}");
    }
    operator.process.stop();
    cluster.env.stop().await;
}

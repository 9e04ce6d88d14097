//! Many Kustomizations of one repository.

mod cluster;
mod measure;

use std::time::Duration;

use anyhow::Result;
use flux_tests::env::Env;

use cluster::Cluster;
use measure::Meter;

/// Settings of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many Kustomizations of 4 objects.
    #[arg(long, default_value_t = 300)]
    kustomizations: usize,

    /// Whether they wait for health.
    #[arg(long)]
    wait: bool,

    /// Their interval, as in a manifest.
    #[arg(long, default_value = "1h")]
    interval: String,

    /// Objects that the operator reconciles at once.
    #[arg(long, default_value_t = 20)]
    concurrent: u16,

    /// Length of the chain of dependencies.
    #[arg(long, default_value_t = 10)]
    chain: usize,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let mut cluster = Cluster::start(&env, arguments).await?;
    let count = arguments.kustomizations;
    println!(
        "{count} Kustomizations of 4 objects, wait {}, --concurrent={}",
        arguments.wait, arguments.concurrent
    );
    println!(
        "{:<34} {:>8} {:>8} {:>9} {:>9}",
        "", "wall s", "CPU s", "requests", "MiB"
    );

    let meter = Meter::start(&cluster).await?;
    cluster.install().await?;
    cluster.all_show().await?;
    meter.print(&cluster, "install", count).await?;
    meter.print_kinds(&cluster).await?;

    // What the install set off (events, endpoints) is over before the next figure.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&cluster).await?;
    cluster.request_all().await?;
    meter
        .print(&cluster, "nothing changed, annotated", count)
        .await?;
    meter.print_kinds(&cluster).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.commit(1)?;
    let meter = Meter::start(&cluster).await?;
    cluster.fetch().await?;
    cluster.first_applied().await?;
    meter
        .print(&cluster, "one path changed: applied", count)
        .await?;
    cluster.all_show().await?;
    meter
        .print(&cluster, "one path changed: all show it", count)
        .await?;

    cluster.commit(count)?;
    let meter = Meter::start(&cluster).await?;
    cluster.fetch().await?;
    cluster.all_show().await?;
    meter.print(&cluster, "all paths changed", count).await?;
    meter.print_kinds(&cluster).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&cluster).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    meter.print(&cluster, "30 s at rest", count).await?;

    cluster.restart().await?;
    let meter = Meter::restarted(&cluster).await?;
    cluster.all_verified().await?;
    meter
        .print(&cluster, "restart: all verified", count)
        .await?;
    meter.print_kinds(&cluster).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&cluster).await?;
    cluster.install_chain(arguments.chain).await?;
    meter
        .print(&cluster, "chain of dependencies", arguments.chain)
        .await?;
    Ok(())
}

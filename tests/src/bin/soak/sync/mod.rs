//! Many Kustomizations of one repository.

mod measure;

use std::time::Duration;

use anyhow::Result;
use flux_tests::env::Env;
use flux_tests::fleet::{Fleet, Options};

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

    /// How often all are asked for a run by annotation.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Length of the chain of dependencies.
    #[arg(long, default_value_t = 10)]
    chain: usize,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            kustomizations: self.kustomizations,
            wait: self.wait,
            interval: self.interval.clone(),
            concurrent: self.concurrent,
            patience: Duration::from_secs(600),
        }
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let mut fleet = Fleet::start(&env, &arguments.options()).await?;
    let count = arguments.kustomizations;
    println!(
        "{count} Kustomizations of 4 objects, wait {}, --concurrent={}",
        arguments.wait, arguments.concurrent
    );
    println!(
        "{:<34} {:>8} {:>8} {:>9} {:>9}",
        "", "wall s", "CPU s", "requests", "MiB"
    );

    let meter = Meter::start(&fleet).await?;
    fleet.install().await?;
    fleet.all_show().await?;
    meter.print(&fleet, "install", count).await?;
    meter.print_kinds(&fleet).await?;

    // What the install set off (events, endpoints) is over before the next figure.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&fleet).await?;
    for _ in 0..arguments.rounds {
        fleet.request_all().await?;
    }
    meter
        .print(
            &fleet,
            "nothing changed, annotated",
            count * arguments.rounds,
        )
        .await?;
    meter.print_kinds(&fleet).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    fleet.commit(1)?;
    let meter = Meter::start(&fleet).await?;
    fleet.fetch().await?;
    fleet.first_applied().await?;
    meter
        .print(&fleet, "one path changed: applied", count)
        .await?;
    fleet.all_show().await?;
    meter
        .print(&fleet, "one path changed: all show it", count)
        .await?;

    fleet.commit(count)?;
    let meter = Meter::start(&fleet).await?;
    fleet.fetch().await?;
    fleet.all_show().await?;
    meter.print(&fleet, "all paths changed", count).await?;
    meter.print_kinds(&fleet).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&fleet).await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    meter.print(&fleet, "30 s at rest", count).await?;

    fleet.restart().await?;
    let meter = Meter::restarted(&fleet).await?;
    fleet.all_verified().await?;
    meter.print(&fleet, "restart: all verified", count).await?;
    meter.print_kinds(&fleet).await?;

    tokio::time::sleep(Duration::from_secs(10)).await;
    let meter = Meter::start(&fleet).await?;
    // Each link is one of the folders.
    let chain = arguments.chain.min(count);
    fleet.install_chain(chain).await?;
    meter.print(&fleet, "chain of dependencies", chain).await?;
    Ok(())
}

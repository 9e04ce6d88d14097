//! Benchmarks of the whole system: they print figures and judge nothing. One module per topic.

mod admission;
mod images;
mod kills;
mod outages;
mod plugin;
mod sync;

use clap::{Parser, Subcommand};

/// Measures the whole system on a throw-away control plane.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    #[command(subcommand)]
    topic: Topic,
}

#[derive(Debug, Subcommand)]
enum Topic {
    /// The webhook: what an apply costs, and what is noticed of rotation, restarts and mishaps.
    Admission(admission::Arguments),
    /// Repositories that are made to exhaust whoever reads them.
    Hostile(outages::Hostile),
    /// Image updates: large repositories, the way of a tag, commits from three sides.
    Images(images::Arguments),
    /// The operator killed at random moments: nothing is lost, left behind or made anew.
    Kills(kills::Arguments),
    /// etcd and the API server away for a while.
    Outages(outages::Arguments),
    /// The plugin: times, memory and requests of single commands.
    Plugin(plugin::Arguments),
    /// Many Kustomizations of one repository: requests, time, CPU and memory of the operator.
    Sync(sync::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().topic {
        Topic::Admission(arguments) => admission::run(&arguments).await,
        Topic::Hostile(arguments) => outages::hostile(&arguments).await,
        Topic::Images(arguments) => images::run(&arguments).await,
        Topic::Kills(arguments) => kills::run(&arguments).await,
        Topic::Outages(arguments) => outages::run(&arguments).await,
        Topic::Plugin(arguments) => plugin::run(&arguments).await,
        Topic::Sync(arguments) => sync::run(&arguments).await,
    }
}

//! Benchmarks of the whole system: they print figures and judge nothing. One module per topic.

mod images;
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
    /// Image updates: large repositories, the way of a tag, commits from three sides.
    Images(images::Arguments),
    /// The plugin: times, memory and requests of single commands.
    Plugin(plugin::Arguments),
    /// Many Kustomizations of one repository: requests, time, CPU and memory of the operator.
    Sync(sync::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().topic {
        Topic::Images(arguments) => images::run(&arguments).await,
        Topic::Plugin(arguments) => plugin::run(&arguments).await,
        Topic::Sync(arguments) => sync::run(&arguments).await,
    }
}

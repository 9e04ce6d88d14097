//! Benchmarks of the whole system: they print figures and judge nothing. One module per topic.

mod admission;
mod git;
mod images;
mod kills;
mod outages;
mod plugin;
mod storm;
mod sync;

use clap::{Parser, Subcommand};

/// Measures the whole system on a throw-away control plane.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// What to measure; all of it without one.
    #[command(subcommand)]
    topic: Option<Topic>,
}

/// Everything, as docs/performance.md has it.
const ALL: &[&str] = &[
    "kills",
    "outages",
    "storm",
    "hostile",
    "git",
    "sync",
    "sync --wait",
    "sync --kustomizations 1000",
    "images",
    "admission",
    "plugin",
];

#[derive(Debug, Subcommand)]
enum Topic {
    /// The webhook: what an apply costs, and what is noticed of rotation, restarts and mishaps.
    Admission(admission::Arguments),
    /// Large repositories: memory of the first fetch, bytes of a poll.
    Git(git::Arguments),
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
    /// Requests refused (429) and watches that expire (410).
    Storm(storm::Arguments),
    /// Many Kustomizations of one repository: requests, time, CPU and memory of the operator.
    Sync(sync::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(topic) = Arguments::parse().topic {
        return topic.run().await;
    }
    for line in ALL {
        println!("\nsoak {line}\n");
        let words = std::iter::once("soak").chain(line.split(' '));
        if let Some(topic) = Arguments::try_parse_from(words)?.topic {
            topic.run().await?;
        }
    }
    Ok(())
}

impl Topic {
    async fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Admission(arguments) => admission::run(arguments).await,
            Self::Git(arguments) => git::run(arguments).await,
            Self::Hostile(arguments) => outages::hostile(arguments).await,
            Self::Images(arguments) => images::run(arguments).await,
            Self::Kills(arguments) => kills::run(arguments).await,
            Self::Outages(arguments) => outages::run(arguments).await,
            Self::Plugin(arguments) => plugin::run(arguments).await,
            Self::Storm(arguments) => storm::run(arguments).await,
            Self::Sync(arguments) => sync::run(arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_a_list_of_topics() {
        for line in ALL {
            let words = std::iter::once("soak").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).unwrap().topic.is_some());
        }
    }
}

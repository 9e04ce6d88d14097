//! The cluster goes away, and hostile repositories come.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use flux_tests::endurance::{hostile, outages};
use flux_tests::env::Env;
use flux_tests::measure::Meter;
use flux_tests::sandbox::process::Process;

use super::kills::launch;
use flux_tests::sandbox::wait::free_port;

/// Settings of the outages.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long etcd and the API server are away, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Settings of the hostile repositories.
#[derive(Debug, clap::Args)]
pub(crate) struct Hostile {
    /// Size of one file in MiB.
    #[arg(long, default_value_t = 1024)]
    file: usize,

    /// Files of one tree.
    #[arg(long, default_value_t = 1_000_000)]
    files: usize,

    /// Levels of bases that name each other.
    #[arg(long, default_value_t = 1000)]
    levels: usize,
}

async fn start(env: &Env) -> Result<Arc<Process>> {
    launch(env, [free_port()?, free_port()?, free_port()?], &[]).await
}

/// Runs the outages; an error says what was lost, left behind or made anew.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let namespace = env.namespace("outages").await?;
    let lasts = Duration::from_secs(arguments.seconds);
    for outage in outages::run(&env, &namespace, lasts, &[]).await? {
        println!("{outage}");
    }
    Ok(())
}

/// Shows the hostile repositories to an operator, and prints what it said and needed.
pub(crate) async fn hostile(arguments: &Hostile) -> Result<()> {
    let env = Env::start().await?;
    let namespace = env.namespace("hostile").await?;
    let operator = start(&env).await?;
    let meter = Meter::start(operator.id());
    let sizes = hostile::Sizes {
        file: arguments.file << 20,
        files: arguments.files,
        levels: arguments.levels,
    };
    for verdict in hostile::run(&env, &namespace, sizes).await? {
        println!(
            "{} ({:.1} s)",
            verdict.trap.name(),
            verdict.took.as_secs_f64()
        );
        println!("  source: {}", verdict.source);
        println!("  whole:  {}", verdict.whole);
        println!("  part:   {}", verdict.part);
    }
    if let Some(usage) = meter.usage() {
        println!(
            "{:.1} s of processor time, peak {} MiB (bound {})",
            usage.cpu.as_secs_f64(),
            usage.peak >> 20,
            hostile::MEMORY >> 20
        );
    }
    Ok(())
}

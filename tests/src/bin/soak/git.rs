//! Large repositories: the first fetch, and polls.

use anyhow::Result;
use flux_tests::endurance::large;
use flux_tests::env::Env;
use flux_tests::measure::{mib, seconds};
use flux_tests::sandbox::wait::free_port;

use super::kills::launch;

/// Sizes of the repositories.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Commits of the one with a long history.
    #[arg(long, default_value_t = 100_000)]
    commits: usize,

    /// Files of it.
    #[arg(long, default_value_t = 20_000)]
    files: usize,

    /// Refs of the other one.
    #[arg(long, default_value_t = 10_000)]
    refs: usize,
}

/// Runs it, and prints what the operator and the Git server's line needed.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let namespace = env.namespace("large").await?;
    let ports = [free_port()?, free_port()?, free_port()?];
    let operator = launch(&env, ports, &[]).await?;
    let sizes = large::Sizes {
        commits: arguments.commits,
        files: arguments.files,
        refs: arguments.refs,
    };
    let report = large::run(&env, &namespace, operator.id(), sizes).await?;
    println!(
        "first fetch of {} commits and {} files, with the artifact: {} wall, {} CPU, peak {}, {} of Git's protocol",
        sizes.commits,
        sizes.files,
        seconds(report.first.wall),
        seconds(report.first.cpu),
        mib(report.first.peak),
        mib(report.first_bytes),
    );
    println!(
        "poll of a remote with {} refs, nothing new: {} bytes of Git's protocol",
        sizes.refs, report.poll_bytes
    );
    Ok(())
}

//! The walk of the documentation, played on a real cluster, a real Git server over SSH and a real
//! image registry: every command that a person types, with a check of what it brings about. Where
//! no node can run the cluster is a control plane alone, and what needs pods is skipped.
//!
//! `docs/tutorial.md` tells the same walk for readers.

mod apps;
mod automation;
mod deletion;
mod exposition;
mod figures;
mod guest;
mod images;
mod programs;
mod report;
mod rest;
mod setup;
mod shell;
mod sources;
mod walk;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{ArgGroup, Parser};

use walk::Walk;

/// Plays the walk and checks every step of it.
#[derive(Debug, Parser)]
#[command(name = "tutorial", group = ArgGroup::new("servers").args(["host", "git_url"]))]
pub struct Args {
    /// Keeps everything running at the end, to look around; Ctrl-C ends it.
    #[arg(long)]
    pub keep: bool,
    /// Plays the walk without a node, as where none can run: no pods, no exposition.
    #[arg(long, conflicts_with = "context")]
    pub no_node: bool,
    /// Plays the walk on a cluster of your own, by the name of its context; what it makes there is
    /// said first and removed at the end
    #[arg(long, value_name = "NAME", requires = "servers")]
    pub context: Option<String>,
    /// With --context: the address of this machine at which the cluster's pods reach the Git server
    /// and the registry of the walk
    #[arg(long, value_name = "ADDRESS", requires = "context", requires = "image")]
    pub host: Option<IpAddr>,
    /// With --host: the registry, and folder in it, from which the cluster pulls the images of our
    /// programs; `cargo run --bin release -- push` puts them there
    #[arg(long, value_name = "REGISTRY", requires = "host")]
    pub image: Option<String>,
    /// Instead of --host: where two empty repositories are, k8s-kind-fluxcd.git and
    /// k8s-kind-apps.git, as ssh://git@HOST/OWNER
    #[arg(long, value_name = "URL", requires_all = ["context", "registry", "private_key_file"])]
    pub git_url: Option<String>,
    /// With --git-url: the registry, and folder in it, that images are pushed to and pulled from; its
    /// credentials are the content of the variable REGISTRY_AUTHORIZATION
    #[arg(long, value_name = "REGISTRY", requires = "git_url")]
    pub registry: Option<String>,
    /// With --git-url: a key without a passphrase that may read and write both repositories
    #[arg(long, value_name = "FILE", requires = "git_url")]
    pub private_key_file: Option<PathBuf>,
    /// With --context: does not ask before it begins
    #[arg(long, short, requires = "context")]
    pub yes: bool,
    /// Leaves everything alone for so many seconds, and counts writes to the apps' Namespaces
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide = true,
        conflicts_with = "context"
    )]
    pub rest: u64,
}

/// Plays the walk; `true` when every check passed.
///
/// # Errors
/// When the tutorial itself cannot go on, for example because a program is missing.
pub async fn run(args: &Args) -> Result<bool> {
    let mut walk = Walk::start(args).await?;
    let rest = Duration::from_secs(args.rest);
    let outcome = tokio::select! {
        outcome = play(&mut walk, rest) => outcome,
        // On a cluster of somebody's, what was made goes all the same.
        _ = tokio::signal::ctrl_c(), if args.context.is_some() => {
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    if let Err(error) = &outcome {
        walk.report
            .check("the walk goes on", false, &format!("{error:#}"));
    }
    if walk.report.has_failures() {
        // What cannot be shown must not keep anything running.
        if let Err(error) = walk.show_logs().await {
            let error = format!("{error:#}");
            walk.report.check("the logs are shown", false, &error);
        }
    }
    if args.keep {
        walk.wait_for_interrupt().await?;
    }
    walk.stop().await
}

async fn play(walk: &mut Walk, rest: Duration) -> Result<()> {
    setup::run(walk).await?;
    apps::run(walk).await?;
    sources::run(walk).await?;
    images::run(walk).await?;
    automation::run(walk).await?;
    rest::run(walk, rest).await?;
    exposition::run(walk).await?;
    deletion::run(walk).await?;
    figures::run(walk).await
}

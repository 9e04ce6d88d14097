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
mod images;
mod programs;
mod report;
mod setup;
mod shell;
mod sources;
mod walk;

use anyhow::Result;
use clap::Parser;

use walk::Walk;

/// Plays the walk and checks every step of it.
#[derive(Debug, Parser)]
#[command(name = "tutorial")]
pub struct Args {
    /// Keeps everything running at the end, to look around; Ctrl-C ends it.
    #[arg(long)]
    pub keep: bool,
    /// Plays the walk without a node, as where none can run: no pods, no exposition.
    #[arg(long)]
    pub no_node: bool,
}

/// Plays the walk; `true` when every check passed.
///
/// # Errors
/// When the tutorial itself cannot go on, for example because a program is missing.
pub async fn run(args: &Args) -> Result<bool> {
    let mut walk = Walk::start(!args.no_node).await?;
    let outcome = play(&mut walk).await;
    if let Err(error) = &outcome {
        walk.report
            .check("the walk goes on", false, &format!("{error:#}"));
    }
    if walk.report.has_failures() {
        walk.show_logs().await?;
    }
    if args.keep {
        walk.wait_for_interrupt().await?;
    }
    walk.stop().await
}

async fn play(walk: &mut Walk) -> Result<()> {
    setup::run(walk).await?;
    apps::run(walk).await?;
    sources::run(walk).await?;
    images::run(walk).await?;
    automation::run(walk).await?;
    exposition::run(walk).await?;
    deletion::run(walk).await?;
    figures::run(walk).await
}

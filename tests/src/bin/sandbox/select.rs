//! `sandbox down` and `sandbox kubeconfig`, which act on sandboxes that are there already.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use flux_tests::sandbox::state::{Record, State};

#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {
    /// The sandbox in this folder; not needed when there is only one.
    #[arg(long, value_name = "DIR", conflicts_with = "all")]
    dir: Option<PathBuf>,
    /// All of them. One that a test or the tutorial started ends together with that program.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KubeconfigArgs {
    /// The sandbox in this folder; not needed when there is only one.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the file's path instead of its content.
    #[arg(long)]
    path: bool,
}

pub(crate) async fn down(args: &DownArgs) -> Result<()> {
    let state = State::open()?;
    for record in state.sweep()? {
        eprintln!("cleaned up {}", record.dir.display());
    }
    let running = state.list()?;
    let chosen = match (args.all, running.is_empty() && args.dir.is_none()) {
        (true, _) | (_, true) => running,
        _ => vec![choose(running, args.dir.as_ref())?],
    };
    for record in chosen {
        let dir = record.dir.clone();
        let state = state.clone();
        tokio::task::spawn_blocking(move || state.stop(&record)).await??;
        eprintln!("stopped {}", dir.display());
    }
    Ok(())
}

pub(crate) fn kubeconfig(args: &KubeconfigArgs) -> Result<()> {
    let record = choose(State::open()?.list()?, args.dir.as_ref())?;
    let path = record
        .endpoints
        .kubeconfig
        .context("this sandbox runs no control plane")?;
    if args.path {
        println!("{}", path.display());
    } else {
        let content = std::fs::read_to_string(&path);
        print!(
            "{}",
            content.with_context(|| format!("cannot read {}", path.display()))?
        );
    }
    Ok(())
}

/// The sandbox in `dir`, or the only one there is.
fn choose(mut records: Vec<Record>, dir: Option<&PathBuf>) -> Result<Record> {
    if let Some(dir) = dir {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
        records.retain(|record| record.dir == dir);
        return records
            .pop()
            .with_context(|| format!("no sandbox runs in {}", dir.display()));
    }
    match (records.pop(), records.is_empty()) {
        (Some(record), true) => Ok(record),
        (None, _) => bail!("no sandbox runs"),
        (Some(last), false) => {
            records.push(last);
            let dirs: Vec<String> = records
                .iter()
                .map(|record| format!("  --dir {}", record.dir.display()))
                .collect();
            bail!(
                "several sandboxes run; choose one with\n{}",
                dirs.join("\n")
            )
        }
    }
}

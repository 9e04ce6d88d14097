//! `migrate`: brings objects of the cluster, or manifests in files, to what today's Flux serves.
//!
//! `check --give-back` reports from the same tables ([`refused`]) what this mends.

pub(crate) mod cluster;
mod edit;
pub(crate) mod files;
pub(crate) mod refused;
mod template;
mod versions;

use std::path::PathBuf;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use files::File;
use versions::Release;

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or folder with manifests, instead of the cluster
    #[arg(short = 'f', long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// Endings of the names of files that are read, with -f
    #[arg(
        short = 'e',
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = ".yaml,.yml"
    )]
    extensions: Vec<String>,
    /// Release of Flux whose versions are written, with -f
    #[arg(short = 'v', long, value_name = "RELEASE", default_value = "2.9",
        value_parser = Release::parse)]
    version: Release,
    /// Change the files without asking, with -f
    #[arg(short = 'y', long)]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    match &args.path {
        Some(path) => of_files(args, path),
        None => context.block_on(cluster::run(args.dry_run, context)),
    }
}

fn of_files(args: &Args, path: &std::path::Path) -> Result<(), Error> {
    let files = files::read(path, &args.extensions)?;
    let mut changed: Vec<(&File, String)> = Vec::new();
    let mut left = 0;
    for file in &files {
        let plan = match files::plan(&file.text, &args.version) {
            Ok(plan) => plan,
            Err(error) => {
                output::warning(format!("{}: {error}; left as it is", file.shown));
                continue;
            }
        };
        for change in &plan.changes {
            output::generate(format!("{}:{}: {}", file.shown, change.line, change.what));
        }
        for problem in &plan.left {
            left += 1;
            output::failure(format!("{}:{}: {}", file.shown, problem.line, problem.what));
        }
        if !plan.changes.is_empty() {
            changed.push((file, plan.text));
        }
    }
    if changed.is_empty() {
        output::success("no custom resources found that require migration");
    } else if !args.dry_run {
        let question = "Are you sure you want to proceed with the above upgrades";
        if !args.yes && !output::confirmed(question)? {
            return Err(Error::input("aborting"));
        }
        files::replace(&changed)?;
        let files = match changed.len() {
            1 => "1 file".to_owned(),
            many => format!("{many} files"),
        };
        output::success(format!("{files} migrated"));
    }
    match left {
        0 => Ok(()),
        left => Err(Error::input(format!(
            "{left} places have to be changed by hand"
        ))),
    }
}

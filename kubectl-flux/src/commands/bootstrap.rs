//! `bootstrap`: puts the manifests of an installation into a Git repository, installs them, and lets
//! the cluster follow that repository from then on.
//!
//! What all hosts of Git have in common is in [`steps`]; a provider says how the repository is
//! reached and how the cluster's key gets access to it.

mod access;
mod files;
mod flags;
mod git;
mod github;
mod rehearsal;
mod repository;
mod secret;
mod steps;
mod takeover;
mod token;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;

/// Where the repository is hosted.
#[derive(Debug, Subcommand)]
pub(crate) enum Bootstrap {
    /// A repository on any Git server
    Git(Box<git::Args>),
    /// A repository on GitHub, made where there is none
    Github(Box<github::Args>),
}

/// Runs the command.
pub(crate) fn run(bootstrap: &Bootstrap, context: &Context) -> Result<(), Error> {
    match bootstrap {
        Bootstrap::Git(args) => git::run(args, context),
        Bootstrap::Github(args) => github::run(args, context),
    }
}

//! `preview`: what the operator would do, decided by the operator's own code.

mod files;
mod image_policy;
mod image_update;
mod manifests;
mod tags;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;

/// What can be previewed.
#[derive(Debug, Subcommand)]
pub(crate) enum Preview {
    /// Show which tag an ImagePolicy selects, and why not the others
    ImagePolicy(image_policy::Args),
    /// Show what image updates would change in a folder
    ImageUpdate(image_update::Args),
}

/// Runs one of them.
pub(crate) fn run(preview: &Preview, context: &Context) -> Result<(), Error> {
    match preview {
        Preview::ImagePolicy(args) => image_policy::run(args, context),
        Preview::ImageUpdate(args) => image_update::run(args, context),
    }
}

/// Reads a file, or standard input for `-`.
fn read_text(path: &str) -> Result<String, Error> {
    let read = match path {
        "-" => std::io::read_to_string(std::io::stdin()),
        path => std::fs::read_to_string(path),
    };
    read.map_err(|error| Error::input(format!("cannot read {path}: {error}")))
}

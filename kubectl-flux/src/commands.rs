//! One module per verb: its flags, what it asks the cluster, what it prints.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod install;
pub(crate) mod reconcile;
pub(crate) mod version;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::error::Error;

/// Carries out what was typed.
pub(crate) fn run(cli: Cli) -> Result<(), Error> {
    let Cli {
        global, command, ..
    } = cli;
    // Works without a namespace, and must also when it is not usable.
    if let Command::Completion(args) = &command {
        return completion::run(args);
    }
    let context = Context::new(global)?;
    match command {
        Command::Check(args) => check::run(&args, &context),
        Command::Create(args) => create::run(*args, &context),
        Command::Events(args) => events::run(&args, &context),
        Command::Get(get) => get::run(get, &context),
        Command::Install(args) => install::run(&args, &context),
        Command::Reconcile(reconcile) => reconcile::run(&reconcile, &context),
        Command::Version(args) => version::run(&args, &context),
        Command::Completion(args) => completion::run(&args),
    }
}

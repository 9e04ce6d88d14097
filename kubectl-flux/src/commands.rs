//! One module per verb: its flags, what it asks the cluster, what it prints.

pub(crate) mod bootstrap;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod envsubst;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod install;
pub(crate) mod lint;
pub(crate) mod logs;
pub(crate) mod migrate;
pub(crate) mod preview;
pub(crate) mod reconcile;
pub(crate) mod resume;
pub(crate) mod stats;
pub(crate) mod suspend;
pub(crate) mod trace;
pub(crate) mod tree;
pub(crate) mod uninstall;
pub(crate) mod version;
pub(crate) mod wait;
pub(crate) mod which;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::error::Error;
use crate::output::color;

/// Carries out what was typed.
pub(crate) fn run(cli: Cli) -> Result<(), Error> {
    let Cli {
        global, command, ..
    } = cli;
    color::wish(global.color);
    // Works without a namespace, and must also when it is not usable.
    match &command {
        Command::Completion(args) => return completion::run(args),
        Command::Envsubst(args) => return envsubst::run(args),
        _ => {}
    }
    if let Command::Explain(args) = &command {
        return explain::run(args);
    }
    let context = Context::new(global)?;
    match command {
        Command::Bootstrap(bootstrap) => bootstrap::run(&bootstrap, &context),
        Command::Build(what) => build::run(&what, &context),
        Command::Check(args) => check::run(&args, &context),
        Command::Create(args) => create::run(*args, &context),
        Command::Delete(what) => delete::run(what, &context),
        Command::Debug(what) => debug::run(&what, &context),
        Command::Diff(what) => diff::run(&what, &context),
        Command::Envsubst(args) => envsubst::run(&args),
        Command::Events(args) => events::run(&args, &context),
        Command::Explain(args) => explain::run(&args),
        Command::Export(what) => export::run(what, &context),
        Command::Get(get) => get::run(get, &context),
        Command::Install(args) => install::run(&args, &context),
        Command::Migrate(args) => migrate::run(&args, &context),
        Command::Preview(preview) => preview::run(&preview, &context),
        Command::Lint(args) => lint::run(&args, &context),
        Command::Logs(args) => logs::run(&args, &context),
        Command::Reconcile(what) => reconcile::run(what, &context),
        Command::Resume(what) => resume::run(what, &context),
        Command::Stats(args) => stats::run(&args, &context),
        Command::Suspend(what) => suspend::run(what, &context),
        Command::Trace(args) => trace::run(&args, &context),
        Command::Tree(what) => tree::run(&what, &context),
        Command::Uninstall(args) => uninstall::run(&args, &context),
        Command::Version(args) => version::run(&args, &context),
        Command::Wait(args) => wait::run(&args, &context),
        Command::Completion(args) => completion::run(&args),
    }
}

//! The command tree: what can be typed, before anything is done about it.
//!
//! The flags follow pflag, which Flux and kubectl use: a switch takes `--flag` or `--flag=false`,
//! the next word is the value of a flag even when it begins with a dash, the last of a repeated
//! flag counts. clap has other defaults, so [`command`] adapts the tree in one pass.

mod elsewhere;
mod errors;
mod global;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command as Tree, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use global::{Global, SecretText};

use crate::{commands, output};

/// The word that stands before objects named as `kind/name`; nobody types it.
pub(crate) const OBJECTS: &str = "objects";

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(
    name = "flux",
    about = "Command line utility for assembling Kubernetes CD pipelines the GitOps way",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    disable_version_flag = true,
    args_override_self = true,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Print the version and exit
    #[arg(short = 'v', long = "version", action = ArgAction::Version)]
    _version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install from a Git repository, and let the cluster follow it
    #[command(subcommand)]
    Bootstrap(commands::bootstrap::Bootstrap),
    /// Build what would be applied, from a local folder
    #[command(subcommand)]
    Build(commands::build::Build),
    /// Check the cluster: Kubernetes version, controllers, resource definitions
    Check(commands::check::Args),
    /// Print a completion script for a shell
    Completion(commands::completion::Args),
    /// Create or update resources, or print their manifests
    Create(Box<commands::create::Args>),
    /// Look into what the controllers work with
    #[command(subcommand)]
    Debug(commands::debug::Debug),
    /// Delete resources
    #[command(subcommand)]
    Delete(commands::delete::Delete),
    /// Show what would change in the cluster
    #[command(subcommand)]
    Diff(commands::diff::Diff),
    /// Replace variables in the input by those of the environment
    Envsubst(commands::envsubst::Args),
    /// Show the events of Flux resources
    Events(commands::events::Args),
    /// Say what a rule of lint and of the admission webhook means
    Explain(commands::explain::Args),
    /// Print the manifests of resources in the cluster
    #[command(subcommand)]
    Export(commands::export::Export),
    /// List resources and their state
    Get(commands::get::Args),
    /// Install the controllers and the webhook in the cluster, or print their manifests
    Install(Box<commands::install::Args>),
    /// Look for mistakes in manifests, or in the objects of the cluster
    Lint(commands::lint::Args),
    /// Show what the controllers write to their logs
    Logs(commands::logs::Args),
    /// Bring objects of the cluster, or manifests in files, to today's API versions
    Migrate(commands::migrate::Args),
    /// Show what would be selected or changed, without changing anything
    #[command(subcommand)]
    Preview(commands::preview::Preview),
    /// Ask for a reconciliation now and wait for its outcome
    #[command(subcommand)]
    Reconcile(commands::reconcile::Reconcile),
    /// Let controllers act upon resources again
    #[command(subcommand)]
    Resume(commands::resume::Resume),
    /// Count resources and what fails among them
    Stats(commands::stats::Args),
    /// Keep controllers from acting upon resources
    #[command(subcommand)]
    Suspend(commands::suspend::Suspend),
    /// Show where an object of the cluster comes from: its Kustomization, source and commit
    Trace(commands::trace::Args),
    /// Show what a Kustomization applied
    #[command(subcommand)]
    Tree(commands::tree::Tree),
    /// Remove what install put into the cluster; what was applied from Git stays
    Uninstall(commands::uninstall::Args),
    /// Show the versions of this program and of the controllers
    Version(commands::version::Args),
    /// Wait until resources are ready
    Wait(commands::wait::Args),
}

/// Why the arguments lead to no command: help was asked for, or they make no sense.
pub struct Stop {
    text: String,
    is_help: bool,
}

impl Stop {
    /// Prints help to standard output, or the mistake to standard error, and gives the exit code.
    pub(crate) fn report(self, args: &[OsString]) -> ExitCode {
        if !self.is_help {
            output::failure(&self.text);
            return no_answer(args);
        }
        match output::data(&self.text) {
            Err(error) if !error.is_broken_pipe() => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }
}

/// The whole tree with pflag's habits; documentation and completion are made from it too.
pub fn command() -> Tree {
    let tree = Cli::command().mut_args(like_pflag_arg);
    let shared: Vec<(char, Arg)> = LETTERS
        .iter()
        .filter_map(|(letter, long)| Some((*letter, find(&tree, long)?.clone())))
        .collect();
    tree.mut_subcommands(|child| adapted(child, &shared))
}

/// kubectl's short forms of flags that all commands have. Flux uses the letters for something else
/// on some commands, and is right there.
const LETTERS: [(char, &str); 2] = [('s', "server"), ('v', "v")];

fn find<'t>(tree: &'t Tree, long: &str) -> Option<&'t Arg> {
    tree.get_arguments()
        .find(|arg| arg.get_long() == Some(long))
}

/// A command with pflag's habits. It gets flags of its own for the letters, which keeps it from
/// inheriting those of its parent.
fn adapted(tree: Tree, shared: &[(char, Arg)]) -> Tree {
    let mut letters = Vec::new();
    for (letter, arg) in shared {
        let is_free = tree.get_arguments().all(|a| a.get_short() != Some(*letter));
        letters.push(match is_free {
            true => arg.clone().short(*letter),
            false => arg.clone(),
        });
    }
    tree.mut_args(like_pflag_arg)
        .args(letters)
        .mut_subcommands(|child| adapted(child, shared))
}

/// Parses the arguments, the first being the name the program was called by.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, Stop> {
    let mut tree = command().bin_name(called_as(args));
    let matches = tree
        .try_get_matches_from_mut(args)
        .or_else(|error| match with_objects(args, &error) {
            Some(args) => tree.try_get_matches_from_mut(args),
            None => Err(error),
        })
        .map_err(|error| stop(&error, &tree))?;
    Cli::from_arg_matches(&matches).map_err(|error| stop(&error, &tree))
}

/// `get ks/apps` names no kind as a command: the arguments with the word that says so, if that is
/// what is wrong with them.
fn with_objects(args: &[OsString], error: &clap::Error) -> Option<Vec<OsString>> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let at = args.iter().position(|arg| arg == word.as_str())?;
    let verb = args.get(..at)?.iter().rposition(|arg| arg == "get")?;
    let mut args = args.to_vec();
    args.insert(verb + 1, OBJECTS.into());
    word.contains('/').then_some(args)
}

/// The exit code of a failure: 2 for the commands whose code 1 is an answer, however wrong the rest
/// is that was typed.
pub(crate) fn no_answer(args: &[OsString]) -> ExitCode {
    let matches = command().ignore_errors(true).try_get_matches_from_mut(args);
    let verb = matches.as_ref().ok().and_then(|m| m.subcommand_name());
    ExitCode::from(match verb {
        Some("diff" | "lint" | "preview") => 2,
        _ => 1,
    })
}

/// The global flags among words that need not make a complete command; used by completion.
pub(crate) fn global_of(words: &[String]) -> Global {
    let mut tree = command().ignore_errors(true);
    let args = std::iter::once("flux").chain(words.iter().map(String::as_str));
    tree.try_get_matches_from_mut(args)
        .ok()
        .and_then(|matches| Global::from_arg_matches(&matches).ok())
        .unwrap_or_default()
}

fn stop(error: &clap::Error, tree: &Tree) -> Stop {
    match errors::describe(error, tree) {
        errors::Description::Help(text) => Stop {
            text,
            is_help: true,
        },
        errors::Description::Mistake(text) => Stop {
            text,
            is_help: false,
        },
    }
}

/// How usage lines name the program: kubectl starts `kubectl-x` when `kubectl x` is typed.
fn called_as(args: &[OsString]) -> String {
    let name = args
        .first()
        .and_then(|path| Path::new(path).file_stem())
        .map_or_else(
            || "flux".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
    match name.strip_prefix("kubectl-") {
        Some(plugin) => format!("kubectl {}", plugin.replace('_', "-")),
        None => name,
    }
}

fn like_pflag_arg(arg: Arg) -> Arg {
    if arg.is_positional() {
        return arg;
    }
    match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_name("bool")
            .hide_default_value(true)
            .value_parser(ValueParser::new(values::boolean)),
        ArgAction::Set | ArgAction::Append => arg.allow_hyphen_values(true),
        _ => arg,
    }
}

#[cfg(test)]
mod tests;

//! `debug kustomization`: what the operator works with, for those who look for a mistake.

use clap::Subcommand;
use serde_json::Value;

use super::build::sources::Sources;
use super::build::spec;
use crate::cli::values;
use crate::cluster::View;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// What can be looked into.
#[derive(Debug, Subcommand)]
pub(crate) enum Debug {
    /// Look into a Kustomization
    #[command(visible_alias = "ks", alias = "kustomizations")]
    Kustomization(Args),
}

/// Flags of `debug kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the Kustomization
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print the status
    #[arg(long)]
    show_status: bool,
    /// Print the variables that are substituted, in the form of an env file; values of Secrets are
    /// among them
    #[arg(long)]
    show_vars: bool,
    /// Print the history of what was applied
    #[arg(long)]
    show_history: bool,
}

/// Runs the command.
pub(crate) fn run(what: &Debug, context: &Context) -> Result<(), Error> {
    let Debug::Kustomization(args) = what;
    let Some((name, rest)) = args.names.split_first() else {
        return Err(Error::input("kustomization name is required"));
    };
    values::ignore_extra(rest);
    let wishes = [args.show_status, args.show_vars, args.show_history];
    match wishes.iter().filter(|wish| **wish).count() {
        0 => {
            return Err(Error::input(
                "either --show-status, --show-vars, or --show-history must be set",
            ));
        }
        1 => {}
        _ => {
            return Err(Error::input(
                "only one of --show-status, --show-vars, or --show-history can be set",
            ));
        }
    }
    let text = context.block_on(async {
        let cluster = context.cluster().await?;
        let namespace = context.namespace();
        if args.show_vars {
            let subject = spec::of_cluster(Some(&cluster), namespace, name).await?;
            let Some(post_build) = &subject.spec.post_build else {
                return Err(Error::input("no post build substitutions found"));
            };
            let sources = Sources::of_cluster(&cluster);
            let mut vars = std::collections::BTreeMap::new();
            for source in sources.variables(&subject).await? {
                vars.extend(source.values);
            }
            vars.extend(post_build.substitute.clone());
            return Ok(environment(vars));
        }
        let object = cluster.get(Kind::Kustomization, namespace, name).await?;
        let (pointer, what) = match args.show_status {
            true => ("/status", "status"),
            false => ("/status/history", "history"),
        };
        match object.at(pointer).filter(|value| !is_empty(value)) {
            Some(value) => Ok(flux_lang::yaml::to_string(value)),
            None => Err(Error::input(format!(
                "Kustomization {name:?} has no {what} yet"
            ))),
        }
    })?;
    output::data(&text)
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Lines `name=value`; line ends are not part of what is substituted.
fn environment(vars: impl IntoIterator<Item = (String, String)>) -> String {
    let line = |(name, value): (String, String)| format!("{name}={}\n", value.replace('\n', ""));
    vars.into_iter().map(line).collect()
}

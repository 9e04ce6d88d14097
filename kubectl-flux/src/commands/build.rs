//! `build kustomization`: what the operator would apply, from a local folder. The folder is only
//! read.

mod files;
pub(super) mod render;
pub(super) mod sources;
pub(super) mod spec;

use clap::Subcommand;
use flux_apply::Owner;
use flux_apply::object;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use render::{Rendered, Request};

/// What can be built.
#[derive(Debug, Subcommand)]
pub(crate) enum Build {
    /// Build a Kustomization from a local folder
    #[command(visible_alias = "ks")]
    Kustomization(Args),
}

/// Flags of `build kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    request: Request,
    /// Do not ask the cluster: variables of substituteFrom come from files of the repository
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(what: &Build, context: &Context) -> Result<(), Error> {
    let Build::Kustomization(args) = what;
    args.request.check()?;
    if args.dry_run && !args.request.has_file() {
        return Err(Error::input("dry-run mode requires a kustomization file"));
    }
    let text = context.block_on(async {
        let cluster = match args.dry_run {
            true => None,
            false => Some(context.cluster().await?),
        };
        let all = args.request.render(cluster.as_ref(), context).await?;
        Ok(all.into_iter().map(text).collect::<String>())
    })?;
    output::data(&text)
}

/// The objects of a Kustomization with the labels that say who applies them.
fn text(rendered: Rendered) -> String {
    let owner = Owner {
        name: rendered.subject.name,
        namespace: rendered.subject.namespace,
    };
    let mut text = String::new();
    for mut value in rendered.objects {
        object::set_labels(&mut value, owner.labels());
        text.push_str(&flux_lang::yaml::to_string(&value));
        text.push_str("---\n");
    }
    text
}

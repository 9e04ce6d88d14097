//! `install --export`: the manifests of resource definitions and controllers, from this program.

mod bundle;

use crate::VERSION;
use crate::cli::values;
use crate::context::Context;
use crate::error::Error;
use crate::output;
use bundle::Settings;

/// Flags of `install`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the manifests
    #[arg(long)]
    export: bool,
    /// Registry, and folder in it, that holds the images
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// Secret in the namespace with which the images are pulled
    #[arg(long, value_name = "NAME")]
    image_pull_secret: Option<String>,
    /// What the controllers log: trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL", value_parser = log_level)]
    log_level: Option<String>,
    /// Domain of the cluster's names
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
}

fn log_level(text: &str) -> Result<String, String> {
    let levels = ["trace", "debug", "info", "warn", "error"];
    values::one_of(text, &levels, "log level is not supported:")
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    if !args.export {
        return Err(Error::input(
            "install prints manifests: kubectl flux install --export | kubectl apply --server-side -f -",
        ));
    }
    if args.registry.is_none() {
        output::warning("the images are not published: build and push them, and give --registry");
    }
    let settings = Settings {
        namespace: context.namespace(),
        registry: args.registry.as_deref(),
        image_pull_secret: args.image_pull_secret.as_deref(),
        log_level: args.log_level.as_deref(),
        cluster_domain: args.cluster_domain.as_deref(),
    };
    let mut text =
        format!("---\n# Made by kubectl flux {VERSION}; install it anew to change it.\n");
    let mut is_first = true;
    for object in bundle::objects(&settings)? {
        if !is_first {
            text.push_str("---\n");
        }
        is_first = false;
        text.push_str(&flux_lang::yaml::to_string(&object));
    }
    output::data(&text)
}

//! `create`: makes or updates an object from flags, or prints its manifest with `--export`.

mod apply;
mod draft;
mod forge;
pub(super) mod git_credentials;
pub(super) mod git_url;
mod image_policy;
mod image_repository;
mod image_update;
mod kustomization;
mod secret_git;
mod secret_other;
mod source_git;
mod tenant;

use clap::Subcommand;
use flux_api::GoDuration;

use crate::cli::values;
use crate::context::Context;
use crate::error::Error;

/// `create` with everything below it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    what: What,
}

/// Flags of all `create` commands.
#[derive(Clone, Debug, clap::Args)]
struct Shared {
    /// Time between two reconciliations [default: 1m0s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = values::duration)]
    interval: Option<GoDuration>,
    /// Print the manifest instead of applying it
    #[arg(long, global = true)]
    export: bool,
    /// Labels of the object, as key=value; several separated by commas
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    label: Vec<String>,
}

impl Shared {
    /// The interval as manifests spell it.
    fn interval(&self) -> String {
        self.interval
            .as_ref()
            .map_or_else(|| "1m0s".to_owned(), values::canonical)
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the Secret with which a source is read
    #[command(subcommand)]
    Secret(Secret),
    /// Define where manifests come from
    #[command(subcommand)]
    Source(Source),
    /// Define what is applied from a source
    #[command(visible_alias = "ks")]
    Kustomization(kustomization::Args),
    /// Define how images are scanned, chosen and updated
    #[command(subcommand)]
    Image(Image),
    /// Make namespaces for a team and an account that reconciles in them
    Tenant(tenant::Args),
}

#[derive(Debug, Subcommand)]
enum Secret {
    /// Make a Secret for a Git repository, over SSH with a new deploy key
    Git(Box<secret_git::Args>),
    /// Make a Secret for a proxy
    Proxy(secret_other::ProxyArgs),
    /// Make a Secret with certificates
    Tls(secret_other::TlsArgs),
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Define a Git repository to follow
    Git(source_git::Args),
}

#[derive(Debug, Subcommand)]
enum Image {
    /// Define an image repository to scan
    Repository(image_repository::Args),
    /// Define which tag of a scanned repository is chosen
    Policy(image_policy::Args),
    /// Define how chosen tags are committed to Git
    Update(image_update::Args),
}

/// Runs one of them.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), Error> {
    let shared = &args.shared;
    match args.what {
        What::Secret(Secret::Git(args)) => secret_git::run(&args, shared, context),
        What::Secret(Secret::Proxy(args)) => secret_other::proxy(&args, shared, context),
        What::Secret(Secret::Tls(args)) => secret_other::tls(&args, shared, context),
        What::Source(Source::Git(args)) => source_git::run(&args, shared, context),
        What::Kustomization(args) => kustomization::run(&args, shared, context),
        What::Tenant(args) => tenant::run(&args, shared, context),
        What::Image(Image::Repository(args)) => image_repository::run(&args, shared, context),
        What::Image(Image::Policy(args)) => image_policy::run(&args, shared, context),
        What::Image(Image::Update(args)) => image_update::run(&args, shared, context),
    }
}

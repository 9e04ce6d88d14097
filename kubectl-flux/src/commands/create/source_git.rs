//! `create source git`.

use std::path::PathBuf;

use flux_api::GoDuration;
use flux_lang::giturl::Scheme;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::draft::{Draft, Fields};
use super::git_credentials::{Credentials, KeyFlags, WebLogin};
use super::git_url::{self, RemoteUrl};
use super::{Shared, apply};
use crate::cli::{SecretText, values};
use crate::cluster::{Cluster, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Ways to authenticate that are known by name.
const PROVIDERS: [&str; 4] = ["generic", "github", "aws", "azure"];

/// Flags of `create source git`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the GitRepository
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Address of the repository: ssh://, https:// or http://
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Branch to follow
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Tag to take
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Range of versions of which the highest tag is taken
    #[arg(long, value_name = "RANGE")]
    tag_semver: Option<String>,
    /// Full name of the reference to follow, such as refs/pull/1/head
    #[arg(long, value_name = "REF")]
    ref_name: Option<String>,
    /// Commit to take
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// User name over HTTP(S)
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,
    /// Password over HTTP(S), or pass phrase of the private key over SSH
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    password: Option<SecretText>,
    #[command(flatten)]
    keys: KeyFlags,
    /// Secret with the credentials, made beforehand
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<String>,
    /// Secret with the address and credentials of a proxy
    #[arg(long, value_name = "NAME")]
    proxy_secret_ref: Option<String>,
    /// Provider to authenticate with: generic, github, aws or azure
    #[arg(long, value_name = "NAME", value_parser = provider)]
    provider: Option<String>,
    /// File with the certificate authority of the server
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Fetch submodules too
    #[arg(long)]
    recurse_submodules: bool,
    /// Assume that the deploy key has been added to the repository
    #[arg(short = 's', long)]
    silent: bool,
    /// Paths to leave out, in the format of .gitignore; several separated by commas
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    ignore_paths: Vec<String>,
    /// Folders to check out; several separated by commas
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    sparse_checkout_paths: Vec<String>,
    /// How long a fetch may take
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    fetch_timeout: Option<GoDuration>,
}

/// Fields of the spec that these flags decide about.
const DECIDED: &[&str] = &[
    "ignore",
    "interval",
    "provider",
    "proxySecretRef",
    "recurseSubmodules",
    "ref",
    "secretRef",
    "sparseCheckout",
    "timeout",
    "url",
];

fn provider(text: &str) -> Result<String, String> {
    if PROVIDERS.contains(&text) {
        return Ok(text.to_owned());
    }
    let known = PROVIDERS.join("|");
    Err(format!(
        "source Git provider '{text}' is not supported, must be one of: {known}"
    ))
}

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let mut draft = Draft::new(Kind::GitRepository, &args.names, shared, context)?;
    let url = git_url::parse(args.url.as_deref())?;
    let reference = reference(args)?;
    if url.parsed.is_ssh() && args.ca_file.is_some() {
        return Err(Error::input(
            "specifying a CA file is not supported for Git over SSH",
        ));
    }
    draft.spec = spec(args, &url, reference, &shared.interval());
    draft.decided = DECIDED;
    let login = login(args);
    if url.parsed.scheme() == Scheme::Http && (login.has_credentials() || args.secret_ref.is_some())
    {
        output::warning("insecure configuration: credentials configured for an HTTP URL");
    }
    if shared.export {
        return apply::finish(&draft, shared, context, report);
    }
    // The Secret that is made below has the name of the source.
    let makes_secret = args.secret_ref.is_none() && (url.parsed.is_ssh() || login.is_given());
    if makes_secret {
        draft.spec["secretRef"] = json!({ "name": draft.name });
    }
    apply::review(&draft);
    output::generate(format!("generating {}", draft.kind.subject()));
    context.block_on(async {
        let cluster = context.cluster().await?;
        if makes_secret {
            let credentials = credentials(args, &url, &login).await?;
            apply_secret(&credentials, &draft, &cluster).await?;
        }
        apply::apply_and_wait(&draft, context, &cluster, report).await
    })
}

fn report(object: &DynamicObject) -> Vec<Result<String, String>> {
    let completed = Ok("GitRepository source reconciliation completed".to_owned());
    match object.text("/status/artifact/revision") {
        Some(revision) => vec![completed, Ok(format!("fetched revision: {revision}"))],
        None => vec![Err(
            "GitRepository source reconciliation completed but no artifact was found".to_owned(),
        )],
    }
}

fn login(args: &Args) -> WebLogin<'_> {
    WebLogin {
        username: args.username.as_deref().filter(|text| !text.is_empty()),
        password: args.password.as_ref(),
        bearer_token: None,
        ca_file: args.ca_file.as_ref(),
    }
}

/// The credentials that have to be put into a Secret.
async fn credentials(
    args: &Args,
    url: &RemoteUrl,
    login: &WebLogin<'_>,
) -> Result<Credentials, Error> {
    if !url.parsed.is_ssh() {
        return Credentials::web(login);
    }
    let credentials = Credentials::ssh(&url.parsed, &args.keys, args.password.as_ref()).await?;
    if let Some(known_hosts) = &credentials.known_hosts {
        output::success(format!(
            "collected public key from SSH server:\n{known_hosts}"
        ));
    }
    if let Some(key) = &credentials.public_key {
        output::generate(format!("deploy key: {key}\n"));
    }
    if !args.silent && !output::confirmed("Have you added the deploy key to your repository")? {
        return Err(Error::input("aborting"));
    }
    Ok(credentials)
}

async fn apply_secret(
    credentials: &Credentials,
    draft: &Draft,
    cluster: &Cluster,
) -> Result<(), Error> {
    output::action("applying secret with repository credentials");
    credentials
        .apply(cluster, &draft.namespace, &draft.name, &draft.labels)
        .await?;
    output::success("authentication configured");
    Ok(())
}

/// What to follow. More than one may be given; the strongest counts, as in Flux.
fn reference(args: &Args) -> Result<Value, Error> {
    let given = |flag: &'_ Option<String>| -> Option<String> {
        flag.clone().filter(|text| !text.is_empty())
    };
    let (branch, tag) = (given(&args.branch), given(&args.tag));
    let reference = if let Some(commit) = given(&args.commit) {
        let mut reference = Fields::default();
        reference
            .set("commit", commit)
            .text("branch", branch.as_deref());
        reference.into_value()
    } else if let Some(name) = given(&args.ref_name) {
        json!({ "name": name })
    } else if let Some(range) = given(&args.tag_semver) {
        json!({ "semver": range })
    } else if let Some(tag) = tag {
        json!({ "tag": tag })
    } else if let Some(branch) = branch {
        json!({ "branch": branch })
    } else {
        return Err(Error::input(
            "a Git ref is required, use one of the following: --branch, --tag, --commit, --ref-name or --tag-semver",
        ));
    };
    Ok(reference)
}

fn spec(args: &Args, url: &RemoteUrl, reference: Value, interval: &str) -> Value {
    let mut spec = Fields::default();
    spec.set("interval", interval)
        .set("ref", reference)
        .set("url", url.text.as_str())
        .text("provider", args.provider.as_deref())
        .reference("proxySecretRef", args.proxy_secret_ref.as_deref())
        .reference("secretRef", args.secret_ref.as_deref())
        .switch("recurseSubmodules", args.recurse_submodules);
    if !args.ignore_paths.is_empty() {
        spec.set("ignore", args.ignore_paths.join("\n"));
    }
    if !args.sparse_checkout_paths.is_empty() {
        spec.set("sparseCheckout", args.sparse_checkout_paths.clone());
    }
    if let Some(timeout) = args
        .fetch_timeout
        .as_ref()
        .filter(|time| !time.as_std().is_zero())
    {
        spec.set("timeout", values::canonical(timeout));
    }
    spec.into_value()
}

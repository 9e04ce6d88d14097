//! `create secret git`.

use std::path::PathBuf;

use flux_lang::giturl::GitUrl;
use k8s_openapi::api::core::v1::Secret;

use super::git_credentials::{Credentials, KeyFlags, WebLogin};
use super::{Shared, forge, git_url};
use crate::cli::{SecretText, values};
use crate::cluster::Scope;
use crate::context::Context;
use crate::error::Error;
use crate::github::{self, Github, Registered};
use crate::output;

/// Flags of `create secret git`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the Secret
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Address of the repository: ssh://, https:// or http://
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// User name over HTTP(S)
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,
    /// Password over HTTP(S), or pass phrase of the private key over SSH
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    password: Option<SecretText>,
    /// Bearer token over HTTPS
    #[arg(long, value_name = "TOKEN")]
    bearer_token: Option<SecretText>,
    /// File with the certificate authority of the server
    #[arg(long, value_name = "FILE", alias = "ca-file")]
    ca_crt_file: Option<PathBuf>,
    #[command(flatten)]
    keys: KeyFlags,
    /// Print nothing but the public key: that of the Secret if there is one, else that of the key
    /// which is made
    #[arg(long)]
    public_key_only: bool,
    /// Let the key into the repository on GitHub, to read (ro) or to read and write (rw); the token
    /// is that of the variable GITHUB_TOKEN
    #[arg(long, value_name = "ACCESS", value_parser = access)]
    register_deploy_key: Option<String>,
    /// Host of GitHub's API, if it is not that of the URL
    #[arg(long, value_name = "HOST", requires = "register_deploy_key")]
    hostname: Option<String>,
}

fn access(text: &str) -> Result<String, String> {
    values::one_of(
        text,
        &["ro", "rw"],
        "access of a deploy key is not supported:",
    )
}

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let name = values::object_name(&args.names)?;
    let labels = values::labels(&shared.label)?;
    let url = git_url::parse(args.url.as_deref())?;
    let login = WebLogin {
        username: args.username.as_deref().filter(|text| !text.is_empty()),
        password: args.password.as_ref(),
        bearer_token: args.bearer_token.as_ref(),
        ca_file: args.ca_crt_file.as_ref(),
    };
    if !url.parsed.is_ssh() {
        if args.public_key_only || args.register_deploy_key.is_some() {
            return Err(Error::input(
                "--public-key-only and --register-deploy-key are about keys: give an ssh:// URL",
            ));
        }
        check_login(&login)?;
        let credentials = Credentials::web(&login)?;
        if shared.export {
            return export(&credentials, context.namespace(), name, &labels);
        }
        return context.block_on(apply(&credentials, context, name, &labels));
    }
    // The file is for the API of a GitHub of one's own.
    if login.ca_file.is_some() && args.register_deploy_key.is_none() {
        output::warning("--ca-crt-file has no effect over SSH");
    }
    if shared.export && args.register_deploy_key.is_some() {
        return Err(Error::input(
            "--register-deploy-key needs a key that stays: it cannot be used with --export, which \
             makes another one each time; apply the Secret, then run this without --export",
        ));
    }
    context.block_on(async {
        // A Secret is not overwritten for a key that nobody lets in.
        let registration = Registration::prepare(args, &url.parsed).await?;
        if args.public_key_only
            && !shared.export
            && args.keys.private_key_file().is_none()
            && let Some(key) = public_key(context, name).await?
        {
            output::data(&format!("{}\n", key.trim()))?;
            return match registration {
                Some(registration) => registration.register(context, name, key.trim()).await,
                None => Ok(()),
            };
        }
        let credentials = Credentials::ssh(&url.parsed, &args.keys, args.password.as_ref()).await?;
        if shared.export {
            return export(&credentials, context.namespace(), name, &labels);
        }
        let verb = store(&credentials, context, name, &labels).await?;
        let key = credentials.public_key.as_deref().unwrap_or_default();
        if args.public_key_only {
            output::data(&format!("{key}\n"))?;
        } else {
            say(&credentials, context, name, verb);
        }
        match registration {
            Some(registration) => registration.register(context, name, key).await,
            None => {
                if let Some(page) = forge::key_page(&url.parsed).filter(|_| !args.public_key_only) {
                    output::action(format!("add the deploy key at {page}"));
                }
                Ok(())
            }
        }
    })
}

/// The public key in a Secret of the cluster.
async fn public_key(context: &Context, name: &str) -> Result<Option<String>, Error> {
    let cluster = context.cluster().await?;
    let api = cluster.typed::<Secret>(Scope::Namespace(context.namespace()));
    let found = api
        .get_opt(name)
        .await
        .map_err(|error| Error::input(format!("Secret {}/{name}: {error}", context.namespace())))?;
    let data = found.and_then(|secret| secret.data).unwrap_or_default();
    let key = data.get("identity.pub").cloned();
    Ok(key.and_then(|key| String::from_utf8(key.0).ok()))
}

/// A repository on GitHub that a key is to be let into.
struct Registration {
    github: Github,
    owner: String,
    repository: String,
    is_read_only: bool,
}

impl Registration {
    /// Finds out whether it can be done, if it is wanted at all.
    async fn prepare(args: &Args, url: &GitUrl) -> Result<Option<Self>, Error> {
        let Some(access) = args.register_deploy_key.as_deref() else {
            return Ok(None);
        };
        let path = url.server_path();
        let Some((owner, repository)) = github::owner_and_name(&path) else {
            return Err(Error::input(format!(
                "{path} is no repository on GitHub, which would be OWNER/NAME"
            )));
        };
        let token = std::env::var("GITHUB_TOKEN").unwrap_or_default();
        if token.trim().is_empty() {
            return Err(Error::input(
                "--register-deploy-key needs a personal access token: set GITHUB_TOKEN",
            ));
        }
        let host = args.hostname.as_deref().unwrap_or(forge::github_host(url));
        let github = Github::new(host, token.trim().into(), args.ca_crt_file.as_ref())?;
        github.check_keys(owner, repository).await?;
        Ok(Some(Self {
            github,
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            is_read_only: access == "ro",
        }))
    }

    /// Lets the key of a Secret in.
    async fn register(&self, context: &Context, name: &str, key: &str) -> Result<(), Error> {
        let (owner, repository) = (&self.owner, &self.repository);
        let title = format!("{}-{name}", context.namespace());
        let registered =
            self.github
                .register_key(owner, repository, &title, key, self.is_read_only);
        let word = match registered.await? {
            Registered::Added => "added to",
            Registered::Replaced => "replaced in",
            Registered::Unchanged => "is already in",
        };
        output::success(format!("deploy key {title:?} {word} {owner}/{repository}"));
        Ok(())
    }
}

type Labels = std::collections::BTreeMap<String, String>;

fn check_login(login: &WebLogin<'_>) -> Result<(), Error> {
    let has_user = login.username.is_some() || login.password.is_some();
    match (has_user, login.bearer_token.is_some()) {
        (true, true) => Err(Error::input(
            "user credentials and bearer token cannot be used together",
        )),
        (false, true) => Ok(()),
        _ if login.username.is_some() && login.password.is_some() => Ok(()),
        _ => Err(Error::input(
            "for Git over HTTP/S the username and password, or a bearer token is required",
        )),
    }
}

/// Flux prints one more newline after a Secret than after anything else.
pub(super) fn export(
    credentials: &Credentials,
    namespace: &str,
    name: &str,
    labels: &Labels,
) -> Result<(), Error> {
    let manifest = credentials.manifest(namespace, name, labels);
    output::data(&format!("{}\n", output::manifest::export(&manifest)))
}

async fn apply(
    credentials: &Credentials,
    context: &Context,
    name: &str,
    labels: &Labels,
) -> Result<(), Error> {
    let verb = store(credentials, context, name, labels).await?;
    say(credentials, context, name, verb);
    Ok(())
}

async fn store(
    credentials: &Credentials,
    context: &Context,
    name: &str,
    labels: &Labels,
) -> Result<&'static str, Error> {
    let cluster = context.cluster().await?;
    let namespace = context.namespace();
    credentials.apply(&cluster, namespace, name, labels).await
}

fn say(credentials: &Credentials, context: &Context, name: &str, verb: &str) {
    let namespace = context.namespace();
    if let Some(key) = &credentials.public_key {
        output::generate(format!("deploy key: {key}\n"));
    }
    output::action(format!(
        "git secret '{name}' {verb} in '{namespace}' namespace"
    ));
}

#[cfg(test)]
mod tests {
    use super::{SecretText, WebLogin, check_login};

    #[test]
    fn a_login_is_one_thing_or_the_other() {
        let secret = SecretText::from("x");
        let (name, secret) = (Some("git"), Some(&secret));
        let login = |username, password, bearer_token| {
            let login = WebLogin {
                username,
                password,
                bearer_token,
                ca_file: None,
            };
            check_login(&login).map_err(|error| error.to_string())
        };
        let missing =
            "for Git over HTTP/S the username and password, or a bearer token is required";
        assert_eq!(login(name, secret, None), Ok(()));
        assert_eq!(login(None, None, secret), Ok(()));
        assert_eq!(login(None, None, None), Err(missing.to_owned()));
        assert_eq!(login(name, None, None), Err(missing.to_owned()));
        assert_eq!(
            login(name, secret, secret),
            Err("user credentials and bearer token cannot be used together".to_owned())
        );
    }
}

//! `create secret git`.

use std::path::PathBuf;

use super::git_credentials::{Credentials, KeyFlags, WebLogin};
use super::{Shared, git_url};
use crate::cli::{SecretText, values};
use crate::context::Context;
use crate::error::Error;
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
        check_login(&login)?;
        let credentials = Credentials::web(&login)?;
        if shared.export {
            return export(&credentials, context.namespace(), name, &labels);
        }
        return context.block_on(apply(&credentials, context, name, &labels));
    }
    if login.ca_file.is_some() {
        output::warning("--ca-crt-file has no effect over SSH");
    }
    context.block_on(async {
        let credentials = Credentials::ssh(&url.parsed, &args.keys, args.password.as_ref()).await?;
        if shared.export {
            export(&credentials, context.namespace(), name, &labels)
        } else {
            apply(&credentials, context, name, &labels).await
        }
    })
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
    let cluster = context.cluster().await?;
    let namespace = context.namespace();
    let verb = credentials.apply(&cluster, namespace, name, labels).await?;
    if let Some(key) = &credentials.public_key {
        output::generate(format!("deploy key: {key}\n"));
    }
    output::action(format!(
        "git secret '{name}' {verb} in '{namespace}' namespace"
    ));
    Ok(())
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

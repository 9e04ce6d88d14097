//! `bootstrap git`: any Git server, by ssh or https. It is the person who gives keys access.

use flux_git::GitUrl;
use flux_lang::giturl::Scheme;

use super::access::Person;
use super::flags::Shared;
use super::repository;
use super::secret::Provider;
use super::steps::{self, Place};
use crate::cli::SecretText;
use crate::commands::create::git_url;
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// The user that code hosts have for SSH.
const DEFAULT_USER: &str = "git";

/// Flags of `bootstrap git`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the repository: ssh://, https:// or http://
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// User of the Git server
    #[arg(short = 'u', long, value_name = "NAME", default_value = DEFAULT_USER)]
    username: String,
    /// Password or token over HTTP(S), or pass phrase of the private key over SSH; else that of the
    /// variable GIT_PASSWORD
    #[arg(short = 'p', long, value_name = "PASSWORD")]
    password: Option<SecretText>,
    /// Assume that the deploy key has been added to the repository
    #[arg(short = 's', long)]
    silent: bool,
    /// Allow http:// URLs
    #[arg(long)]
    allow_insecure_http: bool,
    /// Send the password as a bearer token
    #[arg(long)]
    with_bearer_token: bool,
    #[command(flatten)]
    shared: Shared,
}

/// The person at the terminal.
struct ByHand {
    is_silent: bool,
}

impl Provider for ByHand {
    async fn give_access(&self, _public_key: &str) -> Result<(), Error> {
        let question = "Please give the key access to your repository";
        if self.is_silent || output::confirmed(question)? {
            Ok(())
        } else {
            Err(Error::input("aborting"))
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let shared = &args.shared;
    let mut wanted = shared.install.wanted(context.namespace(), true)?;
    let url = git_url::parse(args.url.as_deref())?;
    wanted.check_images()?;
    if let Some(folder) = &shared.export {
        let sync_text = sync_url(args, &url.parsed)?;
        return steps::export(shared, &wanted, &sync_text, folder, context);
    }
    let password = password(args, &url.parsed);
    if args.with_bearer_token && password.is_none() {
        return Err(Error::input("--with-bearer-token needs --password"));
    }
    if shared.token_auth && password.is_none() {
        return Err(Error::input(
            "--token-auth needs a password or token: give --password, or set GIT_PASSWORD",
        ));
    }
    let person = Person {
        keys: &shared.keys,
        username: &args.username,
        password: password.as_ref(),
        with_bearer_token: args.with_bearer_token,
        ca_file: shared.ca_file.as_ref(),
        allow_insecure_http: args.allow_insecure_http,
        host_key_kinds: &shared.ssh_hostkey_algos,
    };
    let provider = ByHand {
        is_silent: args.silent,
    };
    let sync_text = sync_url(args, &url.parsed)?;
    let sync_url = GitUrl::parse(&sync_text).map_err(|error| Error::Input(error.to_string()))?;
    context.block_on(async {
        let timeout = repository::limit(context.timeout());
        let place = Place {
            remote: person.remote(&url.parsed, timeout).await?,
            sync_url,
            sync_text,
            person: &person,
        };
        steps::run(shared, &mut wanted, place, &provider, context).await
    })
}

/// The flag, or the variable that Flux reads.
fn password(args: &Args, url: &GitUrl) -> Option<SecretText> {
    let given = args.password.clone();
    let variable = || {
        let text = std::env::var("GIT_PASSWORD").ok()?;
        // A key has no use for the password of an account.
        (!url.is_ssh()).then(|| SecretText::from(text.as_str()))
    };
    given
        .or_else(variable)
        .filter(|text| !text.reveal().is_empty())
}

/// The address for the cluster: by https with the person's login, else by ssh with a key.
fn sync_url(args: &Args, url: &GitUrl) -> Result<String, Error> {
    let path = url.server_path();
    let path = path.trim_start_matches('/');
    if args.shared.token_auth {
        let scheme = if args.allow_insecure_http {
            "http"
        } else {
            "https"
        };
        let host = match url.scheme() {
            // A port of the SSH server is not one of the web server.
            Scheme::Ssh => url.host().to_owned(),
            Scheme::Http | Scheme::Https => url.authority(),
        };
        return Ok(format!("{scheme}://{host}/{path}"));
    }
    let host = match (&args.shared.ssh_hostname, url.scheme()) {
        (Some(host), _) if !host.is_empty() => host.clone(),
        (_, Scheme::Ssh) => url.authority(),
        _ => url.host().to_owned(),
    };
    let user = match url.user() {
        Some(user) if args.username == DEFAULT_USER && url.is_ssh() => user.to_owned(),
        _ => args.username.clone(),
    };
    if user.is_empty() {
        return Err(Error::input("--username must not be empty"));
    }
    Ok(format!("ssh://{user}@{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn synced(url: &str, words: &[&str]) -> String {
        let words = std::iter::once(&"x").chain(words);
        let line = Line::try_parse_from(words).unwrap();
        sync_url(&line.args, &GitUrl::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn the_cluster_has_a_way_of_its_own() {
        for (url, words, expected) in [
            ("ssh://git@h/o/r", &[][..], "ssh://git@h/o/r"),
            ("ssh://git@h:2222/o/r.git", &[], "ssh://git@h:2222/o/r.git"),
            ("ssh://me@h/o/r", &[], "ssh://me@h/o/r"),
            ("ssh://me@h/o/r", &["-u", "you"], "ssh://you@h/o/r"),
            ("https://h/o/r", &[], "ssh://git@h/o/r"),
            (
                "https://h:8443/o/r",
                &["--ssh-hostname=g:2222"],
                "ssh://git@g:2222/o/r",
            ),
            (
                "https://h:8443/o/r",
                &["--token-auth"],
                "https://h:8443/o/r",
            ),
            ("https://u:p@h/o/r", &["--token-auth"], "https://h/o/r"),
            (
                "http://h/o/r",
                &["--token-auth", "--allow-insecure-http"],
                "http://h/o/r",
            ),
        ] {
            assert_eq!(synced(url, words), expected, "{url} {words:?}");
        }
    }
}

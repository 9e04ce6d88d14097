//! `bootstrap github`: a repository on GitHub or GitHub Enterprise Server. It is made where there is
//! none, and the cluster's key is let in without a person.

use flux_git::GitUrl;

use super::access::Person;
use super::flags::Shared;
use super::repository;
use super::secret::Provider;
use super::steps::{self, Place};
use crate::context::Context;
use crate::error::Error;
use crate::github::{GITHUB, Github, GithubError};
use crate::output;

/// The user that a token stands for; GitHub takes any.
const USER: &str = "git";
/// What a team gets without a word on it.
const PERMISSION: &str = "maintain";

/// Flags of `bootstrap github`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// User or organisation that has the repository
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Name of the repository; it is made if there is none
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Teams of the organisation that get access, as NAME or NAME:PERMISSION
    #[arg(long, value_name = "TEAM", value_delimiter = ',')]
    team: Vec<String>,
    /// The owner is a user, not an organisation
    #[arg(long)]
    personal: bool,
    /// Make the repository private
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = crate::cli::values::boolean,
        action = clap::ArgAction::Set, value_name = "bool")]
    private: bool,
    /// Host of GitHub, for GitHub Enterprise Server
    #[arg(long, value_name = "HOST", default_value = GITHUB)]
    hostname: String,
    /// Let the cluster's key write, which image updates need
    #[arg(long)]
    read_write_key: bool,
    /// Bring a repository that is there to what the flags say
    #[arg(long)]
    reconcile: bool,
    #[command(flatten)]
    shared: Shared,
}

/// A repository on GitHub.
struct Hosted<'a> {
    github: &'a Github,
    owner: &'a str,
    repository: &'a str,
    /// Address for people.
    page: String,
    /// Title of the cluster's deploy key.
    title: String,
    read_only: bool,
}

impl Provider for Hosted<'_> {
    async fn give_access(&self, public_key: &str) -> Result<(), Error> {
        let (owner, name) = (self.owner, self.repository);
        self.github
            .register_key(owner, name, &self.title, public_key, self.read_only)
            .await?;
        output::success(format!(
            "configured deploy key {:?} for {:?}",
            self.title, self.page
        ));
        Ok(())
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let shared = &args.shared;
    let owner = wanted("owner", args.owner.as_deref())?;
    let name = wanted("repository", args.repository.as_deref())?;
    let mut wanted = shared.install.wanted(context.namespace(), true)?;
    wanted.check_images()?;
    let sync_text = sync_url(args, owner, name);
    let sync_url = GitUrl::parse(&sync_text).map_err(|error| Error::Input(error.to_string()))?;
    if let Some(folder) = &shared.export {
        return steps::export(shared, &wanted, &sync_text, folder, context);
    }
    let token = super::token::ask("GITHUB_TOKEN", "GitHub")?;
    let github = Github::new(&args.hostname, token.clone(), shared.ca_file.as_ref())?;
    let person = Person {
        keys: &shared.keys,
        username: USER,
        password: Some(&token),
        with_bearer_token: false,
        ca_file: shared.ca_file.as_ref(),
        allow_insecure_http: false,
        host_key_kinds: &shared.ssh_hostkey_algos,
    };
    context.block_on(async {
        output::action(format!("connecting to {}", args.hostname));
        let found = repository(args, &github, owner, name).await?;
        let Some(clone_url) = found else {
            output::action("with --dry-run the rest cannot be told before there is a repository");
            return Ok(());
        };
        let url = GitUrl::parse(&clone_url).map_err(|error| Error::Input(error.to_string()))?;
        let provider = Hosted {
            github: &github,
            owner,
            repository: name,
            page: format!("https://{}/{owner}/{name}", args.hostname),
            title: title(args, context.namespace()),
            read_only: !args.read_write_key,
        };
        let timeout = repository::limit(context.timeout());
        let place = Place {
            remote: person.remote(&url, timeout).await?,
            sync_url,
            sync_text,
            person: &person,
        };
        steps::run(shared, &mut wanted, place, &provider, context).await
    })
}

fn wanted<'a>(flag: &str, value: Option<&'a str>) -> Result<&'a str, Error> {
    let value = value.filter(|text| !text.is_empty());
    let value = value.ok_or_else(|| Error::input(format!("--{flag} is required")))?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match value.chars().all(is_word) {
        true => Ok(value),
        false => Err(Error::input(format!(
            "--{flag}={value}: a name on GitHub has letters, digits, '-', '_' and '.'"
        ))),
    }
}

/// Sees to it that there is a repository, and gives its address; `None` if that may not be done now.
async fn repository(
    args: &Args,
    github: &Github,
    owner: &str,
    name: &str,
) -> Result<Option<String>, Error> {
    let login = github.login().await?;
    if args.personal && !login.eq_ignore_ascii_case(owner) {
        return Err(Error::input(format!(
            "the specified owner '{owner}' doesn't match the identity associated with the given \
             token '{login}'"
        )));
    }
    let organization = (!args.personal).then_some(owner);
    let is_rehearsal = args.shared.dry_run;
    let found = match github.repository(owner, name).await? {
        Some(found) => {
            warn_of_rules(args, github, owner, name).await?;
            if args.reconcile && found.private != args.private && !is_rehearsal {
                github.set_private(owner, name, args.private).await?;
                output::success(format!("repository {:?} updated", found.html_url));
            }
            found
        }
        None if is_rehearsal => {
            output::action(format!(
                "repository \"https://{}/{owner}/{name}\" would be created",
                args.hostname
            ));
            return Ok(None);
        }
        None => {
            let made = github
                .create_repository(organization, name, args.private)
                .await
                .map_err(|error| of_user(error, args, &login))?;
            output::success(format!("repository {:?} created", made.html_url));
            made
        }
    };
    if !args.team.is_empty() && !is_rehearsal {
        if args.personal {
            return Err(Error::input(
                "--team is for organisations, not for --personal",
            ));
        }
        output::action("reconciling repository permissions");
        for team in &args.team {
            let (team, permission) = team.split_once(':').unwrap_or((team, PERMISSION));
            github.grant(owner, name, team, permission).await?;
            output::success(format!("granted {permission:?} permissions to {team:?}"));
        }
        output::success("reconciled repository permissions");
    }
    Ok(Some(found.clone_url))
}

/// The most common slip: the owner is a person.
fn of_user(error: GithubError, args: &Args, login: &str) -> Error {
    let is_own = args
        .owner
        .as_deref()
        .is_some_and(|owner| owner.eq_ignore_ascii_case(login));
    match error {
        GithubError::Refused { status: 404, .. } if is_own && !args.personal => Error::input(
            format!("{login} is a user, not an organisation: give --personal"),
        ),
        error => error.into(),
    }
}

/// Pushes to a branch with rules may be refused, and it is better to know that before.
async fn warn_of_rules(args: &Args, github: &Github, owner: &str, name: &str) -> Result<(), Error> {
    let branch = &args.shared.branch;
    if github.is_protected(owner, name, branch).await? {
        output::warning(format!(
            "branch {branch:?} is protected: where pushes to it are refused, let the token's \
             owner bypass the rules, or give another --branch"
        ));
    }
    Ok(())
}

/// The address for the cluster.
fn sync_url(args: &Args, owner: &str, name: &str) -> String {
    let host = &args.hostname;
    if args.shared.token_auth {
        return format!("https://{host}/{owner}/{name}.git");
    }
    let ssh_host = args.shared.ssh_hostname.as_ref().filter(|h| !h.is_empty());
    let host = match ssh_host {
        Some(host) => host.as_str(),
        // A port of the web server is not one of the SSH server.
        None => host.split(':').next().unwrap_or(host),
    };
    format!("ssh://{USER}@{host}/{owner}/{name}")
}

/// Title of the deploy key: which cluster it is of, as Flux writes it.
fn title(args: &Args, namespace: &str) -> String {
    let path = &args.shared.path;
    let parts = [
        namespace,
        &args.shared.branch,
        &args.shared.secret_name,
        path,
    ];
    parts.map(|part| part.trim_end_matches('/')).join("-")
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

    fn args(words: &[&str]) -> Args {
        let words = std::iter::once(&"x").chain(words);
        Line::try_parse_from(words).unwrap().args
    }

    #[test]
    fn addresses_for_the_cluster() {
        for (words, expected) in [
            (&[][..], "ssh://git@github.com/o/r"),
            (&["--token-auth"], "https://github.com/o/r.git"),
            (&["--hostname=git.corp:8443"], "ssh://git@git.corp/o/r"),
            (
                &["--ssh-hostname=ssh.github.com:443"],
                "ssh://git@ssh.github.com:443/o/r",
            ),
            (
                &["--hostname=git.corp:8443", "--token-auth"],
                "https://git.corp:8443/o/r.git",
            ),
        ] {
            assert_eq!(sync_url(&args(words), "o", "r"), expected, "{words:?}");
        }
    }

    #[test]
    fn titles_are_those_of_flux() {
        assert_eq!(
            title(&args(&["--path=clusters/x"]), "flux-system"),
            "flux-system-main-flux-system-./clusters/x"
        );
    }

    #[test]
    fn names_are_checked_before_they_are_part_of_an_address() {
        assert_eq!(wanted("owner", Some("my-org")).unwrap(), "my-org");
        for bad in [None, Some(""), Some("a/b"), Some("a?b"), Some("a b")] {
            assert!(wanted("owner", bad).is_err(), "{bad:?}");
        }
    }
}

//! How the person who bootstraps reaches the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flux_git::{Auth, GitUrl, Remote};
use flux_lang::giturl::Scheme;

use crate::cli::SecretText;
use crate::commands::create::git_credentials::{self, Credentials, KeyFlags, WebLogin};
use crate::error::Error;
use crate::output;

/// Keys that ssh itself would try, in its order.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Who the person is.
pub(super) struct Person<'a> {
    pub(super) keys: &'a KeyFlags,
    pub(super) username: &'a str,
    pub(super) password: Option<&'a SecretText>,
    pub(super) with_bearer_token: bool,
    pub(super) ca_file: Option<&'a PathBuf>,
    pub(super) allow_insecure_http: bool,
    /// Kinds of host keys that are accepted; all if none is named.
    pub(super) host_key_kinds: &'a [String],
}

impl Person<'_> {
    /// The login over HTTP(S).
    pub(super) fn login(&self) -> WebLogin<'_> {
        let password = self.password;
        if self.with_bearer_token {
            return WebLogin {
                bearer_token: password,
                ca_file: self.ca_file,
                ..WebLogin::default()
            };
        }
        WebLogin {
            username: password.map(|_| self.username),
            password,
            bearer_token: None,
            ca_file: self.ca_file,
        }
    }

    /// The repository with credentials.
    ///
    /// # Errors
    /// If there is no key, or the server does not show its host keys.
    pub(super) async fn remote(&self, url: &GitUrl, timeout: Duration) -> Result<Remote, Error> {
        let credentials = match url.scheme() {
            Scheme::Ssh => match self.ssh_key().await? {
                SshKey::File(keys) => Credentials::ssh(url, &keys, self.password).await?,
                SshKey::Agent(socket) => {
                    let known_hosts = git_credentials::host_keys(url, self.keys).await?;
                    let known_hosts = accepted(&known_hosts, self.host_key_kinds)?;
                    let auth = Auth::from_agent(socket, &known_hosts)
                        .map_err(|error| Error::input(error.to_string()))?;
                    return Ok(Remote::new(url.clone(), auth, timeout));
                }
            },
            Scheme::Http if !self.allow_insecure_http => {
                return Err(Error::input(
                    "scheme http is insecure, pass --allow-insecure-http=true to allow it",
                ));
            }
            Scheme::Http | Scheme::Https => Credentials::web(&self.login())?,
        };
        let mut data: BTreeMap<String, Vec<u8>> = credentials.data();
        if let Some(known_hosts) = &credentials.known_hosts {
            let known_hosts = accepted(known_hosts, self.host_key_kinds)?;
            data.insert("known_hosts".to_owned(), known_hosts.into_bytes());
        }
        let auth = if data.is_empty() {
            Auth::none(url)
        } else {
            Auth::from_secret(url, &data).map_err(|error| Error::input(error.to_string()))?
        };
        Ok(Remote::new(url.clone(), auth, timeout))
    }

    /// The key that proves who the person is: that of the flag, else what ssh would use.
    async fn ssh_key(&self) -> Result<SshKey, Error> {
        if self.keys.private_key_file().is_some() {
            return Ok(SshKey::File(Box::new(self.keys.clone())));
        }
        if let Some(socket) = agent_socket() {
            match flux_git::agent::keys(&socket).await {
                Ok(keys) if !keys.is_empty() => {
                    output::action(format!("using the SSH agent, with {}", keys.join(", ")));
                    return Ok(SshKey::Agent(socket));
                }
                Ok(_) => {}
                Err(error) => output::warning(error),
            }
        }
        let keys = self.keys.with_private_key(default_key()?);
        Ok(SshKey::File(Box::new(keys)))
    }
}

/// Where a private key is.
enum SshKey {
    /// In a file, which the flags name.
    File(Box<KeyFlags>),
    /// With the agent behind a socket.
    Agent(PathBuf),
}

/// The lines of known_hosts whose keys are of one of the kinds, as flags name them.
fn accepted(known_hosts: &str, kinds: &[String]) -> Result<String, Error> {
    let kinds: Vec<&str> = kinds
        .iter()
        .filter(|kind| !kind.is_empty())
        // One key of RSA signs in three ways.
        .map(|kind| match kind.as_str() {
            "rsa-sha2-256" | "rsa-sha2-512" => "ssh-rsa",
            other => other,
        })
        .collect();
    if kinds.is_empty() {
        return Ok(known_hosts.to_owned());
    }
    let has_kind = |line: &&str| {
        line.split(' ')
            .nth(1)
            .is_some_and(|kind| kinds.contains(&kind))
    };
    let lines: Vec<&str> = known_hosts.lines().filter(has_kind).collect();
    if lines.is_empty() {
        return Err(Error::input(format!(
            "the server has no host key of the kinds in --ssh-hostkey-algos: {}",
            kinds.join(", ")
        )));
    }
    Ok(lines.join("\n") + "\n")
}

/// The agent that ssh would ask.
fn agent_socket() -> Option<PathBuf> {
    let path = std::env::var_os("SSH_AUTH_SOCK")?;
    (!path.is_empty()).then(|| path.into())
}

/// The file that ssh would use.
fn default_key() -> Result<PathBuf, Error> {
    let folder = std::env::home_dir().map(|home| home.join(".ssh"));
    let candidates = folder
        .iter()
        .flat_map(|folder| DEFAULT_KEYS.map(|name| folder.join(name)));
    let Some(path) = candidates.into_iter().find(|path| path.exists()) else {
        return Err(Error::input(
            "there is no private key to reach the repository with: load one into the SSH agent by \
             ssh-add, give one by --private-key-file, or make ~/.ssh/id_ed25519 by ssh-keygen; or \
             use an https:// URL with --username and --password",
        ));
    };
    output::action(format!("using the private key {}", path.display()));
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::accepted;

    #[test]
    fn kinds_of_host_keys() {
        let all = "h ssh-ed25519 AA\nh ecdsa-sha2-nistp256 BB\nh ssh-rsa CC\n";
        let of = |kinds: &[&str]| {
            let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
            accepted(all, &kinds).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[]).unwrap(), all);
        assert_eq!(of(&["rsa-sha2-512"]).unwrap(), "h ssh-rsa CC\n");
        assert_eq!(
            of(&["ssh-ed25519", "ssh-rsa"]).unwrap(),
            "h ssh-ed25519 AA\nh ssh-rsa CC\n"
        );
        assert_eq!(
            of(&["ssh-dss"]).unwrap_err(),
            "the server has no host key of the kinds in --ssh-hostkey-algos: ssh-dss"
        );
    }
}

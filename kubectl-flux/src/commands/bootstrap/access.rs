//! How the person who bootstraps reaches the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flux_git::{Auth, GitUrl, Remote};
use flux_lang::giturl::Scheme;

use crate::cli::SecretText;
use crate::commands::create::git_credentials::{Credentials, KeyFlags, WebLogin};
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
            Scheme::Ssh => {
                let found;
                let keys = match self.keys.private_key_file() {
                    Some(_) => self.keys,
                    None => {
                        found = self.keys.with_private_key(default_key()?);
                        &found
                    }
                };
                Credentials::ssh(url, keys, self.password).await?
            }
            Scheme::Http if !self.allow_insecure_http => {
                return Err(Error::input(
                    "scheme http is insecure, pass --allow-insecure-http=true to allow it",
                ));
            }
            Scheme::Http | Scheme::Https => Credentials::web(&self.login())?,
        };
        let data: BTreeMap<String, Vec<u8>> = credentials.data();
        let auth = if data.is_empty() {
            Auth::none(url)
        } else {
            Auth::from_secret(url, &data).map_err(|error| Error::input(error.to_string()))?
        };
        Ok(Remote::new(url.clone(), auth, timeout))
    }
}

/// The key that ssh would use.
fn default_key() -> Result<PathBuf, Error> {
    let folder = std::env::home_dir().map(|home| home.join(".ssh"));
    let candidates = folder
        .iter()
        .flat_map(|folder| DEFAULT_KEYS.map(|name| folder.join(name)));
    let Some(path) = candidates.into_iter().find(|path| path.exists()) else {
        return Err(Error::input(
            "there is no private key to reach the repository with: give one by --private-key-file, \
             or make ~/.ssh/id_ed25519 by ssh-keygen; or use an https:// URL with --username and \
             --password",
        ));
    };
    output::action(format!("using the private key {}", path.display()));
    Ok(path)
}

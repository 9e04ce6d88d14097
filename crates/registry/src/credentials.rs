//! Who we are on a registry: Docker's client configuration, as Kubernetes keeps it in Secrets of
//! type `kubernetes.io/dockerconfigjson` and `kubernetes.io/dockercfg`.
//!
//! Credential helpers (`credsStore`, `credHelpers`) name programs on a person's machine and are
//! not looked at.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use thiserror::Error;

use crate::reference::{Reference, host_of};

/// Names under which people log in to Docker Hub; the first is the canonical one.
const DOCKER_HUB_NAMES: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];

/// A login on one registry, or none. It is never sent to another registry, and never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    registry: String,
    pub(crate) login: Login,
}

/// The kinds of login that Docker's configuration knows.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
    /// An OAuth refresh token, to be exchanged for an access token.
    Identity(String),
    /// A bearer token that the registry takes as it is.
    Token(String),
}

/// Why credentials cannot be read. Texts hold names and positions only, no values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The Secret holds neither of the two keys.
    #[error(
        "the Secret has no key .dockerconfigjson: create it with \
         `kubectl create secret docker-registry NAME --docker-server={registry} …`"
    )]
    NoConfiguration {
        /// The registry that a login is wanted for.
        registry: String,
    },
    /// The text is not Docker's JSON.
    #[error(
        "the Docker configuration is not valid JSON of that form at line {line} column {column}"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The field `auth` of an entry cannot be decoded.
    #[error(
        "the Docker configuration's entry for '{entry}' has an auth that is not base64 of USER:PASSWORD"
    )]
    Auth {
        /// The entry's key.
        entry: String,
    },
}

impl CredentialsError {
    /// The reason that Flux puts into the Ready condition.
    pub fn reason(&self) -> &'static str {
        "AuthenticationFailed"
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
struct Configuration {
    auths: BTreeMap<String, Entry>,
}

impl Credentials {
    /// No login.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// User and password for the registry (`host[:port]`).
    pub fn basic(registry: &str, username: &str, password: &str) -> Self {
        Self {
            registry: registry_name(registry).to_owned(),
            login: Login::Basic {
                username: username.to_owned(),
                password: password.to_owned(),
            },
        }
    }

    /// Gives everything that tells one login from another to `part`.
    pub(crate) fn parts(&self, part: &mut impl FnMut(Option<&[u8]>)) {
        let (kind, first, second) = match &self.login {
            Login::Anonymous => ("anonymous", "", ""),
            Login::Basic { username, password } => ("basic", &**username, &**password),
            Login::Identity(token) => ("identity", &**token, ""),
            Login::Token(token) => ("token", &**token, ""),
        };
        for text in [&*self.registry, kind, first, second] {
            part(Some(text.as_bytes()));
        }
    }

    /// Whether there is no login.
    pub fn is_anonymous(&self) -> bool {
        self.login == Login::Anonymous
    }

    /// The login that a Docker configuration holds for a repository: the entry whose host matches
    /// (`*` stands for one label) with the longest matching path. Anonymous when there is none,
    /// so that the next pull secret can be tried.
    ///
    /// Takes both forms: with `auths`, and the older one, which is the inner map itself.
    ///
    /// # Errors
    /// [`CredentialsError`] when the text cannot be read, or the matching entry's `auth` cannot.
    pub fn from_docker_config(
        json: &[u8],
        reference: &Reference,
    ) -> Result<Self, CredentialsError> {
        // serde's messages can quote values: only the position is passed on.
        let malformed = |error: serde_json::Error| CredentialsError::Json {
            line: error.line(),
            column: error.column(),
        };
        let value: serde_json::Value = serde_json::from_slice(json).map_err(malformed)?;
        let auths = if value.get("auths").is_some() {
            serde_json::from_slice::<Configuration>(json)
                .map_err(malformed)?
                .auths
        } else if value.get("credsStore").is_some() || value.get("credHelpers").is_some() {
            BTreeMap::new()
        } else {
            serde_json::from_slice(json).map_err(malformed)?
        };
        let best = auths
            .into_iter()
            .filter_map(|(key, entry)| Some((rank(&key, reference)?, key, entry)))
            .max_by(|(left, ..), (right, ..)| left.cmp(right));
        match best {
            Some((_, key, entry)) => Ok(Self {
                registry: reference.registry().to_owned(),
                login: entry.login().ok_or(CredentialsError::Auth { entry: key })?,
            }),
            None => Ok(Self::anonymous()),
        }
    }

    /// As [`Credentials::from_docker_config`], from the data of a Secret.
    ///
    /// # Errors
    /// [`CredentialsError::NoConfiguration`] when the Secret is of another kind.
    pub fn from_secret(
        data: &BTreeMap<String, Vec<u8>>,
        reference: &Reference,
    ) -> Result<Self, CredentialsError> {
        let json = data
            .get(".dockerconfigjson")
            .or_else(|| data.get(".dockercfg"))
            .ok_or_else(|| CredentialsError::NoConfiguration {
                registry: reference.registry().to_owned(),
            })?;
        Self::from_docker_config(json, reference)
    }

    /// The login to use on a registry: never one that was meant for another.
    pub(crate) fn login_for(&self, registry: &str) -> &Login {
        if self.registry == registry {
            &self.login
        } else {
            &Login::Anonymous
        }
    }

    /// Replaces every secret text of the login, should a registry echo one.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut hide = |secret: &str| {
            // Very short passwords would tear holes into any text.
            if secret.len() >= 4 {
                text = text.replace(secret, "***");
            }
        };
        match &self.login {
            Login::Anonymous => {}
            Login::Basic { username, password } => {
                hide(&STANDARD.encode(format!("{username}:{password}")));
                hide(password);
            }
            Login::Identity(token) | Login::Token(token) => hide(token),
        }
        text
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.login {
            Login::Anonymous => "anonymous",
            Login::Basic { .. } => "basic",
            Login::Identity(_) => "identity token",
            Login::Token(_) => "registry token",
        };
        formatter
            .debug_struct("Credentials")
            .field("registry", &self.registry)
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// The login of an entry; `None` when its `auth` cannot be decoded. An empty entry, which
    /// Docker writes when a helper keeps the secret, is no login.
    fn login(self) -> Option<Login> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = filled(self.registrytoken) {
            return Some(Login::Token(token));
        }
        if let Some(token) = filled(self.identitytoken) {
            return Some(Login::Identity(token));
        }
        if let (Some(username), Some(password)) = (filled(self.username), filled(self.password)) {
            return Some(Login::Basic { username, password });
        }
        match filled(self.auth) {
            Some(auth) => decode(&auth),
            None => Some(Login::Anonymous),
        }
    }
}

fn decode(auth: &str) -> Option<Login> {
    let auth = auth.trim();
    let bytes = STANDARD
        .decode(auth)
        .or_else(|_| STANDARD_NO_PAD.decode(auth))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    // Old Docker clients padded the password with NUL.
    Some(Login::Basic {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

fn registry_name(host: &str) -> &str {
    if DOCKER_HUB_NAMES.contains(&host) {
        DOCKER_HUB_NAMES[0]
    } else {
        host
    }
}

/// How well a key of the configuration fits a repository: an exact host before a pattern, then
/// the longer path. `None` when it does not.
fn rank(key: &str, reference: &Reference) -> Option<(bool, usize)> {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    // Docker Hub's key is a URL of the first protocol: https://index.docker.io/v1/
    let path = path.trim_matches('/');
    let path = ["v1", "v2"]
        .iter()
        .find_map(|version| match path.strip_prefix(version) {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        })
        .unwrap_or(path);
    let host = host.to_ascii_lowercase();
    let exact = registry_name(&host).eq_ignore_ascii_case(reference.registry());
    if !exact && !host_matches(&host, reference.registry()) {
        return None;
    }
    let below = reference
        .repository()
        .strip_prefix(path)
        .is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'));
    below.then_some((exact, path.len()))
}

/// Whether a host pattern such as `*.example.com` matches; `*` stands for part of one label.
fn host_matches(pattern: &str, registry: &str) -> bool {
    let (pattern_host, host) = (host_of(pattern), host_of(registry));
    if pattern.get(pattern_host.len()..) != registry.get(host.len()..) {
        return false;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let patterns: Vec<&str> = pattern_host.split('.').collect();
    pattern.contains('*')
        && labels.len() == patterns.len()
        && patterns
            .iter()
            .zip(labels)
            .all(|(pattern, label)| match pattern.split_once('*') {
                Some((before, after)) => {
                    label.len() >= before.len() + after.len()
                        && label.starts_with(before)
                        && label.ends_with(after)
                }
                None => *pattern == label,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(config: &str, image: &str) -> String {
        let reference = Reference::parse(image).unwrap();
        match Credentials::from_docker_config(config.as_bytes(), &reference)
            .unwrap()
            .login
        {
            Login::Anonymous => "-".to_owned(),
            Login::Basic { username, password } => format!("{username}/{password}"),
            Login::Identity(token) => format!("identity {token}"),
            Login::Token(token) => format!("token {token}"),
        }
    }

    #[test]
    fn entries_match_by_host_and_longest_path() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"username": "hub", "password": "p"},
            "ghcr.io": {"username": "gh", "password": "p"},
            "ghcr.io/team": {"username": "team", "password": "p"},
            "https://ghcr.io/v2/team/deep": {"username": "deep", "password": "p"},
            "*.example.com:5000": {"username": "glob", "password": "p"},
            "a.example.com:5000": {"username": "exact", "password": "p"},
            "helper.io": {},
            "token.io": {"registrytoken": "t"},
            "id.io": {"auth": "dTpw", "identitytoken": "i"},
            "auth.io": {"auth": "dXNlcjpwYTpzcw"}
        }}"#;
        for (image, login) in [
            ("alpine", "hub/p"),
            ("docker.io/fluxcd/flux", "hub/p"),
            ("ghcr.io/other/app", "gh/p"),
            ("ghcr.io/team/app", "team/p"),
            ("ghcr.io/teamster/app", "gh/p"),
            ("ghcr.io/team/deep/app", "deep/p"),
            ("a.example.com:5000/app", "exact/p"),
            ("b.example.com:5000/app", "glob/p"),
            ("b.example.com/app", "-"),
            ("b.c.example.com:5000/app", "-"),
            ("quay.io/app", "-"),
            ("helper.io/app", "-"),
            ("token.io/app", "token t"),
            ("id.io/app", "identity i"),
            ("auth.io/app", "user/pa:ss"),
        ] {
            assert_eq!(user(config, image), login, "{image}");
        }
        assert_eq!(
            user(r#"{"docker.io": {"auth": "dTpw"}}"#, "alpine"),
            "u/p",
            "old form"
        );
        assert_eq!(user(r#"{"credsStore": "desktop"}"#, "alpine"), "-");
    }

    #[test]
    fn errors_and_debug_hold_no_secret() {
        let reference = Reference::parse("ghcr.io/app").unwrap();
        for (config, text) in [
            (
                r#"{"auths": {"ghcr.io": "hunter2"}}"#,
                "the Docker configuration is not valid JSON of that form at line 1 column 31",
            ),
            (
                "{",
                "the Docker configuration is not valid JSON of that form at line 1 column 1",
            ),
            (
                r#"{"auths": {"ghcr.io": {"auth": "hunter2"}}}"#,
                "the Docker configuration's entry for 'ghcr.io' has an auth that is not base64 of \
                 USER:PASSWORD",
            ),
        ] {
            let error = Credentials::from_docker_config(config.as_bytes(), &reference).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let credentials = Credentials::basic("ghcr.io", "me", "hunter2");
        assert!(!format!("{credentials:?}").contains("hunter2"));
        assert_eq!(
            credentials.scrub("no: hunter2, bWU6aHVudGVyMg=="),
            "no: ***, ***"
        );
        let missing = Credentials::from_secret(&BTreeMap::new(), &reference).unwrap_err();
        assert!(
            missing.to_string().contains("--docker-server=ghcr.io"),
            "{missing}"
        );
    }

    #[test]
    fn a_login_stays_on_its_registry() {
        let credentials = Credentials::basic("docker.io", "me", "secret");
        assert!(credentials.login_for("index.docker.io") != &Login::Anonymous);
        assert!(credentials.login_for("ghcr.io") == &Login::Anonymous);
    }
}

//! Credentials of a Secret, as Flux reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use flux_lang::giturl::{GitUrl, Scheme};
use flux_lang::knownhosts::{KnownHosts, KnownHostsError};
use russh::keys::{HashAlg, PrivateKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::keys::{self, KeyError};

/// Why a Secret does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// ssh without a Secret.
    #[error(
        "ssh needs credentials: set spec.secretRef to a Secret with the keys 'identity' (private key) and 'known_hosts'"
    )]
    NoSecret,
    /// A key of the Secret is missing.
    #[error("invalid '{scheme}' auth option: '{key}' is required{hint}")]
    Missing {
        /// Scheme of the URL.
        scheme: &'static str,
        /// Key of the Secret.
        key: &'static str,
        /// Why that may be, introduced by `; `, or empty.
        hint: &'static str,
    },
    /// Keys of the Secret that exclude each other.
    #[error("invalid '{scheme}' auth option: {problem}")]
    Conflict {
        /// Scheme of the URL.
        scheme: &'static str,
        /// What excludes what.
        problem: &'static str,
    },
    /// The private key cannot be read.
    #[error("invalid 'identity' in the Secret: {0}")]
    Identity(KeyError),
    /// known_hosts cannot be read.
    #[error("invalid 'known_hosts' in the Secret: {0}")]
    KnownHosts(KnownHostsError),
    /// The CA bundle cannot be read.
    #[error("invalid '{0}' in the Secret: it is not a bundle of PEM certificates")]
    Ca(&'static str),
    /// The client certificate cannot be read.
    #[error(
        "invalid 'tls.crt' or 'tls.key' in the Secret: they are not a PEM certificate and its key"
    )]
    ClientCertificate,
    /// The proxy's Secret cannot be used.
    #[error("invalid Secret of proxySecretRef: {0}")]
    Proxy(&'static str),
    /// A signing key cannot be used.
    #[error("invalid Secret of signingKey: {0}")]
    Signing(String),
    /// The Secret is of a GitHub App.
    #[error(
        "it has the data of a GitHub App ('githubAppID'), which is for spec.provider: github and not supported yet; use a deploy key or a token"
    )]
    GithubApp,
}

impl AuthError {
    /// The reason that Flux's GitRepository puts into its conditions for such a Secret.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::GithubApp => "InvalidProviderConfiguration",
            _ => "AuthenticationFailed",
        }
    }
}

/// Credentials and what is trusted, for one URL. Cheap to clone; `Debug` shows no secret.
#[derive(Clone)]
pub struct Auth {
    pub(crate) method: Arc<Method>,
}

pub(crate) enum Method {
    None,
    Ssh(Ssh),
    Http(Http),
}

pub(crate) struct Ssh {
    pub(crate) identity: Identity,
    pub(crate) known_hosts: KnownHosts,
    /// Hash of the text of `known_hosts`: the same as long as the same servers are trusted.
    pub(crate) trust: [u8; 32],
}

impl Ssh {
    fn new(identity: Identity, known_hosts: &str) -> Result<Self, AuthError> {
        Ok(Self {
            identity,
            known_hosts: KnownHosts::parse(known_hosts).map_err(AuthError::KnownHosts)?,
            trust: Sha256::digest(known_hosts.as_bytes()).into(),
        })
    }
}

/// What proves over ssh who we are.
pub(crate) enum Identity {
    Key(Arc<PrivateKey>),
    /// Any key of the agent behind this socket.
    Agent(PathBuf),
}

#[derive(Default)]
pub(crate) struct Http {
    pub(crate) login: Login,
    /// PEM bundle, trusted in addition to the system's authorities.
    pub(crate) ca: Option<Vec<u8>>,
    /// PEM certificate chain followed by its key.
    pub(crate) client: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Default)]
pub(crate) enum Login {
    #[default]
    None,
    Basic {
        user: Zeroizing<String>,
        password: Zeroizing<String>,
    },
    Bearer(Zeroizing<String>),
}

impl Auth {
    /// No Secret: what the URL itself carries, which is nothing for ssh.
    pub fn none(url: &GitUrl) -> Self {
        let method = match url.scheme() {
            Scheme::Ssh => Method::None,
            Scheme::Http | Scheme::Https => Method::Http(Http {
                login: login_of(url),
                ..Http::default()
            }),
        };
        Self {
            method: Arc::new(method),
        }
    }

    /// Reads a Secret's data.
    ///
    /// ssh: `identity` and `known_hosts`, `password` is the key's pass phrase. http(s):
    /// `bearerToken`, or `username` and `password`, of which the URL may bring what the Secret lacks;
    /// `ca.crt` before `caFile`; `tls.crt` with `tls.key`.
    ///
    /// # Errors
    /// [`AuthError`] names the key of the Secret and what is wrong with it.
    pub fn from_secret(url: &GitUrl, data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthError> {
        if text(data, "githubAppID").is_some() {
            return Err(AuthError::GithubApp);
        }
        let method = match url.scheme() {
            Scheme::Ssh => Method::Ssh(ssh(data)?),
            scheme => Method::Http(http(url, scheme.as_str(), data)?),
        };
        Ok(Self {
            method: Arc::new(method),
        })
    }

    /// ssh with whatever keys an agent holds; see [`crate::agent::keys`].
    ///
    /// # Errors
    /// If the lines of known_hosts cannot be read.
    pub fn from_agent(socket: PathBuf, known_hosts: &str) -> Result<Self, AuthError> {
        let ssh = Ssh::new(Identity::Agent(socket), known_hosts)?;
        Ok(Self {
            method: Arc::new(Method::Ssh(ssh)),
        })
    }

    /// `SHA256:…` of the public key, for ssh with a key of our own.
    pub fn fingerprint(&self) -> Option<String> {
        match self.ssh_identity()? {
            Identity::Key(key) => Some(key.fingerprint(HashAlg::Sha256).to_string()),
            Identity::Agent(_) => None,
        }
    }

    fn ssh_identity(&self) -> Option<&Identity> {
        match &*self.method {
            Method::Ssh(ssh) => Some(&ssh.identity),
            Method::None | Method::Http(_) => None,
        }
    }

    /// Who we are, for messages.
    pub(crate) fn describe(&self) -> String {
        match (self.fingerprint(), &*self.method) {
            (Some(fingerprint), _) => format!("the key {fingerprint}"),
            (
                None,
                Method::Http(Http {
                    login: Login::None, ..
                })
                | Method::None,
            ) => "everybody (no credentials are set)".to_owned(),
            (None, Method::Ssh(_)) => "the keys of the SSH agent".to_owned(),
            _ => "the account of the Secret".to_owned(),
        }
    }

    /// What makes two credentials different, as bytes for a hash. Contains secrets.
    pub(crate) fn identity(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        let mut put = |part: &[u8]| {
            bytes.extend_from_slice(&part.len().to_be_bytes());
            bytes.extend_from_slice(part);
        };
        match &*self.method {
            Method::None => put(b"none"),
            Method::Ssh(ssh) => match &ssh.identity {
                Identity::Key(_) => {
                    put(b"ssh");
                    put(self.fingerprint().unwrap_or_default().as_bytes());
                }
                Identity::Agent(socket) => {
                    put(b"agent");
                    put(socket.as_os_str().as_encoded_bytes());
                }
            },
            Method::Http(http) => {
                put(b"http");
                match &http.login {
                    Login::None => put(b"none"),
                    Login::Basic { user, password } => {
                        put(user.as_bytes());
                        put(password.as_bytes());
                    }
                    Login::Bearer(token) => put(token.as_bytes()),
                }
                put(http.client.as_deref().map_or(&[][..], Vec::as_slice));
            }
        }
        bytes
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({})", self.describe())
    }
}

/// A value as text without surrounding white space; none when empty.
fn text(data: &BTreeMap<String, Vec<u8>>, key: &str) -> Option<Zeroizing<String>> {
    let bytes = data.get(key)?;
    let text = Zeroizing::new(String::from_utf8_lossy(bytes).trim().to_owned());
    (!text.is_empty()).then_some(text)
}

fn ssh(data: &BTreeMap<String, Vec<u8>>) -> Result<Ssh, AuthError> {
    let missing = |key| {
        let https = data.contains_key("username") || data.contains_key("bearerToken");
        AuthError::Missing {
            scheme: "ssh",
            key,
            hint: if https {
                "; the Secret has credentials for https, the URL is for ssh"
            } else {
                ""
            },
        }
    };
    let identity = text(data, "identity").ok_or_else(|| missing("identity"))?;
    if !data.contains_key("known_hosts") {
        return Err(missing("known_hosts"));
    }
    let known_hosts = text(data, "known_hosts").unwrap_or_default();
    let pass_phrase = text(data, "password");
    let key = keys::decode(&identity, pass_phrase.as_ref().map(|p| p.as_str()))
        .map_err(AuthError::Identity)?;
    Ssh::new(Identity::Key(Arc::new(key)), &known_hosts)
}

fn http(
    url: &GitUrl,
    scheme: &'static str,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Http, AuthError> {
    let login = match text(data, "bearerToken") {
        Some(_) if url.user().is_some() => {
            return Err(AuthError::Conflict {
                scheme,
                problem: "'bearerToken' of the Secret and the user in the URL exclude each other, remove one",
            });
        }
        Some(token) => Login::Bearer(token),
        None => basic(url, scheme, data)?,
    };
    let ca = ["ca.crt", "caFile"].into_iter().find_map(|key| {
        let pem = data.get(key).filter(|pem| !pem.is_empty())?;
        Some((key, pem))
    });
    let ca = match ca {
        Some((key, pem)) => match reqwest::Certificate::from_pem_bundle(pem) {
            Ok(certificates) if !certificates.is_empty() => Some(pem.clone()),
            _ => return Err(AuthError::Ca(key)),
        },
        None => None,
    };
    let client = match (data.get("tls.crt"), data.get("tls.key")) {
        (Some(certificate), Some(key)) => {
            let pem = Zeroizing::new([certificate, &b"\n"[..], key].concat());
            reqwest::Identity::from_pem(&pem).map_err(|_| AuthError::ClientCertificate)?;
            Some(pem)
        }
        (None, None) => None,
        (None, Some(_)) => {
            return Err(AuthError::Missing {
                scheme,
                key: "tls.crt",
                hint: "; 'tls.key' is set without it",
            });
        }
        (Some(_), None) => {
            return Err(AuthError::Missing {
                scheme,
                key: "tls.key",
                hint: "; 'tls.crt' is set without it",
            });
        }
    };
    Ok(Http { login, ca, client })
}

/// User and password of the Secret; what it lacks may be in the URL.
fn basic(
    url: &GitUrl,
    scheme: &'static str,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Login, AuthError> {
    let (user, password) = (text(data, "username"), text(data, "password"));
    if user.is_none() && password.is_none() {
        return match data.contains_key("identity") {
            true => Err(AuthError::Conflict {
                scheme,
                problem: "the Secret has a key for ssh ('identity'), but the URL is not ssh://",
            }),
            false => Ok(login_of(url)),
        };
    }
    let of_url = |text: Option<&str>| text.map(|text| Zeroizing::new(text.to_owned()));
    let user = user.or_else(|| of_url(url.user()));
    Ok(Login::Basic {
        user: user.ok_or(AuthError::Missing {
            scheme,
            key: "username",
            hint: "; 'password' is set without it",
        })?,
        password: password
            .or_else(|| of_url(url.password()))
            .unwrap_or_default(),
    })
}

/// User information in the URL.
fn login_of(url: &GitUrl) -> Login {
    match (url.user(), url.password()) {
        (None, None) => Login::None,
        (user, password) => Login::Basic {
            user: Zeroizing::new(user.unwrap_or_default().to_owned()),
            password: Zeroizing::new(password.unwrap_or_default().to_owned()),
        },
    }
}

#[cfg(test)]
mod tests;

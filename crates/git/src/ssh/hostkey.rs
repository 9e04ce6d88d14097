//! Is this the right server? Strict checks against known_hosts, and the scan that fills it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flux_lang::knownhosts::{self, Entry, KnownHosts, KnownHostsError, Verdict};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, client};

use crate::auth::{Auth, Method, Ssh};
use crate::dial::dial;
use crate::error::GitError;
use crate::remote::Remote;

/// A host key that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// The line for known_hosts, without newline.
    pub line: String,
    /// `SHA256:…`.
    pub fingerprint: String,
}

/// Why a connection was refused, told by the guard.
#[derive(Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<GitError>>>);

impl Refusal {
    pub(super) fn take(&self) -> Option<GitError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: GitError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Lets only known hosts pass.
pub(crate) struct Guard {
    auth: Auth,
    host: String,
    port: u16,
    refusal: Refusal,
}

impl Guard {
    pub(super) fn new(auth: Auth, host: &str, port: u16) -> (Self, Refusal) {
        let refusal = Refusal::default();
        let guard = Self {
            auth,
            host: host.to_owned(),
            port,
            refusal: refusal.clone(),
        };
        (guard, refusal)
    }

    fn check(&self, offered: &PublicKeyOrCertificate) -> Result<(), GitError> {
        let Method::Ssh(Ssh { known_hosts, .. }) = &*self.auth.method else {
            return Err(GitError::Cancelled);
        };
        match offered {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.check_key(known_hosts, key),
            PublicKeyOrCertificate::Certificate(certificate) => self
                .check_certificate(known_hosts, certificate)
                .map_err(|problem| GitError::HostCertificate {
                    host: knownhosts::host_name(&self.host, self.port),
                    problem,
                }),
        }
    }

    fn check_key(&self, known_hosts: &KnownHosts, key: &PublicKey) -> Result<(), GitError> {
        let host = knownhosts::host_name(&self.host, self.port);
        let key_type = key.algorithm().as_str().to_owned();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let command = knownhosts::keyscan_command(&self.host, self.port);
        let blob = key.to_bytes().unwrap_or_default();
        Err(match known_hosts.check(&self.host, self.port, &blob) {
            Verdict::Trusted => return Ok(()),
            Verdict::Unknown => GitError::UnknownHost {
                host,
                key_type,
                fingerprint,
                command,
            },
            Verdict::Revoked(entry) => GitError::HostKeyRevoked {
                host,
                key_type,
                fingerprint,
                line: entry.line,
            },
            Verdict::Mismatch(known) => {
                let known = known
                    .iter()
                    .map(|entry| describe(entry))
                    .collect::<Vec<_>>();
                GitError::HostKeyMismatch {
                    host,
                    key_type,
                    fingerprint,
                    known: known.join(" and "),
                    command,
                }
            }
        })
    }

    fn check_certificate(
        &self,
        known_hosts: &KnownHosts,
        certificate: &Certificate,
    ) -> Result<(), String> {
        let signer = PublicKey::from(certificate.signature_key().clone());
        let blob = signer.to_bytes().unwrap_or_default();
        let mut authorities = known_hosts.authorities(&self.host, self.port);
        if !authorities.any(|entry| entry.key == blob) {
            return Err(format!(
                "known_hosts has no @cert-authority line for {}, which signed it",
                signer.fingerprint(HashAlg::Sha256)
            ));
        }
        let subject = PublicKey::from(certificate.public_key().clone());
        for key in [&signer, &subject] {
            if let Some(entry) = known_hosts.revoked(&key.to_bytes().unwrap_or_default()) {
                return Err(format!(
                    "line {} of known_hosts revokes its key",
                    entry.line
                ));
            }
        }
        if certificate.cert_type() != CertType::Host {
            return Err("it is not a host certificate".to_owned());
        }
        let names = certificate.valid_principals();
        if !names
            .iter()
            .any(|name| knownhosts::wildcard(&name.to_ascii_lowercase(), &self.host))
        {
            return Err(format!("it is for {}", names.join(", ")));
        }
        if !certificate.critical_options().is_empty() {
            return Err("it has critical options, which host certificates do not have".to_owned());
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let authority = signer.fingerprint(HashAlg::Sha256);
        certificate
            .validate_at(now, [&authority])
            .map_err(|_| "it has expired, is not valid yet, or its signature is wrong".to_owned())
    }
}

impl client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        match self.check(offered) {
            Ok(()) => Ok(true),
            Err(error) => {
                self.refusal.set(error);
                Ok(false)
            }
        }
    }
}

/// Type and fingerprint of a line.
fn describe(entry: &Entry) -> String {
    match PublicKey::from_bytes(&entry.key) {
        Ok(key) => format!("{} {}", entry.key_type, key.fingerprint(HashAlg::Sha256)),
        Err(_) => entry.key_type.clone(),
    }
}

/// The lines of a known_hosts file that are about a host, with the fingerprints of their keys; lines
/// about its authorities are among them.
///
/// # Errors
/// With the line that is malformed.
pub fn known(text: &str, host: &str, port: u16) -> Result<Vec<HostKey>, KnownHostsError> {
    let parsed = KnownHosts::parse(text)?;
    let mut found: Vec<&Entry> = parsed
        .host_keys(host, port)
        .chain(parsed.authorities(host, port))
        .collect();
    found.sort_by_key(|entry| entry.line);
    let fingerprint = |entry: &Entry| {
        PublicKey::from_bytes(&entry.key)
            .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
            .unwrap_or_default()
    };
    let lines: Vec<&str> = text.lines().collect();
    let key = |entry: &Entry| {
        let line = lines.get(entry.line.checked_sub(1)?)?;
        Some(HostKey {
            line: line.trim().to_owned(),
            fingerprint: fingerprint(entry),
        })
    };
    Ok(found.into_iter().filter_map(key).collect())
}

/// What to negotiate: only key types that known_hosts has for the host. Without that, a server
/// with several keys would show one that is not listed. For an unknown host everything, so that
/// the error can name the key.
pub(super) fn preferred(known_hosts: &KnownHosts, host: &str, port: u16) -> Preferred {
    let types = known_hosts.key_types(host, port);
    let certified = known_hosts.authorities(host, port).next().is_some();
    let mut preferred = Preferred::default();
    let all = preferred.key.clone();
    if !types.is_empty() {
        let known = |algorithm: &&Algorithm| {
            types.iter().any(|&name| {
                (name == "ssh-rsa" && matches!(algorithm, Algorithm::Rsa { .. }))
                    || name == algorithm.as_str()
            })
        };
        preferred.key = Cow::Owned(all.iter().filter(known).cloned().collect());
    }
    if certified {
        preferred.host_key_certificates = all;
    }
    preferred
}

/// The error for a handshake that found no common algorithm.
pub(super) fn no_common(
    ssh: &Ssh,
    remote: &Remote,
    kind: russh::AlgorithmKind,
    theirs: &[String],
) -> GitError {
    let (host, port) = (remote.url.host(), remote.url.port());
    if !matches!(kind, russh::AlgorithmKind::Key) {
        return GitError::Handshake {
            host: remote.address(),
            problem: format!(
                "no common {kind:?} algorithm, the server has {}",
                theirs.join(", ")
            ),
        };
    }
    GitError::HostKeyTypes {
        host: knownhosts::host_name(host, port),
        known: ssh.known_hosts.key_types(host, port).join(", "),
        offered: theirs.join(", "),
        command: knownhosts::keyscan_command(host, port),
    }
}

/// Asks a server for all its host keys, one connection per type. Like `ssh-keyscan`, this trusts
/// the network: show the fingerprints to a person.
///
/// # Errors
/// When no key was obtained: why the connection failed.
pub async fn scan(host: &str, port: u16, timeout: Duration) -> Result<Vec<HostKey>, GitError> {
    let mut found = Vec::new();
    let mut problem = None;
    let mut scans = tokio::task::JoinSet::new();
    for (rank, algorithm) in Preferred::default().key.iter().cloned().enumerate() {
        // The hashes of RSA share one key.
        if matches!(algorithm, Algorithm::Rsa { hash } if hash != Some(HashAlg::Sha512)) {
            continue;
        }
        let host = host.to_owned();
        scans.spawn(async move {
            let one = offered(&host, port, algorithm, timeout);
            let limit = tokio::time::timeout(timeout, one).await;
            (
                rank,
                limit.unwrap_or_else(|_| {
                    let address = format!("{host}:{port}");
                    Err(GitError::Timeout {
                        address,
                        what: "did not answer",
                        after: timeout,
                    })
                }),
            )
        });
    }
    while let Some(scan) = scans.join_next().await {
        match scan {
            Ok((rank, Ok(Some(key)))) => found.push((rank, key)),
            Ok((_, Ok(None))) | Err(_) => {}
            Ok((_, Err(error))) => problem = Some(error),
        }
    }
    if found.is_empty() {
        return Err(problem.unwrap_or_else(|| GitError::Handshake {
            host: format!("{host}:{port}"),
            problem: "it offers no Ed25519, ECDSA or RSA host key".to_owned(),
        }));
    }
    found.sort_by_key(|(rank, _)| *rank);
    let name = knownhosts::host_name(host, port);
    Ok(found
        .into_iter()
        .map(|(_, mut key)| {
            key.set_comment("");
            HostKey {
                line: format!("{name} {}", key.to_openssh().unwrap_or_default().trim_end()),
                fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            }
        })
        .collect())
}

/// The server's key of one type, if it has one.
async fn offered(
    host: &str,
    port: u16,
    algorithm: Algorithm,
    timeout: Duration,
) -> Result<Option<PublicKey>, GitError> {
    struct Curious(Arc<Mutex<Option<PublicKey>>>);
    impl client::Handler for Curious {
        type Error = russh::Error;

        async fn check_server_key(
            &mut self,
            offered: &PublicKeyOrCertificate,
        ) -> Result<bool, Self::Error> {
            if let PublicKeyOrCertificate::PublicKey { key, .. } = offered {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
            }
            // The key is all we wanted.
            Ok(false)
        }
    }
    let preferred = Preferred {
        key: Cow::Owned(vec![algorithm]),
        ..Preferred::default()
    };
    let config = Arc::new(super::config(preferred, timeout));
    let stream = dial(host, port, None).await?;
    let seen = Arc::new(Mutex::new(None));
    let refused = client::connect_stream(config, stream, Curious(seen.clone()))
        .await
        .err();
    if let Some(key) = seen.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Ok(Some(key));
    }
    match refused {
        Some(russh::Error::NoCommonAlgo {
            kind: russh::AlgorithmKind::Key,
            ..
        }) => Ok(None),
        Some(error) => Err(GitError::Handshake {
            host: format!("{host}:{port}"),
            problem: error.to_string(),
        }),
        None => Ok(None),
    }
}

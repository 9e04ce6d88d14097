//! git commands on an SSH server.

pub(crate) mod agent;
mod channel;
pub(crate) mod hostkey;

use std::sync::Arc;
use std::time::Duration;

use russh::Preferred;
use russh::client::{self, AuthResult};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg};

pub(crate) use channel::Channel;
use hostkey::Guard;

use crate::auth::{AuthError, Identity, Method, Ssh};
use crate::dial::{dial, plain};
use crate::error::GitError;
use crate::remote::Remote;

/// Runs `git-upload-pack` or `git-receive-pack` on the server. `version_2` asks for protocol
/// version 2; servers that do not accept environment variables ignore it.
pub(crate) async fn run(
    remote: &Remote,
    program: &str,
    version_2: bool,
) -> Result<Channel, GitError> {
    let Method::Ssh(ssh) = &*remote.auth.method else {
        return Err(AuthError::NoSecret.into());
    };
    let mut session = connect(remote, ssh).await?;
    authenticate(&mut session, remote, ssh).await?;
    let failed = |error: russh::Error| broken(remote, &error);
    let channel = session.channel_open_session().await.map_err(failed)?;
    if version_2 {
        channel
            .set_env(false, "GIT_PROTOCOL", "version=2")
            .await
            .map_err(failed)?;
    }
    // In single quotes for the server's shell, as git itself does it.
    let path = remote.url.server_path().replace('\'', "'\\''");
    channel
        .exec(true, format!("{program} '{path}'"))
        .await
        .map_err(failed)?;
    Ok(Channel::new(session, channel))
}

/// The parts of a configuration that all connections share. Reads have their own limits;
/// `lifetime` only makes sure that no connection outlives its operation for long.
fn config(preferred: Preferred, lifetime: Duration) -> client::Config {
    client::Config {
        inactivity_timeout: Some(lifetime),
        nodelay: true,
        preferred,
        ..client::Config::default()
    }
}

async fn connect(remote: &Remote, ssh: &Ssh) -> Result<client::Handle<Guard>, GitError> {
    let (host, port) = (remote.url.host(), remote.url.port());
    let preferred = hostkey::preferred(&ssh.known_hosts, host, port);
    let config = Arc::new(config(preferred, remote.timeout));
    let (guard, refusal) = Guard::new(remote.auth.clone(), host, port);
    let connecting = async {
        let stream = dial(host, port, remote.proxy.as_ref()).await?;
        client::connect_stream(config, stream, guard)
            .await
            .map_err(|error| match (refusal.take(), error) {
                (Some(refusal), _) => refusal,
                (None, russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
                    hostkey::no_common(ssh, remote, kind, &theirs)
                }
                (None, error) => broken(remote, &error),
            })
    };
    tokio::time::timeout(remote.read_timeout(), connecting)
        .await
        .unwrap_or_else(|_| Err(crate::session::silent(remote)))
}

async fn authenticate(
    session: &mut client::Handle<Guard>,
    remote: &Remote,
    ssh: &Ssh,
) -> Result<(), GitError> {
    let user = remote.url.user().unwrap_or("git");
    let private = match &ssh.identity {
        Identity::Key(key) => key,
        Identity::Agent(socket) => {
            return agent::authenticate(session, remote, user, socket).await;
        }
    };
    for hash in hashes(session, remote, private.algorithm()).await? {
        let key = PrivateKeyWithHashAlg::new(private.clone(), hash);
        let result = session
            .authenticate_publickey(user, key)
            .await
            .map_err(|error| broken(remote, &error))?;
        if matches!(result, AuthResult::Success) {
            return Ok(());
        }
    }
    Err(GitError::KeyRefused {
        host: remote.url.authority(),
        user: user.to_owned(),
        fingerprint: remote.auth.fingerprint().unwrap_or_default(),
        path: remote.repository(),
    })
}

/// The hashes to try with a key, in order; only RSA has a choice.
async fn hashes(
    session: &client::Handle<Guard>,
    remote: &Remote,
    algorithm: Algorithm,
) -> Result<Vec<Option<HashAlg>>, GitError> {
    if !algorithm.is_rsa() {
        return Ok(vec![None]);
    }
    let best = session.best_supported_rsa_hash().await;
    Ok(match best.map_err(|error| broken(remote, &error))? {
        Some(hash) => vec![hash],
        // The server does not tell: today's hash first, then that of old servers.
        None => vec![Some(HashAlg::Sha256), None],
    })
}

/// An error of the SSH library, which is about the connection.
fn broken(remote: &Remote, error: &russh::Error) -> GitError {
    use russh::Error as E;
    let address = remote.address();
    match error {
        E::ConnectionTimeout | E::KeepaliveTimeout | E::InactivityTimeout | E::Elapsed(_) => {
            crate::session::silent(remote)
        }
        E::IO(error) => GitError::Connect {
            address,
            problem: plain(error),
        },
        E::Version => GitError::Handshake {
            host: address,
            problem: "it does not speak SSH".to_owned(),
        },
        E::Disconnect | E::HUP | E::SendError | E::RecvError => GitError::Protocol {
            host: address,
            problem: "the server closed the connection".to_owned(),
        },
        E::NoCommonAlgo { kind, theirs, .. } => GitError::Handshake {
            host: address,
            problem: format!(
                "no common {kind:?} algorithm, the server has {}",
                theirs.join(", ")
            ),
        },
        other => GitError::Handshake {
            host: address,
            problem: other.to_string(),
        },
    }
}

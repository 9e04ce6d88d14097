//! git commands on an SSH server.

pub(crate) mod agent;
mod channel;
pub(crate) mod hostkey;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use russh::Preferred;
use russh::client::{self, AuthResult};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg};

pub(crate) use channel::Channel;
use hostkey::Guard;
pub(crate) use pool::Pool;
use pool::{Connection, Terms};

use crate::auth::{AuthError, Identity, Method, Ssh};
use crate::dial::{dial, plain};
use crate::error::GitError;
use crate::remote::Remote;
use crate::session;

/// How long a connection that was kept may take to begin a command. One that does not is dead, and
/// a new one is made.
const REVIVAL: Duration = Duration::from_secs(2);

/// Runs `git-upload-pack` or `git-receive-pack` on the server, over a connection that the pool has
/// or a new one. `version_2` asks for protocol version 2; servers that do not accept environment
/// variables ignore it.
pub(crate) async fn run(
    remote: &Remote,
    pool: &Arc<Pool>,
    program: &str,
    version_2: bool,
) -> Result<Channel, GitError> {
    let Method::Ssh(ssh) = &*remote.auth.method else {
        return Err(AuthError::NoSecret.into());
    };
    // In single quotes for the server's shell, as git itself does it.
    let path = remote.url.server_path().replace('\'', "'\\''");
    let command = format!("{program} '{path}'");
    let terms = Terms::of(remote);
    let home = (pool.clone(), terms);
    if let Some(kept) = pool.take(terms) {
        let begun = async {
            let mut channel = begin(kept, home.clone(), &command, version_2).await.ok()?;
            channel.has_begun().await.then_some(channel)
        };
        let begun = tokio::time::timeout(REVIVAL, begun).await.ok().flatten();
        pool.note(begun.is_some());
        if let Some(channel) = begun {
            return Ok(channel);
        }
    }
    let fresh = async {
        let mut handle = connect(remote, ssh).await?;
        authenticate(&mut handle, remote, ssh).await?;
        begin(Connection::new(handle), home, &command, version_2)
            .await
            .map_err(|error| broken(remote, &error))
    };
    session::within(remote.connect_timeout(), remote, fresh).await
}

async fn begin(
    connection: Connection,
    home: (Arc<Pool>, Terms),
    command: &str,
    version_2: bool,
) -> Result<Channel, russh::Error> {
    let channel = connection.open().await?;
    if version_2 {
        channel.set_env(false, "GIT_PROTOCOL", "version=2").await?;
    }
    channel.exec(true, command).await?;
    Ok(Channel::new(connection, channel, home))
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
            session::silent(remote, remote.connect_timeout())
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

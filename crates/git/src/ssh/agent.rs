//! The keys of an SSH agent, which signs and never hands them out. For people at a terminal: what
//! runs in a cluster has a Secret.

use std::path::Path;

use russh::client::{self, AuthResult};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PublicKey};
use russh::{AgentAuthError, SendError};
use tokio::net::UnixStream;

use super::hostkey::Guard;
use super::{broken, hashes};
use crate::error::GitError;
use crate::remote::Remote;

/// Fingerprints of the keys that an agent holds, as `ssh-add -l` shows them. Certificates are left
/// out.
///
/// # Errors
/// If nobody answers at the socket.
pub async fn keys(socket: &Path) -> Result<Vec<String>, GitError> {
    let (_, keys) = connect(socket).await?;
    Ok(keys.iter().map(fingerprint).collect())
}

/// Tries the agent's keys, one after the other.
pub(super) async fn authenticate(
    session: &mut client::Handle<Guard>,
    remote: &Remote,
    user: &str,
    socket: &Path,
) -> Result<(), GitError> {
    let connecting = tokio::time::timeout(remote.connect_timeout(), connect(socket));
    let (mut agent, keys) = connecting
        .await
        .unwrap_or_else(|_| Err(failed(socket, "does not answer")))?;
    let mut tried = Vec::new();
    for key in keys {
        let hashes = match hashes(session, remote, key.algorithm()).await {
            // A server closes the connection after a number of keys that it does not know.
            Err(_) if !tried.is_empty() => break,
            hashes => hashes?,
        };
        for hash in hashes {
            match sign(session, &mut agent, user, &key, hash).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(AgentAuthError::Send(SendError {})) if !tried.is_empty() => {
                    return Err(refused(remote, user, &tried));
                }
                Err(AgentAuthError::Send(SendError {})) => {
                    return Err(broken(remote, &russh::Error::SendError));
                }
                Err(AgentAuthError::Key(error)) => {
                    let problem = format!("does not sign with {}: {error}", fingerprint(&key));
                    return Err(failed(socket, &problem));
                }
            }
        }
        tried.push(fingerprint(&key));
    }
    Err(refused(remote, user, &tried))
}

async fn sign(
    session: &mut client::Handle<Guard>,
    agent: &mut AgentClient<UnixStream>,
    user: &str,
    key: &PublicKey,
    hash: Option<HashAlg>,
) -> Result<bool, AgentAuthError> {
    let result = session.authenticate_publickey_with(user, key.clone(), hash, agent);
    Ok(matches!(result.await?, AuthResult::Success))
}

async fn connect(socket: &Path) -> Result<(AgentClient<UnixStream>, Vec<PublicKey>), GitError> {
    let cannot = |error: russh::keys::Error| failed(socket, &format!("does not answer: {error}"));
    let mut agent = AgentClient::connect_uds(socket).await.map_err(cannot)?;
    let identities = agent.request_identities().await.map_err(cannot)?;
    let keys = identities
        .into_iter()
        .filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        });
    Ok((agent, keys.collect()))
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn failed(socket: &Path, problem: &str) -> GitError {
    GitError::Agent {
        socket: socket.display().to_string(),
        problem: problem.to_owned(),
    }
}

fn refused(remote: &Remote, user: &str, tried: &[String]) -> GitError {
    let keys = match tried {
        [] => "has no key".to_owned(),
        [only] => format!(
            "has the key {only}, which {} refuses",
            remote.url.authority()
        ),
        keys => format!(
            "has the keys {}, which {} refuses",
            keys.join(", "),
            remote.url.authority()
        ),
    };
    GitError::AgentRefused {
        keys,
        user: user.to_owned(),
        path: remote.repository(),
    }
}

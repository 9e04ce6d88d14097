//! How the remote of a mirror is reached, kept between operations: connections and what they are made
//! with.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::GitError;
use crate::http;
use crate::remote::Remote;
use crate::ssh::Pool;

/// The way to a remote.
#[derive(Clone)]
pub(crate) enum Link {
    /// Over ssh, with the connections that are there.
    Ssh(Arc<Pool>),
    /// Over HTTP, with a client that has connections of its own.
    Http(reqwest::Client),
}

/// The ways to the remote of a mirror.
#[derive(Default)]
pub(crate) struct Links {
    ssh: Arc<Pool>,
    /// The client for http(s) and what it was made from.
    http: Mutex<Option<([u8; 32], reqwest::Client)>>,
}

impl Links {
    /// The way to a remote of this mirror.
    pub(crate) fn to(&self, remote: &Remote) -> Result<Link, GitError> {
        if remote.url.is_ssh() {
            return Ok(Link::Ssh(self.ssh.clone()));
        }
        let key = http::client_key(remote);
        let mut cached = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_from, client)) = &*cached
            && *made_from == key
        {
            return Ok(Link::Http(client.clone()));
        }
        let client = http::client(remote)?;
        *cached = Some((key, client.clone()));
        Ok(Link::Http(client))
    }
}

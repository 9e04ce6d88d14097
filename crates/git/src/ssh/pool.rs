//! Connections that stay open for a moment after their command, for the next one: an operation is
//! seldom alone (a look at a branch, a push, the fetch of what was pushed), and the handshake takes
//! longer than the commands. A connection runs one command at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use russh::Disconnect;
use russh::client::Handle;
use sha2::{Digest as _, Sha256};

use super::hostkey::Guard;
use crate::auth::{Method, Ssh};
use crate::remote::Remote;

/// How long a connection waits for the next command. The steps of one change follow each other
/// within a second; polls are further apart, and need not find it open.
const IDLE: Duration = Duration::from_secs(3);

/// How old a connection gets at most: a key that the server no longer takes must not be of use for
/// long.
const LIFE: Duration = Duration::from_secs(30);

/// So many connections in a row that turned out to be of no more use when they were needed again
/// mean that the server runs one command for each.
const ENOUGH: usize = 3;

/// A connection that was authenticated.
pub(super) struct Connection {
    handle: Option<Handle<Guard>>,
    opened: Instant,
    runtime: tokio::runtime::Handle,
}

impl Connection {
    pub(super) fn new(handle: Handle<Guard>) -> Self {
        Self {
            handle: Some(handle),
            opened: Instant::now(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Opens a channel for a command.
    pub(super) async fn open(&self) -> Result<russh::Channel<russh::client::Msg>, russh::Error> {
        match &self.handle {
            Some(handle) => handle.channel_open_session().await,
            None => Err(russh::Error::Disconnect),
        }
    }

    fn is_fit(&self) -> bool {
        let open = self.handle.as_ref().is_some_and(|h| !h.is_closed());
        open && self.opened.elapsed() < LIFE
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // libgit2 drops this on a thread without a runtime.
            self.runtime.spawn(async move {
                let reason = Disconnect::ByApplication;
                handle.disconnect(reason, "", "").await.ok();
            });
        }
    }
}

/// The connection of a mirror that waits for the next command, if one does.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Option<Idle>>,
    /// Kept connections in a row that were of no use.
    useless: AtomicUsize,
}

struct Idle {
    terms: Terms,
    connection: Connection,
    since: Instant,
}

/// What two operations must have in common to share a connection, besides the mirror: whom we trust,
/// and the way there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms([u8; 32]);

impl Terms {
    pub(super) fn of(remote: &Remote) -> Self {
        let mut hash = Sha256::new();
        if let Method::Ssh(Ssh { trust, .. }) = &*remote.auth.method {
            hash.update(trust);
        }
        if let Some(proxy) = &remote.proxy {
            hash.update(proxy.address());
            if let Some((user, password)) = &proxy.credentials {
                hash.update(format!("\0{user}\0{}", password.as_str()));
            }
        }
        // Connections end themselves after that time.
        hash.update(remote.timeout.as_millis().to_be_bytes());
        Self(hash.finalize().into())
    }
}

impl Pool {
    /// The connection that waits, if it will do.
    pub(super) fn take(&self, terms: Terms) -> Option<Connection> {
        let idle = self.idle().take()?;
        (idle.terms == terms && idle.connection.is_fit()).then_some(idle.connection)
    }

    /// Keeps a connection whose command has ended, instead of the one that was kept so far.
    pub(super) fn keep(self: &Arc<Self>, terms: Terms, connection: Connection) {
        if self.useless.load(Ordering::Relaxed) >= ENOUGH || !connection.is_fit() {
            return;
        }
        let since = Instant::now();
        let runtime = connection.runtime.clone();
        let idle = Idle {
            terms,
            connection,
            since,
        };
        drop(self.idle().replace(idle));
        let pool = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(IDLE).await;
            if let Some(pool) = pool.upgrade() {
                let expired = pool.idle().take_if(|idle| idle.since == since);
                drop(expired);
            }
        });
    }

    /// Learns whether a connection that was kept has served once more.
    pub(super) fn note(&self, served: bool) {
        if served {
            self.useless.store(0, Ordering::Relaxed);
        } else {
            self.useless.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! One operation on a remote: its limits, and what was learned on the way.
//!
//! libgit2 reduces every failure of a transport to a string. The transports therefore leave the
//! typed error, and what the server said, in the session; [`Session::explain`] puts both
//! together afterwards.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::GitError;
use crate::link::Link;
use crate::remote::Remote;
use crate::said::{self, Purpose};

/// Shared by the steps of one operation, and by the transports of its libgit2 calls.
pub(crate) struct Session {
    pub(crate) remote: Remote,
    pub(crate) link: Link,
    runtime: Handle,
    deadline: Instant,
    /// Its sender is held by the caller's future: when that is dropped, the session ends.
    caller: watch::Receiver<()>,
    notes: Mutex<Notes>,
    /// Microseconds spent in steps, which wait for the server and do little else.
    waited: AtomicU64,
    /// The server began to send a pack.
    received: AtomicBool,
}

#[derive(Default)]
struct Notes {
    /// What is wrong may be wrong with the mirror.
    suspicion: bool,
    failure: Option<GitError>,
    said: String,
}

impl Session {
    /// A session that ends after `remote.timeout` or when the sender is dropped. Call within a
    /// tokio runtime.
    pub(crate) fn new(remote: &Remote, link: Link) -> (Self, watch::Sender<()>) {
        let (sender, caller) = watch::channel(());
        let session = Self {
            remote: remote.clone(),
            link,
            runtime: Handle::current(),
            deadline: Instant::now() + remote.timeout,
            caller,
            notes: Mutex::default(),
            waited: AtomicU64::new(0),
            received: AtomicBool::new(false),
        };
        (session, sender)
    }

    /// Runs a step of a transport on the runtime, from a blocking thread. A step that takes the
    /// server no work has its own, shorter limit.
    pub(crate) fn block_on<T>(
        &self,
        step: impl Future<Output = Result<T, GitError>>,
    ) -> Result<T, GitError> {
        let mut caller = self.caller.clone();
        let (limit, started) = (self.remote.read_timeout(), Instant::now());
        let result = self.runtime.block_on(async {
            tokio::select! {
                result = within(limit, &self.remote, step) => result,
                () = tokio::time::sleep_until(self.deadline) => Err(unfinished(&self.remote)),
                _ = caller.changed() => Err(GitError::Cancelled),
            }
        });
        let waited = u64::try_from(started.elapsed().as_micros()).unwrap_or_default();
        self.waited.fetch_add(waited, Ordering::Relaxed);
        result
    }

    /// How long steps took so far.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_micros(self.waited.load(Ordering::Relaxed))
    }

    /// Why the operation must stop now, if it must. For work between two reads.
    pub(crate) fn overdue(&self) -> Option<GitError> {
        if self.caller.has_changed().is_err() {
            Some(GitError::Cancelled)
        } else if Instant::now() >= self.deadline {
            Some(unfinished(&self.remote))
        } else {
            None
        }
    }

    /// Whether nothing has failed so far, and there is time left.
    pub(crate) fn is_well(&self) -> bool {
        self.notes().failure.is_none() && self.overdue().is_none()
    }

    /// Keeps the first failure: what follows is a consequence of it.
    pub(crate) fn fail(&self, error: GitError) {
        self.notes().failure.get_or_insert(error);
    }

    /// Keeps what the server says, up to a limit.
    pub(crate) fn hear(&self, text: &[u8]) {
        let mut notes = self.notes();
        let room = said::LIMIT.saturating_sub(notes.said.len());
        if room > 0 {
            let text = text.get(..text.len().min(room)).unwrap_or(text);
            notes.said.push_str(&String::from_utf8_lossy(text));
        }
    }

    /// Notes that the server began to send a pack.
    pub(crate) fn receives(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// Whether the last explained error may be that of a damaged mirror, although it is told as the
    /// server's. Only looking at the mirror tells.
    pub(crate) fn suspects_mirror(&self) -> bool {
        self.notes().suspicion
    }

    /// What the server said so far.
    pub(crate) fn said(&self) -> String {
        self.notes().said.clone()
    }

    /// Forgets failure and words of an attempt that has another way to succeed.
    pub(crate) fn forget(&self) {
        *self.notes() = Notes::default();
    }

    /// Turns an error of libgit2, which fetches, into ours.
    pub(crate) fn explain(&self, error: &git2::Error) -> GitError {
        let (failure, said) = {
            let mut notes = self.notes();
            notes.suspicion = false;
            (notes.failure.take(), notes.said.clone())
        };
        if let Some(failure) = failure.or_else(|| self.overdue()) {
            return failure;
        }
        let text = error.message();
        // An ERR packet.
        let told = text.strip_prefix("remote error: ").unwrap_or_default();
        let meaning = |text: &str| said::meaning(&self.remote, Purpose::Read, text);
        if let Some(meaning) = meaning(told).or_else(|| meaning(&said)) {
            return meaning;
        }
        if OUR_DISK.iter().any(|problem| text.contains(problem)) {
            let copy = format!("the local copy of {}", self.remote.url);
            return GitError::storage("cannot write", copy, said::tidy(text));
        }
        if self.received.load(Ordering::Relaxed) && may_be_of_pack(error) {
            self.notes().suspicion = true;
        } else if is_damage(error) {
            return GitError::Damaged {
                url: self.remote.url.to_string(),
                problem: said::tidy(text),
            };
        }
        if let Some(format) = text.strip_prefix(OTHER_FORMAT) {
            return GitError::ObjectFormat {
                url: self.remote.url.to_string(),
                format: said::tidy(format.trim_matches('\'')),
            };
        }
        GitError::Protocol {
            host: self.remote.url.authority(),
            problem: said::tidy(text),
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How libgit2 says that objects have names of another kind; the kind follows in quotes.
const OTHER_FORMAT: &str = "unknown remote object format ";

/// What the disk says when deleting the mirror would not help.
const OUR_DISK: &[&str] = &[
    "No space left",
    "Read-only file system",
    "Permission denied",
    "Too many open files",
    "Disk quota exceeded",
];

/// Whether libgit2 stumbled over objects that it may as well have received as had before: it unpacks
/// both in the same way, and deltas of what it receives build upon what is here.
fn may_be_of_pack(error: &git2::Error) -> bool {
    use git2::ErrorClass as Class;
    matches!(
        error.class(),
        Class::Indexer | Class::Odb | Class::Object | Class::Zlib | Class::Tree
    )
}

/// Whether libgit2 stumbled over our own mirror rather than over the remote.
fn is_damage(error: &git2::Error) -> bool {
    use git2::ErrorClass as Class;
    matches!(
        error.class(),
        Class::Odb
            | Class::Object
            | Class::Zlib
            | Class::Tree
            | Class::Repository
            | Class::Reference
            | Class::Config
            | Class::Os
            | Class::Filesystem
    )
}

/// A step that the server must let come to an end within a limit.
pub(crate) async fn within<T>(
    limit: Duration,
    remote: &Remote,
    step: impl Future<Output = Result<T, GitError>>,
) -> Result<T, GitError> {
    let result = tokio::time::timeout(limit, step).await;
    result.unwrap_or_else(|_| Err(silent(remote, limit)))
}

/// A server that says nothing for too long.
pub(crate) fn silent(remote: &Remote, limit: Duration) -> GitError {
    GitError::Timeout {
        address: remote.address(),
        what: "did not answer",
        after: limit,
    }
}

/// The limit of the operation is over.
pub(crate) fn unfinished(remote: &Remote) -> GitError {
    GitError::Timeout {
        address: remote.address(),
        what: "did not finish",
        after: remote.timeout,
    }
}

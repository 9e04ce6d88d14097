//! Git repositories for GitOps: mirrors on disk, refs, commits, artifacts and pushes, on libgit2
//! with transports of our own (ssh by russh, http(s) by reqwest, both on ring).
//!
//! [`Git`] is the entry: [`Git::resolve`] asks what a ref is now, [`Git::fetch`] brings it into
//! the mirror, [`Git::files`] and [`Git::archive`] read a commit straight from the object
//! database, [`Git::commit_and_push`] writes one. A [`Remote`] is a URL with credentials, a
//! [`Reference`] says what to follow. Every error is a [`GitError`], written to be shown to people.
//!
//! Not here: when to poll, what to do with files, Kubernetes.

mod auth;
mod dial;
mod error;
mod http;
pub mod keys;
mod listing;
mod lsrefs;
mod pktline;
mod reference;
mod remote;
mod said;
mod session;
mod ssh;

/// Host keys of SSH servers.
pub mod hostkey {
    pub use crate::ssh::hostkey::{HostKey, scan};
}

pub use auth::{Auth, AuthError};
pub use error::{BoxError, ErrorKind, GitError};
pub use reference::{Head, Reference};
pub use remote::{Proxy, ProxyScheme, Remote};

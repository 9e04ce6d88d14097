//! Git repositories for GitOps: mirrors on disk, refs, commits, artifacts and pushes, on libgit2
//! with transports and a send-pack of our own (ssh by russh, http(s) by reqwest, both on ring).
//!
//! [`Git`] is the entry: [`Git::resolve`] asks what a ref is now, [`Git::fetch`] brings it into
//! the mirror, [`Git::files`] and [`Git::archive`] read a commit straight from the object
//! database, [`Git::commit_and_push`] writes one. A [`Remote`] is a URL with credentials, a
//! [`Reference`] says what to follow. Every error is a [`GitError`], written to be shown to people.
//!
//! Not here: when to poll, what to do with files, Kubernetes.

mod archive;
mod auth;
mod commit;
mod compact;
mod deliver;
mod destination;
mod dial;
mod digest;
mod error;
mod fetch;
mod filter;
mod first;
mod folders;
mod fsck;
mod generations;
mod git;
mod history;
mod http;
mod index;
pub mod keys;
mod link;
mod listing;
mod lsrefs;
mod mirror;
mod openpgp;
mod pack;
mod pinned;
mod pktline;
mod push;
mod receive;
mod redirect;
mod reference;
mod remote;
mod said;
mod sendpack;
mod session;
mod shallow;
mod signing;
mod ssh;
mod transport;
mod tree;
mod turn;
mod verify;
mod wire;

/// Keys that an SSH agent holds.
pub mod agent {
    pub use crate::ssh::agent::keys;
}

/// Host keys of SSH servers.
pub mod hostkey {
    pub use crate::ssh::hostkey::{HostKey, known, scan};
}

pub use archive::Archive;
pub use auth::{Auth, AuthError};
pub use commit::{Author, CommitContent};
pub use digest::{Digest, DigestAlgorithm};
pub use error::{BoxError, ErrorKind, GitError};
pub use fetch::Commit;
pub use filter::{Filter, may_be_manifest};
pub use first::FirstCommit;
pub use flux_lang::gitignore::IgnoreList;
pub use flux_lang::giturl::GitUrl;
pub use git::Git;
pub use index::{Files, Found, Index};
pub use mirror::MirrorName;
pub use push::{Edit, Push, Pushed};
pub use reference::{Head, Reference};
pub use remote::{Proxy, ProxyScheme, Remote};
pub use signing::SigningKey;
pub use turn::Turn;
pub use verify::{TrustedKeys, VerifyError, VerifyMode};

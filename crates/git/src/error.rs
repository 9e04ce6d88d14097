//! What goes wrong with Git, in the words that people read in a Ready condition.
//!
//! Every message says what failed, where, and what to do. No message contains a secret: server
//! texts go through [`crate::said`], credentials are never interpolated.

mod kind;

use std::path::PathBuf;
use std::time::Duration;

use flux_lang::giturl::GitUrlError;

use crate::auth::AuthError;

pub use kind::ErrorKind;

/// An error of a caller's own closure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failed Git operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] GitUrlError),

    /// The Secret cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthError),

    /// No line of known_hosts is about this host.
    #[error(
        "host key of {host} cannot be verified: known_hosts in the Secret has no entry for it; the server offers the {key_type} key {fingerprint}: compare that with what the provider publishes, then add the output of `{command}` to known_hosts"
    )]
    UnknownHost {
        /// As it stands in known_hosts.
        host: String,
        /// Type of the offered key.
        key_type: String,
        /// `SHA256:…` of the offered key.
        fingerprint: String,
        /// Prints the missing lines.
        command: String,
    },

    /// The host has another key than known_hosts says.
    #[error(
        "host key of {host} does not match known_hosts: the server offers the {key_type} key {fingerprint}, known_hosts has {known}; if the server's key was changed on purpose, replace the entry by the output of `{command}`, otherwise somebody may be intercepting the connection"
    )]
    HostKeyMismatch {
        /// As it stands in known_hosts.
        host: String,
        /// Type of the offered key.
        key_type: String,
        /// `SHA256:…` of the offered key.
        fingerprint: String,
        /// Types and fingerprints that known_hosts has for the host.
        known: String,
        /// Prints the host's current lines.
        command: String,
    },

    /// A `@revoked` line names the key.
    #[error(
        "host key of {host} is revoked: line {line} of known_hosts revokes the {key_type} key {fingerprint} that the server offers"
    )]
    HostKeyRevoked {
        /// As it stands in known_hosts.
        host: String,
        /// Type of the offered key.
        key_type: String,
        /// `SHA256:…` of the offered key.
        fingerprint: String,
        /// Line of known_hosts.
        line: usize,
    },

    /// The server's certificate does not hold.
    #[error("host certificate of {host} is not valid: {problem}")]
    HostCertificate {
        /// As it stands in known_hosts.
        host: String,
        /// What is wrong.
        problem: String,
    },

    /// known_hosts knows only key types that the server does not have.
    #[error(
        "no common host key type with {host}: known_hosts has {known}, the server offers {offered}; add the output of `{command}` to known_hosts in the Secret"
    )]
    HostKeyTypes {
        /// As it stands in known_hosts.
        host: String,
        /// Types in known_hosts.
        known: String,
        /// Types of the server.
        offered: String,
        /// Prints the missing lines.
        command: String,
    },

    /// SSH server and client have no algorithm in common.
    #[error("ssh handshake with {host} failed: {problem}")]
    Handshake {
        /// `host:port`.
        host: String,
        /// What the peer lacks.
        problem: String,
    },

    /// The SSH server does not know our key.
    #[error(
        "authentication failed: {host} refuses the key {fingerprint} for user '{user}'; add its public key (identity.pub) to the deploy keys of {path}, or correct `identity` in the Secret"
    )]
    KeyRefused {
        /// `host` or `host:port`.
        host: String,
        /// Login name.
        user: String,
        /// `SHA256:…` of our public key.
        fingerprint: String,
        /// Repository.
        path: String,
    },

    /// No key of the SSH agent opens the repository.
    #[error(
        "authentication failed: the SSH agent {keys} for user '{user}'; load one by ssh-add that may use {path}"
    )]
    AgentRefused {
        /// Which it has, and who refuses them.
        keys: String,
        /// Login name.
        user: String,
        /// Repository.
        path: String,
    },

    /// The SSH agent does not do its part.
    #[error("the SSH agent at {socket} {problem}; start one by ssh-agent, or unset SSH_AUTH_SOCK")]
    Agent {
        /// Where it should be.
        socket: String,
        /// What it does not do.
        problem: String,
    },

    /// The key may read, but not write.
    #[error(
        "push refused: the deploy key {fingerprint} is read-only for {path} on {host}; tick \"Allow write access\" in the settings of that deploy key, or add the key again with write access{said}"
    )]
    ReadOnlyKey {
        /// `host` or `host:port`.
        host: String,
        /// Repository.
        path: String,
        /// `SHA256:…` of our public key.
        fingerprint: String,
        /// The server's words, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// The key is known but may not read the repository.
    #[error(
        "access denied: {host} does not let the key {fingerprint} read {path}; add it to the deploy keys of that repository{said}"
    )]
    AccessDenied {
        /// `host` or `host:port`.
        host: String,
        /// Repository.
        path: String,
        /// `SHA256:…` of our public key.
        fingerprint: String,
        /// The server's words, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// HTTP 401 or 403.
    #[error("{what}: {url} answers {status}; {remedy}{said}")]
    HttpDenied {
        /// "authentication failed", "access denied" or "push refused".
        what: &'static str,
        /// Without user information.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What to do.
        remedy: &'static str,
        /// The server's words, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// No such repository, or one that we may not see.
    #[error(
        "repository {url} not found: check the path, and that {credential} has access to it (servers say \"not found\" for what one may not see){said}"
    )]
    RepositoryNotFound {
        /// Without secrets.
        url: String,
        /// "the key SHA256:…", "the account of the Secret" or "everybody".
        credential: String,
        /// The server's words, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// The repository has no such ref.
    #[error("{what} not found in {url}{hint}")]
    RefNotFound {
        /// "branch 'x'", "tag 'x'", "ref 'x'".
        what: String,
        /// Without secrets.
        url: String,
        /// The default branch of the remote, if it is known.
        default_branch: Option<String>,
        /// What to write instead, introduced by `; `, or empty.
        hint: String,
    },

    /// No tag satisfies the range.
    #[error(
        "no match found for semver: {constraint} (of {versions} version tags in {url}{newest})"
    )]
    NoVersion {
        /// As in the specification.
        constraint: String,
        /// Without secrets.
        url: String,
        /// How many tags are versions.
        versions: usize,
        /// The highest version, introduced by `, the highest is `, or empty.
        newest: String,
    },

    /// The specification of what to follow is not valid.
    #[error("{0}")]
    Reference(String),

    /// The commit is not in the repository.
    #[error("commit '{sha}' not found in {url}{scope}")]
    CommitNotFound {
        /// As in the specification.
        sha: String,
        /// Without secrets.
        url: String,
        /// Where was searched, introduced by a comma.
        scope: String,
    },

    /// The repository may have the commit, its branch has not.
    #[error(
        "commit '{sha}' is not on branch '{branch}' of {url}: it is neither the tip of that branch nor an ancestor of it, and may be one of a fork; set spec.ref.commit to a commit of the branch, or spec.ref.branch to the branch that has it"
    )]
    NotOnBranch {
        /// As in the specification.
        sha: String,
        /// As in the specification.
        branch: String,
        /// Without secrets.
        url: String,
    },

    /// There is no commit yet.
    #[error("repository {url} is empty: push a first commit")]
    EmptyRepository {
        /// Without secrets.
        url: String,
    },

    /// The repository uses SHA-256 object names.
    #[error(
        "repository {url} has the object format {format}, which is not supported yet: only sha1 is"
    )]
    ObjectFormat {
        /// Without secrets.
        url: String,
        /// As the server names it.
        format: String,
    },

    /// The host's name has no address.
    #[error("cannot resolve host {host}: {problem}; check the URL, and DNS where this runs")]
    Dns {
        /// Host of the URL or of the proxy.
        host: String,
        /// The resolver's words.
        problem: String,
    },

    /// No connection.
    #[error("cannot connect to {address}: {problem}")]
    Connect {
        /// `host:port`.
        address: String,
        /// The system's words.
        problem: String,
    },

    /// The proxy does not let us through.
    #[error("proxy {proxy} does not connect to {address}: {problem}")]
    Proxy {
        /// Without user information.
        proxy: String,
        /// `host:port`.
        address: String,
        /// Its answer.
        problem: String,
    },

    /// It took too long.
    #[error("timeout: {address} {what} within {}", seconds(*after))]
    Timeout {
        /// `host:port`.
        address: String,
        /// "did not answer", "did not finish".
        what: &'static str,
        /// The limit.
        after: Duration,
    },

    /// TLS did not come about.
    #[error("TLS handshake with {host} failed: {problem}{hint}")]
    Tls {
        /// `host:port`.
        host: String,
        /// The library's words.
        problem: String,
        /// What to do, introduced by `; `, or empty.
        hint: &'static str,
    },

    /// An HTTP answer that Git has no use for.
    #[error("{url} answers {status}{said}")]
    Http {
        /// Without user information.
        url: String,
        /// For example `502 Bad Gateway`.
        status: String,
        /// The server's words, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// The server says no in its own words.
    #[error("{host} refuses: {said}")]
    Remote {
        /// `host` or `host:port`.
        host: String,
        /// Its words.
        said: String,
    },

    /// The server does not speak Git as it should, or stopped in the middle.
    #[error("no proper answer from {host}: {problem}")]
    Protocol {
        /// `host` or `host:port`.
        host: String,
        /// What came, or did not.
        problem: String,
    },

    /// A hook or a rule of the server refuses the push.
    #[error("push of branch '{branch}' to {url} rejected: {problem}{said}")]
    PushRejected {
        /// Branch that was pushed.
        branch: String,
        /// Without secrets.
        url: String,
        /// The server's status for the ref.
        problem: String,
        /// What hooks printed, introduced by ` (server: …)`, or empty.
        said: String,
    },

    /// Others pushed first at each attempt.
    #[error(
        "push of branch '{branch}' to {url} given up after {attempts} attempts: others pushed in between each time; the next run tries again"
    )]
    Conflict {
        /// Branch that was pushed.
        branch: String,
        /// Without secrets.
        url: String,
        /// How often it was tried.
        attempts: usize,
    },

    /// The commit has no such directory.
    #[error("path '{path}' not found in commit {commit}")]
    PathNotFound {
        /// Relative to the repository's root.
        path: String,
        /// Full id.
        commit: String,
    },

    /// More than fits into the memory we allow ourselves.
    #[error(
        "{what} is too large: {size} bytes, the limit is {limit}; exclude it in .sourceignore or spec.ignore"
    )]
    TooLarge {
        /// "file 'x'", "the content of 'x'"; where it grows while it is read, the size is that so far.
        what: String,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },

    /// More names than fit into the memory we allow ourselves.
    #[error(
        "the commit has more than {limit} files; exclude some in .sourceignore or spec.ignore, or set spec.sparseCheckout"
    )]
    TooManyFiles {
        /// Most files.
        limit: usize,
    },

    /// Folders within folders that would exhaust the stack.
    #[error(
        "commit {commit} has folders within folders at more than {limit} levels, at '{path}...'; move what is below"
    )]
    TooDeep {
        /// Full id.
        commit: String,
        /// How it begins, control characters replaced.
        path: String,
        /// Most levels.
        limit: usize,
    },

    /// A tree that must not be unpacked.
    #[error(
        "commit {commit} contains the unsafe path '{path}': it was not made by Git's own tools"
    )]
    UnsafePath {
        /// Full id.
        commit: String,
        /// As it stands in the tree, control characters replaced.
        path: String,
    },

    /// The mirror lacks an object.
    #[error(
        "the local copy of {url} is damaged ({problem}); it is fetched again at the next attempt"
    )]
    Damaged {
        /// Without secrets.
        url: String,
        /// libgit2's words.
        problem: String,
    },

    /// The disk.
    #[error("{what} {}: {problem}", path.display())]
    Storage {
        /// "cannot create", "cannot write", …
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        problem: String,
    },

    /// A commit cannot be made.
    #[error("cannot create the commit: {0}")]
    Commit(String),

    /// The caller's edit failed.
    #[error(transparent)]
    Edit(BoxError),

    /// The caller is gone.
    #[error("the operation was cancelled")]
    Cancelled,

    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl GitError {
    pub(crate) fn storage(
        what: &'static str,
        path: impl Into<PathBuf>,
        problem: impl ToString,
    ) -> Self {
        Self::Storage {
            what,
            path: path.into(),
            problem: problem.to_string(),
        }
    }
}

/// `60s`, `1.5s`.
fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

//! Why a command failed, in words for the person who typed it.
//!
//! Each text is one line, printed after the failure symbol; it names what failed, where, and what
//! can be done. No variant carries a secret.

use std::io;

use crate::cluster::ClusterError;
use crate::github::GithubError;

/// Failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What was typed cannot be carried out.
    #[error("{0}")]
    Input(String),
    /// The answer was printed already, and is not the good one: no failure, but code 1.
    #[error("the answer is no")]
    Answer,
    /// The API server could not be reached, or said no.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// GitHub could not be reached, or said no.
    #[error(transparent)]
    Github(#[from] GithubError),
    /// A controller tried and reported why it could not.
    #[error("{subject} reconciliation failed: {reason}: {message}")]
    Reconciliation {
        /// Kind, as Flux names it in this place.
        subject: String,
        /// Reason of the condition.
        reason: String,
        /// Message of the condition.
        message: String,
    },
    /// Nothing final happened within `--timeout`.
    #[error("timed out after {waited} waiting for {what}: {last}")]
    Timeout {
        /// The limit, as Go prints durations.
        waited: String,
        /// Object that was waited for.
        what: String,
        /// Last thing known about it.
        last: String,
    },
    /// The object went away while it was waited for.
    #[error("{0} was deleted while waiting for it")]
    Deleted(String),
    /// One or more checks did not pass; they were reported one by one.
    #[error("check failed")]
    Check,
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// A file named on the command line cannot be read.
    #[error("{what}: {path}: {source}")]
    File {
        /// What the file was wanted for, in Flux's words.
        what: &'static str,
        /// The path as typed.
        path: String,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The async runtime cannot start.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// Shorthand for [`Error::Input`].
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// Whether the reader of our output is gone, as in `kubectl flux get all | head -1`.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

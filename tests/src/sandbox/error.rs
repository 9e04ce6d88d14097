//! What can go wrong while a sandbox starts, runs or stops, each with what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

/// Shorthand for results of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program could not be executed at all.
    #[error("cannot run {program}")]
    Run {
        /// Name or path of the program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed {
        /// The command as a person would type it.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// The last lines it printed.
        output: String,
    },
    /// A server ended while it was expected to become ready.
    #[error("{name} ended while it was starting ({status}); {} ends with:\n{tail}", log.display())]
    Ended {
        /// Name of the server.
        name: String,
        /// Its exit status.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Something did not come to be in time.
    #[error("{what} was not there after {} s: {last}{tail}", waited.as_secs())]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// What the last look found.
        last: String,
        /// The last lines of the log of the server concerned, or nothing.
        tail: String,
    },
    /// The Go toolchain that builds the control plane is missing or too old.
    #[error(
        "{missing} not found in --programs, KUBEBUILDER_ASSETS, PATH or {}, and they cannot be \
         built: {reason}. Install Go {} or newer (https://go.dev/dl) and try again; the build \
         happens once", cache.display(), super::programs::GO_VERSION
    )]
    Go {
        /// The programs that are missing.
        missing: String,
        /// The cache folder that was searched.
        cache: PathBuf,
        /// Why Go cannot build them.
        reason: String,
    },
    /// Debian packages are missing and cannot be installed from here.
    #[error("{missing} not found; install with: {command}")]
    Packages {
        /// The programs that are missing.
        missing: String,
        /// The exact command to type.
        command: String,
    },
    /// This machine or this user cannot run a node.
    #[error("no node can run here: {0}")]
    NoNode(String),
    /// The folder belongs to a sandbox that runs.
    #[error(
        "a sandbox already runs in {} (process {owner}); stop it with: sandbox down --dir {}",
        dir.display(), dir.display()
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// Id of the process that owns the sandbox.
        owner: i32,
    },
    /// The folder holds files that no sandbox wrote.
    #[error("{} is not empty and not the folder of a sandbox; name another one", .0.display())]
    Foreign(PathBuf),
    /// The sandbox was started without this part.
    #[error("this sandbox runs no {0}")]
    NotStarted(&'static str),
    /// A repository, key or tag that was named is not there, or is there already.
    #[error("{0}")]
    Conflict(String),
    /// A certificate could not be made.
    #[error("cannot make the certificate of {name}")]
    Certificate {
        /// Common name of the certificate.
        name: String,
        /// The library's reason.
        source: rcgen::Error,
    },
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The kubeconfig could not be used.
    #[error("cannot use the sandbox's kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The API server refused or could not be reached.
    #[error("the API server did not do as asked")]
    Kubernetes(#[source] Box<kube::Error>),
    /// The registry's client could not be set up.
    #[error("cannot talk to the registry")]
    Http(#[from] reqwest::Error),
    /// An image could not be made or pushed.
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    /// Text that must be JSON is not.
    #[error("{} is not what a sandbox writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        source: serde_json::Error,
    },
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(Box::new(error))
    }
}

impl Error {
    /// Wraps an I/O error with what was done to which file; for `map_err`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// Whether a server ended because its port was taken between choosing and binding it.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Ended { tail, .. } if tail.to_lowercase().contains("address already in use"))
    }
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}

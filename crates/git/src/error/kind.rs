//! What kind of failure an error is: for Flux's reasons, retries and counters.

use super::GitError;

/// Coarse kinds, for those who decide on retries or counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The specification or the Secret cannot work as written; only an edit helps.
    Input,
    /// The server does not accept our credentials, or we do not accept its host key.
    Authentication,
    /// The credentials are good, but not for this.
    Permission,
    /// Repository, ref, commit or path does not exist.
    NotFound,
    /// The repository has no commit yet.
    Empty,
    /// The server cannot be reached or broke off.
    Network,
    /// It took too long.
    Timeout,
    /// The server refused a push.
    Rejected,
    /// Others pushed first, again and again.
    Conflict,
    /// Too large, or content that is not safe to handle.
    Content,
    /// The local disk or mirror.
    Storage,
    /// The caller's edit failed.
    Edit,
    /// The operation was given up by its caller.
    Cancelled,
}

impl GitError {
    /// The reason that Flux's GitRepository puts into its conditions for such a failure.
    pub fn reason(&self) -> &'static str {
        match self.kind() {
            ErrorKind::Authentication => "AuthenticationFailed",
            ErrorKind::Empty => "EmptyGitRepository",
            _ => match self {
                Self::Url(_) => "URLInvalid",
                Self::Auth(error) => error.reason(),
                Self::TooLarge { .. }
                | Self::TooManyFiles { .. }
                | Self::TooDeep { .. }
                | Self::UnsafePath { .. } => "ArchiveOperationFailed",
                _ => "GitOperationFailed",
            },
        }
    }

    /// The coarse kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url(_) | Self::Auth(_) | Self::Reference(_) | Self::ObjectFormat { .. } => {
                ErrorKind::Input
            }
            Self::UnknownHost { .. }
            | Self::HostKeyMismatch { .. }
            | Self::HostKeyRevoked { .. }
            | Self::HostCertificate { .. }
            | Self::HostKeyTypes { .. }
            | Self::KeyRefused { .. }
            | Self::AgentRefused { .. }
            | Self::Agent { .. }
            | Self::HttpDenied { status: 401, .. } => ErrorKind::Authentication,
            Self::ReadOnlyKey { .. } | Self::AccessDenied { .. } | Self::HttpDenied { .. } => {
                ErrorKind::Permission
            }
            Self::RepositoryNotFound { .. }
            | Self::RefNotFound { .. }
            | Self::NoVersion { .. }
            | Self::CommitNotFound { .. }
            | Self::NotOnBranch { .. }
            | Self::PathNotFound { .. } => ErrorKind::NotFound,
            Self::EmptyRepository { .. } => ErrorKind::Empty,
            Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Tls { .. }
            | Self::Handshake { .. }
            | Self::Http { .. }
            | Self::Remote { .. }
            | Self::Protocol { .. } => ErrorKind::Network,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::PushRejected { .. } => ErrorKind::Rejected,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::TooLarge { .. }
            | Self::TooManyFiles { .. }
            | Self::TooDeep { .. }
            | Self::UnsafePath { .. } => ErrorKind::Content,
            Self::Damaged { .. } | Self::Storage { .. } | Self::Commit(_) | Self::Internal(_) => {
                ErrorKind::Storage
            }
            Self::Edit(_) => ErrorKind::Edit,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

//! What a GitRepository holds: a commit in a mirror of this process, or the artifact of another
//! process that works on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flux_api::Artifact;
use flux_git::{Commit, Filter, GitError, Remote};

use super::download::{Download, DownloadError};
use crate::context::Context;

/// What a GitRepository holds.
pub struct Source {
    revision: String,
    since: Instant,
    content: Content,
}

enum Content {
    Mirrored(Box<Mirrored>),
    Artifact(Box<Download>),
}

/// A commit in a mirror.
pub struct Mirrored {
    /// Where it came from.
    pub remote: Remote,
    /// The commit.
    pub commit: Commit,
    /// What counts of it: `spec.ignore` and `spec.sparseCheckout`.
    pub filter: Filter,
    /// Generation of the object for which this holds.
    pub generation: i64,
    /// Digest over what counts: the same for commits that differ elsewhere.
    pub content: String,
}

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The mirror was damaged or lost; the next fetch rebuilds it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The artifact of another process cannot be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
}

impl Mirrored {
    /// Which of these paths are symbolic links, which nobody who reads the files gets to see.
    ///
    /// # Errors
    /// When the mirror was damaged or lost.
    pub async fn links(
        &self,
        paths: &[String],
        context: &Context,
    ) -> Result<Vec<String>, GitError> {
        let (git, id) = (&context.git, &self.commit.id);
        git.links(&self.remote, id, &self.filter, paths.to_vec())
            .await
    }
}

impl Source {
    /// A commit that was fetched.
    pub fn of_commit(mirrored: Mirrored) -> Self {
        Self {
            revision: mirrored.commit.revision.clone(),
            since: Instant::now(),
            content: Content::Mirrored(Box::new(mirrored)),
        }
    }

    /// The artifact of another process; it is downloaded when it is needed.
    pub fn of_artifact(artifact: Artifact) -> Self {
        Self {
            revision: artifact.revision.clone(),
            since: Instant::now(),
            content: Content::Artifact(Box::new(Download::new(artifact))),
        }
    }

    /// How long this process has known it.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Flux's form: `main@sha1:…`.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit in our mirror, if this process fetched it.
    pub fn mirrored(&self) -> Option<&Mirrored> {
        match &self.content {
            Content::Mirrored(mirrored) => Some(mirrored),
            Content::Artifact(_) => None,
        }
    }

    /// Whether this process fetched it.
    pub fn is_ours(&self) -> bool {
        self.mirrored().is_some()
    }

    /// Whether it is this very artifact of another process.
    pub fn is_of(&self, artifact: &Artifact) -> bool {
        match &self.content {
            Content::Artifact(download) => download.is_of(artifact),
            Content::Mirrored(_) => false,
        }
    }

    /// Where it comes from, as far as it matters for what files are: other addresses and other
    /// generations of the object may mean other files with the same ids.
    pub fn origin(&self) -> (String, i64) {
        match &self.content {
            Content::Mirrored(m) => (m.remote.url.to_string(), m.generation),
            // Its ids are over the files themselves.
            Content::Artifact(_) => (String::new(), 0),
        }
    }

    /// Digest over all that counts of it: as long as it stays the same, so do the files.
    pub fn content(&self) -> &str {
        match &self.content {
            Content::Mirrored(mirrored) => &mirrored.content,
            Content::Artifact(download) => download.digest(),
        }
    }

    /// All files after ignore rules, or those at or below a path.
    ///
    /// # Errors
    /// [`SourceError`]; also when there is no such path.
    pub async fn files(
        &self,
        under: Option<&str>,
        context: &Context,
    ) -> Result<BTreeMap<String, Bytes>, SourceError> {
        match &self.content {
            Content::Mirrored(m) => Ok(context
                .git
                .files(&m.remote, &m.commit.id, &m.filter, under)
                .await?),
            Content::Artifact(download) => {
                Ok(download.files(under, context.args.http_retry).await?)
            }
        }
    }

    /// What paths are: ids that stay the same as long as nothing at or below them changes; none for
    /// what is not there.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn ids(
        &self,
        paths: Vec<String>,
        context: &Context,
    ) -> Result<Vec<Option<String>>, SourceError> {
        match &self.content {
            Content::Mirrored(m) => Ok(context.git.object_ids(&m.remote, &m.commit, paths).await?),
            Content::Artifact(download) => {
                Ok(download.ids(&paths, context.args.http_retry).await?)
            }
        }
    }
}

impl SourceError {
    /// Whether the mirror is damaged or lost: the GitRepository must fetch it again.
    pub fn is_of_mirror(&self) -> bool {
        matches!(self, Self::Git(GitError::Damaged { .. }))
    }

    /// Whether the server of artifacts is at fault, which may be over in a moment.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Download(DownloadError::Transport { .. } | DownloadError::Status { .. })
        )
    }

    /// Whether there is no such path, which a build says better.
    pub fn is_missing_path(&self) -> bool {
        matches!(
            self,
            Self::Git(GitError::PathNotFound { .. }) | Self::Download(DownloadError::NoPath(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_may_mend_them() {
        let (url, text) = (String::new, String::new);
        let download = |error| SourceError::Download(error);
        let (transport, status, digest) = (
            DownloadError::Transport {
                url: url(),
                problem: text(),
            },
            DownloadError::Status {
                url: url(),
                status: text(),
            },
            DownloadError::Digest {
                url: url(),
                wanted: text(),
                found: text(),
            },
        );
        let damaged = GitError::Damaged {
            url: url(),
            problem: text(),
        };
        // The error, whether the server of artifacts is away, whether the mirror is to be fetched.
        for (error, outage, mirror) in [
            (download(transport), true, false),
            (download(status), true, false),
            (download(digest), false, false),
            (download(DownloadError::NoPath(text())), false, false),
            (SourceError::Git(damaged), false, true),
            (SourceError::Git(GitError::Cancelled), false, false),
        ] {
            assert_eq!(error.is_outage(), outage, "{error}");
            assert_eq!(error.is_of_mirror(), mirror, "{error}");
        }
    }
}

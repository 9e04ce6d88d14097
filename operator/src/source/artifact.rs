//! The tarball of a commit, for readers outside the process, in the layout of Flux:
//! `gitrepository/<namespace>/<name>/<commit>.tar.gz`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flux_api::{Artifact, GitRepositoryStatus, Time};
use flux_git::GitError;

use crate::context::Context;
use crate::key::Key;
use crate::source::Source;

/// Tarballs that are kept for readers who still hold an old URL.
const KEPT: usize = 2;

/// How long an old tarball stays in any case.
const GRACE: Duration = Duration::from_secs(60);

/// Why an artifact could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The files could not be read or packed.
    #[error("cannot pack the artifact: {0}")]
    Pack(#[from] GitError),
    /// The storage folder does not take it.
    #[error("cannot write the artifact below --storage-path: {0}")]
    Write(#[from] io::Error),
}

fn folder(key: &Key, context: &Context) -> PathBuf {
    context
        .artifacts
        .join("gitrepository")
        .join(&key.namespace)
        .join(&key.name)
}

/// Whether the tarball that a status names is there.
pub async fn exists(status: &GitRepositoryStatus, context: &Context) -> bool {
    match &status.artifact {
        Some(artifact) => {
            let path = context.artifacts.join(&artifact.path);
            tokio::fs::try_exists(path).await.unwrap_or(false)
        }
        None => false,
    }
}

/// Packs the commit and describes the result.
///
/// # Errors
/// [`ArtifactError`].
pub async fn store(
    key: &Key,
    source: &Source,
    context: &Context,
) -> Result<Artifact, ArtifactError> {
    let folder = folder(key, context);
    tokio::fs::create_dir_all(&folder).await?;
    let file = format!("{}.tar.gz", source.commit.id);
    let path = folder.join(&file);
    let archive = context
        .git
        .archive(&source.remote, &source.commit.id, &source.ignore, &path)
        .await?;
    if let Err(error) = collect_garbage(&folder, &file).await {
        tracing::warn!(%error, source = %key, "old artifacts cannot be removed");
    }
    let relative = format!("gitrepository/{}/{}/{file}", key.namespace, key.name);
    Ok(Artifact {
        digest: archive.digest,
        last_update_time: Time(k8s_openapi::jiff::Timestamp::now()),
        url: format!("{}/{relative}", context.artifacts_url),
        path: relative,
        revision: source.commit.revision.clone(),
        size: i64::try_from(archive.size).ok(),
        metadata: BTreeMap::new(),
        checksum: None,
    })
}

/// Removes all but the newest tarballs.
async fn collect_garbage(folder: &std::path::Path, current: &str) -> io::Result<()> {
    let mut old: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        if entry.file_name() != current {
            old.push((entry.metadata().await?.modified()?, entry.path()));
        }
    }
    old.sort();
    let surplus = old.len().saturating_sub(KEPT - 1);
    for (modified, path) in old.into_iter().take(surplus) {
        if modified.elapsed().is_ok_and(|age| age > GRACE) {
            tokio::fs::remove_file(path).await?;
        }
    }
    Ok(())
}

/// Removes the tarballs of a GitRepository that is gone.
///
/// # Errors
/// When the folder cannot be removed; a missing one is fine.
pub async fn remove_all(key: &Key, context: &Context) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder(key, context)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

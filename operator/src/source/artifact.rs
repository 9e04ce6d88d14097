//! The tarball of a commit, for readers outside the process, in the layout of Flux:
//! `gitrepository/<namespace>/<name>/<commit>.tar.gz`.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flux_api::{Artifact, GitRepositoryStatus, Time};
use flux_git::GitError;
use sha2::{Digest as _, Sha256};

use crate::context::Context;
use crate::key::Key;
use crate::source::Mirrored;

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

/// Whether the tarball that a status names is there with the digest that it names.
pub async fn intact(artifact: &Artifact, context: &Context) -> bool {
    let path = context.artifacts.join(&artifact.path);
    let digest = tokio::task::spawn_blocking(move || digest_of(&path)).await;
    digest.is_ok_and(|digest| digest.is_ok_and(|digest| digest == artifact.digest))
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            let digits = hash.finalize();
            let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(format!("sha256:{digits}"));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Removes a tarball that is not what it should be.
pub async fn discard(artifact: &Artifact, context: &Context) {
    let _ = tokio::fs::remove_file(context.artifacts.join(&artifact.path)).await;
}

/// Packs the commit and describes the result. Where the files that count are those of the commit
/// `before`, its tarball gets a second name instead: it would be the same, byte by byte.
///
/// # Errors
/// [`ArtifactError`].
pub async fn store(
    key: &Key,
    source: &Mirrored,
    before: Option<(&Mirrored, &Artifact)>,
    context: &Context,
) -> Result<Artifact, ArtifactError> {
    let folder = folder(key, context);
    tokio::fs::create_dir_all(&folder).await?;
    let file = format!("{}.tar.gz", source.commit.id);
    let path = folder.join(&file);
    let same = before.filter(|(before, artifact)| {
        before.content == source.content && before.commit.revision == artifact.revision
    });
    let (digest, size) = match same {
        Some((_, artifact)) if link(&context.artifacts.join(&artifact.path), &path).await => {
            (artifact.digest.clone(), artifact.size)
        }
        _ => {
            let archive = context
                .git
                .archive(&source.remote, &source.commit.id, &source.filter, &path)
                .await?;
            (archive.digest, i64::try_from(archive.size).ok())
        }
    };
    if let Err(error) = collect_garbage(&folder, &file).await {
        tracing::warn!(%error, source = %key, "old artifacts cannot be removed");
    }
    let relative = format!("gitrepository/{}/{}/{file}", key.namespace, key.name);
    Ok(Artifact {
        digest,
        last_update_time: Time(k8s_openapi::jiff::Timestamp::now()),
        url: format!("{}/{relative}", context.artifacts_url),
        path: relative,
        revision: source.commit.revision.clone(),
        size,
        metadata: BTreeMap::new(),
        checksum: None,
    })
}

/// Gives a tarball a second name; false when that does not work.
async fn link(from: &Path, to: &Path) -> bool {
    if from == to {
        return tokio::fs::try_exists(to).await.unwrap_or(false);
    }
    // A leftover of the same commit under another filter.
    let _ = tokio::fs::remove_file(to).await;
    tokio::fs::hard_link(from, to).await.is_ok()
}

/// Removes all but the newest tarballs.
async fn collect_garbage(folder: &Path, current: &str) -> io::Result<()> {
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

//! The tarball of a commit, for readers outside the process, in the layout of Flux:
//! `gitrepository/<namespace>/<name>/<commit>.tar.gz`.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flux_api::{Artifact, Time};
use flux_git::{DigestAlgorithm, GitError};

use crate::context::Context;
use crate::key::Key;
use crate::source::{Mirrored, origin};

/// What old tarballs stay.
#[derive(Clone, Copy, Debug)]
struct Retention {
    /// Those that are younger.
    grace: Duration,
    /// So many, however old.
    old: usize,
}

impl Retention {
    fn of(context: &Context) -> Self {
        Self {
            grace: context.args.artifact_retention_ttl.as_std(),
            old: context.args.artifact_retention_records.saturating_sub(1),
        }
    }
}

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

/// What was found where a status says that the tarball is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A tarball with the digest that it should have.
    Intact,
    /// Nothing.
    Missing,
    /// A file with another digest.
    Damaged,
}

/// The last tarball of an object that was found to be intact, and how the file looked then: as long as
/// it looks the same, it is not read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    digest: String,
    inode: u64,
    size: u64,
    modified: SystemTime,
}

impl Seen {
    fn of(path: &Path, digest: &str) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            digest: digest.to_owned(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: metadata.modified()?,
        })
    }
}

/// Folder of an object's tarballs, below that of all.
fn relative(key: &Key) -> String {
    format!("gitrepository/{}/{}", key.namespace, key.name)
}

/// Where an object's tarballs are.
pub(super) fn folder(key: &Key, context: &Context) -> PathBuf {
    context.artifacts.join(relative(key))
}

/// Name of the tarball that a status names. None when it names one outside of the object's folder:
/// who may write a status must not get at the files of others by it.
fn file_name<'a>(key: &Key, artifact: &'a Artifact) -> Option<&'a str> {
    let inside = artifact.path.strip_prefix(&relative(key))?;
    let name = inside.strip_prefix('/')?;
    (!name.is_empty() && !name.starts_with('.') && !name.contains('/')).then_some(name)
}

fn path_of(key: &Key, artifact: &Artifact, context: &Context) -> Option<PathBuf> {
    Some(folder(key, context).join(file_name(key, artifact)?))
}

/// Where others fetch a tarball of this process.
pub fn url(path: &str, context: &Context) -> String {
    format!("{}/{path}", context.artifacts_url)
}

/// Whether the tarball that a status names is there, and what it should be.
pub async fn state(key: &Key, artifact: &Artifact, context: &Context) -> State {
    let Some(path) = path_of(key, artifact, context) else {
        return State::Missing;
    };
    let (digest, known) = (artifact.digest.clone(), context.tarballs.get(key));
    let look = move || {
        let seen = Seen::of(&path, &digest)?;
        let intact = known.as_ref() == Some(&seen) || digest_of(&path, &digest)? == digest;
        io::Result::Ok(intact.then_some(seen))
    };
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(Some(seen))) => {
            context.tarballs.set(key, seen);
            State::Intact
        }
        Ok(Ok(None)) => State::Damaged,
        _ => State::Missing,
    }
}

/// The digest of a file by the algorithm of another, or by the usual one.
fn digest_of(path: &Path, like: &str) -> io::Result<String> {
    let mut digest = DigestAlgorithm::of(like).unwrap_or_default().begin();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(digest.finish());
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Removes a tarball that is not what it should be.
pub async fn discard(key: &Key, artifact: &Artifact, context: &Context) {
    if let Some(path) = path_of(key, artifact, context) {
        let _ = tokio::fs::remove_file(path).await;
    }
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
    let algorithm = context.args.digest_algorithm();
    let same = before.filter(|(before, artifact)| {
        before.content == source.content
            && before.commit.revision == artifact.revision
            && DigestAlgorithm::of(&artifact.digest) == Some(algorithm)
    });
    let last = before.and_then(|(_, artifact)| file_name(key, artifact));
    let (digest, size) = match (same, last) {
        (Some((_, artifact)), Some(last)) if link(&folder.join(last), &path).await => {
            (artifact.digest.clone(), artifact.size)
        }
        _ => {
            let archive = context
                .git
                .archive(
                    &source.remote,
                    &source.commit.id,
                    &source.filter,
                    algorithm,
                    &path,
                )
                .await?;
            (archive.digest, i64::try_from(archive.size).ok())
        }
    };
    if let Ok(seen) = Seen::of(&path, &digest) {
        context.tarballs.set(key, seen);
    }
    note_origin(key, source, context).await;
    if let Err(error) = collect_garbage(&folder, &file, last, Retention::of(context)).await {
        tracing::warn!(%error, source = %key, "old artifacts cannot be removed");
    }
    let relative = format!("{}/{file}", relative(key));
    Ok(Artifact {
        digest,
        last_update_time: Time(k8s_openapi::jiff::Timestamp::now()),
        url: url(&relative, context),
        path: relative,
        revision: source.commit.revision.clone(),
        size,
        metadata: BTreeMap::new(),
        checksum: None,
    })
}

/// Remembers in which mirror the commit is, where a later process finds it. It does without, if need be.
pub(super) async fn note_origin(key: &Key, source: &Mirrored, context: &Context) {
    let mirror = context.git.mirror_name(&source.remote);
    if let Err(error) = origin::note(&folder(key, context), &mirror).await {
        tracing::warn!(source = %key, %error, "the name of the mirror cannot be written");
    }
}

/// Gives a tarball a second name; false when that does not work.
async fn link(from: &Path, to: &Path) -> bool {
    if from == to {
        return tokio::fs::try_exists(to).await.unwrap_or(false);
    }
    // A leftover of the same commit under another filter.
    let _ = tokio::fs::remove_file(to).await;
    if tokio::fs::hard_link(from, to).await.is_err() {
        return false;
    }
    // The grace of the old name begins now. Without it, nothing but that would be lost.
    if let Ok(file) = tokio::fs::File::open(to).await {
        let _ = file.into_std().await.set_modified(SystemTime::now());
    }
    true
}

/// Removes the tarballs of an object that nobody can be about to read any more, from a folder in
/// which nothing was stored in this run.
pub async fn tidy(key: &Key, artifact: &Artifact, context: &Context) {
    let Some(current) = file_name(key, artifact) else {
        return;
    };
    if let Err(error) =
        collect_garbage(&folder(key, context), current, None, Retention::of(context)).await
    {
        tracing::warn!(%error, source = %key, "old artifacts cannot be removed");
    }
}

/// Removes old tarballs but those that stay. Of these `last`, if it is known, comes before the newest:
/// who was told of it a moment ago may be about to fetch it.
async fn collect_garbage(
    folder: &Path,
    current: &str,
    last: Option<&str>,
    stay: Retention,
) -> io::Result<()> {
    let mut old: Vec<(bool, SystemTime, PathBuf)> = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        if name != current && name != origin::FILE {
            let modified = entry.metadata().await?.modified()?;
            old.push((
                last.is_some_and(|last| name == last),
                modified,
                entry.path(),
            ));
        }
    }
    old.sort();
    let surplus = old.len().saturating_sub(stay.old);
    for (_, modified, path) in old.into_iter().take(surplus) {
        if modified.elapsed().is_ok_and(|age| age > stay.grace) {
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
    context.tarballs.remove(key);
    match tokio::fs::remove_dir_all(folder(key, context)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAY: Retention = Retention {
        grace: Duration::from_secs(60),
        old: 1,
    };

    #[test]
    fn a_status_names_files_of_its_own_object_only() {
        let key = Key::new("team", "apps");
        for (path, name) in [
            ("gitrepository/team/apps/abc.tar.gz", Some("abc.tar.gz")),
            ("gitrepository/team/apps/../other/abc.tar.gz", None),
            ("gitrepository/team/apps/..", None),
            ("gitrepository/team/apps/", None),
            ("gitrepository/team/apps-2/abc.tar.gz", None),
            ("gitrepository/other/apps/abc.tar.gz", None),
            ("/etc/passwd", None),
            ("", None),
        ] {
            let artifact = Artifact {
                digest: String::new(),
                last_update_time: Time(k8s_openapi::jiff::Timestamp::now()),
                path: path.to_owned(),
                revision: String::new(),
                url: String::new(),
                size: None,
                metadata: BTreeMap::new(),
                checksum: None,
            };
            assert_eq!(file_name(&key, &artifact), name, "{path}");
        }
    }

    #[tokio::test]
    async fn old_tarballs_go_but_not_the_last_one() {
        // Names with their ages in seconds; current and last; what stays.
        for (files, current, last, expected) in [
            (
                &[("a", 900), ("b", 800), ("c", 0)][..],
                "c",
                Some("a"),
                "ac",
            ),
            (&[("a", 900), ("b", 800), ("c", 0)], "c", None, "bc"),
            (&[("a", 900), ("b", 800), ("c", 0)], "c", Some("gone"), "bc"),
            (
                &[("a", 30), ("b", 20), ("c", 10), ("d", 0)],
                "d",
                None,
                "abcd",
            ),
            (&[("a", 900), ("b", 900)], "a", None, "ab"),
            (&[("a", 900)], "a", None, "a"),
            // It is no tarball.
            (
                &[(origin::FILE, 900), ("a", 900), ("b", 900), ("c", 0)],
                "c",
                None,
                ".mirrorbc",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for (name, age) in files {
                let file = std::fs::File::create(folder.path().join(name)).unwrap();
                let time = SystemTime::now() - Duration::from_secs(*age);
                file.set_modified(time).unwrap();
            }
            collect_garbage(folder.path(), current, last, STAY)
                .await
                .unwrap();
            let mut left: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            assert_eq!(left.concat(), expected, "{files:?} {current} {last:?}");
        }
    }

    #[tokio::test]
    async fn a_second_name_begins_a_new_grace() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&from, "x").unwrap();
        let old = SystemTime::now() - Duration::from_secs(900);
        std::fs::File::open(&from)
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert!(link(&from, &to).await);
        let age = std::fs::metadata(&from).unwrap().modified().unwrap();
        assert!(age.elapsed().unwrap() < STAY.grace);
        assert!(link(&to, &to).await && !link(&folder.path().join("c"), &to).await);
    }
}

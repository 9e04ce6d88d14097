//! The entry: async methods around the blocking work, with its locks and retries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use git2::Oid;
use tokio::task::spawn_blocking;

use crate::archive::{self, Archive};
use crate::digest::DigestAlgorithm;
use crate::error::GitError;
use crate::fetch::{self, Commit};
use crate::filter::Filter;
use crate::first::{self, FirstCommit};
use crate::folders::Folders;
use crate::lsrefs;
use crate::mirror::{Mirror, MirrorName, Salt};
use crate::reference::{self, Head, Reference};
use crate::remote::Remote;
use crate::session::Session;
use crate::transport;
use crate::tree::Snapshot;
use crate::turn::Queues;
use crate::verify::{self, TrustedKeys, VerifyError, VerifyMode};

/// Repositories and their mirrors on disk. Cheap to clone; all clones share the mirrors.
#[derive(Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

struct Inner {
    cache: PathBuf,
    salt: Salt,
    mirrors: Mutex<HashMap<MirrorName, Arc<Mirror>>>,
    queues: Queues,
    folders: Folders,
}

impl std::fmt::Debug for Git {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Git({})", self.inner.cache.display())
    }
}

impl Git {
    /// Uses a directory for mirrors; it is created if need be.
    ///
    /// Prepares libgit2 and, if the program has not done so, makes ring the TLS provider of the
    /// process.
    ///
    /// # Errors
    /// When the directory cannot be created or written.
    pub fn new(cache_dir: PathBuf) -> Result<Self, GitError> {
        // An error means that one is installed already, which is as good.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        transport::register()
            .map_err(|problem| GitError::Internal(format!("libgit2 does not start: {problem}")))?;
        fs::create_dir_all(&cache_dir)
            .map_err(|error| GitError::storage("cannot create", &cache_dir, error))?;
        let salt = Salt::of(&cache_dir)?;
        let inner = Inner {
            cache: cache_dir,
            salt,
            mirrors: Mutex::default(),
            queues: Queues::default(),
            folders: Folders::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What a reference is at the remote now: one listing of the wanted ref, nothing is fetched.
    /// A commit is returned as it is, without asking. Of tags with equal versions one that was not
    /// fetched yet is returned, if there is one: without it nobody knows which is the newest.
    ///
    /// # Errors
    /// When the remote cannot be asked, or has no such ref.
    pub async fn resolve(&self, remote: &Remote, reference: &Reference) -> Result<Head, GitError> {
        reference.validate()?;
        if let Some(pinned) = reference.pinned() {
            return Ok(pinned.head());
        }
        let mirror = self.mirror(remote);
        let link = mirror.links.to(remote)?;
        let url = remote.url.to_string();
        let list = async |prefixes: &[String]| {
            lsrefs::list(remote, &link, &mirror.speaks_v2, prefixes).await
        };
        let asked = Instant::now();
        let listing = list(&reference.prefixes()).await?;
        let picks = match reference.pick(&listing, &url) {
            // Without HEAD the short listing cannot tell an empty repository from a wrong name.
            Err(_) if listing.find("HEAD").is_none() => reference.pick(&list(&[]).await?, &url)?,
            picks => picks?,
        };
        blocking(move || {
            let picked = fetch::choose(&mirror, picks);
            fetch::confirm(&mirror, &picked, asked);
            Ok(picked.head())
        })
        .await
    }

    /// Brings a reference into the mirror: only what is missing, and only its newest commit where
    /// the server allows that. A damaged mirror is fetched again.
    ///
    /// # Errors
    /// When the remote cannot be reached, has no such ref, or the disk fails.
    pub async fn fetch(&self, remote: &Remote, reference: &Reference) -> Result<Commit, GitError> {
        reference.validate()?;
        let mirror = self.mirror(remote);
        let link = mirror.links.to(remote)?;
        let writer = mirror.writer.clone().lock_owned().await;
        // While this future lives, so does the sender; without it the thread gives up.
        let (session, _alive) = Session::new(remote, link);
        let reference = reference.clone();
        blocking(move || {
            let _writer = writer;
            fetch::fetch(&mirror, &Arc::new(session), &reference)
        })
        .await
    }

    /// The tip of a branch, if this process saw it at the server at `since` or later, or pushed it.
    /// None says that the server has to be asked.
    pub async fn known(
        &self,
        remote: &Remote,
        reference: &Reference,
        since: Instant,
    ) -> Option<Commit> {
        let mirror = self.mirror(remote);
        let reference = reference.clone();
        let known = blocking(move || Ok(fetch::known(&mirror, &reference)));
        let (commit, seen) = known.await.ok().flatten()?;
        (seen >= Some(since)).then_some(commit)
    }

    /// The commit that a former process fetched, from the mirror alone: `revision` in Flux's form
    /// says which. None when the mirror does not have it.
    ///
    /// # Errors
    /// When the reference could never have given that revision.
    pub async fn load(
        &self,
        remote: &Remote,
        reference: &Reference,
        revision: &str,
    ) -> Result<Option<Commit>, GitError> {
        let picked = reference.picked_by(revision)?;
        let mirror = self.mirror(remote);
        let reference = reference.clone();
        blocking(move || Ok(fetch::load(&mirror, &reference, picked))).await
    }

    /// The name of a remote's mirror: another one for another repository or other credentials.
    pub fn mirror_name(&self, remote: &Remote) -> MirrorName {
        self.inner.salt.name(remote)
    }

    /// Verifies signatures of a fetched commit, and of the tag by which it was found. Returns what
    /// was verified by which key.
    ///
    /// # Errors
    /// [`VerifyError`] unless everything that `mode` asks for has a good signature of one of the
    /// keys.
    pub async fn verify(
        &self,
        remote: &Remote,
        commit: &Commit,
        mode: VerifyMode,
        keys: &TrustedKeys,
    ) -> Result<String, VerifyError> {
        let (mirror, remote) = (self.mirror(remote), remote.clone());
        let (commit, keys) = (commit.clone(), keys.clone());
        blocking(move || {
            let repository = mirror.open(&remote)?;
            let [id, object] = [&commit.id, &commit.object].map(|id| fetch::parse_id(id));
            let (id, object) = (id?, object?);
            // Of what is not here it cannot be said that nobody signed it.
            repository
                .find_commit(id)
                .and_then(|_| repository.find_object(object, None))
                .map_err(|error| mirror.damage(&remote, &error))?;
            let tag = commit.refname.strip_prefix(reference::TAGS);
            let tag = tag.map(|name| (name, object));
            Ok(verify::verify(&repository, id, tag, mode, &keys))
        })
        .await?
    }

    /// The files of a fetched commit by their path from the repository's root, as far as the filter
    /// and the `.sourceignore` files in the commit let them count. `under` limits them to one
    /// directory.
    ///
    /// # Errors
    /// When the commit was not fetched, `under` does not exist, or the content is too large.
    pub async fn files(
        &self,
        remote: &Remote,
        commit: &str,
        filter: &Filter,
        under: Option<&str>,
    ) -> Result<BTreeMap<String, Bytes>, GitError> {
        let (filter, under) = (filter.clone(), under.map(str::to_owned));
        self.snapshot(remote, commit, move |snapshot| {
            snapshot.files(&filter, under.as_deref())
        })
        .await
    }

    /// A digest over the files of a fetched commit that [`Git::files`] would give, without reading
    /// them: as long as it stays the same, so do they.
    ///
    /// # Errors
    /// When the commit was not fetched or the path does not exist.
    pub async fn content_digest(
        &self,
        remote: &Remote,
        commit: &str,
        filter: &Filter,
        under: Option<&str>,
    ) -> Result<String, GitError> {
        let (filter, under) = (filter.clone(), under.map(str::to_owned));
        self.snapshot(remote, commit, move |snapshot| {
            snapshot.content_digest(&filter, under.as_deref())
        })
        .await
    }

    /// The object id of a directory (or file) of a fetched commit: as long as it stays the same,
    /// nothing below has changed.
    ///
    /// # Errors
    /// When the commit was not fetched or the path does not exist.
    pub async fn tree_digest(
        &self,
        remote: &Remote,
        commit: &str,
        under: Option<&str>,
    ) -> Result<String, GitError> {
        let under = under.map(str::to_owned);
        self.snapshot(remote, commit, move |snapshot| {
            snapshot.object(under.as_deref()).map(|id| id.to_string())
        })
        .await
    }

    /// The object ids of directories and files of a fetched commit, `None` for what is not there:
    /// as long as one stays the same, nothing in or below it has changed.
    ///
    /// # Errors
    /// When the commit was not fetched.
    pub async fn object_ids(
        &self,
        remote: &Remote,
        commit: &Commit,
        paths: Vec<String>,
    ) -> Result<Vec<Option<String>>, GitError> {
        let text = |ids: Vec<Option<Oid>>| {
            let text = |id: Option<Oid>| id.map(|id| id.to_string());
            ids.into_iter().map(text).collect()
        };
        let tree = fetch::parse_id(&commit.tree)?;
        let known = self.inner.folders.ids(tree, &paths, |_| Err(()));
        if let Ok(ids) = known {
            return Ok(text(ids));
        }
        let inner = self.inner.clone();
        self.snapshot(remote, &commit.id, move |snapshot| {
            let ids = inner.folders.ids(tree, &paths, |id| snapshot.folder(id))?;
            Ok(text(ids))
        })
        .await
    }

    /// Which of these paths of a fetched commit are symbolic links that would count if links did.
    ///
    /// # Errors
    /// When the commit was not fetched.
    pub async fn links(
        &self,
        remote: &Remote,
        commit: &str,
        filter: &Filter,
        paths: Vec<String>,
    ) -> Result<Vec<String>, GitError> {
        let filter = filter.clone();
        self.snapshot(remote, commit, move |snapshot| {
            snapshot.links(&filter, paths)
        })
        .await
    }

    /// Writes a fetched commit as a reproducible tar.gz, atomically, for readers outside.
    ///
    /// # Errors
    /// When the commit was not fetched, a file is too large, or the disk fails.
    pub async fn archive(
        &self,
        remote: &Remote,
        commit: &str,
        filter: &Filter,
        algorithm: DigestAlgorithm,
        dest: &Path,
    ) -> Result<Archive, GitError> {
        let (filter, dest) = (filter.clone(), dest.to_owned());
        self.snapshot(remote, commit, move |snapshot| {
            archive::write(snapshot, &filter, algorithm, &dest)
        })
        .await
    }

    /// Makes the first commit of an empty repository and pushes it; the id of the commit.
    ///
    /// # Errors
    /// When the server refuses, or the branch exists by now.
    pub async fn commit_first(
        &self,
        remote: &Remote,
        first: FirstCommit,
    ) -> Result<String, GitError> {
        Reference::Branch(first.branch.clone()).validate()?;
        let mirror = self.mirror(remote);
        let link = mirror.links.to(remote)?;
        let writer = mirror.writer.clone().lock_owned().await;
        let (session, _alive) = Session::new(remote, link);
        blocking(move || {
            let _writer = writer;
            first::push(&mirror, &Arc::new(session), &first)
        })
        .await
    }

    /// Deletes all mirrors but these.
    ///
    /// # Errors
    /// When the cache directory cannot be read or a mirror not deleted.
    pub async fn retain(&self, used: &HashSet<MirrorName>) -> Result<(), GitError> {
        let cache = &self.inner.cache;
        let failed = |error| GitError::storage("cannot read", cache, error);
        for entry in fs::read_dir(cache).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = MirrorName::parse(&entry.file_name().to_string_lossy());
            let Some(name) = name.filter(|name| !used.contains(name)) else {
                continue;
            };
            let mirror = self.mirror_named(&name);
            let writer = mirror.writer.clone().lock_owned().await;
            blocking(move || {
                let _writer = writer;
                mirror.wipe()
            })
            .await?;
            self.mirrors().remove(&name);
        }
        Ok(())
    }

    async fn snapshot<T: Send + 'static>(
        &self,
        remote: &Remote,
        commit: &str,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let mirror = self.mirror(remote);
        let (remote, commit) = (remote.clone(), commit.to_owned());
        blocking(move || read(&Snapshot::open(&mirror, &remote, &commit)?)).await
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.inner.queues
    }

    pub(crate) fn mirror(&self, remote: &Remote) -> Arc<Mirror> {
        self.mirror_named(&self.mirror_name(remote))
    }

    fn mirror_named(&self, name: &MirrorName) -> Arc<Mirror> {
        let path = self.inner.cache.join(name.as_str());
        let mut mirrors = self.mirrors();
        mirrors
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Mirror::new(path)))
            .clone()
    }

    fn mirrors(&self) -> std::sync::MutexGuard<'_, HashMap<MirrorName, Arc<Mirror>>> {
        self.inner
            .mirrors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs libgit2 and file work on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(if error.is_panic() {
            GitError::Internal("the work on the repository panicked".to_owned())
        } else {
            GitError::Cancelled
        })
    })
}

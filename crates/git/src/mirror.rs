//! Bare repositories on disk, one per URL and credential, shared by everything that needs them.
//!
//! A mirror holds exactly the refs that were asked for, each under `refs/mirror/<hash>`: names of
//! the remote could collide on disk (`a` deleted, `a/b` created). It is a cache: whatever is
//! wrong with it, it is deleted and fetched again.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flux_lang::gitignore::IgnoreList;
use git2::{Oid, Repository, RepositoryInitOptions};
use sha2::{Digest as _, Sha256};

use crate::error::GitError;
use crate::link::Links;
use crate::remote::Remote;

/// Trees whose `.sourceignore` patterns are remembered per mirror: a few refs and their last
/// states.
const REMEMBERED: usize = 8;

/// The name of a mirror, by which it is found again when the credentials that it was fetched with are
/// others or gone. It tells neither them nor the URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MirrorName(String);

impl MirrorName {
    /// Bytes of the hash that it is.
    const BYTES: usize = 20;

    /// A name that was written down; none when the text is no such name.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_name = text.len() == 2 * Self::BYTES && text.bytes().all(digit);
        is_name.then(|| Self(text.to_owned()))
    }

    /// As it is written down.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of the hash that names directories: without it a name could be tested against guesses
/// of a password.
pub(crate) struct Salt([u8; 32]);

impl Salt {
    const FILE: &str = "salt";

    /// Reads the salt of a cache directory, or makes one.
    pub(crate) fn of(cache: &Path) -> Result<Self, GitError> {
        let path = cache.join(Self::FILE);
        let failed = |what| {
            let path = path.clone();
            move |error: io::Error| GitError::storage(what, path, error)
        };
        if let Ok(bytes) = fs::read(&path)
            && let Ok(salt) = bytes.try_into()
        {
            return Ok(Self(salt));
        }
        let salt = rand::random::<[u8; 32]>();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("cannot create"))?;
        file.write_all(&salt).map_err(failed("cannot write"))?;
        Ok(Self(salt))
    }

    /// The directory name of a remote's mirror.
    pub(crate) fn name(&self, remote: &Remote) -> MirrorName {
        if let Some(name) = &remote.mirror {
            return name.clone();
        }
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(remote.url.without_user());
        hash.update([0]);
        // For ssh the login name is part of who we are.
        if remote.url.is_ssh() {
            hash.update(remote.url.user().unwrap_or_default());
        }
        hash.update([0]);
        hash.update(&*remote.auth.identity());
        MirrorName(hex(&hash.finalize(), MirrorName::BYTES))
    }
}

/// The first `bytes` of a hash in hexadecimal.
pub(crate) fn hex(hash: &[u8], bytes: usize) -> String {
    hash.iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The ref in the mirror that stands for a ref of the remote.
pub(crate) fn local_ref(name: &str) -> String {
    format!("refs/mirror/{}", hex(&Sha256::digest(name), 16))
}

/// One bare repository.
pub(crate) struct Mirror {
    path: PathBuf,
    /// Held by whoever changes the mirror. Readers need no lock.
    pub(crate) writer: Arc<tokio::sync::Mutex<()>>,
    /// A reader found an object missing.
    damaged: AtomicBool,
    /// How its remote is reached.
    pub(crate) links: Links,
    /// The server knows protocol version 2.
    pub(crate) speaks_v2: AtomicBool,
    /// Patterns found in trees.
    ignores: Mutex<Vec<(Oid, IgnoreList)>>,
    /// When a ref of the remote was last known to be what its copy is here.
    seen: Mutex<HashMap<String, Instant>>,
}

impl Mirror {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            writer: Arc::default(),
            damaged: AtomicBool::new(false),
            links: Links::default(),
            speaks_v2: AtomicBool::new(false),
            ignores: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Opens the mirror for reading.
    pub(crate) fn open(&self, remote: &Remote) -> Result<Repository, GitError> {
        Repository::open_bare(&self.path).map_err(|error| self.damage(remote, &error))
    }

    /// Opens the mirror for reading, if there is one that is not known to be damaged.
    pub(crate) fn open_quietly(&self) -> Option<Repository> {
        if self.damaged.load(Ordering::Relaxed) {
            return None;
        }
        Repository::open_bare(&self.path).ok()
    }

    /// Opens the mirror for writing: makes it, or makes it anew when it was found damaged. Call
    /// with the writer lock held.
    pub(crate) fn open_or_create(&self) -> Result<Repository, GitError> {
        if self.damaged.load(Ordering::Relaxed) {
            self.wipe()?;
        }
        if self.path.join("HEAD").is_file()
            && let Ok(repository) = Repository::open_bare(&self.path)
        {
            return Ok(repository);
        }
        self.wipe()?;
        let mut options = RepositoryInitOptions::new();
        options
            .bare(true)
            .mkpath(true)
            .external_template(false)
            .no_reinit(true);
        Repository::init_opts(&self.path, &options)
            .map_err(|error| GitError::storage("cannot create", &self.path, error.message()))
    }

    /// Deletes the mirror. Call with the writer lock held.
    pub(crate) fn wipe(&self) -> Result<(), GitError> {
        self.seen_refs().clear();
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(GitError::storage("cannot delete", &self.path, error))
            }
            _ => {
                self.damaged.store(false, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The error for a reader that did not find what must be there; the next writer starts over.
    pub(crate) fn damage(&self, remote: &Remote, error: &git2::Error) -> GitError {
        self.damaged.store(true, Ordering::Relaxed);
        tracing::warn!(url = %remote.url, problem = error.message(), "mirror is damaged");
        GitError::Damaged {
            url: remote.url.to_string(),
            problem: crate::said::tidy(error.message()),
        }
    }

    /// Notes that a ref of the remote was at some time from `since` on what its copy is now.
    pub(crate) fn saw(&self, refname: &str, since: Instant) {
        self.seen_refs().insert(refname.to_owned(), since);
    }

    /// When a ref was last known to be what its copy is, or later.
    pub(crate) fn seen(&self, refname: &str) -> Option<Instant> {
        self.seen_refs().get(refname).copied()
    }

    fn seen_refs(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The patterns of a tree, made only once.
    pub(crate) fn ignores(
        &self,
        tree: Oid,
        make: impl FnOnce() -> Result<IgnoreList, GitError>,
    ) -> Result<IgnoreList, GitError> {
        let lock = || self.ignores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, list)) = lock().iter().find(|(id, _)| *id == tree) {
            return Ok(list.clone());
        }
        let list = make()?;
        let mut known = lock();
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((tree, list.clone()));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use flux_lang::giturl::GitUrl;

    use super::*;
    use crate::auth::Auth;
    use crate::remote::tests::ssh_remote;

    fn https(url: &str, password: &str) -> Remote {
        let url = GitUrl::parse(url).unwrap();
        let data = BTreeMap::from([
            ("username".to_owned(), b"u".to_vec()),
            ("password".to_owned(), password.as_bytes().to_vec()),
        ]);
        let auth = Auth::from_secret(&url, &data).unwrap();
        Remote::new(url, auth, Duration::from_secs(1))
    }

    #[test]
    fn names_depend_on_url_credential_and_salt() {
        let dir = tempfile::tempdir().unwrap();
        let salt = Salt::of(dir.path()).unwrap();
        let again = Salt::of(dir.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = Salt::of(other.path()).unwrap();
        let remote = https("https://h/r", "one");
        assert_eq!(salt.name(&remote), again.name(&remote));
        assert_ne!(salt.name(&remote), other.name(&remote));
        assert_ne!(salt.name(&remote), salt.name(&https("https://h/r", "two")));
        assert_ne!(salt.name(&remote), salt.name(&https("https://h/s", "one")));
        let key = ssh_remote("ssh://git@h/r");
        let mut same = key.clone();
        same.timeout = Duration::from_secs(9);
        assert_eq!(salt.name(&key), salt.name(&same));
        assert_ne!(salt.name(&key), salt.name(&ssh_remote("ssh://git@h/r")));
        // Whoever knows the name needs no credentials.
        let name = salt.name(&key);
        let mut known = https("https://h/r", "one");
        known.mirror = MirrorName::parse(name.as_str());
        assert_eq!(salt.name(&known), name);
    }

    #[test]
    fn names_are_hashes_and_nothing_else() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(MirrorName::parse(good).unwrap().as_str(), good);
        for bad in [
            "",
            "..",
            "0123456789abcdef0123456789abcdef0123456",
            "0123456789abcdef0123456789abcdef0123456\n",
            "0123456789ABCDEF0123456789abcdef01234567",
            "../../../../../../../../../../etc/passwd",
        ] {
            assert_eq!(MirrorName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_damaged_mirror_is_made_anew() {
        crate::transport::register().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(dir.path().join("m"));
        let remote = https("https://h/r", "x");
        assert!(matches!(
            mirror.open(&remote),
            Err(GitError::Damaged { .. })
        ));
        assert!(mirror.open_or_create().unwrap().is_bare());
        fs::write(dir.path().join("m/HEAD"), "nonsense").unwrap();
        assert!(mirror.open_or_create().unwrap().is_bare());
        fs::write(dir.path().join("m/extra"), "").unwrap();
        mirror.damage(&remote, &git2::Error::from_str("object not found"));
        mirror.open_or_create().unwrap();
        assert!(!dir.path().join("m/extra").exists());
    }
}

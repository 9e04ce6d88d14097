//! The private folder of one run of kustomize, and those of processes that were killed.
//!
//! What is in it may have been decrypted, so it must not stay. A folder in use is locked by who uses
//! it; the lock ends with the process, however that ends.

use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use tempfile::TempDir;

/// What names of such folders begin with.
const PREFIX: &str = "flux-build-";

/// Attempts to make one that is not cleaned up at the same moment.
const ATTEMPTS: usize = 8;

/// A folder that goes when it is dropped.
pub(crate) struct Folder {
    folder: TempDir,
    /// Given back after the folder is gone.
    _lock: File,
}

impl Folder {
    /// A new one below `parent`, for this user alone.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let Some(lock) = lock(folder.path())? else {
                continue;
            };
            // Another process may have taken it for a leftover before it was locked.
            if folder.path().exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
        let problem = format!("folders in {} vanish at once", parent.display());
        Err(Error::other(problem))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The lock of a folder; none while another has it, or when the folder is gone.
fn lock(folder: &Path) -> Result<Option<File>> {
    let file = match File::open(folder) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the folders that builds of killed processes left in the folder for temporary files.
pub fn remove_leftovers() {
    sweep(&std::env::temp_dir());
}

fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours {
            continue;
        }
        let folder = entry.path();
        // Those of other users cannot be opened.
        let Ok(Some(_lock)) = lock(&folder) else {
            continue;
        };
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => {
                tracing::info!(folder = %folder.display(), "removed what a killed build left");
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove what a killed build left");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let used = Folder::new(parent.path()).unwrap();
        let left = parent.path().join("flux-build-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("secret.env"), "decrypted").unwrap();
        let other = parent.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, parent.path().join("flux-build-link")).unwrap();
        sweep(parent.path());
        assert!(!left.exists());
        assert!(other.exists());
        assert!(used.path().exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}

//! What files hold, remembered by object id: a file, or a whole folder, whose id was seen before is
//! not read again, in whatever commit, branch or repository it turns up. Blocking.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use git2::{FileMode, Odb, Oid, Repository};

use crate::error::GitError;
use crate::generations::Generations;
use crate::tree::{MAX_DEPTH, Snapshot};

/// Entries kept per generation: two monorepos of 100,000 files. With two generations and some 60
/// bytes each, an index takes at most 25 MiB, besides what is found.
const MAX_ENTRIES: usize = 200_000;

/// Largest file that is looked into. Manifests are smaller by orders of magnitude.
const MAX_FILE: usize = 4 << 20;

/// Remembers what a function finds in files. It must depend on the bytes alone.
pub struct Index<T> {
    /// By the name of a file, without folders.
    wanted: fn(&str) -> bool,
    look: fn(&[u8]) -> Option<T>,
    known: Mutex<Known<T>>,
}

struct Known<T> {
    files: Generations<Oid, Option<Arc<T>>>,
    folders: Generations<Oid, Arc<[Found<T>]>>,
}

/// A file in which something was found.
pub struct Found<T> {
    /// From the root of the tree, with `/`.
    pub path: Arc<str>,
    /// What it holds.
    pub value: Arc<T>,
    id: Oid,
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            value: self.value.clone(),
            id: self.id,
        }
    }
}

impl<T> std::fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

impl<T> Index<T> {
    /// An empty index of what `look` finds in files whose names are `wanted`.
    pub fn new(wanted: fn(&str) -> bool, look: fn(&[u8]) -> Option<T>) -> Self {
        let known = Known {
            files: Generations::new(MAX_ENTRIES),
            folders: Generations::new(MAX_ENTRIES),
        };
        Self {
            wanted,
            look,
            known: Mutex::new(known),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a commit, for an edit.
pub struct Files<'a> {
    snapshot: &'a Snapshot<'a>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot<'a>) -> Self {
        Self { snapshot }
    }

    /// The files in which the index finds something, in Git's order. Only those that the index
    /// does not know are read.
    ///
    /// # Errors
    /// When the mirror is damaged, or a name would lead out of the repository.
    pub fn find<T>(&self, index: &Index<T>) -> Result<Arc<[Found<T>]>, GitError> {
        let repository = self.snapshot.repository();
        let walk = Walk {
            snapshot: self.snapshot,
            repository,
            odb: repository.odb().map_err(|e| self.snapshot.damage(&e))?,
            index,
        };
        walk.folder(self.snapshot.object(None)?, "", 0)
    }

    /// The content of a file that was found.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub fn read<T>(&self, found: &Found<T>) -> Result<Bytes, GitError> {
        self.snapshot.blob(found.id, &found.path)
    }

    /// The content of the file at a path from the root.
    ///
    /// # Errors
    /// When there is none, or it is too large.
    pub fn get(&self, path: &str) -> Result<Bytes, GitError> {
        self.snapshot.blob(self.snapshot.object(Some(path))?, path)
    }

    /// Whether there is a file or folder at a path from the root.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub fn contains(&self, path: &str) -> Result<bool, GitError> {
        match self.snapshot.object(Some(path)) {
            Ok(_) => Ok(true),
            Err(GitError::PathNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses a path from the root at which there is nothing.
    ///
    /// # Errors
    /// [`GitError::PathNotFound`] when there is none.
    pub fn check_path(&self, path: &str) -> Result<(), GitError> {
        self.snapshot.object(Some(path)).map(|_| ())
    }
}

struct Walk<'w, T> {
    snapshot: &'w Snapshot<'w>,
    repository: &'w Repository,
    odb: Odb<'w>,
    index: &'w Index<T>,
}

impl<T> Walk<'_, T> {
    /// What is found at and below a folder; paths are relative to it. `at` is for errors.
    fn folder(&self, id: Oid, at: &str, depth: usize) -> Result<Arc<[Found<T>]>, GitError> {
        let weight = |found: &Arc<[Found<T>]>| 1 + found.len();
        if let Some(found) = self.index.known().folders.get(&id, weight) {
            return Ok(found);
        }
        if depth > MAX_DEPTH {
            return Err(self.snapshot.too_deep(at));
        }
        let tree = self
            .repository
            .find_tree(id)
            .map_err(|error| self.snapshot.damage(&error))?;
        let mut all = Vec::new();
        for entry in tree.iter() {
            let name = String::from_utf8_lossy(entry.name_bytes());
            let place = || format!("{at}{name}");
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return Err(self.snapshot.unsafe_path(&place()));
            }
            let mode = entry.filemode();
            if mode == i32::from(FileMode::Tree) {
                let below = self.folder(entry.id(), &(place() + "/"), depth + 1)?;
                all.extend(below.iter().map(|found| Found {
                    path: format!("{name}/{}", found.path).into(),
                    ..found.clone()
                }));
            } else if mode != i32::from(FileMode::Link)
                && mode != i32::from(FileMode::Commit)
                && (self.index.wanted)(&name)
                && let Some(value) = self.file(entry.id(), &place)?
            {
                all.push(Found {
                    path: (*name).into(),
                    value,
                    id: entry.id(),
                });
            }
        }
        let all: Arc<[Found<T>]> = all.into();
        let mut known = self.index.known();
        known.folders.insert(id, all.clone(), weight(&all));
        Ok(all)
    }

    fn file(&self, id: Oid, place: &dyn Fn() -> String) -> Result<Option<Arc<T>>, GitError> {
        if let Some(value) = self.index.known().files.get(&id, |_| 1) {
            return Ok(value);
        }
        let damage = |error: git2::Error| self.snapshot.damage(&error);
        let (size, _) = self.odb.read_header(id).map_err(damage)?;
        let value = if size > MAX_FILE {
            tracing::warn!(file = place(), "too large to look for markers in it");
            None
        } else {
            let object = self.odb.read(id).map_err(damage)?;
            (self.index.look)(object.data()).map(Arc::new)
        };
        self.index.known().files.insert(id, value.clone(), 1);
        Ok(value)
    }
}

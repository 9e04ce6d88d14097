//! Reading a commit's files straight from the object database. Blocking.
//!
//! Symbolic links and submodules are left out, as in Flux's artifacts. Names that Git's own tools
//! refuse to make (`..`, a slash) are an error: somebody wants to write outside.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use flux_lang::gitignore::{IGNORE_FILE, IgnoreList};
use git2::{FileMode, ObjectType, Odb, Oid, Repository, Tree};
use sha2::{Digest as _, Sha256};

use crate::error::GitError;
use crate::fetch::parse_id;
use crate::filter::{Filter, Selection, may_be_manifest};
use crate::folders::Folder;
use crate::mirror::{Mirror, hex};
use crate::remote::Remote;

/// Largest single file of a build: far above any manifest, and what one read may hold in memory.
const MAX_FILE: u64 = 32 << 20;
/// All files of one read together.
const MAX_TOTAL: u64 = 256 << 20;
/// Most files of one read: a name and its place in the map cost about 200 bytes each.
const MAX_FILES: usize = 100_000;
/// Nesting of directories; deeper ones are made to exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// What a walk meets.
pub(crate) struct Entry<'a> {
    /// From the repository's root, with `/`.
    pub(crate) path: &'a str,
    pub(crate) id: Oid,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    File { executable: bool },
}

/// A commit in an opened mirror.
pub(crate) struct Snapshot<'a> {
    mirror: &'a Mirror,
    remote: &'a Remote,
    repository: Repository,
    commit: Oid,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn open(
        mirror: &'a Mirror,
        remote: &'a Remote,
        commit: &str,
    ) -> Result<Self, GitError> {
        let commit = parse_id(commit)?;
        Ok(Self {
            mirror,
            remote,
            repository: mirror.open(remote)?,
            commit,
        })
    }

    /// The files that are not ignored, at or below `under`, by their path from the root. Without
    /// those above [`MAX_FILE`] that are no manifests by their name: no build could use them, and
    /// the others should not fail because of them.
    pub(crate) fn files(
        &self,
        filter: &Filter,
        under: Option<&str>,
    ) -> Result<BTreeMap<String, Bytes>, GitError> {
        let selection = self.selection(filter)?;
        let mut files = BTreeMap::new();
        let mut total = 0;
        self.walk(under, &mut |entry| {
            if entry.kind != Kind::Dir && selection.takes(entry.path, false) {
                if files.len() == MAX_FILES {
                    return Err(GitError::TooManyFiles { limit: MAX_FILES });
                }
                let bytes = match self.read(entry) {
                    Err(GitError::TooLarge { .. }) if !may_be_manifest(entry.path) => {
                        return Ok(());
                    }
                    bytes => bytes?,
                };
                total += bytes.len() as u64;
                if total > MAX_TOTAL {
                    return Err(GitError::TooLarge {
                        what: format!("the content of '{}'", under.unwrap_or(".")),
                        size: total,
                        limit: MAX_TOTAL,
                    });
                }
                files.insert(entry.path.to_owned(), bytes);
            }
            Ok(())
        })?;
        Ok(files)
    }

    /// A digest over names, modes and contents of the files that count, at or below `under`: the
    /// same as long as a reader would find the same.
    pub(crate) fn content_digest(
        &self,
        filter: &Filter,
        under: Option<&str>,
    ) -> Result<String, GitError> {
        let selection = self.selection(filter)?;
        let mut hash = Sha256::new();
        self.walk(under, &mut |entry| {
            if let Kind::File { executable } = entry.kind
                && selection.takes(entry.path, false)
            {
                hash.update(entry.path);
                hash.update([0, u8::from(executable)]);
                hash.update(entry.id.as_bytes());
            }
            Ok(())
        })?;
        Ok(hex(&hash.finalize(), 32))
    }

    /// The filter with the patterns of the tree.
    pub(crate) fn selection(&self, filter: &Filter) -> Result<Selection, GitError> {
        let dirs = filter.normal_dirs();
        if !dirs.is_empty() {
            let root = self.root()?;
            for dir in &dirs {
                let inside = self.normal(Some(dir))?.unwrap_or_default();
                self.entry(&root, &inside)?;
            }
        }
        Ok(Selection::new(self.ignores()?, &filter.ignore, dirs))
    }

    /// The patterns of all files in the tree.
    fn ignores(&self) -> Result<IgnoreList, GitError> {
        let tree = self.root()?.id();
        self.mirror.ignores(tree, || {
            let mut list = IgnoreList::new();
            self.walk(None, &mut |entry| {
                let (dir, name) = entry.path.rsplit_once('/').unwrap_or(("", entry.path));
                if name == IGNORE_FILE && entry.kind != Kind::Dir {
                    let text = self.read(entry)?;
                    let domain: Vec<&str> = dir.split('/').filter(|d| !d.is_empty()).collect();
                    list.extend(IgnoreList::parse(&String::from_utf8_lossy(&text), &domain));
                }
                Ok(())
            })?;
            Ok(list)
        })
    }

    /// The id of the tree or file at a path.
    pub(crate) fn object(&self, under: Option<&str>) -> Result<Oid, GitError> {
        let root = self.root()?;
        let Some(path) = self.normal(under)? else {
            return Ok(root.id());
        };
        self.entry(&root, &path).map(|(id, _)| id)
    }

    /// Which of these paths are symbolic links that the filter would let count.
    pub(crate) fn links(
        &self,
        filter: &Filter,
        paths: Vec<String>,
    ) -> Result<Vec<String>, GitError> {
        let root = self.root()?;
        let is_link = |path: &String| {
            let entry = root.get_path(Path::new(path));
            entry.is_ok_and(|entry| entry.filemode() == i32::from(FileMode::Link))
        };
        let links: Vec<_> = paths.into_iter().filter(is_link).collect();
        if links.is_empty() {
            return Ok(links);
        }
        let selection = self.selection(filter)?;
        let counts = |path: &String| selection.takes(path, false);
        Ok(links.into_iter().filter(counts).collect())
    }

    /// What is in a tree.
    pub(crate) fn folder(&self, tree: Oid) -> Result<Folder, GitError> {
        let tree = self.repository.find_tree(tree);
        tree.map(|tree| Folder::of(&tree))
            .map_err(|error| self.damage(&error))
    }

    /// Visits directories before what is in them, in Git's order.
    pub(crate) fn walk(
        &self,
        under: Option<&str>,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let root = self.root()?;
        let Some(path) = self.normal(under)? else {
            return self.visit_dir(&root, &mut String::new(), 0, visit);
        };
        match self.entry(&root, &path)? {
            (id, ObjectType::Tree) => {
                let tree = self.repository.find_tree(id).map_err(|e| self.damage(&e))?;
                self.visit_dir(&tree, &mut path.clone(), 0, visit)
            }
            (id, _) => {
                let kind = Kind::File { executable: false };
                visit(&Entry {
                    path: &path,
                    id,
                    kind,
                })
            }
        }
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// A file's content.
    pub(crate) fn read(&self, entry: &Entry<'_>) -> Result<Bytes, GitError> {
        self.blob(entry.id, entry.path)
    }

    /// The content of a blob; `path` is for messages.
    pub(crate) fn blob(&self, id: Oid, path: &str) -> Result<Bytes, GitError> {
        self.content(id, path, MAX_FILE, Bytes::copy_from_slice)
    }

    /// Hands over the content of a blob of at most `limit` bytes, as it is in libgit2's memory.
    pub(crate) fn content<T>(
        &self,
        id: Oid,
        path: &str,
        limit: u64,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, GitError> {
        let odb: Odb<'_> = self.repository.odb().map_err(|e| self.damage(&e))?;
        let (size, _) = odb.read_header(id).map_err(|e| self.damage(&e))?;
        if size as u64 > limit {
            return Err(GitError::TooLarge {
                what: format!("file '{}'", printable(path)),
                size: size as u64,
                limit,
            });
        }
        let object = odb.read(id).map_err(|e| self.damage(&e))?;
        Ok(take(object.data()))
    }

    fn visit_dir(
        &self,
        tree: &Tree<'_>,
        path: &mut String,
        depth: usize,
        visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep(path));
        }
        let length = path.len();
        for entry in tree.iter() {
            let name = String::from_utf8_lossy(entry.name_bytes());
            if length > 0 {
                path.push('/');
            }
            path.push_str(&name);
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return Err(self.unsafe_path(path));
            }
            let mode = entry.filemode();
            let id = entry.id();
            if mode == i32::from(FileMode::Tree) {
                visit(&Entry {
                    path,
                    id,
                    kind: Kind::Dir,
                })?;
                let below = self.repository.find_tree(id).map_err(|e| self.damage(&e))?;
                self.visit_dir(&below, path, depth + 1, visit)?;
            } else if mode != i32::from(FileMode::Link) && mode != i32::from(FileMode::Commit) {
                let executable = mode == i32::from(FileMode::BlobExecutable);
                visit(&Entry {
                    path,
                    id,
                    kind: Kind::File { executable },
                })?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn root(&self) -> Result<Tree<'_>, GitError> {
        self.repository
            .find_commit(self.commit)
            .and_then(|commit| commit.tree())
            .map_err(|error| self.damage(&error))
    }

    fn entry(&self, root: &Tree<'_>, path: &str) -> Result<(Oid, ObjectType), GitError> {
        match root.get_path(Path::new(path)) {
            Ok(entry) => match entry.kind() {
                Some(_) if entry.filemode() == i32::from(FileMode::Link) => Err(self.no_path(path)),
                Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Ok((entry.id(), kind)),
                // A submodule.
                _ => Err(self.no_path(path)),
            },
            Err(error) if error.code() == git2::ErrorCode::NotFound => Err(self.no_path(path)),
            Err(error) => Err(self.damage(&error)),
        }
    }

    /// A path without `./`, doubled and outer slashes; none for the root.
    fn normal(&self, under: Option<&str>) -> Result<Option<String>, GitError> {
        let under = under.unwrap_or_default();
        let parts: Vec<&str> = under
            .split('/')
            .filter(|p| !p.is_empty() && *p != ".")
            .collect();
        if parts.contains(&"..") {
            return Err(self.no_path(under));
        }
        Ok((!parts.is_empty()).then(|| parts.join("/")))
    }

    fn no_path(&self, path: &str) -> GitError {
        GitError::PathNotFound {
            path: printable(path),
            commit: self.commit.to_string(),
        }
    }

    pub(crate) fn too_deep(&self, path: &str) -> GitError {
        GitError::TooDeep {
            path: printable(path),
            commit: self.commit.to_string(),
            limit: MAX_DEPTH,
        }
    }

    pub(crate) fn unsafe_path(&self, path: &str) -> GitError {
        GitError::UnsafePath {
            path: printable(path),
            commit: self.commit.to_string(),
        }
    }

    pub(crate) fn damage(&self, error: &git2::Error) -> GitError {
        self.mirror.damage(self.remote, error)
    }
}

/// A path for messages: no control characters, not endless.
fn printable(path: &str) -> String {
    path.chars()
        .take(200)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

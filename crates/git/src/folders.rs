//! What is in folders, remembered by the id of their tree. Whether what a Kustomization reads has
//! changed is asked for each path anew; the folders on the way are mostly the same.

use std::sync::{Arc, Mutex, PoisonError};

use git2::{FileMode, Oid, Tree};

use crate::generations::Generations;

/// Names kept per generation, of which there are two: some 70 bytes each.
const MOST_NAMES: usize = 25_000;

/// What is in one folder, sorted by name.
pub(crate) struct Folder(Vec<(Box<str>, Oid, Kind)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    /// A symbolic link or a submodule: nothing that an artifact has.
    Other,
}

impl Folder {
    pub(crate) fn of(tree: &Tree<'_>) -> Self {
        let entry = |entry: git2::TreeEntry<'_>| {
            let kind = match entry.filemode() {
                mode if mode == i32::from(FileMode::Tree) => Kind::Folder,
                mode if mode == i32::from(FileMode::Link) => Kind::Other,
                mode if mode == i32::from(FileMode::Commit) => Kind::Other,
                _ => Kind::File,
            };
            let name = String::from_utf8_lossy(entry.name_bytes());
            (Box::<str>::from(name), entry.id(), kind)
        };
        let mut all: Vec<_> = tree.iter().map(entry).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Self(all)
    }

    fn find(&self, name: &str) -> Option<(Oid, Kind)> {
        let at = self.0.binary_search_by(|(have, ..)| (**have).cmp(name));
        let (_, id, kind) = self.0.get(at.ok()?)?;
        Some((*id, *kind))
    }

    fn weight(&self) -> usize {
        1 + self.0.len()
    }
}

/// Folders that were read.
pub(crate) struct Folders(Mutex<Generations<Oid, Arc<Folder>>>);

impl Default for Folders {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(MOST_NAMES)))
    }
}

impl Folders {
    /// The ids of what is at paths below a tree, none for what is not there. `read` is called for
    /// folders that are not known.
    pub(crate) fn ids<E>(
        &self,
        tree: Oid,
        paths: &[String],
        mut read: impl FnMut(Oid) -> Result<Folder, E>,
    ) -> Result<Vec<Option<Oid>>, E> {
        let mut id_of = |path: &String| {
            let mut at = (tree, Kind::Folder);
            for name in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
                if at.1 != Kind::Folder {
                    return Ok(None);
                }
                match self.folder(at.0, &mut read)?.find(name) {
                    Some(found) if found.1 != Kind::Other => at = found,
                    _ => return Ok(None),
                }
            }
            Ok(Some(at.0))
        };
        paths.iter().map(&mut id_of).collect()
    }

    fn folder<E>(
        &self,
        tree: Oid,
        read: &mut impl FnMut(Oid) -> Result<Folder, E>,
    ) -> Result<Arc<Folder>, E> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = known().get(&tree, |folder| folder.weight()) {
            return Ok(folder);
        }
        let folder = Arc::new(read(tree)?);
        known().insert(tree, folder.clone(), folder.weight());
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use git2::Repository;

    use super::*;

    /// A tree of 1,000 folders `apps/N`, the last of which holds a file and a link.
    fn filled(repository: &Repository) -> Oid {
        let blob = repository.blob(b"x").unwrap();
        let write = |entries: &[(String, Oid, FileMode)]| {
            let mut builder = repository.treebuilder(None).unwrap();
            for (name, id, mode) in entries {
                builder.insert(name, *id, i32::from(*mode)).unwrap();
            }
            builder.write().unwrap()
        };
        let file = |n: usize| (n.to_string(), blob, FileMode::Blob);
        let mut apps: Vec<_> = (0..999)
            .map(|n| (n.to_string(), write(&[file(n)]), FileMode::Tree))
            .collect();
        let link = ("link".to_owned(), blob, FileMode::Link);
        apps.push(("999".to_owned(), write(&[file(0), link]), FileMode::Tree));
        write(&[("apps".to_owned(), write(&apps), FileMode::Tree)])
    }

    #[test]
    fn a_folder_is_read_once_for_all_paths_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        let root = filled(&repository);
        let folders = Folders::default();
        let mut reads = 0;
        let mut ids = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
            let read = |id| {
                reads += 1;
                Ok::<_, ()>(Folder::of(&repository.find_tree(id).unwrap()))
            };
            folders.ids(root, &paths, read).unwrap()
        };
        // Each asks for its own path; without the memory these are 2,000 reads.
        let tree = repository.find_tree(root).unwrap();
        for n in 0..1000 {
            let path = format!("apps/{n}");
            let expected = tree.get_path(path.as_ref()).unwrap().id();
            assert_eq!(ids(&[&path]), [Some(expected)]);
        }
        for (path, is_there) in [
            ("./", true),
            ("./apps/", true),
            ("apps/999/0", true),
            ("apps/999/link", false),
            ("apps/999/0/x", false),
            ("apps/1000", false),
            ("apps/../apps", false),
            ("nowhere/x", false),
        ] {
            assert_eq!(ids(&[path])[0].is_some(), is_there, "{path}");
        }
        assert_eq!(ids(&[""]), [Some(root)]);
        assert_eq!(reads, 3);
    }
}

//! The pack of a push: a new commit, and what its tree has beyond that of its parent. Blocking.
//!
//! Nothing else is needed, since the server has the parent with everything below it; and no
//! history is walked, which a mirror without most of its history could not offer.

use bytes::Bytes;
use git2::{Buf, ObjectType, Oid, PackBuilder, Repository, Tree};

/// Makes the pack for a commit on top of `parent`, or for the first of a repository.
pub(crate) fn build(
    repository: &Repository,
    commit: Oid,
    parent: Option<&git2::Commit<'_>>,
) -> Result<Bytes, git2::Error> {
    let mut pack = repository.packbuilder()?;
    // A handful of small objects.
    pack.set_threads(1);
    pack.insert_object(commit, None)?;
    let tree = repository.find_commit(commit)?.tree()?;
    let before = parent.map(git2::Commit::tree).transpose()?;
    insert_new(repository, &mut pack, &tree, before.as_ref())?;
    let mut buffer = Buf::new();
    pack.write_buf(&mut buffer)?;
    Ok(Bytes::copy_from_slice(&buffer))
}

/// Inserts a tree and all in it that is not at the same place in `old`.
fn insert_new(
    repository: &Repository,
    pack: &mut PackBuilder<'_>,
    new: &Tree<'_>,
    old: Option<&Tree<'_>>,
) -> Result<(), git2::Error> {
    if old.is_some_and(|old| old.id() == new.id()) {
        return Ok(());
    }
    pack.insert_object(new.id(), None)?;
    for entry in new {
        let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
        if before
            .as_ref()
            .is_some_and(|before| before.id() == entry.id())
        {
            continue;
        }
        match entry.kind() {
            Some(ObjectType::Tree) => {
                let below = repository.find_tree(entry.id())?;
                let before = before
                    .filter(|before| before.kind() == Some(ObjectType::Tree))
                    .map(|before| repository.find_tree(before.id()))
                    .transpose()?;
                insert_new(repository, pack, &below, before.as_ref())?;
            }
            Some(ObjectType::Blob) => pack.insert_object(entry.id(), None)?,
            // A submodule's commit is elsewhere.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use git2::{FileMode, Signature, build::TreeUpdateBuilder};

    use super::*;

    #[test]
    fn only_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        let who = Signature::now("t", "t@example.com").unwrap();
        let commit = |base: Option<Oid>, files: &[(&str, &str)]| {
            let empty = repository.treebuilder(None).unwrap().write().unwrap();
            let parent = base.map(|id| repository.find_commit(id).unwrap());
            let tree = match &parent {
                Some(parent) => parent.tree().unwrap(),
                None => repository.find_tree(empty).unwrap(),
            };
            let mut update = TreeUpdateBuilder::new();
            for (path, text) in files {
                let blob = repository.blob(text.as_bytes()).unwrap();
                update.upsert(*path, blob, FileMode::Blob);
            }
            let tree = update.create_updated(&repository, &tree).unwrap();
            let tree = repository.find_tree(tree).unwrap();
            let parents: Vec<_> = parent.iter().collect();
            repository
                .commit(None, &who, &who, "m", &tree, &parents)
                .unwrap()
        };
        let base = commit(None, &[("a/x/1", "1"), ("a/y/2", "2"), ("b/3", "3")]);
        // files, objects: the commit, the trees on the way and the blobs
        let cases: &[(&[(&str, &str)], u32)] = &[
            (&[], 1),
            (&[("a/x/1", "new")], 5),
            (&[("top", "new")], 3),
            (&[("a/x/1", "new"), ("b/3", "newer")], 7),
            (&[("c/d/e", "new")], 5),
        ];
        for (files, expected) in cases {
            let parent = repository.find_commit(base).unwrap();
            let pack = build(&repository, commit(Some(base), files), Some(&parent)).unwrap();
            assert_eq!(pack[..8], *b"PACK\0\0\0\x02");
            assert_eq!(pack[8..12], expected.to_be_bytes(), "{files:?}");
        }
    }
}

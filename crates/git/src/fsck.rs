//! Whether a mirror still has what its refs need, as `git fsck` would see it.
//!
//! Everything is read, which takes time: it is only asked when a received pack turned out to be
//! unusable, which may be the server's fault, or that of objects here which the pack builds upon.

use std::collections::HashSet;

use git2::{ObjectType, Odb, Oid, Repository};

use crate::history::parents;
use crate::shallow;

/// Objects above this size are looked up but not read: they would have to fit into memory.
const MAX_READ: usize = 100 << 20;

/// Whether all that the refs reach can be read. When it takes until `stop`, nothing is proven, and
/// the answer is yes.
pub(crate) fn is_sound(repository: &Repository, stop: impl Fn() -> bool) -> bool {
    walk(repository, stop).is_ok()
}

fn walk(repository: &Repository, stop: impl Fn() -> bool) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    let boundaries = shallow::boundaries(repository);
    let mut next = Vec::new();
    for reference in repository.references()? {
        next.extend(reference?.target());
    }
    let mut seen: HashSet<Oid> = next.iter().copied().collect();
    while let Some(id) = next.pop() {
        if stop() {
            return Ok(());
        }
        let mut found = below(repository, &odb, id)?;
        if !boundaries.contains(&id) {
            found.extend(parents(repository, id).unwrap_or_default());
        }
        next.extend(found.into_iter().filter(|id| seen.insert(*id)));
    }
    Ok(())
}

/// Reads an object; what it refers to, except for the parents of a commit.
fn below(repository: &Repository, odb: &Odb<'_>, id: Oid) -> Result<Vec<Oid>, git2::Error> {
    let (size, kind) = odb.read_header(id)?;
    Ok(match kind {
        ObjectType::Commit => vec![repository.find_commit(id)?.tree_id()],
        ObjectType::Tree => {
            let tree = repository.find_tree(id)?;
            // A submodule's commit is elsewhere.
            let here = tree
                .iter()
                .filter(|entry| entry.kind() != Some(ObjectType::Commit));
            here.map(|entry| entry.id()).collect()
        }
        ObjectType::Tag => vec![repository.find_tag(id)?.target_id()],
        // Reading compares content and id.
        _ if size <= MAX_READ => odb.read(id).map(|_| Vec::new())?,
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use git2::{FileMode, Signature, build::TreeUpdateBuilder};

    use super::*;

    /// A repository with a tag of the second of two commits; ids of first commit, tree and file.
    fn repository(dir: &Path) -> (Repository, [Oid; 3]) {
        let repository = Repository::init_bare(dir).unwrap();
        let who = Signature::now("t", "t@example.com").unwrap();
        let blob = repository.blob(b"text").unwrap();
        let empty = repository.treebuilder(None).unwrap().write().unwrap();
        let empty = repository.find_tree(empty).unwrap();
        let mut update = TreeUpdateBuilder::new();
        update.upsert("dir/file", blob, FileMode::Blob);
        let elsewhere = Oid::from_str(&"a".repeat(40)).unwrap();
        update.upsert("module", elsewhere, FileMode::Commit);
        let tree = update.create_updated(&repository, &empty).unwrap();
        let full = repository.find_tree(tree).unwrap();
        let commit = |tree, parents: &[&git2::Commit<'_>]| {
            let id = repository.commit(None, &who, &who, "m", tree, parents);
            repository.find_commit(id.unwrap()).unwrap()
        };
        let first = commit(&empty, &[]);
        let second = commit(&full, &[&first]);
        let object = second.as_object();
        repository.tag("v1", object, &who, "m", false).unwrap();
        let ids = [first.id(), tree, blob];
        drop((empty, full, second));
        drop(first);
        (Repository::open_bare(dir).unwrap(), ids)
    }

    fn file(dir: &Path, id: Oid) -> std::path::PathBuf {
        let hex = id.to_string();
        let (head, tail) = hex.split_at(2);
        dir.join("objects").join(head).join(tail)
    }

    #[test]
    fn what_refs_need_must_be_there_and_readable() {
        for number in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let (whole, ids) = repository(dir.path());
            assert!(is_sound(&whole, || false));
            let path = file(dir.path(), ids[number]);
            fs::remove_file(&path).unwrap();
            let open = || Repository::open_bare(dir.path()).unwrap();
            assert!(!is_sound(&open(), || false), "{number}");
            assert!(is_sound(&open(), || true), "nothing was looked at");
            fs::write(path, "nonsense").unwrap();
            assert!(!is_sound(&open(), || false), "{number}");
        }
    }

    #[test]
    fn history_may_be_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, [first, ..]) = repository(dir.path());
        let tag = whole.find_reference("refs/tags/v1").unwrap();
        let second = tag.peel_to_commit().unwrap().id();
        fs::remove_file(file(dir.path(), first)).unwrap();
        fs::write(dir.path().join("shallow"), format!("{second}\n")).unwrap();
        assert!(is_sound(
            &Repository::open_bare(dir.path()).unwrap(),
            || false
        ));
    }
}

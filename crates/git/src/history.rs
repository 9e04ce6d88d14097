//! History as far as the mirror has it.
//!
//! libgit2 hides the parents of a commit where history was cut off, and its own walks stumble
//! there. The headers of the commits tell them.

use std::collections::HashSet;

use git2::{Oid, Repository};

use crate::reference::full_id;

/// The parents of a commit, in the mirror or not; None when the commit itself is not there.
pub(crate) fn parents(repository: &Repository, id: Oid) -> Option<Vec<Oid>> {
    let commit = repository.find_commit(id).ok()?;
    let header = String::from_utf8_lossy(commit.raw_header_bytes());
    let parents = header
        .lines()
        .filter_map(|line| full_id(line.strip_prefix("parent ")?));
    Some(parents.collect())
}

/// What the mirror knows about a commit and a tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lineage {
    /// The commit is the tip or one of its ancestors.
    Within,
    /// It is not: all ancestors of the tip are here.
    Without,
    /// Not all ancestors of the tip are here, and the commit is not among those that are.
    Unknown,
}

/// Looks for a commit among a tip and its ancestors.
pub(crate) fn lineage(repository: &Repository, tip: Oid, wanted: Oid) -> Lineage {
    let mut seen = HashSet::from([tip]);
    let mut next = vec![tip];
    let mut complete = true;
    while let Some(id) = next.pop() {
        if id == wanted {
            return Lineage::Within;
        }
        let Some(parents) = parents(repository, id) else {
            complete = false;
            continue;
        };
        next.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
    }
    if complete {
        Lineage::Without
    } else {
        Lineage::Unknown
    }
}

/// Whether `wanted` is known to be `tip` or one of its ancestors.
pub(crate) fn contains(repository: &Repository, tip: Oid, wanted: Oid) -> bool {
    lineage(repository, tip, wanted) == Lineage::Within
}

#[cfg(test)]
mod tests {
    use git2::Signature;

    use super::*;

    #[test]
    fn ancestors() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        let tree = repository.treebuilder(None).unwrap().write().unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let who = Signature::now("t", "t@example.com").unwrap();
        let commit = |message: &str, parents: &[Oid]| {
            let parents: Vec<_> = parents
                .iter()
                .map(|id| repository.find_commit(*id).unwrap())
                .collect();
            let parents: Vec<_> = parents.iter().collect();
            repository
                .commit(None, &who, &who, message, &tree, &parents)
                .unwrap()
        };
        let root = commit("root", &[]);
        let (left, right) = (commit("left", &[root]), commit("right", &[root]));
        let merge = commit("merge", &[left, right]);
        assert_eq!(parents(&repository, merge).unwrap(), [left, right]);
        for id in [root, left, right, merge] {
            assert!(contains(&repository, merge, id));
        }
        assert_eq!(lineage(&repository, left, right), Lineage::Without);
        let hex = right.to_string();
        std::fs::remove_file(dir.path().join("objects").join(&hex[..2]).join(&hex[2..])).unwrap();
        let cut = Repository::open_bare(dir.path()).unwrap();
        assert!(
            contains(&cut, merge, right),
            "named, although it is not there"
        );
        let stranger = Oid::from_str(&"1".repeat(40)).unwrap();
        assert_eq!(lineage(&cut, merge, stranger), Lineage::Unknown);
        assert_eq!(lineage(&cut, left, stranger), Lineage::Without);
    }
}

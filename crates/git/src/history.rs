//! History as far as the mirror has it.
//!
//! libgit2 hides the parents of a commit where history was cut off, and its own walks stumble
//! there. The headers of the commits tell them.

use std::collections::HashSet;

use git2::{Oid, Repository};

use crate::reference::full_id;

/// The parents of a commit, in the mirror or not; none when the commit itself is not there.
pub(crate) fn parents(repository: &Repository, id: Oid) -> Vec<Oid> {
    let Ok(commit) = repository.find_commit(id) else {
        return Vec::new();
    };
    String::from_utf8_lossy(commit.raw_header_bytes())
        .lines()
        .filter_map(|line| full_id(line.strip_prefix("parent ")?))
        .collect()
}

/// Whether `wanted` is known to be `tip` or one of its ancestors.
pub(crate) fn contains(repository: &Repository, tip: Oid, wanted: Oid) -> bool {
    let mut seen = HashSet::from([tip]);
    let mut next = vec![tip];
    while let Some(id) = next.pop() {
        if id == wanted {
            return true;
        }
        next.extend(
            parents(repository, id)
                .into_iter()
                .filter(|parent| seen.insert(*parent)),
        );
    }
    false
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
        assert_eq!(parents(&repository, merge), [left, right]);
        for id in [root, left, right, merge] {
            assert!(contains(&repository, merge, id));
        }
        assert!(!contains(&repository, left, right));
        let hex = right.to_string();
        std::fs::remove_file(dir.path().join("objects").join(&hex[..2]).join(&hex[2..])).unwrap();
        let cut = Repository::open_bare(dir.path()).unwrap();
        assert!(
            contains(&cut, merge, right),
            "named, although it is not there"
        );
    }
}

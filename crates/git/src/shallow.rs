//! Where the history in a mirror is cut off: commits whose parents are not there on purpose. Git
//! keeps their ids in the file `shallow`, one a line.
//!
//! Each fetch of a tip alone adds its line, and each line is told to the server at every fetch, so
//! that those are taken out that no ref of the mirror leads to any more. Their commits stay in the
//! mirror, and get their line back when a ref points to them again.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use git2::{Odb, OdbLookupFlags, Oid, Repository};

use crate::error::GitError;
use crate::history::parents;
use crate::reference::full_id;

/// So many lines more than needed may be there: counting what is needed walks history.
const SLACK: usize = 32;

/// The commits whose parents are not there.
pub(crate) fn boundaries(repository: &Repository) -> HashSet<Oid> {
    let text = fs::read_to_string(path(repository)).unwrap_or_default();
    text.lines().filter_map(full_id).collect()
}

/// Notes where the history of a commit ends that is in the mirror already. Call with the writer lock
/// held, and before a ref leads to the commit.
pub(crate) fn mark(repository: &Repository, tip: Oid) -> Result<(), GitError> {
    let mut known = boundaries(repository);
    if known.is_empty() {
        return Ok(());
    }
    let before = known.len();
    known.extend(ends(repository, vec![tip], &known).map_err(|e| failed(repository, e))?);
    if known.len() > before {
        write(repository, &known)?;
    }
    Ok(())
}

/// Forgets the boundaries that no ref leads to, when there are many. Call with the writer lock held.
pub(crate) fn prune(repository: &Repository) -> Result<(), GitError> {
    prune_above(repository, SLACK)
}

fn prune_above(repository: &Repository, slack: usize) -> Result<(), GitError> {
    let known = boundaries(repository);
    if known.len() <= slack {
        return Ok(());
    }
    let tips = tips(repository).map_err(|e| failed(repository, e))?;
    // A ref has one boundary, or a few where history was merged.
    if known.len() <= slack + 2 * tips.len() {
        return Ok(());
    }
    let needed = ends(repository, tips, &known).map_err(|e| failed(repository, e))?;
    // None at all would be a repository with all of its history, which it is not.
    if needed.is_empty() || needed == known {
        return Ok(());
    }
    write(repository, &needed)
}

fn tips(repository: &Repository) -> Result<Vec<Oid>, git2::Error> {
    let mut tips = Vec::new();
    for reference in repository.references()? {
        tips.push(reference?.peel_to_commit()?.id());
    }
    Ok(tips)
}

/// Where walks from these commits end, except for the first commits of a history: at what is known
/// as a boundary, and at what lacks a parent.
fn ends(
    repository: &Repository,
    tips: Vec<Oid>,
    known: &HashSet<Oid>,
) -> Result<HashSet<Oid>, git2::Error> {
    let odb = repository.odb()?;
    let mut seen: HashSet<Oid> = tips.iter().copied().collect();
    let (mut next, mut ends) = (tips, HashSet::new());
    while let Some(id) = next.pop() {
        if known.contains(&id) {
            ends.insert(id);
            continue;
        }
        for parent in parents(repository, id).unwrap_or_default() {
            if !is_here(&odb, parent) {
                ends.insert(id);
            } else if seen.insert(parent) {
                next.push(parent);
            }
        }
    }
    Ok(ends)
}

fn is_here(odb: &Odb<'_>, id: Oid) -> bool {
    odb.exists_ext(id, OdbLookupFlags::NO_REFRESH)
}

/// Writes the file as a whole, or not at all.
fn write(repository: &Repository, boundaries: &HashSet<Oid>) -> Result<(), GitError> {
    let path = path(repository);
    let failed = |error: io::Error| GitError::storage("cannot write", &path, error);
    let mut lines: Vec<String> = boundaries.iter().map(|id| format!("{id}\n")).collect();
    lines.sort_unstable();
    let mut file = tempfile::NamedTempFile::new_in(repository.path()).map_err(failed)?;
    file.write_all(lines.concat().as_bytes()).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn path(repository: &Repository) -> PathBuf {
    repository.path().join("shallow")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that map_err hands it over in"
)]
fn failed(repository: &Repository, error: git2::Error) -> GitError {
    GitError::storage("cannot prune", path(repository), error.message())
}

#[cfg(test)]
mod tests {
    use git2::{Signature, Time};

    use super::*;

    /// A bare repository, and a way to commits with these parents.
    struct History {
        dir: tempfile::TempDir,
        repository: Repository,
    }

    impl History {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let repository = Repository::init_bare(dir.path()).unwrap();
            Self { dir, repository }
        }

        fn commit(&self, number: i64, parents: &[Oid]) -> Oid {
            let tree = self.repository.treebuilder(None).unwrap().write().unwrap();
            let who = Signature::new("t", "t@example.com", &Time::new(number, 0)).unwrap();
            let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
            let text = format!(
                "tree {tree}\n{parents}author {who} {number} +0000\ncommitter {who} {number} +0000\n\nm\n"
            );
            let odb = self.repository.odb().unwrap();
            odb.write(git2::ObjectType::Commit, text.as_bytes())
                .unwrap()
        }

        fn point(&self, name: &str, id: Oid) {
            let name = format!("refs/mirror/{name}");
            self.repository.reference(&name, id, true, "").unwrap();
        }

        fn list(&self, ids: &[Oid]) {
            write(&self.repository, &ids.iter().copied().collect()).unwrap();
        }

        fn assert_listed(&self, ids: &[Oid], case: &str) {
            let expected: HashSet<Oid> = ids.iter().copied().collect();
            assert_eq!(boundaries(&self.repository), expected, "{case}");
            // libgit2 reads the same.
            let again = Repository::open_bare(self.dir.path()).unwrap();
            assert_eq!(again.is_shallow(), !ids.is_empty(), "{case}");
        }
    }

    fn absent(digit: &str) -> Oid {
        Oid::from_str(&digit.repeat(40)).unwrap()
    }

    #[test]
    fn what_refs_lead_to_stays() {
        let it = History::new();
        // Three tips that were fetched alone, one after the other, and a commit of ours on the last.
        let first = it.commit(1, &[absent("a")]);
        let second = it.commit(2, &[first]);
        let third = it.commit(3, &[second]);
        let ours = it.commit(4, &[third]);
        // A merge of two that were fetched alone, and a history that is whole.
        let left = it.commit(5, &[absent("b")]);
        let right = it.commit(6, &[absent("c")]);
        let merge = it.commit(7, &[left, right]);
        let whole = it.commit(9, &[it.commit(8, &[])]);
        // refs, boundaries that are needed
        let cases: &[(&[Oid], &[Oid])] = &[
            (&[third], &[third]),
            (&[ours], &[third]),
            (&[ours, second], &[third, second]),
            (&[merge], &[left, right]),
            (&[first, whole], &[first]),
        ];
        let all = [first, second, third, left, right];
        for (refs, needed) in cases {
            let case = format!("{refs:?}");
            for number in 0..2 {
                let id = refs.get(number).unwrap_or(&refs[0]);
                it.point(&number.to_string(), *id);
            }
            it.list(&all);
            prune(&it.repository).unwrap();
            it.assert_listed(&all, &case);
            prune_above(&it.repository, 0).unwrap();
            it.assert_listed(needed, &case);
        }
    }

    #[test]
    fn a_commit_gets_its_boundary_back() {
        let it = History::new();
        let old = it.commit(1, &[absent("a")]);
        let ours = it.commit(2, &[old]);
        let new = it.commit(3, &[absent("b")]);
        mark(&it.repository, ours).unwrap();
        it.assert_listed(&[], "a repository that is not shallow");
        it.list(&[new]);
        mark(&it.repository, new).unwrap();
        it.assert_listed(&[new], "known");
        mark(&it.repository, ours).unwrap();
        it.assert_listed(&[new, old], "forgotten");
    }
}

//! Keeps the number of packs in a mirror small: each incremental fetch adds one.
//!
//! Only small packs are merged into one; the large one of the first fetch is never read or
//! written again. Objects are kept, reachable or not: history only grows by what was fetched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{Odb, Repository};

use crate::error::GitError;

/// So many small packs are merged: libgit2 looks into each for an object that is not there.
const MANY: usize = 32;

/// Packs below this size are small. Merged packs reach it after hundreds of commits.
const SMALL: u64 = 1 << 20;

/// Directory that shows only the small packs to libgit2.
const VIEW: &str = "compact";

/// Prefix of packs that a killed process did not finish.
const UNFINISHED: &str = "pack_git2_";

/// Merges small packs when there are many, and deletes what a killed process left. Call with the
/// writer lock held.
pub(crate) fn compact(repository: &Repository) -> Result<(), GitError> {
    compact_above(repository, MANY)
}

fn compact_above(repository: &Repository, many: usize) -> Result<(), GitError> {
    let packs = repository.path().join("objects/pack");
    let failed = |error: io::Error| GitError::storage("cannot compact", &packs, error);
    let small = small_packs(&packs).map_err(failed)?;
    if small.len() < many {
        return Ok(());
    }
    let view = repository.path().join(VIEW);
    remove_dir(&view).map_err(failed)?;
    fs::create_dir_all(view.join("pack")).map_err(failed)?;
    for path in small
        .iter()
        .flat_map(|pack| [pack.clone(), pack.with_extension("idx")])
    {
        if let Some(name) = path.file_name() {
            fs::hard_link(&path, view.join("pack").join(name)).map_err(failed)?;
        }
    }
    let merged = merge(repository, &view, &packs)
        .map_err(|error| GitError::storage("cannot compact", &packs, error.message()));
    remove_dir(&view).map_err(failed)?;
    let merged = merged?;
    for pack in small
        .iter()
        .filter(|pack| pack.file_name() != Some(merged.as_ref()))
    {
        // The index first: without it the pack does not exist for libgit2.
        fs::remove_file(pack.with_extension("idx")).map_err(failed)?;
        fs::remove_file(pack).map_err(failed)?;
    }
    Ok(())
}

/// Writes the objects below `view` as one pack; returns its file name.
fn merge(repository: &Repository, view: &Path, packs: &Path) -> Result<String, git2::Error> {
    let objects = Odb::new()?;
    objects.add_disk_alternate(&view.to_string_lossy())?;
    let mut builder = repository.packbuilder()?;
    builder.set_threads(1);
    let mut problem = None;
    objects.foreach(|id| match builder.insert_object(*id, None) {
        Ok(()) => true,
        Err(error) => {
            problem = Some(error);
            false
        }
    })?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    builder.write(packs, 0o444)?;
    Ok(format!("pack-{}.pack", builder.name()?.unwrap_or_default()))
}

fn small_packs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut small = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(&path)?;
        } else if path.extension().is_some_and(|kind| kind == "pack")
            && entry.metadata()?.len() < SMALL
            && path.with_extension("idx").exists()
        {
            small.push(path);
        }
    }
    Ok(small)
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use git2::Oid;

    use super::*;

    #[test]
    fn many_packs_become_one_and_no_object_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        let packs = dir.path().join("objects/pack");
        let ids: Vec<Oid> = (0..6)
            .map(|number| {
                let id = repository
                    .blob(format!("blob {number}").as_bytes())
                    .unwrap();
                let mut builder = repository.packbuilder().unwrap();
                builder.insert_object(id, None).unwrap();
                builder.write(&packs, 0o444).unwrap();
                let hex = id.to_string();
                let (head, tail) = hex.split_at(2);
                fs::remove_file(dir.path().join("objects").join(head).join(tail)).unwrap();
                id
            })
            .collect();
        fs::write(packs.join("pack_git2_abc"), "unfinished").unwrap();
        let count = || fs::read_dir(&packs).unwrap().count();
        compact_above(&repository, 7).unwrap();
        assert_eq!(count(), 12);
        // Somebody who is reading meanwhile finds everything afterwards.
        let reader = Repository::open_bare(dir.path()).unwrap();
        reader.find_blob(ids[0]).unwrap();
        compact_above(&repository, 6).unwrap();
        assert_eq!(count(), 2);
        for repository in [&reader, &Repository::open_bare(dir.path()).unwrap()] {
            for id in &ids {
                repository.find_blob(*id).unwrap();
            }
        }
        compact_above(&repository, 1).unwrap();
        assert_eq!(count(), 2, "the same content again is the same pack");
        assert!(!dir.path().join(VIEW).exists());
    }
}

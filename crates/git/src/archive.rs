//! A commit as a tarball for readers outside: the same tree always gives the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::digest::{Digest, DigestAlgorithm};
use crate::error::GitError;
use crate::filter::Filter;
use crate::tree::{Kind, Snapshot};

/// Largest single file: what GitHub takes at most. Such a file need not be meant for a build, and
/// the other files of its repository should not wait until somebody excludes it.
const MAX_FILE: u64 = 100 << 20;

/// Most content in all. Zeros cost a repository nothing and one file can stand in it a million times;
/// reading and packing that would keep a processor busy for hours and fill the disk.
const MAX_TOTAL: u64 = 4 << 30;

/// A written tarball.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Digest of the file: `sha256:…`.
    pub digest: String,
    /// Bytes of the file.
    pub size: u64,
}

/// Writes a commit's files to `dest`, atomically. Contents as Flux writes them: regular files and
/// directories only, the root included, no owner, no time, modes 0750 for directories, 0700 for
/// what is executable, 0600 for the rest.
pub(crate) fn write(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    algorithm: DigestAlgorithm,
    dest: &Path,
) -> Result<Archive, GitError> {
    write_within(MAX_TOTAL, snapshot, filter, algorithm, dest)
}

fn write_within(
    limit: u64,
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    algorithm: DigestAlgorithm,
    dest: &Path,
) -> Result<Archive, GitError> {
    let failed = |error: io::Error| GitError::storage("cannot write", dest, error);
    let selection = snapshot.selection(filter)?;
    let folder = dest.parent().unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut out = Hashing {
        inner: BufWriter::new(file.as_file()),
        hash: algorithm.begin(),
        size: 0,
    };
    {
        // A header without time and name; level and library decide about the bytes, so both
        // belong to our version.
        let gzip = GzBuilder::new()
            .mtime(0)
            .write(&mut out, Compression::default());
        let mut tar = tar::Builder::new(gzip);
        let header = |kind: Kind, size: u64| {
            let mut header = Header::new_gnu();
            header.set_size(size);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_entry_type(match kind {
                Kind::Dir => EntryType::Directory,
                Kind::File { .. } => EntryType::Regular,
            });
            header.set_mode(match kind {
                Kind::Dir => 0o750,
                Kind::File { executable: true } => 0o700,
                Kind::File { executable: false } => 0o600,
            });
            header
        };
        tar.append_data(&mut header(Kind::Dir, 0), ".", io::empty())
            .map_err(failed)?;
        let mut total = 0;
        snapshot.walk(None, &mut |entry| {
            if !selection.takes(entry.path, entry.kind == Kind::Dir) {
                return Ok(());
            }
            let mut append = |content: &[u8]| {
                total += content.len() as u64;
                if total > limit {
                    return Err(GitError::TooLarge {
                        what: "the content of the commit".to_owned(),
                        size: total,
                        limit,
                    });
                }
                let mut header = header(entry.kind, content.len() as u64);
                tar.append_data(&mut header, entry.path, content)
                    .map_err(failed)
            };
            match entry.kind {
                Kind::Dir => append(&[]),
                // One is in memory at a time.
                Kind::File { .. } => snapshot.content(entry.id, entry.path, MAX_FILE, append)?,
            }
        })?;
        tar.into_inner()
            .and_then(flate2::write::GzEncoder::finish)
            .map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    let archive = out.finish();
    file.persist(dest).map_err(|error| failed(error.error))?;
    Ok(archive)
}

/// Counts and hashes what passes.
struct Hashing<'a> {
    inner: BufWriter<&'a File>,
    hash: Digest,
    size: u64,
}

impl Hashing<'_> {
    fn finish(self) -> Archive {
        Archive {
            digest: self.hash.finish(),
            size: self.size,
        }
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Mirror;
    use crate::remote::tests::ssh_remote;

    #[test]
    fn a_file_that_stands_in_a_commit_again_and_again_counts_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        let repository = mirror.open_or_create().unwrap();
        let blob = repository.blob(&[0; 1000]).unwrap();
        let mut tree = repository.treebuilder(None).unwrap();
        for name in ["a", "b", "c"] {
            tree.insert(name, blob, 0o100_644).unwrap();
        }
        let tree = repository.find_tree(tree.write().unwrap()).unwrap();
        let author = git2::Signature::now("a", "a@example.com").unwrap();
        let commit = repository.commit(None, &author, &author, "m", &tree, &[]);
        let remote = ssh_remote("ssh://git@h/r");
        let snapshot = Snapshot::open(&mirror, &remote, &commit.unwrap().to_string()).unwrap();
        let dest = folder.path().join("a.tar.gz");
        let write = |limit| {
            let (filter, algorithm) = (Filter::default(), DigestAlgorithm::default());
            write_within(limit, &snapshot, &filter, algorithm, &dest)
        };
        let error = write(2999).unwrap_err().to_string();
        assert!(
            error.contains("the content of the commit is too large: 3000 bytes"),
            "{error}"
        );
        assert!(!dest.exists(), "nothing of it stays");
        write(3000).unwrap();
        assert!(dest.exists());
    }
}

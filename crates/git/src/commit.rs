//! Making a commit without a work tree: blobs, trees and the commit object. Blocking.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Signature, Time, Tree};

use crate::error::GitError;
use crate::signing::SigningKey;

/// What an edit makes of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitContent {
    /// New contents by path from the repository's root. Modes of existing files are kept.
    pub edits: Vec<(String, Bytes)>,
    /// The whole commit message.
    pub message: String,
}

/// Who makes a commit, as author and committer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// May not be empty in Git; then the e-mail address stands in.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

/// Writes blobs and trees on top of a tree. None when nothing differs.
pub(crate) fn edit_tree(
    repository: &Repository,
    base: &Tree<'_>,
    edits: &[(String, Bytes)],
) -> Result<Option<Oid>, GitError> {
    let mut update = TreeUpdateBuilder::new();
    for (path, content) in edits {
        check_path(path)?;
        let mode = mode_of(base, path)?;
        let blob = repository.blob(content).map_err(failed)?;
        update.upsert(path.as_str(), blob, mode);
    }
    let tree = update.create_updated(repository, base).map_err(failed)?;
    Ok((tree != base.id()).then_some(tree))
}

/// Writes the commit object; without a parent, the first of a repository.
pub(crate) fn create(
    repository: &Repository,
    tree: Oid,
    parent: Option<&git2::Commit<'_>>,
    author: &Author,
    message: &str,
    signing: Option<&SigningKey>,
) -> Result<Oid, GitError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let time = Time::new(i64::try_from(now).unwrap_or_default(), 0);
    let name = if author.name.trim().is_empty() {
        &author.email
    } else {
        &author.name
    };
    let who = Signature::new(name, &author.email, &time).map_err(failed)?;
    let tree = repository.find_tree(tree).map_err(failed)?;
    let buffer = repository
        .commit_create_buffer(&who, &who, message, &tree, parent.as_slice())
        .map_err(failed)?;
    match signing {
        None => {
            let odb = repository.odb().map_err(failed)?;
            odb.write(ObjectType::Commit, &buffer).map_err(failed)
        }
        Some(key) => {
            let text = std::str::from_utf8(&buffer)
                .map_err(|_| GitError::Commit("its text is not UTF-8".to_owned()))?;
            repository
                .commit_signed(text, &key.sign(text)?, Some("gpgsig"))
                .map_err(failed)
        }
    }
}

fn check_path(path: &str) -> Result<(), GitError> {
    let bad = |part: &str| {
        part.is_empty() || part == "." || part == ".." || part.eq_ignore_ascii_case(".git")
    };
    if path.split('/').any(bad) || path.contains('\0') {
        return Err(GitError::Commit(format!(
            "'{}' is not a path in a repository",
            path.escape_debug()
        )));
    }
    Ok(())
}

/// The mode of an existing file, or that of a plain one.
fn mode_of(base: &Tree<'_>, path: &str) -> Result<FileMode, GitError> {
    let Ok(entry) = base.get_path(Path::new(path)) else {
        return Ok(FileMode::Blob);
    };
    match (entry.kind(), entry.filemode()) {
        (Some(ObjectType::Blob), mode) if mode == i32::from(FileMode::BlobExecutable) => {
            Ok(FileMode::BlobExecutable)
        }
        (Some(ObjectType::Blob), mode) if mode != i32::from(FileMode::Link) => Ok(FileMode::Blob),
        _ => Err(GitError::Commit(format!(
            "'{}' is not a file",
            path.escape_debug()
        ))),
    }
}

fn failed(error: git2::Error) -> GitError {
    GitError::Commit(crate::said::tidy(error.message()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::keys::{self, Algorithm};

    fn repository() -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path()).unwrap();
        (dir, repository)
    }

    fn base(repository: &Repository) -> Oid {
        let blob = |text: &str| repository.blob(text.as_bytes()).unwrap();
        let mut sub = repository.treebuilder(None).unwrap();
        sub.insert("run.sh", blob("old"), 0o100_755).unwrap();
        sub.insert("link", blob("run.sh"), 0o120_000).unwrap();
        let sub = sub.write().unwrap();
        let mut root = repository.treebuilder(None).unwrap();
        root.insert("a", sub, 0o040_000).unwrap();
        root.insert("f", blob("f"), 0o100_644).unwrap();
        root.write().unwrap()
    }

    #[test]
    fn edits_keep_modes_and_the_rest() {
        let (_dir, repository) = repository();
        let base = repository.find_tree(base(&repository)).unwrap();
        let edits = [
            ("a/run.sh".to_owned(), Bytes::from("new")),
            ("b/c/new.yaml".to_owned(), Bytes::from("x")),
        ];
        let tree = edit_tree(&repository, &base, &edits).unwrap().unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let mode = |path: &str| tree.get_path(Path::new(path)).unwrap().filemode();
        assert_eq!(mode("a/run.sh"), 0o100_755);
        assert_eq!(mode("a/link"), 0o120_000);
        assert_eq!(mode("b/c/new.yaml"), 0o100_644);
        assert_eq!(mode("f"), 0o100_644);
        let same = [("f".to_owned(), Bytes::from("f"))];
        assert_eq!(edit_tree(&repository, &base, &same).unwrap(), None);
        for bad in ["../x", "/x", "a//b", ".git/config", "", "a/link", "a"] {
            let edits = [(bad.to_owned(), Bytes::new())];
            assert!(edit_tree(&repository, &base, &edits).is_err(), "{bad}");
        }
    }

    #[test]
    fn commits_name_their_author_and_parent() {
        let (_dir, repository) = repository();
        let tree = base(&repository);
        let author = Author {
            name: String::new(),
            email: "flux@example.com".to_owned(),
        };
        let root = {
            let who = Signature::now("r", "r@example.com").unwrap();
            let tree = repository.find_tree(tree).unwrap();
            repository
                .commit(None, &who, &who, "root", &tree, &[])
                .unwrap()
        };
        let parent = repository.find_commit(root).unwrap();
        let pair = keys::generate(Algorithm::Ed25519).unwrap();
        let secret =
            BTreeMap::from([("identity".to_owned(), pair.private_pem.as_bytes().to_vec())]);
        let key = SigningKey::from_secret(&secret).unwrap();
        let id = create(
            &repository,
            tree,
            Some(&parent),
            &author,
            "msg\n",
            Some(&key),
        )
        .unwrap();
        let (signature, data) = repository.extract_signature(&id, None).unwrap();
        assert!(signature.starts_with(b"-----BEGIN SSH SIGNATURE-----"));
        assert!(data.ends_with(b"\n\nmsg\n"));
        let commit = repository.find_commit(id).unwrap();
        assert_eq!(commit.author().name_bytes(), b"flux@example.com");
        assert_eq!(commit.parent_id(0).unwrap(), root);
    }
}

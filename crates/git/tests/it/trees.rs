//! Files, ignore rules and archives of a fetched commit.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use flux_git::keys::{self, Algorithm};
use flux_git::{DigestAlgorithm, ErrorKind, Filter, GitError, IgnoreList, Reference};

use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo};

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

fn filled() -> Repo {
    let repo = Repo::new();
    let work = repo.work();
    fs::write(work.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(work.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", work.join("link")).unwrap();
    repo.commit(
        &[
            (".gitignore", "x\n"),
            ("logo.png", "png"),
            ("apps/deep/b.yaml", "b: 1\n"),
            ("README.md", "read me\n"),
        ],
        "more",
    );
    repo
}

#[tokio::test]
async fn files_and_ignore_rules() {
    let repo = filled();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    let names = async |commit: &str, ignore: &str, under: Option<&str>| {
        let ignore = Filter::from(IgnoreList::parse(ignore, &[]));
        let files = client
            .git
            .files(&remote, commit, &ignore, under)
            .await
            .unwrap();
        files.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(
        names(&commit.id, "", None).await,
        ["README.md", "apps/a.yaml", "apps/deep/b.yaml", "run.sh"]
    );
    assert_eq!(
        names(&commit.id, "*.md", None).await,
        ["apps/a.yaml", "apps/deep/b.yaml", "logo.png", "run.sh"]
    );
    assert_eq!(
        names(&commit.id, "", Some("./apps/deep/")).await,
        ["apps/deep/b.yaml"]
    );
    for path in ["nowhere", "../x", "apps/a.yaml/x", "link"] {
        let ignore = Filter::default();
        let error = client
            .git
            .files(&remote, &commit.id, &ignore, Some(path))
            .await
            .unwrap_err();
        assert!(
            matches!(error, GitError::PathNotFound { .. }),
            "{path}: {error}"
        );
    }
    let links = async |ignore: &str| {
        let ignore = Filter::from(IgnoreList::parse(ignore, &[]));
        let paths = ["link", "run.sh", "link/x", "nowhere/x", "../x"].map(str::to_owned);
        let links = client
            .git
            .links(&remote, &commit.id, &ignore, paths.into())
            .await;
        links.unwrap()
    };
    assert_eq!(links("").await, ["link"]);
    assert_eq!(links("li*").await, [""; 0]);
    let digest = async |commit: &str, under| {
        client
            .git
            .tree_digest(&remote, commit, under)
            .await
            .unwrap()
    };
    assert_eq!(digest(&commit.id, None).await, commit.tree);
    let paths = ["./", "apps", "apps/a.yaml", "link", "nowhere", "../apps"].map(str::to_owned);
    for _ in 0..2 {
        let ids = client
            .git
            .object_ids(&remote, &commit, paths.to_vec())
            .await
            .unwrap();
        for (path, id) in paths.iter().zip(ids) {
            let expected = client.git.tree_digest(&remote, &commit.id, Some(path));
            assert_eq!(id, expected.await.ok(), "{path}");
        }
    }
    let before = digest(&commit.id, Some("apps")).await;

    repo.commit(&[("apps/.sourceignore", "*.yaml\n!a.yaml\n")], "ignore");
    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    assert_eq!(
        names(&commit.id, "", None).await,
        [
            "README.md",
            "apps/.sourceignore",
            "apps/a.yaml",
            "logo.png",
            "run.sh"
        ]
    );
    assert_ne!(digest(&commit.id, Some("apps")).await, before);
}

#[tokio::test]
async fn a_sparse_checkout_takes_what_is_there() {
    let repo = filled();
    repo.commit(
        &[
            // Not checked out, so nobody reads it.
            (".sourceignore", "/*\n!/clusters\n"),
            ("apps/.sourceignore", "deep/\n"),
            ("appsets/x.yaml", "x: 1\n"),
        ],
        "ignore",
    );
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let (remote, client) = (server.remote(&key), Client::new());
    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    let names = async |dirs: &[&str]| {
        let filter = Filter {
            dirs: dirs.iter().map(|dir| (*dir).to_owned()).collect(),
            ..Filter::default()
        };
        let files = client.git.files(&remote, &commit.id, &filter, None).await;
        files.map(|files| files.into_keys().collect::<Vec<_>>())
    };
    let apps = ["apps/.sourceignore", "apps/a.yaml"];
    assert_eq!(names(&["./apps"]).await.unwrap(), apps);
    assert_eq!(
        names(&["apps/", "README.md"]).await.unwrap(),
        ["README.md", apps[0], apps[1]]
    );
    assert!(names(&[]).await.unwrap().is_empty(), "all is ignored");
    for dirs in [&["apps", "nowhere"][..], &["../apps"], &["link"]] {
        let error = names(dirs).await.unwrap_err();
        assert!(matches!(error, GitError::PathNotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn archives_are_reproducible() {
    let repo = filled();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let out = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for name in ["one", "two"] {
        // Another mirror, another time.
        let client = Client::new();
        let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
        let dest = out.path().join(name);
        let archive = client
            .git
            .archive(
                &remote,
                &commit.id,
                &Filter::default(),
                DigestAlgorithm::Sha256,
                &dest,
            )
            .await
            .unwrap();
        assert_eq!(archive.size, fs::metadata(&dest).unwrap().len());
        let sum = crate::support::run("sha256sum", &[name], out.path());
        assert_eq!(archive.digest, format!("sha256:{}", &sum[..64]));
        digests.push(archive.digest);
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        2,
        "no temporary file stays"
    );

    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(
        fs::File::open(out.path().join("one")).unwrap(),
    ));
    let mut entries = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap()
            ),
            (0, 0, 0)
        );
        let mode = header.mode().unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        entries.push((path, mode, text.len()));
    }
    let expected = [
        (".", 0o750, 0),
        ("README.md", 0o600, 8),
        ("apps", 0o750, 0),
        ("apps/a.yaml", 0o600, 5),
        ("apps/deep", 0o750, 0),
        ("apps/deep/b.yaml", 0o600, 5),
        ("run.sh", 0o700, 10),
    ];
    assert_eq!(
        entries,
        expected.map(|(path, mode, size)| (path.to_owned(), mode, size))
    );
}

#[tokio::test]
async fn a_damaged_mirror_heals() {
    let repo = filled();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    let read = async || {
        client
            .git
            .files(&remote, &commit.id, &Filter::default(), None)
            .await
    };
    for round in ["packs", "refs", "head"] {
        read().await.unwrap();
        let mirror = client.mirror();
        match round {
            "packs" => fs::remove_dir_all(mirror.join("objects/pack")).unwrap(),
            "refs" => fs::write(mirror.join("shallow"), "nonsense\n").unwrap(),
            _ => fs::write(mirror.join("HEAD"), "").unwrap(),
        }
        if let Err(error) = read().await {
            assert_eq!(error.kind(), ErrorKind::Storage, "{round}: {error}");
        }
        client.git.fetch(&remote, &main_branch()).await.unwrap();
    }
    read().await.unwrap();
    let error = Client::new()
        .git
        .files(&remote, &commit.id, &Filter::default(), None)
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Storage);
}

#[tokio::test]
async fn hostile_trees() {
    let repo = Repo::new();
    // Git's own tools do not make such trees; its plumbing does.
    let blob = repo.git(&["hash-object", "-w", "apps/a.yaml"]);
    let hex: Vec<u8> = (0..40)
        .step_by(2)
        .map(|i| u8::from_str_radix(&blob[i..i + 2], 16).unwrap())
        .collect();
    let raw = [b"100644 ..\0", &hex[..]].concat();
    fs::write(repo.work().join("raw"), raw).unwrap();
    let tree = repo.git(&["hash-object", "-t", "tree", "-w", "--literally", "raw"]);
    let id = repo.git(&["commit-tree", &tree, "-m", "evil"]);
    repo.git(&["push", "-q", "../bare", &format!("{id}:refs/heads/evil")]);
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    client
        .git
        .fetch(&remote, &Reference::Branch("evil".into()))
        .await
        .unwrap();
    let error = client
        .git
        .files(&remote, &id, &Filter::default(), None)
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::UnsafePath { .. }), "{error}");
}

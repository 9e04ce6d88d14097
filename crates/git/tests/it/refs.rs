//! What can be followed, in both protocol versions.

use flux_git::keys::{self, Algorithm};
use flux_git::{ErrorKind, GitError, Reference};

use crate::support::sshd::{Access, Options, Sshd};
use crate::support::{Client, Repo, run};

#[tokio::test]
async fn every_kind_of_reference() {
    let repo = Repo::new();
    let first = repo.rev("main");
    repo.git(&["tag", "v1.2.3"]);
    let second = repo.commit(&[("b", "b")], "second");
    repo.git(&["tag", "-a", "-m", "annotated", "v1.10.0"]);
    repo.git(&["push", "-q", "../bare", "--tags"]);
    let third = repo.commit(&[("c", "c")], "third");
    repo.git(&["push", "-q", "../bare", "HEAD:refs/pull/7/head"]);
    let tip = repo.commit(&[("d", "d")], "fourth");

    let key = keys::generate(Algorithm::Ed25519).unwrap();
    for old_protocol in [false, true] {
        let options = Options {
            old_protocol,
            ..Options::default()
        };
        let keys = [(&key, Access::Read)];
        let Some(server) = Sshd::start_with(&repo, &keys, &options) else {
            return;
        };
        let remote = server.remote(&key);
        let client = Client::new();
        let commit = |sha: &str, branch: Option<&str>| Reference::Commit {
            sha: sha.to_owned(),
            branch: branch.map(str::to_owned),
        };
        let cases = [
            (
                Reference::Branch("main".into()),
                &tip,
                format!("main@sha1:{tip}"),
            ),
            (
                Reference::Tag("v1.2.3".into()),
                &first,
                format!("v1.2.3@sha1:{first}"),
            ),
            (
                Reference::Tag("v1.10.0".into()),
                &second,
                format!("v1.10.0@sha1:{second}"),
            ),
            (
                Reference::Semver(">=1.2".into()),
                &second,
                format!("v1.10.0@sha1:{second}"),
            ),
            (
                Reference::Semver("~1.2".into()),
                &first,
                format!("v1.2.3@sha1:{first}"),
            ),
            (
                Reference::Name("refs/pull/7/head".into()),
                &third,
                format!("refs/pull/7/head@sha1:{third}"),
            ),
            (
                commit(&first, Some("main")),
                &first,
                format!("main@sha1:{first}"),
            ),
            (commit(&third, None), &third, format!("sha1:{third}")),
        ];
        for (reference, id, revision) in &cases {
            let head = client.git.resolve(&remote, reference).await.unwrap();
            assert_eq!((&head.id, &head.revision), (*id, revision), "{reference:?}");
            let commit = client.git.fetch(&remote, reference).await.unwrap();
            assert_eq!(
                (&commit.id, &commit.revision),
                (*id, revision),
                "{reference:?}"
            );
            // Each is complete enough to be read.
            client
                .git
                .tree_digest(&remote, id, Some("apps"))
                .await
                .unwrap();
        }
        if old_protocol {
            continue;
        }
        run("git", &["fsck", "--connectivity-only"], &client.mirror());
        // A commit in the history, in a mirror of its own.
        let fresh = Client::new();
        for reference in [commit(&second, None), commit(&first, Some("main"))] {
            fresh.git.fetch(&remote, &reference).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    for old_protocol in [false, true] {
        let options = Options {
            old_protocol,
            ..Options::default()
        };
        let keys = [(&key, Access::Read)];
        let Some(server) = Sshd::start_with(&repo, &keys, &options) else {
            return;
        };
        let remote = server.remote(&key);
        let client = Client::new();
        let absent = "1".repeat(40);
        for reference in [Reference::default(), Reference::Branch("mai".into())] {
            for error in [
                client.git.resolve(&remote, &reference).await.unwrap_err(),
                client.git.fetch(&remote, &reference).await.unwrap_err(),
            ] {
                let text = error.to_string();
                assert!(
                    text.contains("the default branch of the repository is 'main'"),
                    "{text}"
                );
                assert!(
                    matches!(error, GitError::RefNotFound { default_branch: Some(b), .. } if b == "main")
                );
            }
        }
        for branch in [None, Some("main".to_owned()), Some("no".to_owned())] {
            let reference = Reference::Commit {
                sha: absent.clone(),
                branch,
            };
            let error = client.git.fetch(&remote, &reference).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains(&absent), "{error}");
        }
        let error = client
            .git
            .resolve(&remote, &Reference::Semver(">1".into()))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("no match found for semver: >1"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_empty_repository_and_one_without_head() {
    let repo = Repo::empty();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    for error in [
        client
            .git
            .resolve(&remote, &Reference::default())
            .await
            .unwrap_err(),
        client
            .git
            .fetch(&remote, &Reference::default())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.reason(), "EmptyGitRepository", "{error}");
    }
    // HEAD says main, but there is only another branch: not empty.
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.commit(&[("f", "f")], "first");
    let error = client
        .git
        .resolve(&remote, &Reference::default())
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::RefNotFound { .. }), "{error}");
    client
        .git
        .resolve(&remote, &Reference::Branch("other".into()))
        .await
        .unwrap();
}

#[tokio::test]
async fn refs_that_would_collide_on_disk() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    repo.git(&["push", "-q", "../bare", "HEAD:refs/heads/a"]);
    client
        .git
        .fetch(&remote, &Reference::Branch("a".into()))
        .await
        .unwrap();
    repo.git(&[
        "push",
        "-q",
        "../bare",
        ":refs/heads/a",
        "HEAD:refs/heads/a/b",
    ]);
    client
        .git
        .fetch(&remote, &Reference::Branch("a/b".into()))
        .await
        .unwrap();
    // Rewritten history.
    repo.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    repo.git(&["push", "-q", "-f", "../bare", "HEAD:main"]);
    let commit = client
        .git
        .fetch(&remote, &Reference::Branch("main".into()))
        .await
        .unwrap();
    assert_eq!(commit.subject, "rewritten");
}

#[tokio::test]
async fn other_object_formats_are_not_supported_yet() {
    let repo = Repo::with_names("sha256");
    repo.commit(&[("a", "a")], "first");
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    for old_protocol in [false, true] {
        let options = Options {
            old_protocol,
            ..Options::default()
        };
        let Some(server) = Sshd::start_with(&repo, &[(&key, Access::Read)], &options) else {
            return;
        };
        let remote = server.remote(&key);
        let client = Client::new();
        let main = Reference::Branch("main".into());
        for error in [
            client.git.resolve(&remote, &main).await.unwrap_err(),
            client.git.fetch(&remote, &main).await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                text.contains("object format sha256, which is not supported yet"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn of_equal_versions_the_newest_commit_counts() {
    let repo = Repo::new();
    let tag = |name: &str, at: &str| {
        let date = format!("{at}T00:00:00Z");
        let commit = ["commit", "-q", "--allow-empty", "-m", name];
        repo.git_at(&date, &commit);
        repo.git_at(&date, &["tag", "-a", "-m", name, name]);
        repo.git(&["push", "-q", "../bare", name]);
    };
    // By name b9 comes after b10, and the commits are not in the order of the tags.
    tag("1.0.0+b9", "2020-01-01");
    tag("1.0.0+b10", "2022-01-01");
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let (remote, client) = (server.remote(&key), Client::new());
    let range = Reference::Semver("1.x".into());
    for (new, at, expected) in [
        ("1.0.0+b9", "", "1.0.0+b10@"),
        ("1.0.0+b99", "2021-01-01", "1.0.0+b10@"),
        ("1.0.0+b11", "2023-01-01", "1.0.0+b11@"),
    ] {
        if !at.is_empty() {
            tag(new, at);
            // One that was never seen has to be fetched.
            let head = client.git.resolve(&remote, &range).await.unwrap();
            assert!(head.revision.starts_with(&format!("{new}@")), "{head:?}");
        }
        let commit = client.git.fetch(&remote, &range).await.unwrap();
        assert!(commit.revision.starts_with(expected), "{commit:?}");
        let head = client.git.resolve(&remote, &range).await.unwrap();
        assert_eq!(head.revision, commit.revision, "{new}");
    }
}

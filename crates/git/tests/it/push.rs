//! Committing and pushing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flux_git::keys::{self, Algorithm};
use flux_git::{
    Author, BoxError, CommitContent, Edit, ErrorKind, FirstCommit, GitError, Index, Push,
    Reference, SigningKey,
};

use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo, run, secret};

pub(crate) fn push(branch: &str, edit: Edit) -> Push {
    Push {
        base: Reference::Branch("main".to_owned()),
        branch: branch.to_owned(),
        refspec: None,
        author: Author {
            name: "flux".to_owned(),
            email: "flux@example.com".to_owned(),
        },
        signing: None,
        options: Vec::new(),
        since: None,
        edit,
    }
}

/// Appends a line to `apps/a.yaml`, unless it is there.
pub(crate) fn append(line: &'static str) -> Edit {
    Box::new(move |files| {
        let path = "apps/a.yaml".to_owned();
        let text = String::from_utf8(files.get(&path)?.to_vec())?;
        if text.contains(line) {
            return Ok(None);
        }
        let edits = vec![(path, Bytes::from(format!("{text}{line}\n")))];
        Ok(Some(CommitContent {
            edits,
            message: format!("add {line}"),
        }))
    })
}

/// Objects in a mirror's loose storage.
fn loose(client: &Client) -> String {
    run("git", &["count-objects"], &client.mirror())
}

#[tokio::test]
async fn commits_once_and_then_finds_nothing_to_do() {
    let repo = Repo::new();
    let before = repo.rev("main");
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let pushed = client
        .git
        .commit_and_push(&remote, push("main", append("x: 1")))
        .await
        .unwrap();
    assert_eq!(pushed.commit.as_ref(), Some(&repo.rev("main")));
    assert_eq!(
        (pushed.message.as_str(), pushed.branch.as_str()),
        ("add x: 1", "main")
    );
    assert_eq!(pushed.base.id, before);
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 1\nx: 1");
    let shown = run(
        "git",
        &["log", "-1", "--format=%an|%ae|%cn|%P|%B", "main"],
        &repo.bare(),
    );
    assert_eq!(
        shown,
        format!("flux|flux@example.com|flux|{before}|add x: 1")
    );
    assert_eq!(loose(&client), "0 objects, 0 kilobytes");
    let again = client
        .git
        .commit_and_push(&remote, push("main", append("x: 1")))
        .await
        .unwrap();
    assert_eq!((again.commit, again.base.id), (None, repo.rev("main")));
    // An edit that changes nothing is nothing to do either.
    let same: Edit = Box::new(|files| {
        let path = "apps/a.yaml";
        let edits = vec![(path.to_owned(), files.get(path)?)];
        Ok(Some(CommitContent {
            edits,
            message: "same".to_owned(),
        }))
    });
    assert_eq!(
        client
            .git
            .commit_and_push(&remote, push("main", same))
            .await
            .unwrap()
            .commit,
        None
    );
    let failing: Edit = Box::new(|_| Err(BoxError::from("bad marker in apps/a.yaml")));
    let error = client
        .git
        .commit_and_push(&remote, push("main", failing))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Edit, "bad marker in apps/a.yaml")
    );
}

#[tokio::test]
async fn a_read_only_key_is_named_and_nothing_piles_up() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    for _ in 0..3 {
        let error = client
            .git
            .commit_and_push(&remote, push("main", append("x: 1")))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Permission, "{text}");
        for part in [
            key.fingerprint.as_str(),
            "org/app on 127.0.0.1",
            "\"Allow write access\"",
            "marked as read only",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
    assert_eq!(loose(&client), "0 objects, 0 kilobytes");
    assert_eq!(
        run("git", &["rev-list", "--all", "--count"], &client.mirror()),
        "1"
    );
}

#[tokio::test]
async fn racing_pushes_all_arrive() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    // Two processes' worth of caches, two automations each.
    let clients = [Client::new(), Client::new()];
    let lines = [["a1: 1", "a2: 1"], ["b1: 1", "b2: 1"]];
    let mut tasks = tokio::task::JoinSet::new();
    for (client, lines) in clients.iter().zip(lines) {
        for line in lines {
            let (git, remote) = (client.git.clone(), remote.clone());
            tasks.spawn(async move {
                git.commit_and_push(&remote, push("main", append(line)))
                    .await
            });
        }
    }
    while let Some(pushed) = tasks.join_next().await {
        assert!(pushed.unwrap().unwrap().commit.is_some());
    }
    let text = repo.show("main:apps/a.yaml");
    for line in lines.as_flattened() {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(
        run("git", &["rev-list", "--count", "main"], &repo.bare()),
        "5"
    );
}

#[tokio::test]
async fn somebody_who_pushes_in_between_is_not_overwritten() {
    let repo = Arc::new(Repo::new());
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (other, count, mut inner) = (repo.clone(), calls.clone(), append("x: 1"));
    let edit: Edit = Box::new(move |files| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            other.commit(&[("apps/a.yaml", "a: 2\n")], "by a person");
        }
        inner(files)
    });
    client
        .git
        .commit_and_push(&remote, push("main", edit))
        .await
        .unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 2\nx: 1");

    // Always overtaken: given up, and said so.
    let other = repo.clone();
    let mut number = 0;
    let edit: Edit = Box::new(move |files| {
        number += 1;
        other.git(&["fetch", "-q", "../bare", "main"]);
        other.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
        other.commit(&[("n", &number.to_string())], "again");
        append("y: 1")(files)
    });
    let error = client
        .git
        .commit_and_push(&remote, push("main", edit))
        .await
        .unwrap_err();
    assert!(
        matches!(error, GitError::Conflict { attempts: 5, .. }),
        "{error}"
    );
}

/// Times that [`look`] was called.
static LOOKS: AtomicUsize = AtomicUsize::new(0);

fn look(bytes: &[u8]) -> Option<usize> {
    LOOKS.fetch_add(1, Ordering::SeqCst);
    bytes.starts_with(b"mark").then_some(bytes.len())
}

#[tokio::test]
async fn files_are_looked_into_once() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let (remote, client) = (server.remote(&key), Client::new());
    let index = Arc::new(Index::new(|name| name.ends_with(".yaml"), look));
    let find = async || {
        let (index, found) = (index.clone(), Arc::new(Mutex::new(Vec::new())));
        let seen = found.clone();
        let edit: Edit = Box::new(move |files| {
            seen.lock().unwrap().clear();
            for file in files.find(&index)?.iter() {
                assert_eq!(files.read(file)?.len(), *file.value);
                seen.lock()
                    .unwrap()
                    .push((file.path.to_string(), *file.value));
            }
            Ok(None)
        });
        client
            .git
            .commit_and_push(&remote, push("main", edit))
            .await
            .unwrap();
        std::mem::take(&mut *found.lock().unwrap())
    };
    repo.commit(
        &[
            ("x/deep/a.yaml", "mark"),
            ("x/b.yaml", "nothing"),
            ("y/c.yaml", "marks"),
            ("y/text", "mark"),
        ],
        "files",
    );
    let expected = |b: usize| {
        let mut all = vec![("x/deep/a.yaml".to_owned(), 4), ("y/c.yaml".to_owned(), 5)];
        if b > 0 {
            all.insert(0, ("x/b.yaml".to_owned(), b));
        }
        all
    };
    assert_eq!(find().await, expected(0));
    let looks = LOOKS.swap(0, Ordering::SeqCst);
    assert!(looks >= 3, "{looks}");
    assert_eq!(find().await, expected(0));
    assert_eq!(LOOKS.load(Ordering::SeqCst), 0);
    // The same content elsewhere is known, what changed is read.
    repo.commit(&[("x/b.yaml", "marked"), ("z/d.yaml", "nothing")], "next");
    assert_eq!(find().await, expected(6));
    assert_eq!(LOOKS.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_branch_of_its_own_and_a_refspec() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let go = async || {
        let mut push = push("auto", append("x: 1"));
        push.refspec = Some("refs/heads/main:refs/heads/review".to_owned());
        client
            .git
            .commit_and_push(&remote, push)
            .await
            .unwrap()
            .commit
    };
    let first = go().await.unwrap();
    assert_eq!(
        (repo.rev("auto"), repo.rev("review")),
        (first.clone(), first.clone())
    );
    assert_ne!(repo.rev("main"), first);
    // The same again: nothing to do, although main does not have it.
    assert_eq!(go().await, None);
    // main moves on: the branch is made anew on top of it.
    repo.git(&["push", "-q", "../bare", ":refs/heads/review"]);
    let main = repo.commit(&[("n", "n")], "moves on");
    let second = go().await.unwrap();
    assert_eq!(repo.rev("auto^"), main);
    assert_eq!(repo.rev("auto"), second);
}

#[tokio::test]
async fn a_branch_that_is_merged_and_removed_meanwhile_does_not_come_back() {
    let repo = Arc::new(Repo::new());
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let (remote, client) = (server.remote(&key), Client::new());
    let git = &client.git;
    let first = git.commit_and_push(&remote, push("auto", append("x: 1")));
    let branch = first.await.unwrap().commit.unwrap();
    let (merged, mut inner, mut is_first) = (repo.clone(), append("x: 1"), true);
    let edit: Edit = Box::new(move |files| {
        if std::mem::take(&mut is_first) {
            merged.git(&["fetch", "-q", "../bare", "auto"]);
            merged.git(&["push", "-q", "../bare", "FETCH_HEAD:main", ":auto"]);
        }
        inner(files)
    });
    let pushed = git.commit_and_push(&remote, push("auto", edit)).await;
    assert_eq!(pushed.unwrap().commit, None);
    assert_eq!(repo.rev("main"), branch);
    let heads = run("git", &["branch", "--list"], &repo.bare());
    assert_eq!(heads, "* main");
}

#[tokio::test]
async fn hooks_may_refuse() {
    let repo = Repo::new();
    let hook = repo.bare().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(
        &hook,
        "#!/bin/sh\necho 'main is frozen until Monday' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let client = Client::new();
    let push = push("main", append("x: 1"));
    let error = client
        .git
        .commit_and_push(&server.remote(&key), push)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("pre-receive hook declined") && text.contains("frozen until Monday"),
        "{text}"
    );
}

#[tokio::test]
async fn signed_commits_satisfy_git() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let signer = keys::generate(Algorithm::Ed25519).unwrap();
    let mut push = push("main", append("x: 1"));
    push.signing =
        Some(SigningKey::from_secret(&secret(&[("identity", &signer.private_pem)])).unwrap());
    Client::new()
        .git
        .commit_and_push(&server.remote(&key), push)
        .await
        .unwrap();
    let signers = server.dir().join("signers");
    fs::write(
        &signers,
        format!("flux@example.com {}\n", signer.public_openssh),
    )
    .unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    run(
        "git",
        &[
            "-c",
            &allowed,
            "-c",
            "gpg.format=ssh",
            "verify-commit",
            "main",
        ],
        &repo.bare(),
    );
}

#[tokio::test]
async fn commits_between_two_fetches_do_not_hinder_a_push() {
    let repo = Repo::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let main = Reference::Branch("main".to_owned());
    client.git.fetch(&remote, &main).await.unwrap();
    for number in ["1", "2"] {
        repo.commit(&[("n", number)], "by a person");
        repo.commit(&[("n", &format!("{number}b"))], "by a person");
        client.git.fetch(&remote, &main).await.unwrap();
        let line = if number == "1" { "x: 1" } else { "y: 1" };
        let pushed = client
            .git
            .commit_and_push(&remote, push("main", append(line)))
            .await
            .unwrap();
        assert!(pushed.commit.is_some());
        repo.git(&["fetch", "-q", "../bare", "main"]);
        repo.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    }
}

#[tokio::test]
async fn an_empty_repository_gets_its_first_commit_once() {
    let repo = Repo::empty();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let remote = server.remote(&key);
    let client = Client::new();
    let main = Reference::Branch("main".to_owned());
    let error = client.git.fetch(&remote, &main).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Empty);
    let first = FirstCommit {
        branch: "main".to_owned(),
        author: Author {
            name: "flux".to_owned(),
            email: "flux@example.com".to_owned(),
        },
        signing: None,
        content: CommitContent {
            edits: vec![("clusters/a/x.yaml".to_owned(), Bytes::from("x: 1\n"))],
            message: "first".to_owned(),
        },
    };
    let id = client
        .git
        .commit_first(&remote, first.clone())
        .await
        .unwrap();
    assert_eq!(id, repo.rev("main"));
    assert_eq!(repo.show("main:clusters/a/x.yaml"), "x: 1");
    assert_eq!(client.git.fetch(&remote, &main).await.unwrap().id, id);
    // Nobody's commits are lost when it is not empty any more.
    let mut other = first;
    other.content.message = "again".to_owned();
    let error = client.git.commit_first(&remote, other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(id, repo.rev("main"));
}

//! The conversation of a push with real servers, from mirrors that are as shallow as they get.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use flux_git::keys::{self, Algorithm, KeyPair};
use flux_git::{ErrorKind, GitError, Remote};

use crate::http::{GOOD, remote};
use crate::push::{append, push};
use crate::support::httpd::Httpd;
use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo, run};

/// A repository with a history of 12 commits, one of them a merge.
fn old_repo() -> Repo {
    let repo = Repo::new();
    for number in 0..7 {
        repo.commit(&[("n", &number.to_string())], "more");
    }
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit(&[("side", "1")], "aside");
    repo.git(&["checkout", "-q", "main"]);
    repo.commit(&[("n", "7")], "more");
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    repo.commit(&[("n", "8")], "more");
    assert_eq!(repo.git(&["rev-list", "--count", "main"]), "12");
    repo
}

fn hook(repo: &Repo, name: &str, script: &str) {
    let hook = repo.bare().join("hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

fn allow_options(repo: &Repo) {
    let set = ["config", "receive.advertisePushOptions", "true"];
    run("git", &set, &repo.bare());
}

fn key() -> KeyPair {
    keys::generate(Algorithm::Ed25519).unwrap()
}

/// The repository over ssh, if there is an sshd, and over https.
async fn remotes(repo: &Repo) -> (Vec<Remote>, Httpd, Option<Sshd>) {
    let key = key();
    let web = Httpd::start(repo.bare(), true).await;
    let ca = web.ca.clone().unwrap();
    let mut remotes = vec![remote(&web.url(), &[GOOD, &[("ca.crt", &ca)]].concat())];
    let server = Sshd::start(repo, &[(&key, Access::Write)]);
    remotes.extend(server.iter().map(|server| server.remote(&key)));
    (remotes, web, server)
}

#[tokio::test]
async fn a_fresh_clone_pushes_at_once() {
    let repo = old_repo();
    let (remotes, _web, _sshd) = remotes(&repo).await;
    for (remote, line) in remotes.iter().zip(["x: 1", "y: 1"]) {
        let before = repo.rev("main");
        let client = Client::new();
        let pushed = client
            .git
            .commit_and_push(remote, push("main", append(line)));
        let pushed = pushed.await.unwrap();
        assert_eq!(pushed.commit.as_ref(), Some(&repo.rev("main")));
        assert_eq!(repo.rev("main^"), before);
        assert!(repo.show("main:apps/a.yaml").ends_with(line));
        run("git", &["fsck", "--strict"], &repo.bare());
        // The same on a branch of its own, and once more from what was fetched for that.
        for more in ["z: 1", "z: 2"] {
            let pushed = push("auto", append(more));
            let pushed = client.git.commit_and_push(remote, pushed).await.unwrap();
            assert_eq!(pushed.commit.as_ref(), Some(&repo.rev("auto")));
            assert_eq!(repo.rev("auto^"), repo.rev("main"));
        }
    }
}

#[tokio::test]
async fn push_options_arrive_or_are_refused() {
    let repo = old_repo();
    let (remotes, _web, _sshd) = remotes(&repo).await;
    let go = async |remote: &Remote, line| {
        let mut push = push("main", append(line));
        push.options = vec!["ci.skip".to_owned(), "topic=a b".to_owned()];
        Client::new().git.commit_and_push(remote, push).await
    };
    for remote in &remotes {
        let error = go(remote, "no: 1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        let text = error.to_string();
        assert!(text.contains("does not take push options"), "{text}");
    }
    allow_options(&repo);
    let script = "echo \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1\" > options";
    hook(&repo, "post-receive", script);
    for (remote, line) in remotes.iter().zip(["x: 1", "y: 1"]) {
        go(remote, line).await.unwrap();
        let options = fs::read_to_string(repo.bare().join("options")).unwrap();
        assert_eq!(options, "2 ci.skip topic=a b\n");
        fs::remove_file(repo.bare().join("options")).unwrap();
    }
    let mut push = push("main", append("never: 1"));
    push.options = vec!["a\nb".to_owned()];
    let error = Client::new()
        .git
        .commit_and_push(&remotes[0], push)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

#[tokio::test]
async fn refspecs_do_not_lose_commits_of_others() {
    let repo = old_repo();
    let (remotes, _web, _sshd) = remotes(&repo).await;
    let client = Client::new();
    let go = async |line, spec: &str| {
        let mut push = push("main", append(line));
        push.refspec = Some(spec.to_owned());
        let pushed = client.git.commit_and_push(&remotes[0], push).await;
        pushed.map(|pushed| pushed.commit.unwrap())
    };
    // The branch itself once more.
    go("a: 2", "HEAD:refs/heads/main").await.unwrap();
    let first = go("a: 3", "main:review").await.unwrap();
    assert_eq!(repo.rev("review"), first);
    // Others push to main: review lies in a part of its history that was not fetched.
    repo.git(&["fetch", "-q", "../bare", "main"]);
    repo.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    for number in ["20", "21", "22"] {
        repo.commit(&[("n", number)], "by a person");
    }
    let second = go("a: 4", "main:review").await.unwrap();
    assert_eq!(
        (repo.rev("review"), repo.rev("main")),
        (second.clone(), second)
    );
    // Others push to review.
    repo.git(&["fetch", "-q", "../bare", "review"]);
    repo.git(&["checkout", "-q", "-b", "review", "FETCH_HEAD"]);
    let theirs = repo.commit(&[("theirs", "1")], "by a person");
    let main = repo.rev("main");
    let error = go("a: 5", "main:review").await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, GitError::PushRejected { .. }), "{text}");
    assert!(
        text.contains("push of branch 'review'") && text.contains("begin the refspec with '+'"),
        "{text}"
    );
    assert_eq!((repo.rev("review"), repo.rev("main")), (theirs, main));
    let forced = go("a: 5", "+main:review").await.unwrap();
    assert_eq!(
        (repo.rev("review"), repo.rev("main")),
        (forced.clone(), forced)
    );
    let error = go("a: 6", "main:").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

#[tokio::test]
async fn two_branches_change_together_or_not_at_all() {
    let repo = old_repo();
    let script = "[ \"$1\" != refs/heads/review ] || { echo 'review is closed'; exit 1; }";
    hook(&repo, "update", script);
    let before = repo.rev("main");
    let (remotes, _web, _sshd) = remotes(&repo).await;
    for remote in &remotes {
        let mut push = push("main", append("x: 1"));
        push.refspec = Some("main:review".to_owned());
        let error = Client::new()
            .git
            .commit_and_push(remote, push)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{text}");
        for part in ["hook declined", "(server: review is closed"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(repo.rev("main"), before);
    }
}

#[tokio::test]
async fn hooks_after_the_push_may_finish_whatever_they_say() {
    let repo = old_repo();
    let script = "echo working; sleep 0.5; echo done && echo done > done; exit 1";
    hook(&repo, "post-receive", script);
    let (remotes, _web, _sshd) = remotes(&repo).await;
    for (remote, line) in remotes.iter().zip(["x: 1", "y: 1"]) {
        let push = push("main", append(line));
        Client::new()
            .git
            .commit_and_push(remote, push)
            .await
            .unwrap();
        fs::remove_file(repo.bare().join("done")).unwrap();
    }
}

#[tokio::test]
async fn slow_hooks_and_impatient_callers() {
    let repo = old_repo();
    hook(&repo, "pre-receive", "sleep 3; exit 1");
    let before = repo.rev("main");
    let (remotes, _web, _sshd) = remotes(&repo).await;
    for mut remote in remotes {
        let client = Client::new();
        client
            .git
            .fetch(&remote, &flux_git::Reference::Branch("main".to_owned()))
            .await
            .unwrap();
        remote.timeout = Duration::from_secs(1);
        let pushed = push("main", append("x: 1"));
        let error = client
            .git
            .commit_and_push(&remote, pushed)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        remote.timeout = Duration::from_secs(60);
        let pushed = client
            .git
            .commit_and_push(&remote, push("main", append("x: 1")));
        let dropped = tokio::time::timeout(Duration::from_millis(500), pushed);
        assert!(dropped.await.is_err());
        // The mirror's lock is free as soon as the thread has noticed.
        let main = flux_git::Reference::Branch("main".to_owned());
        let fetch = client.git.fetch(&remote, &main);
        let fetched = tokio::time::timeout(Duration::from_secs(2), fetch).await;
        assert_eq!(fetched.unwrap().unwrap().id, before);
    }
}

#[tokio::test]
async fn http_refusals_of_a_push() {
    let repo = old_repo();
    let server = Httpd::start(repo.bare(), false).await;
    let off = ["config", "http.receivepack", "false"];
    run("git", &off, &repo.bare());
    let pushed = push("main", append("x: 1"));
    let error = Client::new()
        .git
        .commit_and_push(&remote(&server.url(), GOOD), pushed)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Permission, "{text}");
    assert!(
        text.contains("push refused") && text.contains("may read but not write"),
        "{text}"
    );
    let sent: Vec<_> = server.take();
    assert!(
        !sent
            .iter()
            .any(|line| line.starts_with("POST /org/app.git/git-receive-pack")),
        "{sent:?}"
    );
}

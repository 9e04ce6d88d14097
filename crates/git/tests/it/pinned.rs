//! Commits by their id, alone and on a branch.

use flux_git::keys::{self, Algorithm};
use flux_git::{ErrorKind, GitError, Reference, Remote};

use crate::http::{GOOD, remote};
use crate::support::httpd::Httpd;
use crate::support::sshd::{Access, Options, Sshd};
use crate::support::{Client, Repo, run};

/// A repository as forges serve them: whatever is there can be had by its id.
struct Forge {
    repo: Repo,
    root: String,
    /// Three commits before `tip`.
    near: String,
    tip: String,
    /// Only in a pull request.
    stranger: String,
}

impl Forge {
    /// With more commits on `main` than are fetched in the first step.
    fn new() -> Self {
        let repo = Repo::new();
        let allow = ["config", "uploadpack.allowAnySHA1InWant", "true"];
        run("git", &allow, &repo.bare());
        let root = repo.rev("main");
        let many = "for i in $(seq 150); do git commit -q --allow-empty -m $i; done";
        run("sh", &["-c", many], &repo.work());
        let tip = repo.commit(&[("apps/b.yaml", "b: 1\n")], "tip");
        let near = repo.git(&["rev-parse", "HEAD~3"]);
        repo.git(&["checkout", "-q", "-b", "fork"]);
        repo.git(&["commit", "-q", "--allow-empty", "-m", "of a stranger"]);
        repo.git(&["push", "-q", "../bare", "HEAD:refs/pull/7/head"]);
        let stranger = repo.git(&["rev-parse", "HEAD"]);
        repo.git(&["checkout", "-q", "main"]);
        Self {
            repo,
            root,
            near,
            tip,
            stranger,
        }
    }
}

fn pinned(sha: &str, branch: Option<&str>) -> Reference {
    Reference::Commit {
        sha: sha.to_owned(),
        branch: branch.map(str::to_owned),
    }
}

/// How many commits the client's mirror has.
fn commits(client: &Client) -> usize {
    let list = ["cat-file", "--batch-all-objects", "--batch-check"];
    let objects = run("git", &list, &client.mirror());
    objects.lines().filter(|l| l.contains(" commit ")).count()
}

async fn is_refused(client: &Client, remote: &Remote, reference: &Reference) {
    let error = client.git.fetch(remote, reference).await.unwrap_err();
    let Reference::Commit { sha, .. } = reference else {
        panic!("{reference:?}");
    };
    let text = error.to_string();
    assert!(matches!(error, GitError::NotOnBranch { .. }), "{text}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let words = format!("commit '{sha}' is not on branch 'main' of {}", remote.url);
    assert!(text.starts_with(&words), "{text}");
}

#[tokio::test]
async fn a_commit_is_taken_from_its_branch_alone() {
    let forge = Forge::new();
    let key = keys::generate(Algorithm::Ed25519).unwrap();
    let http = Httpd::start(forge.repo.bare(), false).await;
    let mut remotes = vec![remote(&http.url(), GOOD)];
    let mut servers = Vec::new();
    for old_protocol in [false, true] {
        let options = Options {
            old_protocol,
            ..Options::default()
        };
        let keys = [(&key, Access::Read)];
        if let Some(server) = Sshd::start_with(&forge.repo, &keys, &options) {
            remotes.push(server.remote(&key));
            servers.push(server);
        }
    }
    for remote in &remotes {
        for (sha, most) in [(&forge.tip, 1), (&forge.near, 64), (&forge.root, 152)] {
            let client = Client::new();
            let reference = pinned(sha, Some("main"));
            let commit = client.git.fetch(remote, &reference).await.unwrap();
            assert_eq!(commit.revision, format!("main@sha1:{sha}"));
            assert!(commits(&client) <= most, "{sha}: {}", commits(&client));
            // The mirror is shared with those who follow the branch.
            let main = Reference::Branch("main".to_owned());
            let commit = client.git.fetch(remote, &main).await.unwrap();
            assert_eq!(commit.id, forge.tip);
        }
        let client = Client::new();
        is_refused(&client, remote, &pinned(&forge.stranger, Some("main"))).await;
        // Without the branch it is what was asked for, and does not become part of it thereby.
        let alone = pinned(&forge.stranger, None);
        let commit = client.git.fetch(remote, &alone).await.unwrap();
        assert_eq!(commit.subject, "of a stranger");
        let guarded = pinned(&forge.stranger, Some("main"));
        is_refused(&client, remote, &guarded).await;
        let revision = format!("main@sha1:{}", forge.stranger);
        let loaded = client.git.load(remote, &guarded, &revision).await.unwrap();
        assert_eq!(loaded, None);
    }
}

#[tokio::test]
async fn what_is_known_of_a_branch_is_not_asked_again() {
    let forge = Forge::new();
    let server = Httpd::start(forge.repo.bare(), false).await;
    let (remote, client) = (remote(&server.url(), GOOD), Client::new());
    let stranger = pinned(&forge.stranger, Some("main"));
    is_refused(&client, &remote, &stranger).await;
    server.take();
    is_refused(&client, &remote, &stranger).await;
    let asked = server.take();
    assert_eq!(asked.len(), 1, "the listing only: {asked:?}");
    // Once it is merged it is good.
    forge.repo.git(&["merge", "-q", "fork"]);
    let merged = forge.repo.commit(&[("apps/c.yaml", "c: 1\n")], "later");
    let commit = client.git.fetch(&remote, &stranger).await.unwrap();
    assert_eq!(commit.id, forge.stranger);
    assert_ne!(commit.id, merged);

    // It stays so when the branch is rewritten, but nobody else gets it any more.
    forge.repo.git(&["reset", "-q", "--hard", &forge.tip]);
    forge.repo.git(&["push", "-q", "-f", "../bare", "HEAD"]);
    server.take();
    for _ in 0..2 {
        client.git.resolve(&remote, &stranger).await.unwrap();
        client.git.fetch(&remote, &stranger).await.unwrap();
    }
    let loaded = client.git.load(&remote, &stranger, &commit.revision).await;
    assert_eq!(loaded.unwrap(), Some(commit));
    assert_eq!(server.take(), [""; 0]);
    is_refused(&Client::new(), &remote, &stranger).await;
}

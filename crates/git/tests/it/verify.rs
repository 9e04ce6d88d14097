//! Signatures that git itself makes, and those that it would not.

use std::fs;

use flux_git::keys::{self, Algorithm};
use flux_git::{Auth, GitError, Reference, Remote, TrustedKeys, VerifyError, VerifyMode};

use crate::http::{GOOD, remote};
use crate::support::httpd::Httpd;
use crate::support::{Client, Repo, TIMEOUT, run, secret};

/// A repository whose commits and tags are signed with a new key; its public key.
fn signing() -> (Repo, String) {
    let repo = Repo::new();
    let file = repo.work().join("../signing");
    let file = file.to_str().unwrap();
    let make = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file];
    run("ssh-keygen", &make, &repo.work());
    repo.git(&["config", "gpg.format", "ssh"]);
    repo.git(&["config", "user.signingkey", file]);
    let public = fs::read_to_string(format!("{file}.pub")).unwrap();
    (repo, public)
}

fn trusted(keys: &[&str]) -> TrustedKeys {
    TrustedKeys::from_secret(&secret(&[("authors.sshpub", &keys.join("\n"))])).unwrap()
}

#[tokio::test]
async fn signed_commits_and_tags_are_verified() {
    let (repo, public) = signing();
    repo.git(&["commit", "-q", "--allow-empty", "-S", "-m", "signed"]);
    repo.git(&["tag", "-s", "1.0.0", "-m", "signed"]);
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "-a", "plain", "-m", "not signed"]);
    repo.git(&["push", "-q", "../bare", "HEAD", "--tags"]);
    let id = repo.git(&["rev-parse", "HEAD"]);
    let server = Httpd::start(repo.bare(), false).await;
    let (remote, client) = (remote(&server.url(), GOOD), Client::new());
    let keys = trusted(&["# authors", &public]);
    let branch = Reference::Branch("main".into());
    let tag = |name: &str| Reference::Tag(name.to_owned());
    let check = async |reference: &Reference, mode, keys: &TrustedKeys| {
        let commit = client.git.fetch(&remote, reference).await.unwrap();
        client.git.verify(&remote, &commit, mode, keys).await
    };

    let said = check(&branch, VerifyMode::Head, &keys).await.unwrap();
    assert!(
        said.contains(&format!("commit '{id}' with key 'SHA256:")),
        "{said}"
    );
    let said = check(&tag("1.0.0"), VerifyMode::TagAndHead, &keys)
        .await
        .unwrap();
    assert!(said.contains("tag '1.0.0@") && said.contains(&id), "{said}");
    let semver = Reference::Semver(">=1.0.0".into());
    let name = Reference::Name("refs/tags/1.0.0".into());
    let peeled = Reference::Name("refs/tags/1.0.0^{}".into());
    for reference in [&semver, &name, &peeled] {
        assert!(reference.is_tag() && !branch.is_tag());
        check(reference, VerifyMode::Tag, &keys).await.unwrap();
    }

    let other = keys::generate(Algorithm::Ed25519).unwrap();
    let stranger = trusted(&[&other.public_openssh]);
    for (reference, mode, keys, part) in [
        (
            &branch,
            VerifyMode::Head,
            &stranger,
            "which is not in the Secret",
        ),
        (&branch, VerifyMode::Tag, &keys, "does not name a tag"),
        (&tag("light"), VerifyMode::Tag, &keys, "lightweight"),
        (&tag("plain"), VerifyMode::Tag, &keys, "is not signed"),
    ] {
        let error = check(reference, mode, keys).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        // Nothing to verify is another thing than a signature that is not good.
        let no_tag = matches!(error, VerifyError::NoTag { .. });
        assert_eq!(no_tag, mode == VerifyMode::Tag, "{error}");
    }

    // The same signature over another text.
    let raw = repo
        .git(&["cat-file", "commit", "HEAD"])
        .replace("\nsigned", "\nforged");
    fs::write(repo.work().join("../forged"), format!("{raw}\n")).unwrap();
    let forged = repo.git(&["hash-object", "-t", "commit", "-w", "../forged"]);
    repo.git(&[
        "push",
        "-q",
        "-f",
        "../bare",
        &format!("{forged}:refs/heads/main"),
    ]);
    let error = check(&branch, VerifyMode::Head, &keys).await.unwrap_err();
    assert!(matches!(error, VerifyError::Commit { .. }), "{error}");
    assert!(
        error.to_string().contains("does not fit its content"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tag_made_anew_for_the_same_commit_is_another() {
    let (repo, public) = signing();
    repo.git(&["commit", "-q", "--allow-empty", "-m", "tagged"]);
    let push = ["push", "-q", "-f", "../bare", "HEAD", "--tags"];
    let server = Httpd::start(repo.bare(), false).await;
    let (remote, keys) = (remote(&server.url(), GOOD), trusted(&[&public]));
    for reference in [
        Reference::Tag("1.0.0".into()),
        Reference::Semver("*".into()),
        Reference::Name("refs/tags/1.0.0".into()),
    ] {
        let git = &Client::new().git;
        let is_good = async |commit| {
            let said = git.verify(&remote, commit, VerifyMode::Tag, &keys).await;
            said.is_ok()
        };
        repo.git(&["tag", "-f", "-s", "1.0.0", "-m", "signed"]);
        repo.git(&push);
        let before = git.fetch(&remote, &reference).await.unwrap();
        assert!(is_good(&before).await);
        assert_eq!(before.object, repo.rev("1.0.0"));
        let head = git.resolve(&remote, &reference).await.unwrap();
        assert_eq!((&head.id, &head.object), (&before.id, &before.object));

        repo.git(&["tag", "-f", "-a", "1.0.0", "-m", "not signed"]);
        repo.git(&push);
        let head = git.resolve(&remote, &reference).await.unwrap();
        assert_eq!(head.revision, before.revision);
        assert_ne!(head.object, before.object);
        let after = git.fetch(&remote, &reference).await.unwrap();
        assert_eq!((&after.id, &after.object), (&before.id, &head.object));
        assert!(!is_good(&after).await);
        let loaded = git.load(&remote, &reference, &after.revision).await;
        assert_eq!(loaded.unwrap(), Some(after));
    }
}

#[tokio::test]
async fn what_is_not_in_the_mirror_is_not_called_unsigned() {
    let (repo, public) = signing();
    repo.git(&["commit", "-q", "--allow-empty", "-S", "-m", "signed"]);
    repo.git(&["push", "-q", "../bare", "HEAD"]);
    let server = Httpd::start(repo.bare(), false).await;
    let (remote, keys) = (remote(&server.url(), GOOD), trusted(&[&public]));
    let branch = Reference::Branch("main".into());
    let (here, there) = (Client::new(), Client::new());
    let old = there.git.fetch(&remote, &branch).await.unwrap();
    // No mirror at all, then one without the commit.
    for number in 0..2 {
        let checked = here.git.verify(&remote, &old, VerifyMode::Head, &keys);
        let error = checked.await.unwrap_err();
        let damaged = matches!(error, VerifyError::Git(GitError::Damaged { .. }));
        assert!(damaged, "{number}: {error}");
        repo.git(&["checkout", "-q", "--orphan", &format!("o{number}")]);
        repo.git(&["commit", "-q", "--allow-empty", "-m", "other"]);
        repo.git(&["push", "-q", "-f", "../bare", "HEAD:main"]);
        here.git.fetch(&remote, &branch).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_is_loaded_from_the_mirror_without_the_server() {
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), false).await;
    let (remote, client) = (remote(&server.url(), GOOD), Client::new());
    let branch = Reference::Branch("main".into());
    let revision = format!("main@sha1:{}", repo.rev("main"));
    let load = async |revision: &str| client.git.load(&remote, &branch, revision).await;
    assert_eq!(load(&revision).await.unwrap(), None);
    let commit = client.git.fetch(&remote, &branch).await.unwrap();
    server.take();
    assert_eq!(load(&revision).await.unwrap(), Some(commit));
    assert!(load("other@sha1:1").await.is_err());
    let unknown = format!("main@sha1:{}", "1".repeat(40));
    assert_eq!(load(&unknown).await.unwrap(), None);
    assert!(server.take().is_empty(), "nobody was asked");

    // Without the credentials, by the name of the mirror.
    let mut known = Remote::new(remote.url.clone(), Auth::none(&remote.url), TIMEOUT);
    let load = async |remote: &Remote| client.git.load(remote, &branch, &revision).await;
    assert_eq!(load(&known).await.unwrap(), None);
    known.mirror = Some(client.git.mirror_name(&remote));
    assert_eq!(
        load(&known).await.unwrap().map(|it| it.revision),
        Some(revision.clone())
    );
}

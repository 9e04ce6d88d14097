//! Fetching over ssh: keys, host keys, and what goes wrong.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use flux_git::keys::{self, Algorithm, Curve};
use flux_git::{Auth, ErrorKind, Filter, GitError, GitUrl, Reference, Remote, hostkey};

use crate::support::sshd::{Access, Options, Sshd};
use crate::support::{Client, Repo, TIMEOUT, run, secret, ssh_remote};

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

fn ed25519() -> keys::KeyPair {
    keys::generate(Algorithm::Ed25519).unwrap()
}

#[tokio::test]
async fn each_key_type_clones_and_fetches_what_is_new() {
    let rsa = {
        // Made by the system: much faster than by an unoptimised build.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        run(
            "ssh-keygen",
            &[
                "-q",
                "-t",
                "rsa",
                "-b",
                "2048",
                "-N",
                "",
                "-f",
                file.to_str().unwrap(),
            ],
            dir.path(),
        );
        keys::from_pem(&fs::read_to_string(file).unwrap(), None).unwrap()
    };
    let ecdsa = |curve| keys::generate(Algorithm::Ecdsa { curve }).unwrap();
    let pairs = [
        ed25519(),
        ecdsa(Curve::P256),
        ecdsa(Curve::P384),
        ecdsa(Curve::P521),
        rsa,
    ];
    let repo = Repo::new();
    let allowed: Vec<_> = pairs.iter().map(|pair| (pair, Access::Read)).collect();
    let Some(server) = Sshd::start(&repo, &allowed) else {
        return;
    };
    for pair in &pairs {
        let client = Client::new();
        let remote = server.remote(pair);
        let first = client.git.fetch(&remote, &main_branch()).await.unwrap();
        assert_eq!(first.id, repo.rev("main"));
        assert_eq!(first.revision, format!("main@sha1:{}", first.id));
        let text = format!("a: {}\n", pair.fingerprint);
        let id = repo.commit(&[("apps/a.yaml", &text)], "next");
        assert_eq!(
            client
                .git
                .resolve(&remote, &main_branch())
                .await
                .unwrap()
                .id,
            id
        );
        let second = client.git.fetch(&remote, &main_branch()).await.unwrap();
        assert_eq!(
            (second.id.as_str(), second.subject.as_str()),
            (id.as_str(), "next")
        );
        let files = client
            .git
            .files(&remote, &id, &Filter::default(), None)
            .await
            .unwrap();
        assert_eq!(files["apps/a.yaml"], text.as_bytes());
    }
}

#[tokio::test]
async fn mirrors_are_shallow_and_shared() {
    let repo = Repo::new();
    for number in 0..5 {
        repo.commit(&[("n", &number.to_string())], "more");
    }
    let key = ed25519();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let client = Client::new();
    let remote = server.remote(&key);
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    let mirror = client.mirror();
    let count = || run("git", &["rev-list", "--all", "--count"], &mirror);
    assert_eq!(count(), "1");
    repo.commit(&[("n", "new")], "more");
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    run("git", &["fsck", "--connectivity-only"], &mirror);
    // A longer timeout or another clone of `Git` is still the same mirror.
    let again = Remote {
        timeout: TIMEOUT * 2,
        ..remote
    };
    client
        .git
        .clone()
        .fetch(&again, &main_branch())
        .await
        .unwrap();
    assert_eq!(client.mirror(), mirror);
    let name = client.git.mirror_name(&again);
    client.git.retain(&HashSet::from([name])).await.unwrap();
    assert!(mirror.exists());
    client.git.retain(&HashSet::new()).await.unwrap();
    assert!(!mirror.exists());
}

#[tokio::test]
async fn one_line_of_known_hosts_is_enough_whatever_its_type() {
    let repo = Repo::new();
    let key = ed25519();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let remote = ssh_remote(&server.url(), &key, &server.known_host(kind));
        Client::new()
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn hosts_that_are_not_known() {
    let repo = Repo::new();
    let key = ed25519();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let port = server.port;
    let offered = hostkey::scan("127.0.0.1", port, TIMEOUT).await.unwrap();
    let types: Vec<_> = offered
        .iter()
        .map(|k| k.line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(types, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
    assert_eq!(offered[0].line, server.known_host("ed25519").trim());

    let resolve = async |known_hosts: &str| {
        let remote = ssh_remote(&server.url(), &key, known_hosts);
        Client::new()
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap_err()
    };
    let unknown = resolve("").await;
    assert_eq!(unknown.reason(), "AuthenticationFailed");
    let text = unknown.to_string();
    for part in [
        format!("host key of [127.0.0.1]:{port} cannot be verified"),
        format!("ssh-ed25519 key {}", offered[0].fingerprint),
        format!("`ssh-keyscan -p {port} 127.0.0.1`"),
    ] {
        assert!(text.contains(&part), "{text}");
    }
    let other = ed25519().public_openssh;
    let changed = resolve(&format!("[127.0.0.1]:{port} {other}"))
        .await
        .to_string();
    assert!(changed.contains("does not match known_hosts"), "{changed}");
    assert!(changed.contains(&offered[0].fingerprint), "{changed}");
    let line = server.known_host("ed25519");
    let revoked = resolve(&format!(
        "{line}@revoked * {}",
        line.split_once(' ').unwrap().1
    ))
    .await;
    assert!(
        matches!(revoked, GitError::HostKeyRevoked { line: 2, .. }),
        "{revoked}"
    );
}

#[tokio::test]
async fn a_type_that_the_server_does_not_have() {
    let repo = Repo::new();
    let key = ed25519();
    let options = Options {
        host_keys: vec!["ecdsa"],
        ..Options::default()
    };
    let Some(server) = Sshd::start_with(&repo, &[(&key, Access::Read)], &options) else {
        return;
    };
    let line = format!("[127.0.0.1]:{} {}", server.port, ed25519().public_openssh);
    let remote = ssh_remote(&server.url(), &key, &line);
    let error = Client::new()
        .git
        .resolve(&remote, &main_branch())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("known_hosts has ssh-ed25519, the server offers ecdsa-sha2-nistp256"),
        "{error}"
    );
}

#[tokio::test]
async fn certificate_authorities() {
    let repo = Repo::new();
    let key = ed25519();
    for (names, good) in [("127.0.0.1", true), ("elsewhere", false)] {
        let config: fn(&std::path::Path) -> String = if good {
            |dir| certificate(dir, "127.0.0.1")
        } else {
            |dir| certificate(dir, "elsewhere")
        };
        let options = Options {
            config: Some(config),
            ..Options::default()
        };
        let keys = [(&key, Access::Read)];
        let Some(server) = Sshd::start_with(&repo, &keys, &options) else {
            return;
        };
        let authority = fs::read_to_string(server.dir().join("ca.pub")).unwrap();
        let line = format!("@cert-authority [127.0.0.1]:* {authority}");
        let remote = ssh_remote(&server.url(), &key, &line);
        let result = Client::new().git.resolve(&remote, &main_branch()).await;
        match result {
            Ok(_) => assert!(good, "{names}"),
            Err(error) => {
                assert!(
                    !good && error.to_string().contains("it is for elsewhere"),
                    "{error}"
                );
            }
        }
    }
}

fn certificate(dir: &std::path::Path, names: &str) -> String {
    run(
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "ca"],
        dir,
    );
    run(
        "ssh-keygen",
        &[
            "-q",
            "-s",
            "ca",
            "-I",
            "h",
            "-h",
            "-n",
            names,
            "host_ed25519.pub",
        ],
        dir,
    );
    format!(
        "HostCertificate {}\n",
        dir.join("host_ed25519-cert.pub").display()
    )
}

#[tokio::test]
async fn keys_and_repositories_that_do_not_fit() {
    let repo = Repo::new();
    let key = ed25519();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let stranger = ed25519();
    let client = Client::new();
    let remote = server.remote(&stranger);
    for error in [
        client
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap_err(),
        client.git.fetch(&remote, &main_branch()).await.unwrap_err(),
    ] {
        assert_eq!(error.reason(), "AuthenticationFailed");
        let text = error.to_string();
        assert!(
            text.contains(&stranger.fingerprint) && text.contains("deploy keys of org/app"),
            "{text}"
        );
    }
    let url = server.url().replace("app.git", "other.git");
    let remote = ssh_remote(&url, &key, &server.known_host("ed25519"));
    for error in [
        client
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap_err(),
        client.git.fetch(&remote, &main_branch()).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, GitError::RepositoryNotFound { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(&key.fingerprint), "{error}");
    }
}

#[tokio::test]
async fn servers_that_are_not_there() {
    let key = ed25519();
    let client = Client::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let remote = ssh_remote(&format!("ssh://git@127.0.0.1:{closed}/r"), &key, "");
    let error = client
        .git
        .resolve(&remote, &main_branch())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to 127.0.0.1:{closed}: connection refused")
    );

    let remote = ssh_remote("ssh://git@host.invalid/r", &key, "");
    let error = client.git.fetch(&remote, &main_branch()).await.unwrap_err();
    assert!(matches!(error, GitError::Dns { .. }), "{error}");

    // Accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut remote = ssh_remote(&format!("ssh://git@127.0.0.1:{port}/r"), &key, "");
    remote.timeout = Duration::from_millis(300);
    for _ in 0..2 {
        let start = Instant::now();
        let error = client.git.fetch(&remote, &main_branch()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(
            error
                .to_string()
                .contains(&format!("127.0.0.1:{port} did not")),
            "{error}"
        );
    }

    let url = GitUrl::parse("ssh://git@127.0.0.1/r").unwrap();
    let remote = Remote::new(url.clone(), Auth::none(&url), TIMEOUT);
    let error = client
        .git
        .resolve(&remote, &main_branch())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("spec.secretRef"), "{error}");
    assert!(Auth::from_secret(&url, &secret(&[("identity", "x"), ("known_hosts", "x")])).is_err());
}

#[tokio::test]
async fn a_dropped_call_ends_and_the_mirror_stays_usable() {
    let repo = Repo::new();
    let key = ed25519();
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let client = Client::new();
    let remote = server.remote(&key);
    for millis in [1, 5, 20] {
        let main = main_branch();
        let fetch = client.git.fetch(&remote, &main);
        tokio::time::timeout(Duration::from_millis(millis), fetch)
            .await
            .ok();
    }
    client.git.fetch(&remote, &main_branch()).await.unwrap();
}

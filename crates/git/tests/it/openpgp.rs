//! OpenPGP signatures that git has made with gpg, and keys in every state.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flux_git::{Reference, Remote, TrustedKeys, VerifyError, VerifyMode};
use tempfile::TempDir;

use crate::http::{GOOD, remote};
use crate::support::httpd::Httpd;
use crate::support::{Client, Repo, run, secret};

/// A key ring of its own, which git signs with.
struct Gpg {
    home: TempDir,
}

impl Gpg {
    /// None, with a word, where gpg is missing.
    fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            eprintln!("skipped: gpg is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let gpg = Self { home };
        gpg.at("");
        Some(gpg)
    }

    fn program(&self) -> PathBuf {
        self.home.path().join("gpg.sh")
    }

    /// Pretends to git that it is this time; empty for the real one.
    fn at(&self, time: &str) {
        match time {
            "" => self.options(""),
            time => self.options(&format!("--faked-system-time {time}!")),
        }
    }

    /// Has git call it with these options.
    fn options(&self, options: &str) {
        let home = self.home.path().display();
        let script =
            format!("#!/bin/sh\nexec gpg --homedir {home} --batch --no-tty {options} \"$@\"\n");
        fs::write(self.program(), script).unwrap();
        fs::set_permissions(self.program(), fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        run(self.program().to_str().unwrap(), args, self.home.path())
    }

    /// Makes a key and returns its fingerprint.
    fn key(&self, name: &str, algorithm: &str, usage: &str, lasts: &str) -> String {
        let user = format!("{name} <{name}@example.com>");
        let make = [
            "--passphrase",
            "",
            "--quick-gen-key",
            &user,
            algorithm,
            usage,
            lasts,
        ];
        self.run(&make);
        let list = self.run(&["--with-colons", "--list-keys", name]);
        let line = list.lines().find(|line| line.starts_with("fpr")).unwrap();
        line.trim_matches(':')
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned()
    }

    fn export(&self, key: &str) -> String {
        self.run(&["--armor", "--export", key])
    }

    /// Publishes the revocation that gpg writes for every new key.
    fn revoke(&self, key: &str) {
        let file = self.home.path().join(format!("openpgp-revocs.d/{key}.rev"));
        let text = fs::read_to_string(&file)
            .unwrap()
            .replace(":-----BEGIN", "-----BEGIN");
        fs::write(&file, text).unwrap();
        self.run(&["--import", file.to_str().unwrap()]);
    }

    /// Has a repository signed with a key.
    fn sign(&self, repo: &Repo, key: &str) {
        repo.git(&["config", "gpg.program", self.program().to_str().unwrap()]);
        repo.git(&["config", "user.signingkey", key]);
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let home = self.home.path();
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(home)
            .args(["--kill", "all"])
            .status();
    }
}

fn trusted(entries: &[(&str, &str)]) -> TrustedKeys {
    TrustedKeys::from_secret(&secret(entries)).unwrap()
}

struct Scene {
    repo: Repo,
    client: Client,
    remote: Remote,
    _server: Httpd,
}

impl Scene {
    async fn new(repo: Repo) -> Self {
        let server = Httpd::start(repo.bare(), false).await;
        let remote = remote(&server.url(), GOOD);
        Self {
            repo,
            client: Client::new(),
            remote,
            _server: server,
        }
    }

    async fn check(
        &self,
        reference: &Reference,
        mode: VerifyMode,
        keys: &TrustedKeys,
    ) -> Result<String, VerifyError> {
        let commit = self
            .client
            .git
            .fetch(&self.remote, reference)
            .await
            .unwrap();
        self.client
            .git
            .verify(&self.remote, &commit, mode, keys)
            .await
    }

    /// The answer for a new commit on the branch.
    async fn commit(&self, keys: &TrustedKeys) -> Result<String, String> {
        self.repo
            .git(&["commit", "-q", "--allow-empty", "-S", "-m", "signed"]);
        self.repo.git(&["push", "-q", "-f", "../bare", "HEAD"]);
        self.head(keys).await
    }

    async fn head(&self, keys: &TrustedKeys) -> Result<String, String> {
        let branch = Reference::Branch("main".into());
        let answer = self.check(&branch, VerifyMode::Head, keys).await;
        answer.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn commits_and_tags_of_gpg_are_verified() {
    let Some(gpg) = Gpg::new() else { return };
    let author = gpg.key("author", "ed25519", "sign", "never");
    let stranger = gpg.key("stranger", "rsa2048", "sign", "never");
    let repo = Repo::new();
    gpg.sign(&repo, &author);
    repo.git(&["commit", "-q", "--allow-empty", "-S", "-m", "signed"]);
    repo.git(&["tag", "-s", "1.0.0", "-m", "signed"]);
    repo.git(&["tag", "-a", "plain", "-m", "not signed"]);
    gpg.sign(&repo, &stranger);
    repo.git(&["tag", "-s", "2.0.0", "-m", "signed"]);
    repo.git(&["push", "-q", "../bare", "HEAD", "--tags"]);
    let id = repo.git(&["rev-parse", "HEAD"]);
    let scene = Scene::new(repo).await;
    let tag = |name: &str| Reference::Tag(name.to_owned());
    let branch = Reference::Branch("main".into());

    let (one, other) = (gpg.export(&author), gpg.export(&stranger));
    let keys = trusted(&[("author.asc", &one)]);
    let said = scene.check(&branch, VerifyMode::Head, &keys).await.unwrap();
    let name = &author[author.len() - 16..];
    assert!(
        said.contains(&format!("commit '{id}' with key '{name}'")),
        "{said}"
    );
    let said = scene
        .check(&tag("1.0.0"), VerifyMode::TagAndHead, &keys)
        .await
        .unwrap();
    assert!(said.contains("tag '1.0.0@") && said.contains(&id), "{said}");

    // Several keys: in entries of their own, one after the other in one, or in one binary ring.
    let both = format!("{one}\n{other}\n");
    let ring = gpg.home.path().join("ring");
    gpg.run(&["--output", ring.to_str().unwrap(), "--export"]);
    let ring = std::collections::BTreeMap::from([("ring".to_owned(), fs::read(ring).unwrap())]);
    for keys in [
        trusted(&[("a.asc", &other), ("b", &one)]),
        trusted(&[("both.asc", &both)]),
        TrustedKeys::from_secret(&ring).unwrap(),
    ] {
        scene
            .check(&tag("2.0.0"), VerifyMode::TagAndHead, &keys)
            .await
            .unwrap();
    }

    for (reference, mode, entry, part) in [
        (
            &tag("2.0.0"),
            VerifyMode::Tag,
            &one,
            "which is not in the Secret",
        ),
        (
            &branch,
            VerifyMode::Head,
            &other,
            "which is not in the Secret",
        ),
        (
            &tag("2.0.0"),
            VerifyMode::TagAndHead,
            &other,
            "verification of commit",
        ),
        (&tag("plain"), VerifyMode::Tag, &one, "is not signed"),
        (&branch, VerifyMode::Tag, &one, "does not name a tag"),
    ] {
        let keys = trusted(&[("key.asc", entry)]);
        let error = scene
            .check(reference, mode, &keys)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }

    forge(&scene.repo);
    let error = scene.head(&keys).await.unwrap_err();
    assert!(error.contains("does not fit its content"), "{error}");
}

/// Pushes the last commit with another text under the same signature.
fn forge(repo: &Repo) {
    let raw = repo
        .git(&["cat-file", "commit", "HEAD"])
        .replace("\nsigned", "\nforged");
    let file: &Path = &repo.work().join("../forged");
    fs::write(file, format!("{raw}\n")).unwrap();
    let forged = repo.git(&["hash-object", "-t", "commit", "-w", "../forged"]);
    repo.git(&[
        "push",
        "-q",
        "-f",
        "../bare",
        &format!("{forged}:refs/heads/main"),
    ]);
}

#[tokio::test]
async fn keys_that_have_expired_or_are_revoked_verify_nothing() {
    let Some(gpg) = Gpg::new() else { return };
    let scene = Scene::new(Repo::new()).await;

    gpg.at("20200101T000000");
    let old = gpg.key("old", "ed25519", "sign", "2d");
    gpg.sign(&scene.repo, &old);
    let before = gpg.export(&old);
    let error = scene
        .commit(&trusted(&[("key.asc", &before)]))
        .await
        .unwrap_err();
    assert!(
        error.contains("which expired") && error.contains("gpg --quick-set-expire"),
        "{error}"
    );
    gpg.at("20200201T000000");
    gpg.run(&["--quick-set-expire", &old, "0"]);
    let extended = gpg.export(&old);
    gpg.at("");
    // The copy from before does no harm next to the extended one.
    let keys = trusted(&[("a.asc", &extended), ("b.asc", &before)]);
    scene.head(&keys).await.unwrap();

    gpg.revoke(&old);
    let revoked = gpg.export(&old);
    for keys in [
        trusted(&[("a.asc", &revoked)]),
        trusted(&[("a.asc", &revoked), ("b.asc", &extended)]),
        trusted(&[("a.asc", &extended), ("b.asc", &revoked)]),
    ] {
        let error = scene.head(&keys).await.unwrap_err();
        assert!(error.contains("is revoked"), "{error}");
    }
}

#[tokio::test]
async fn subkeys_sign_for_their_key() {
    let Some(gpg) = Gpg::new() else { return };
    let scene = Scene::new(Repo::new()).await;
    let key = gpg.key("author", "ed25519", "cert", "never");
    gpg.run(&[
        "--passphrase",
        "",
        "--quick-add-key",
        &key,
        "ed25519",
        "sign",
        "1y",
    ]);
    gpg.sign(&scene.repo, &key);
    let keys = trusted(&[("key.asc", &gpg.export(&key))]);
    let said = scene.commit(&keys).await.unwrap();
    assert!(
        said.contains(&key[key.len() - 16..]),
        "the primary key is named: {said}"
    );

    let list = gpg.run(&["--with-colons", "--list-keys", &key]);
    let subkey = list.lines().rfind(|line| line.starts_with("fpr")).unwrap();
    let subkey = subkey.trim_matches(':').rsplit(':').next().unwrap();
    gpg.run(&["--quick-set-expire", &key, "seconds=1", subkey]);
    let list = || gpg.run(&["--with-colons", "--list-keys", &key]);
    while !list().lines().any(|line| line.starts_with("sub:e:")) {
        std::thread::yield_now();
    }
    let error = scene
        .head(&trusted(&[("key.asc", &gpg.export(&key))]))
        .await
        .unwrap_err();
    assert!(error.contains("which expired"), "{error}");
}

/// A collision of SHA-1 can be bought: whoever gets one of two texts signed has signed the other.
#[tokio::test]
async fn signatures_over_sha_1_verify_nothing() {
    let Some(gpg) = Gpg::new() else { return };
    let scene = Scene::new(Repo::new()).await;
    let key = gpg.key("old", "rsa2048", "sign", "never");
    gpg.sign(&scene.repo, &key);
    let keys = trusted(&[("key.asc", &gpg.export(&key))]);
    gpg.options("--digest-algo SHA1");
    let error = scene.commit(&keys).await.unwrap_err();
    assert!(error.contains("SHA1, which can be forged"), "{error}");
    assert!(error.contains("personal-digest-preferences"), "{error}");
    gpg.options("--digest-algo SHA256");
    scene.commit(&keys).await.unwrap();
}

//! Repositories, keys and servers for the tests.

pub(crate) mod httpd;
pub(crate) mod proxy;
pub(crate) mod relay;
pub(crate) mod sshd;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flux_git::keys::KeyPair;
use flux_git::{Auth, Git, GitUrl, Remote};
use tempfile::TempDir;

/// A time limit that only a hanging test reaches.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a program, quietly; panics with its output when it fails.
pub(crate) fn run(program: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "t")
        .env("GIT_AUTHOR_EMAIL", "t@example.com")
        .env("GIT_COMMITTER_NAME", "t")
        .env("GIT_COMMITTER_EMAIL", "t@example.com")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{program} {args:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A bare repository on a server, and a work tree to fill it from.
pub(crate) struct Repo {
    dir: TempDir,
}

impl Repo {
    /// An empty repository whose default branch is `main`.
    pub(crate) fn empty() -> Self {
        Self::with_names("sha1")
    }

    /// An empty repository whose objects have names of this format.
    pub(crate) fn with_names(format: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let format = format!("--object-format={format}");
        let init = ["init", "-q", &format, "-b", "main"];
        run(
            "git",
            &[&init[..], &["--bare", "bare"]].concat(),
            dir.path(),
        );
        run("git", &[&init[..], &["work"]].concat(), dir.path());
        run(
            "git",
            &["config", "http.receivepack", "true"],
            &dir.path().join("bare"),
        );
        Self { dir }
    }

    /// With one commit of `apps/a.yaml` on `main`.
    pub(crate) fn new() -> Self {
        let repo = Self::empty();
        repo.commit(&[("apps/a.yaml", "a: 1\n")], "first");
        repo
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.dir.path().join("bare")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        run("git", args, &self.work())
    }

    /// As if it were this time.
    pub(crate) fn git_at(&self, time: &str, args: &[&str]) -> String {
        let time = format!("GIT_COMMITTER_DATE={time}");
        run("env", &[&[&time, "git"], args].concat(), &self.work())
    }

    /// Commits files and pushes the current branch. Returns the id.
    pub(crate) fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["push", "-q", "../bare", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What a ref of the server's repository is.
    pub(crate) fn rev(&self, name: &str) -> String {
        run("git", &["rev-parse", name], &self.bare())
    }

    /// A file of the server's repository.
    pub(crate) fn show(&self, name: &str) -> String {
        run("git", &["show", name], &self.bare())
    }
}

/// A [`Git`] with its cache.
pub(crate) struct Client {
    pub(crate) git: Git,
    pub(crate) cache: TempDir,
}

impl Client {
    pub(crate) fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let git = Git::new(cache.path().join("mirrors")).unwrap();
        Self { git, cache }
    }

    /// The only mirror.
    pub(crate) fn mirror(&self) -> PathBuf {
        let dir = self.cache.path().join("mirrors");
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.is_dir())
            .unwrap()
    }
}

/// A Secret's data.
pub(crate) fn secret(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
        .collect()
}

/// A remote with an ssh Secret.
pub(crate) fn ssh_remote(url: &str, key: &KeyPair, known_hosts: &str) -> Remote {
    let url = GitUrl::parse(url).unwrap();
    let data = secret(&[("identity", &key.private_pem), ("known_hosts", known_hosts)]);
    let auth = Auth::from_secret(&url, &data).unwrap();
    Remote::new(url, auth, TIMEOUT)
}

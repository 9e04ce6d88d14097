//! `bootstrap git` of a person whose key is with an SSH agent, and who signs with OpenPGP: tried
//! first, then carried out.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    bootstrap::{assert_lines, with_deploy_key, with_operator},
    scene::{REGISTRY, Scene},
};

const REPOSITORY: &str = "bootstrapped/signed";
const PASS_PHRASE: &str = "c0rrect-h0rse";

/// Key rings of a person, and an agent with their SSH key.
struct Person {
    home: tempfile::TempDir,
    agent: Child,
}

impl Person {
    /// None, with a word, where a program is missing.
    fn new(ssh_key: &Path) -> Option<Self> {
        for program in ["gpg", "ssh-agent"] {
            let mut found = Command::new("sh");
            found.args(["-c", &format!("command -v {program}")]);
            if !found.stdout(Stdio::null()).status().unwrap().success() {
                eprintln!("skipped: {program} is not installed");
                return None;
            }
        }
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let socket = home.path().join("agent");
        let mut agent = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says where it listens once it does.
        let mut said = BufReader::new(agent.stdout.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(ssh_key)
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
        Some(Self { home, agent })
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("agent")
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let output = Command::new("gpg")
            .args([
                "--batch",
                "--no-tty",
                "--pinentry-mode=loopback",
                "--homedir",
            ])
            .arg(self.home.path())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output.stdout
    }

    /// Makes a key, and gives its fingerprint.
    fn key(&self, name: &str, pass_phrase: &str) -> String {
        let pass_phrase = format!("--passphrase={pass_phrase}");
        self.gpg(&[
            &pass_phrase,
            "--quick-gen-key",
            name,
            "ed25519",
            "sign",
            "never",
        ]);
        let list = self.gpg(&["--with-colons", "--list-keys", name]);
        let list = String::from_utf8(list).unwrap();
        let line = list.lines().find(|line| line.starts_with("fpr")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// A file with all private keys.
    fn ring(&self) -> PathBuf {
        let path = self.home.path().join("ring");
        let pass_phrase = format!("--passphrase={PASS_PHRASE}");
        let keys = self.gpg(&[&pass_phrase, "--armor", "--export-secret-keys"]);
        std::fs::File::create(&path)
            .and_then(|mut file| file.write_all(&keys))
            .unwrap();
        path
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.agent.kill().ok();
        self.agent.wait().ok();
        let home = self.home.path();
        let gpgconf = Command::new("gpgconf")
            .arg("--homedir")
            .arg(home)
            .args(["--kill", "all"])
            .status();
        gpgconf.ok();
    }
}

#[tokio::test]
async fn nothing_is_written_for_a_try_and_commits_are_signed() {
    let scene = Scene::start().await;
    let git = scene.env.git().unwrap();
    git.create_repository(REPOSITORY).unwrap();
    let ssh_key = git.person_key().unwrap();
    let Some(person) = Person::new(&ssh_key.private) else {
        return;
    };
    let fingerprint = person.key("me@example.com", PASS_PHRASE);
    person.key("other@example.com", PASS_PHRASE);
    let ring = format!("--gpg-key-ring={}", person.ring().display());
    let id = format!("--gpg-key-id={}", &fingerprint[24..]);
    let pass_phrase = format!("--gpg-passphrase={PASS_PHRASE}");
    let socket = person.socket();
    let common = ["--path=clusters/one", REGISTRY, &ring];
    let run = async |words: &[&str]| {
        let words = [&common, words].concat();
        with_deploy_key(&scene, REPOSITORY, &words, Some(&socket)).await
    };
    let refs = || {
        let list = Command::new("git")
            .args(["for-each-ref"])
            .current_dir(git.repository_path(REPOSITORY))
            .output();
        String::from_utf8(list.unwrap().stdout).unwrap()
    };

    // A key that cannot sign is told before anything is written.
    for (words, expected) in [
        (
            &[pass_phrase.as_str()][..],
            "it holds 2 OpenPGP private keys: name one by its id",
        ),
        (&[&id, "--gpg-passphrase=wr0ng"], "pass phrase"),
        (
            &["--gpg-key-id=0123456789ABCDEF"],
            "no OpenPGP private key has the id",
        ),
    ] {
        let output = run(words).await;
        let said = output.failure().unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("wr0ng"), "{said}");
    }
    let rehearsed = run(&[&id, &pass_phrase, "--dry-run"]).await;
    let said = rehearsed.stderr.clone();
    rehearsed.success().unwrap();
    assert_lines(
        &said,
        &[
            "► using the SSH agent, with SHA256:",
            "► host key of ",
            "✔ cloned repository",
            "✔ generated component manifests",
            "► clusters/one/flux-system/gotk-components.yaml would be added (",
            "► clusters/one/flux-system/gotk-sync.yaml would be added (",
            "► clusters/one/flux-system/kustomization.yaml would be added (",
            "✔ the API server would take the ",
            "✔ nothing was changed",
        ],
    );
    assert_eq!(refs(), "");
    let namespace = scene.kubectl("get namespace flux-system").await;
    assert!(!namespace.status.success(), "nothing was written");

    let output = with_operator(&scene, run(&[&id, &pass_phrase])).await;
    let said = output.stderr.clone();
    output.success().unwrap();
    assert_lines(
        &said,
        &["► using the SSH agent", "✔ all components are healthy"],
    );
    assert!(!said.contains(PASS_PHRASE), "{said}");
    let copy = git.work_copy(REPOSITORY).unwrap();
    let program = person.home.path().join("gpg.sh");
    let script = format!(
        "#!/bin/sh\nexec gpg --homedir {} \"$@\"\n",
        person.home.path().display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let program = format!("gpg.program={}", program.display());
    for commit in ["HEAD", "HEAD~1"] {
        copy.git(&["-c", &program, "verify-commit", commit])
            .unwrap();
        let format = ["log", "-1", "--format=%GF", commit];
        let signer = copy
            .git(&[&["-c", &program], &format[..]].concat())
            .unwrap();
        assert_eq!(signer.trim(), fingerprint);
    }

    // A second try finds nothing to do.
    let before = refs();
    let again = run(&[&id, &pass_phrase, "--dry-run"]).await;
    let said = again.stderr.clone();
    again.success().unwrap();
    assert_lines(
        &said,
        &[
            "✔ clusters/one/flux-system/gotk-components.yaml is up to date",
            "✔ clusters/one/flux-system/gotk-sync.yaml is up to date",
            "✔ clusters/one/flux-system/kustomization.yaml is kept as it is",
            "✔ nothing was changed",
        ],
    );
    assert_eq!(refs(), before);
    scene.flux("uninstall --silent").await.success().unwrap();
}

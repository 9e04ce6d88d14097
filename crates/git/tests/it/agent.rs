//! ssh with the keys of an agent, which no other program sees.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use flux_git::keys::{self, Algorithm, KeyPair};
use flux_git::{Auth, GitError, GitUrl, Reference, Remote, agent};
use tempfile::TempDir;

use crate::support::sshd::{Access, Options, Sshd};
use crate::support::{Client, Repo, TIMEOUT, run};

struct Agent {
    dir: TempDir,
    child: Child,
}

impl Agent {
    /// An agent without keys; None, with a word, where there is no such program.
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let started = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(dir.path().join("socket"))
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            eprintln!("skipped: ssh-agent is missing, install openssh-client");
            return None;
        };
        // It says where it listens once it does.
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        Some(Self { dir, child })
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Makes a key of that type, which the agent holds from now on.
    fn holds(&self, kind: &str) -> KeyPair {
        let file = self.dir.path().join(kind);
        let path = file.to_str().unwrap();
        let make = ["-q", "-t", kind, "-N", "", "-C", "", "-f", path];
        run("ssh-keygen", &make, self.dir.path());
        let added = Command::new("ssh-add")
            .args(["-q", path])
            .env("SSH_AUTH_SOCK", self.socket())
            .status();
        assert!(added.unwrap().success());
        keys::from_pem(&fs::read_to_string(file).unwrap(), None).unwrap()
    }

    fn remote(&self, server: &Sshd) -> Remote {
        let known_hosts = server.known_host("ed25519");
        let auth = Auth::from_agent(self.socket(), &known_hosts).unwrap();
        Remote::new(GitUrl::parse(&server.url()).unwrap(), auth, TIMEOUT)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn each_key_is_tried() {
    let main = Reference::Branch("main".to_owned());
    let Some(agent) = Agent::start() else { return };
    assert!(agent::keys(&agent.socket()).await.unwrap().is_empty());
    let stranger = agent.holds("ed25519");
    let repo = Repo::new();
    let other = keys::generate(Algorithm::Ed25519).unwrap();
    let Some(closed) = Sshd::start(&repo, &[(&other, Access::Read)]) else {
        return;
    };
    let remote = agent.remote(&closed);
    let refused = Client::new().git.resolve(&remote, &main).await.unwrap_err();
    assert_eq!(refused.reason(), "AuthenticationFailed");
    let expected = format!(
        "authentication failed: the SSH agent has the key {}, which 127.0.0.1:{} refuses for user",
        stranger.fingerprint, closed.port
    );
    assert!(refused.to_string().starts_with(&expected), "{refused}");
    drop(closed);

    for kind in ["rsa", "ecdsa"] {
        let key = agent.holds(kind);
        let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
            return;
        };
        let remote = agent.remote(&server);
        let found = Client::new().git.fetch(&remote, &main).await.unwrap();
        assert_eq!(found.id, repo.rev("main"));
    }
    assert_eq!(agent::keys(&agent.socket()).await.unwrap().len(), 3);

    // A server that closes the connection before all have been tried.
    let options = Options {
        config: Some(|_| "MaxAuthTries 2\n".to_owned()),
        ..Options::default()
    };
    let Some(strict) = Sshd::start_with(&repo, &[(&other, Access::Read)], &options) else {
        return;
    };
    let remote = agent.remote(&strict);
    let refused = Client::new().git.resolve(&remote, &main).await.unwrap_err();
    assert!(
        matches!(refused, GitError::AgentRefused { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn an_agent_that_is_gone_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let error = agent::keys(&socket).await.unwrap_err();
    assert!(matches!(error, GitError::Agent { .. }));
    let expected = format!("the SSH agent at {} does not answer: ", socket.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

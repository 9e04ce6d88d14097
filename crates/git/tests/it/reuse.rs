//! What operations in a row save each other: connections, and questions whose answer is known.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use flux_git::keys::{self, Algorithm, KeyPair};
use flux_git::{Commit, GitError, Reference, Remote};
use tokio::net::{TcpListener, TcpStream};

use crate::push::{append, push};
use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo, run, ssh_remote};

const READ: &str = "git-upload-pack";
const WRITE: &str = "git-receive-pack";

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

fn key() -> KeyPair {
    keys::generate(Algorithm::Ed25519).unwrap()
}

/// Not each time, where the machine is so busy that a connection has waited for too long.
fn assert_handed_on(server: &Sshd) {
    let (logins, commands) = (server.logins(), server.commands().len());
    assert!(logins < commands, "{logins} logins for {commands} commands");
}

async fn push_line(client: &Client, remote: &Remote, line: &'static str) -> Option<String> {
    let push = push("main", append(line));
    let pushed = client.git.commit_and_push(remote, push).await.unwrap();
    pushed.commit
}

#[tokio::test]
async fn one_login_serves_operations_in_a_row_and_nothing_pushed_is_fetched() {
    let (repo, key) = (Repo::new(), key());
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let (client, remote) = (Client::new(), server.remote(&key));
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    let before = Instant::now();
    let pushed = push_line(&client, &remote, "x: 1").await.unwrap();
    assert_eq!(server.commands(), [READ, WRITE], "no look before the push");
    // The mirror has it, and whoever asks about the time since then gets it from there.
    let known = client.git.known(&remote, &main_branch(), before).await;
    let revision = format!("main@sha1:{pushed}");
    let is_it = |commit: &Commit| commit.id == pushed && commit.revision == revision;
    assert!(known.as_ref().is_some_and(is_it), "{known:?}");
    let later = Instant::now();
    let known = client.git.known(&remote, &main_branch(), later).await;
    assert_eq!(known, None);
    let mirror = client.mirror();
    run("git", &["fsck", "--connectivity-only"], &mirror);
    // A look at the server is as good as a push.
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    let known = client.git.known(&remote, &main_branch(), later).await;
    assert!(known.as_ref().is_some_and(is_it), "{known:?}");
    // Nothing to do, as seen since: nobody is asked.
    let mut nothing = push("main", append("x: 1"));
    nothing.since = Some(later);
    let nothing = client.git.commit_and_push(&remote, nothing).await.unwrap();
    assert_eq!((nothing.commit, nothing.base.id), (None, pushed));
    push_line(&client, &remote, "y: 1").await.unwrap();
    assert_eq!(server.commands(), [READ, WRITE, READ, WRITE]);
    assert_handed_on(&server);
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 1\nx: 1\ny: 1");
}

#[tokio::test]
async fn what_others_pushed_meanwhile_is_found() {
    let (repo, key) = (Repo::new(), key());
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let (client, remote) = (Client::new(), server.remote(&key));
    push_line(&client, &remote, "x: 1").await.unwrap();
    assert_eq!(server.commands(), [READ, WRITE]);
    // The server says so when the push begins.
    repo.git(&["pull", "-q", "../bare", "main"]);
    repo.commit(&[("apps/a.yaml", "a: 2\n")], "by a person");
    push_line(&client, &remote, "y: 1").await.unwrap();
    assert_eq!(server.commands()[2..], [WRITE, READ, WRITE]);
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 2\ny: 1");
    // Where what is known needs no push, the server is asked before nothing is done.
    repo.git(&["pull", "-q", "../bare", "main"]);
    repo.commit(&[("apps/a.yaml", "a: 3\n")], "by a person");
    push_line(&client, &remote, "y: 1").await.unwrap();
    assert_eq!(server.commands()[5..], [READ, WRITE]);
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 3\ny: 1");
    assert_handed_on(&server);
}

#[tokio::test]
async fn an_open_connection_is_for_those_who_trust_the_server() {
    let (repo, key) = (Repo::new(), key());
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Read)]) else {
        return;
    };
    let (client, remote) = (Client::new(), server.remote(&key));
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    let stranger = ssh_remote(&server.url(), &key, "");
    let error = client.git.resolve(&stranger, &main_branch()).await;
    assert_eq!(error.unwrap_err().reason(), "AuthenticationFailed");
}

#[tokio::test]
async fn a_connection_that_died_is_replaced() {
    let (repo, key) = (Repo::new(), key());
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let cable = Cable::to(server.port).await;
    let from = |text: String| text.replace(&server.port.to_string(), &cable.port.to_string());
    let known_hosts = from(server.known_host("ed25519"));
    let remote = ssh_remote(&from(server.url()), &key, &known_hosts);
    let client = Client::new();
    for number in 1..=5 {
        client.git.fetch(&remote, &main_branch()).await.unwrap();
        cable.cut();
        client.git.resolve(&remote, &main_branch()).await.unwrap();
        assert_eq!(server.logins(), number * 2);
        cable.cut();
    }
    push_line(&client, &remote, "x: 1").await.unwrap();
    cable.cut();
    drop(server);
    let error = client.git.resolve(&remote, &main_branch()).await;
    assert!(!matches!(error, Ok(_) | Err(GitError::Cancelled)));
}

/// A way to a server that can be cut.
struct Cable {
    port: u16,
    open: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

impl Cable {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open: Arc<Mutex<Vec<_>>> = Arc::default();
        let tasks = open.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let task = tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await {
                        let both = tokio::io::copy_bidirectional(&mut client, &mut server);
                        both.await.ok();
                    }
                });
                tasks.lock().unwrap().push(task.abort_handle());
            }
        });
        Self { port, open }
    }

    fn cut(&self) {
        for task in self.open.lock().unwrap().drain(..) {
            task.abort();
        }
    }
}

//! What operations in a row save each other.

use std::sync::{Arc, Mutex};

use flux_git::keys::{self, Algorithm, KeyPair};
use flux_git::{GitError, Reference, Remote};
use tokio::net::{TcpListener, TcpStream};

use crate::push::{append, push};
use crate::support::sshd::{Access, Sshd};
use crate::support::{Client, Repo, run, ssh_remote};

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
async fn one_login_serves_operations_in_a_row() {
    let (repo, key) = (Repo::new(), key());
    let Some(server) = Sshd::start(&repo, &[(&key, Access::Write)]) else {
        return;
    };
    let (client, remote) = (Client::new(), server.remote(&key));
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    push_line(&client, &remote, "x: 1").await.unwrap();
    client.git.fetch(&remote, &main_branch()).await.unwrap();
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

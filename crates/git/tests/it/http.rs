//! Smart HTTP.

use flux_git::{
    Auth, Author, CommitContent, ErrorKind, Filter, GitError, GitUrl, Push, Reference, Remote,
};

use crate::support::httpd::{Httpd, LOGIN};
use crate::support::{Client, Repo, TIMEOUT, secret};

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

pub(crate) fn remote(url: &str, pairs: &[(&str, &str)]) -> Remote {
    let url = GitUrl::parse(url).unwrap();
    let auth = Auth::from_secret(&url, &secret(pairs)).unwrap();
    Remote::new(url, auth, TIMEOUT)
}

pub(crate) const GOOD: &[(&str, &str)] = &[("username", LOGIN.0), ("password", LOGIN.1)];

#[tokio::test]
async fn resolves_fetches_and_pushes() {
    let client = Client::new();
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), false).await;
    let remote = remote(&server.url(), GOOD);
    assert_eq!(
        client
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap()
            .id,
        repo.rev("main")
    );
    assert_eq!(server.take().len(), 2, "greeting and question");
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    assert_eq!(
        server.take(),
        ["POST /org/app.git/git-upload-pack"],
        "the question only"
    );

    let commit = client.git.fetch(&remote, &main_branch()).await.unwrap();
    let id = repo.commit(&[("apps/b.yaml", "b: 1\n")], "second");
    client.git.fetch(&remote, &main_branch()).await.unwrap();
    let files = client
        .git
        .files(&remote, &id, &Filter::default(), None)
        .await
        .unwrap();
    assert_eq!(files.len(), 2);
    // Deeper: a commit of the past.
    let sha = Reference::Commit {
        sha: commit.id.clone(),
        branch: None,
    };
    Client::new().git.fetch(&remote, &sha).await.unwrap();

    let push = Push {
        base: main_branch(),
        branch: "main".to_owned(),
        refspec: None,
        author: Author {
            name: "flux".to_owned(),
            email: "flux@example.com".to_owned(),
        },
        signing: None,
        options: Vec::new(),
        since: None,
        edit: Box::new(|_| {
            let edits = vec![("new.txt".to_owned(), "new\n".into())];
            Ok(Some(CommitContent {
                edits,
                message: "new".to_owned(),
            }))
        }),
    };
    client.git.commit_and_push(&remote, push).await.unwrap();
    assert_eq!(repo.show("main:new.txt"), "new");
}

#[tokio::test]
async fn follows_a_redirect_of_the_listing() {
    let client = Client::new();
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), false).await;
    let remote = remote(&server.url().replace("/org/app.git", "/moved.git"), GOOD);
    client.git.resolve(&remote, &main_branch()).await.unwrap();
    client.git.fetch(&remote, &main_branch()).await.unwrap();
}

#[tokio::test]
async fn only_strangers_are_led_to_another_host() {
    let repo = Repo::new();
    let (here, there) = (
        Httpd::start(repo.bare(), false).await,
        Httpd::start(repo.bare(), true).await,
    );
    let away = |scheme: &str| {
        let port = there.port;
        format!("http://127.0.0.1:{}/{scheme}/{port}/away.git", here.port)
    };
    let ca = there.ca.clone().unwrap();
    let trusted = [("ca.crt", ca.as_str())];
    let client = Client::new();
    let stranger = remote(&away("https"), &trusted);
    let head = client.git.resolve(&stranger, &main_branch()).await.unwrap();
    assert_eq!(head.id, repo.rev("main"));
    client.git.fetch(&stranger, &main_branch()).await.unwrap();
    let asked = there.take();
    let last = asked.last().map(String::as_str);
    assert_eq!(last, Some("POST /open.git/git-upload-pack"), "{asked:?}");
    assert!(here.take().iter().all(|line| line.starts_with("GET ")));
    let known = [GOOD, &trusted].concat();
    for (url, pairs) in [(away("https"), &known[..]), (away("http"), &[])] {
        let error = client
            .git
            .resolve(&remote(&url, pairs), &main_branch())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("it redirects to"), "{text}");
        assert!(text.contains("localhost"), "{text}");
    }
    assert!(there.take().is_empty());
}

#[tokio::test]
async fn tls_wants_a_known_authority() {
    let client = Client::new();
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), true).await;
    let url = server.url();
    let error = client
        .git
        .resolve(&remote(&url, GOOD), &main_branch())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, GitError::Tls { .. }) && text.contains("ca.crt of the Secret"),
        "{text}"
    );
    let ca = server.ca.clone().unwrap();
    for key in ["ca.crt", "caFile"] {
        let trusted = remote(&url, &[GOOD, &[(key, &ca)]].concat());
        client.git.resolve(&trusted, &main_branch()).await.unwrap();
        client.git.fetch(&trusted, &main_branch()).await.unwrap();
    }
}

#[tokio::test]
async fn refusals() {
    let client = Client::new();
    let repo = Repo::new();
    let server = Httpd::start(repo.bare(), false).await;
    let url = server.url();
    let both = async |remote: Remote| {
        let resolve = client
            .git
            .resolve(&remote, &main_branch())
            .await
            .unwrap_err();
        let fetch = client.git.fetch(&remote, &main_branch()).await.unwrap_err();
        assert_eq!(resolve.to_string(), fetch.to_string());
        fetch
    };
    let error = both(remote(&url, &[("username", "git"), ("password", "wr0ng")])).await;
    assert_eq!(error.reason(), "AuthenticationFailed");
    let text = error.to_string();
    assert!(
        text.contains("answers 401") && text.contains("who are you?"),
        "{text}"
    );
    assert!(!text.contains("wr0ng"), "{text}");
    let error = both(remote(&url, &[])).await.to_string();
    assert!(error.contains("set spec.secretRef"), "{error}");
    let error = both(remote(&url.replace("app", "none"), GOOD)).await;
    assert!(
        matches!(error, GitError::RepositoryNotFound { .. }),
        "{error}"
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = both(remote(&format!("http://127.0.0.1:{closed}/r"), &[])).await;
    assert_eq!(
        error.to_string(),
        format!("cannot connect to 127.0.0.1:{closed}: connection refused")
    );
    let error = both(remote("http://host.invalid/r", &[])).await;
    assert!(matches!(error, GitError::Dns { .. }), "{error}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut remote = remote(&format!("http://{}/r", silent.local_addr().unwrap()), &[]);
    remote.timeout = std::time::Duration::from_millis(300);
    for result in [
        client
            .git
            .resolve(&remote, &main_branch())
            .await
            .map(|_| ()),
        client.git.fetch(&remote, &main_branch()).await.map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
}

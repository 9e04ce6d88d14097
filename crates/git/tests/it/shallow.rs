//! Mirrors without most of the history, over a long time.

use std::fs;

use flux_git::{Filter, Reference};

use crate::http::{GOOD, remote};
use crate::push::{append, push};
use crate::support::httpd::Httpd;
use crate::support::relay::Relay;
use crate::support::{Client, Repo, run};

fn main_branch() -> Reference {
    Reference::Branch("main".to_owned())
}

#[tokio::test]
async fn a_fetch_costs_the_same_after_many_others() {
    let repo = Repo::new();
    repo.commit(
        &[("apps/a.yaml", "a: 0\n")],
        "with a parent that is not fetched",
    );
    let server = Httpd::start(repo.bare(), false).await;
    let relay = Relay::start(server.port).await;
    let url = format!("http://127.0.0.1:{}/org/app.git", relay.port);
    let (remote, client) = (remote(&url, GOOD), Client::new());
    let fetch = async |reference: &Reference| {
        let commit = client.git.fetch(&remote, reference).await.unwrap();
        // Git itself finds all of the history that is said to be there.
        run("git", &["rev-list", "--objects", "--all"], &client.mirror());
        commit
    };
    let mut ids = vec![fetch(&main_branch()).await.id];
    let mut costs = Vec::new();
    for number in 0..80 {
        let text = format!("a: {}\n", number + 1);
        ids.push(repo.commit(&[("apps/a.yaml", &text)], "next"));
        relay.take();
        assert_eq!(fetch(&main_branch()).await.id, ids[number + 1]);
        costs.push(relay.take());
    }
    let most = costs.iter().max().unwrap();
    let list = client.mirror().join("shallow");
    let lines = || fs::read_to_string(&list).unwrap().lines().count();
    println!(
        "bytes: the second fetch {}, the last {}, at most {most}; {} lines",
        costs[0],
        costs[79],
        lines()
    );
    // A line is told to the server in 53 bytes, with each of two requests.
    assert!(*most < costs[0] + 40 * 106, "{costs:?}");
    assert!(lines() < 40, "{} lines", lines());

    // The mirror is still the same one after everything below.
    fs::write(client.mirror().join("mark"), "").unwrap();
    client
        .git
        .commit_and_push(&remote, push("main", append("x: 1")))
        .await
        .unwrap();
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 80\nx: 1");
    fetch(&main_branch()).await;
    // Back to a commit that is here but that no ref has kept, and on from there.
    let force = ["push", "-q", "-f", "../bare"];
    let back = format!("{}:refs/heads/main", ids[3]);
    repo.git(&[&force[..], &[&back]].concat());
    assert_eq!(fetch(&main_branch()).await.id, ids[3]);
    repo.git(&["reset", "-q", "--hard", &ids[3]]);
    let next = repo.commit(&[("apps/b.yaml", "b: 1\n")], "on from there");
    assert_eq!(fetch(&main_branch()).await.id, next);
    // The same for a commit that is named by its id, alone and with a branch.
    for (id, branch) in [(&ids[5], None), (&ids[2], Some("main".to_owned()))] {
        let sha = id.clone();
        let commit = fetch(&Reference::Commit { sha, branch }).await;
        assert_eq!(commit.id, **id);
    }
    let filter = Filter::default();
    let files = client.git.files(&remote, &next, &filter, None);
    assert_eq!(files.await.unwrap().len(), 2);
    client
        .git
        .commit_and_push(&remote, push("main", append("y: 1")))
        .await
        .unwrap();
    assert_eq!(repo.show("main:apps/a.yaml"), "a: 3\ny: 1");
    assert!(client.mirror().join("mark").exists(), "fetched again");
}

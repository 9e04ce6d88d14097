//! Git servers at their worst: each says so in a condition, the healthy ones go on, and what was bad
//! is well again by itself as soon as its server is.

use std::time::Instant;

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::git::WorkCopy;
use serde_json::json;

use super::cluster::{Cluster, NAMESPACE, artifact};
use super::faulty::{Fault, Faulty};

/// More than the operator has workers, and than it has threads for other work.
const SLOW: usize = 18;

/// One bad server with its repository.
struct Bad {
    name: String,
    fault: Fault,
    server: Faulty,
    copy: WorkCopy,
}

impl Bad {
    async fn install(cluster: &Cluster, name: String, fault: Fault) -> Self {
        let git = cluster.env.git().unwrap();
        let repository = format!("process/{name}.git");
        git.create_repository(repository.trim_end_matches(".git"))
            .unwrap();
        let copy = git.work_copy(repository.trim_end_matches(".git")).unwrap();
        let server = Faulty::start(&cluster.env, fault).await;
        let bad = Self {
            name,
            fault,
            server,
            copy,
        };
        bad.commit("1");
        // Long enough that a push to another repository cannot wait for it.
        let spec = json!({"url": bad.server.url(&repository), "interval": "2s",
            "timeout": "25s", "ref": {"branch": "main"}});
        let version = "source.toolkit.fluxcd.io/v1";
        let (kind, object) = ("GitRepository", json!({"spec": spec}));
        cluster
            .create(version, kind, Some(NAMESPACE), &bad.name, object)
            .await;
        cluster.kustomization(&bad.name, &bad.name, json!({})).await;
        bad
    }

    /// Commits a ConfigMap and something that makes the pack a long one; the revision.
    fn commit(&self, value: &str) -> String {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": self.name}, "data": {"value": value}});
        self.copy.write("app.yaml", &object.to_string()).unwrap();
        let noise: String = (0..20_000_u64)
            .map(|n| {
                format!(
                    "# {:x}\n",
                    (n + value.len() as u64).wrapping_mul(0x9e37_79b9_7f4a)
                )
            })
            .collect();
        self.copy
            .write(&format!("noise-{value}.txt"), &noise)
            .unwrap();
        format!(
            "main@sha1:{}",
            self.copy.commit_and_push("feat: next").unwrap()
        )
    }

    /// What has to be said about the fault, to a first fetch and to a poll alike.
    fn words(&self) -> &'static [&'static str] {
        match self.fault {
            Fault::Down => &["onnection refused"],
            Fault::Slow => &["timeout", "within 25s"],
            Fault::Cut => &["closed"],
            Fault::Garbage => &["no proper answer"],
            Fault::Page => &["text/html"],
            Fault::None | Fault::PushLost | Fault::AnswerLost => &[],
        }
    }

    async fn is_said(&self, cluster: &Cluster) {
        let address = self.server.address();
        let words = [&[address.as_str(), "unable to clone"], self.words()].concat();
        let ready = cluster
            .says::<GitRepository>(&self.name, "False", &words)
            .await;
        eprintln!("{}: {}: {}", self.name, ready.reason, ready.message);
        assert_eq!(ready.reason, "GitOperationFailed");
        let message = &ready.message;
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
}

#[tokio::test]
async fn bad_git_servers_hold_nobody_up() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("bad-git", 0, &[]).await;
    operator.readyz(true).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    let revision = cluster.push(&copy, "app", "app", "1").await;
    cluster.applied("app", &revision, "app", "1").await;

    // From the beginning.
    let mut all = Vec::new();
    let slow = (0..SLOW).map(|number| (format!("slow-{number}"), Fault::Slow));
    let others = [Fault::Down, Fault::Cut, Fault::Garbage, Fault::Page]
        .map(|fault| (format!("{fault:?}").to_lowercase(), fault));
    for (name, fault) in slow.chain(others) {
        all.push(Bad::install(&cluster, name, fault).await);
    }
    let (slow, others) = all.split_at(SLOW);
    goes_on(&cluster, &copy, slow, "2").await;
    for bad in &all {
        bad.is_said(&cluster).await;
    }
    for bad in &all {
        bad.server.set(Fault::None);
    }
    for bad in &all {
        let revision = format!("main@sha1:{}", bad.copy.head().unwrap());
        cluster.applied(&bad.name, &revision, &bad.name, "1").await;
    }

    // When everything was well before: what is there stays.
    for bad in &all {
        bad.commit("2");
        bad.server.set(bad.fault);
    }
    goes_on(&cluster, &copy, &[], "3").await;
    for bad in &all {
        bad.is_said(&cluster).await;
        assert_eq!(
            cluster
                .ready::<Kustomization>(&bad.name)
                .await
                .unwrap()
                .status,
            "True"
        );
    }
    for bad in others {
        let answer = reqwest::get(artifact(&cluster, &bad.name).await.url).await;
        assert!(answer.unwrap().status().is_success(), "{}", bad.name);
    }
    for bad in &all {
        bad.server.set(Fault::None);
    }
    for bad in &all {
        let revision = format!("main@sha1:{}", bad.copy.head().unwrap());
        cluster.applied(&bad.name, &revision, &bad.name, "2").await;
    }
    operator.process.stop();
    cluster.env.stop().await;
}

/// A push to the healthy repository is applied while servers are still waited for.
async fn goes_on(cluster: &Cluster, copy: &WorkCopy, pending: &[Bad], value: &str) {
    let start = Instant::now();
    let revision = cluster.push(copy, "app", "app", value).await;
    cluster.applied("app", &revision, "app", value).await;
    eprintln!(
        "a push beside bad servers was applied in {:?}",
        start.elapsed()
    );
    let mut waiting = 0;
    for bad in pending {
        let ready = cluster.ready::<GitRepository>(&bad.name).await;
        waiting += usize::from(ready.is_some_and(|ready| ready.status == "Unknown"));
    }
    // More are under way than there are workers. Where everything takes long, the first may be judged.
    assert!(
        pending.is_empty() || waiting > 4,
        "only {waiting} are waited for"
    );
}

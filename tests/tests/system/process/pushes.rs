//! A Git server that goes silent in the middle of a push: the condition says so in time, and the next
//! run finds out what became of it.

use flux_api::{GitRepository, ImagePolicy, ImageUpdateAutomation};
use flux_tests::sandbox::{git::Login, wait};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::cluster::{Cluster, NAMESPACE, PATIENCE, artifact};
use super::faulty::{Fault, Faulty};

const APP: &str = "app";
const REPOSITORY: &str = "process/app";

/// Where tags come from; every new one is to be committed.
struct Image<'a> {
    cluster: &'a Cluster,
}

impl Image<'_> {
    async fn tag(&self, tag: &str) {
        let registry = self.cluster.env.registry().unwrap();
        registry.push_tags(REPOSITORY, &[tag]).await.unwrap();
        let image = registry.image(REPOSITORY);
        let spec = json!({"image": image, "interval": "1s"});
        self.create("ImageRepository", json!({"spec": spec})).await;
    }

    async fn create(&self, kind: &str, object: Value) {
        let version = "image.toolkit.fluxcd.io/v1";
        self.cluster
            .create(version, kind, Some(NAMESPACE), APP, object)
            .await;
    }

    /// Waits until it was told more often than this that the server did not answer a push; how often.
    async fn silence_is_told(&self, server: &Faulty, before: i32) -> i32 {
        let api = self.cluster.api::<Event>();
        let failures = ListParams::default().fields(
            "involvedObject.kind=ImageUpdateAutomation,reason=GitOperationFailed,type=Warning",
        );
        let address = server.address();
        wait::until("the failure of a push", PATIENCE, None, async || {
            let events = api.list(&failures).await.map_err(|e| e.to_string())?.items;
            let said = events.iter().filter(|event| {
                let message = event.message.as_deref().unwrap_or_default();
                let words = ["timeout", address.as_str(), "within 5s"];
                words.iter().all(|word| message.contains(word))
            });
            let times: i32 = said.map(|event| event.count.unwrap_or(1)).sum();
            (times > before)
                .then_some(times)
                .ok_or_else(|| format!("{events:#?}"))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_push_into_silence_is_neither_lost_nor_done_twice() {
    let cluster = Cluster::start().await;
    let operator = cluster.operator("pushes", 0, &[]).await;
    operator.readyz(true).await;
    let git = cluster.env.git().unwrap();
    git.create_repository(REPOSITORY).unwrap();
    let (user, password) = ("bot".to_owned(), "s3cret".to_owned());
    let secret = json!({"stringData": {"username": user, "password": password}});
    git.require_login(Some(Login { user, password }));
    let copy = git.work_copy(REPOSITORY).unwrap();
    let marked = |tag: &str| {
        let marker = format!("# {{\"$imagepolicy\": \"{NAMESPACE}:{APP}:tag\"}}");
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {APP}\ndata:\n  value: \"{tag}\" {marker}\n"
        )
    };
    copy.write("app.yaml", &marked("1.0.0")).unwrap();
    copy.commit_and_push("feat: first").unwrap();
    let server = Faulty::start(&cluster.env, Fault::PushLost).await;
    let url = server.url(&format!("{REPOSITORY}.git"));
    let spec = json!({"url": url, "interval": "10m", "timeout": "5s",
        "ref": {"branch": "main"}, "secretRef": {"name": APP}});
    let source = json!({"spec": spec});
    cluster
        .create("v1", "Secret", Some(NAMESPACE), APP, secret)
        .await;
    let version = "source.toolkit.fluxcd.io/v1";
    cluster
        .create(version, "GitRepository", Some(NAMESPACE), APP, source)
        .await;
    let image = Image { cluster: &cluster };
    image.tag("1.1.0").await;
    let policy = json!({"imageRepositoryRef": {"name": APP}, "policy": {"semver": {"range": "*"}}});
    image.create("ImagePolicy", json!({"spec": policy})).await;
    let author = json!({"author": {"email": "bot@example.com"}});
    let automation = json!({"interval": "10m", "git": {"commit": author},
        "sourceRef": {"kind": "GitRepository", "name": APP}});
    image
        .create("ImageUpdateAutomation", json!({"spec": automation}))
        .await;
    let count = || {
        copy.pull().unwrap();
        copy.git(&["rev-list", "--count", "HEAD"]).unwrap()
    };
    let is_pushed = async |tag: &str, commits: &str| {
        wait::until(tag, PATIENCE, Some(&operator.process), async || {
            let found = (count(), copy.read("app.yaml").unwrap());
            (found == (commits.to_owned(), marked(tag)))
                .then_some(())
                .ok_or_else(|| format!("{found:?}"))
        })
        .await
        .unwrap();
    };

    // Nothing of it arrives.
    let address = server.address();
    let words = [address.as_str(), "timeout", "within 5s"];
    let ready = cluster
        .says::<ImageUpdateAutomation>(APP, "False", &words)
        .await;
    assert_eq!(ready.reason, "GitOperationFailed");
    assert_eq!(count(), "1");
    server.set(Fault::None);
    is_pushed("1.1.0", "2").await;
    cluster
        .says::<ImageUpdateAutomation>(APP, "True", &[])
        .await;

    // All of it arrives, and nobody says so.
    let before = image.silence_is_told(&server, 0).await;
    server.set(Fault::AnswerLost);
    image.tag("1.2.0").await;
    cluster.says::<ImagePolicy>(APP, "True", &["1.2.0"]).await;
    image.silence_is_told(&server, before).await;
    is_pushed("1.2.0", "3").await;
    // The next run sees that, though the server would still not take an answer back.
    cluster
        .says::<ImageUpdateAutomation>(APP, "True", &[])
        .await;
    server.set(Fault::None);
    image.tag("1.3.0").await;
    is_pushed("1.3.0", "4").await;
    let revision = format!("main@sha1:{}", copy.head().unwrap());
    wait::until("the artifact", PATIENCE, None, async || {
        let found = artifact(&cluster, APP).await.revision;
        (found == revision).then_some(()).ok_or(found)
    })
    .await
    .unwrap();
    let source = cluster.ready::<GitRepository>(APP).await.unwrap();
    assert_eq!(source.status, "True");
    operator.process.stop();
    cluster.env.stop().await;
}

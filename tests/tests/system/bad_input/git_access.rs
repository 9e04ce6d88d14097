//! Reaching a repository: host keys, deploy keys, branches, Secrets.

use std::time::Instant;

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::git::Access;
use serde_json::json;

use super::{
    manifests::{config_map, fingerprint},
    scene::Scene,
};

const SOURCE: &str = "apps";

#[tokio::test]
async fn a_host_key_that_nobody_vouched_for_is_shown_and_refused() {
    let scene = Scene::start("host-key").await;
    let repository = scene.repository(SOURCE);
    repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    let (key, other) = (scene.key("deploy"), scene.key("other"));
    scene.add_deploy_key(&repository, &key, Access::ReadOnly);
    let right = scene.git().known_hosts().unwrap();
    let host = format!("[127.0.0.1]:{}", scene.git().ssh_port());
    let (_, offered) = right.lines().next().unwrap().split_once(' ').unwrap();

    // The key of somebody else under the server's name.
    let wrong = format!("{host} {}\n", other.public);
    scene.ssh_secret(SOURCE, &key, &wrong).await;
    scene.ssh_source(SOURCE, &repository).await;
    let (theirs, expected) = (fingerprint(offered), fingerprint(&other.public));
    let words = [
        &host,
        "does not match known_hosts",
        &theirs,
        &expected,
        "ssh-keyscan -p",
    ];
    scene
        .says::<GitRepository>(SOURCE, "False", "AuthenticationFailed", &words)
        .await;

    // No key at all under its name.
    let wrong = format!("git.example.com {offered}\n");
    scene.ssh_secret(SOURCE, &key, &wrong).await;
    let words = [&host, "has no entry for it", &theirs, "ssh-keyscan -p"];
    scene
        .says::<GitRepository>(SOURCE, "False", "AuthenticationFailed", &words)
        .await;

    scene.others_go_on().await;
    scene.ssh_secret(SOURCE, &key, &right).await;
    scene.ready::<GitRepository>(SOURCE).await;
}

#[tokio::test]
async fn a_key_that_is_not_registered_is_named() {
    let scene = Scene::start("wrong-key").await;
    let repository = scene.repository(SOURCE);
    repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    let key = scene.key("deploy");
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(SOURCE, &key, &known_hosts).await;
    scene.ssh_source(SOURCE, &repository).await;
    let (ours, host) = (
        fingerprint(&key.public),
        format!("127.0.0.1:{}", scene.git().ssh_port()),
    );
    let words = [&ours, &host, "deploy keys", &repository.name];
    scene
        .says::<GitRepository>(SOURCE, "False", "AuthenticationFailed", &words)
        .await;

    // Registered, but for another repository.
    let elsewhere = scene.repository("elsewhere");
    scene.add_deploy_key(&elsewhere, &key, Access::ReadOnly);
    let words = [&ours, "not found", "access", &repository.name];
    scene.request::<GitRepository>(SOURCE).await;
    scene
        .says::<GitRepository>(SOURCE, "False", "GitOperationFailed", &words)
        .await;

    scene.others_go_on().await;
    scene.git().remove_key(&key.public).unwrap();
    scene.add_deploy_key(&repository, &key, Access::ReadOnly);
    scene.request::<GitRepository>(SOURCE).await;
    scene.ready::<GitRepository>(SOURCE).await;
}

#[tokio::test]
async fn a_missing_branch_is_named_with_the_one_that_is_there() {
    let scene = Scene::start("branch").await;
    let repository = scene.repository(SOURCE);
    repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    scene.kustomization("early", SOURCE, "./", json!({})).await;
    let url = scene.git().https_url(&repository.name);
    let spec = json!({"interval": "10m", "url": url, "ref": {"branch": "develop"}});
    scene.apply::<GitRepository>(SOURCE, spec).await;
    let words = [
        "branch 'develop' not found",
        &url,
        "'main'",
        "set spec.ref.branch: main",
    ];
    scene
        .says::<GitRepository>(SOURCE, "False", "GitOperationFailed", &words)
        .await;
    // Who waits for it repeats why.
    scene.kustomization("late", SOURCE, "./", json!({})).await;
    let words = [
        words[0],
        &format!("GitRepository/{}/{SOURCE}", scene.namespace),
    ];
    for name in ["early", "late"] {
        scene
            .says::<Kustomization>(name, "False", "ArtifactFailed", &words)
            .await;
    }

    scene.others_go_on().await;
    let push = ["push", "--quiet", "origin", "HEAD:refs/heads/develop"];
    repository.copy.git(&push).unwrap();
    scene.request::<GitRepository>(SOURCE).await;
    scene.ready::<GitRepository>(SOURCE).await;
    scene.ready::<Kustomization>("early").await;
    scene.ready::<Kustomization>("late").await;
}

#[tokio::test]
async fn a_commit_must_be_on_the_branch_that_is_named_with_it() {
    let scene = Scene::start("pinned").await;
    let repository = scene.repository(SOURCE);
    let id = |revision: String| revision.rsplit_once(':').unwrap().1.to_owned();
    let first = id(repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]));
    repository.commit(&[("app.yaml", Some(&config_map("app", "2")))]);
    let copy = &repository.copy;
    let git = |arguments: &[&str]| copy.git(arguments).unwrap();
    // As of a pull request that nobody has merged.
    copy.write("app.yaml", &config_map("app", "3")).unwrap();
    git(&["commit", "--quiet", "--all", "--message", "feat: mine"]);
    git(&["push", "--quiet", "origin", "HEAD:refs/pull/1/head"]);
    let proposed = git(&["rev-parse", "HEAD"]);
    let url = scene.git().https_url(&repository.name);
    let spec = |commit: &str| {
        let reference = json!({"branch": "main", "commit": commit});
        json!({"interval": "10m", "url": url, "ref": reference})
    };
    scene.apply::<GitRepository>(SOURCE, spec(&first)).await;
    scene.kustomization("app", SOURCE, "./", json!({})).await;
    scene.ready::<Kustomization>("app").await;
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));

    scene.apply::<GitRepository>(SOURCE, spec(&proposed)).await;
    let refused = format!("commit '{proposed}' is not on branch 'main' of {url}");
    let words = [&refused, "may be one of a fork", "set spec.ref.commit"];
    scene
        .says::<GitRepository>(SOURCE, "False", "GitOperationFailed", &words)
        .await;
    scene.others_go_on().await;
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));

    git(&["push", "--quiet", "origin", "HEAD:main"]);
    scene.request::<GitRepository>(SOURCE).await;
    let revision = format!("main@sha1:{proposed}");
    scene.applied("app", &revision).await;
    assert_eq!(scene.value("app").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_secret_that_comes_later_is_noticed_at_once() {
    let scene = Scene::start("secret").await;
    let repository = scene.repository(SOURCE);
    repository.commit(&[("app.yaml", Some(&config_map("app", "1")))]);
    let key = scene.key("deploy");
    scene.add_deploy_key(&repository, &key, Access::ReadOnly);
    scene.ssh_source(SOURCE, &repository).await;
    let secret = format!("Secret \"{}/{SOURCE}\"", scene.namespace);
    let words = [&secret, "does not exist", "create it"];
    scene
        .says::<GitRepository>(SOURCE, "False", "AuthenticationFailed", &words)
        .await;

    // Failed so often, it would be tried again by itself only after a minute and a half.
    for _ in 0..7 {
        scene.reconcile::<GitRepository>(SOURCE).await;
    }
    scene.others_go_on().await;
    // Half a Secret is none.
    scene.secret(SOURCE, &[("known_hosts", "")]).await;
    let words = [&secret, "'identity' is required"];
    scene
        .says::<GitRepository>(SOURCE, "False", "AuthenticationFailed", &words)
        .await;
    let known_hosts = scene.git().known_hosts().unwrap();
    let mended = Instant::now();
    scene.ssh_secret(SOURCE, &key, &known_hosts).await;
    scene.ready::<GitRepository>(SOURCE).await;
    eprintln!("ready {:?} after its Secret was mended", mended.elapsed());
}

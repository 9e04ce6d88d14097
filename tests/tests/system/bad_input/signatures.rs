//! Commits that must be signed, and a Secret of keys that changes.

use std::path::Path;

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::git::Access;
use serde_json::{Value, json};

use super::{
    manifests::{condition, config_map, is_ready},
    scene::{Repository, Scene},
};

const APP: &str = "signed";
const KEYS: &str = "authors";

/// Commits of the clone, and tags with `-s`, are signed with this key from now on.
fn sign_with(repository: &Repository, key: &Path) {
    for (name, value) in [
        ("gpg.format", "ssh"),
        ("user.signingkey", key.to_str().unwrap()),
        ("commit.gpgsign", "true"),
    ] {
        repository.copy.git(&["config", name, value]).unwrap();
    }
}

async fn object(scene: &Scene) -> Value {
    let object = scene.api::<GitRepository>().get(APP).await.unwrap();
    serde_json::to_value(object).unwrap()
}

#[tokio::test]
async fn a_changed_key_is_checked_with_at_once() {
    let scene = Scene::start("signed").await;
    let repository = scene.repository(APP);
    let [author, other] = ["author", "other"].map(|name| scene.key(name));
    sign_with(&repository, &author.private);
    let first = repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    scene
        .secret(KEYS, &[("others.sshpub", &other.public)])
        .await;
    let spec = json!({
        "interval": "10m", "url": scene.git().https_url(&repository.name),
        "ref": {"branch": "main"},
        "verify": {"mode": "HEAD", "secretRef": {"name": KEYS}}});
    scene.apply::<GitRepository>(APP, spec).await;
    scene.kustomization(APP, APP, "./", json!({})).await;
    let words = ["which is not in the Secret"];
    let refused = scene
        .says::<GitRepository>(APP, "False", "InvalidCommitSignature", &words)
        .await;
    assert_eq!(condition(&refused, "SourceVerified")["status"], "False");
    assert!(refused["status"]["artifact"].is_null(), "{refused:#}");

    // The Secret is mended: nobody has to ask for it, and the interval is ten minutes.
    scene
        .secret(KEYS, &[("authors.sshpub", &author.public)])
        .await;
    scene.applied(APP, &first).await;
    let verified = object(&scene).await;
    let verified = condition(&verified, "SourceVerified");
    assert_eq!(verified["status"], "True", "{verified}");

    // The key is taken away from who signed what is applied: no new commit, yet nothing is verified.
    scene
        .secret(KEYS, &[("others.sshpub", &other.public)])
        .await;
    scene
        .says::<GitRepository>(APP, "False", "InvalidCommitSignature", &words)
        .await;
    assert_eq!(scene.value(APP).await.as_deref(), Some("1"), "it stays");

    // Signed by somebody who is trusted now.
    sign_with(&repository, &other.private);
    let second = repository.commit(&[("app.yaml", Some(&config_map(APP, "2")))]);
    scene.request::<GitRepository>(APP).await;
    scene.applied(APP, &second).await;
    scene
        .says::<Kustomization>(APP, "True", "ReconciliationSucceeded", &[])
        .await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn what_is_verified_stays_so_when_credentials_are_rotated() {
    let scene = Scene::start("rotated").await;
    let repository = scene.repository(APP);
    let [author, old, new] = ["author", "old", "new"].map(|name| scene.key(name));
    sign_with(&repository, &author.private);
    let revision = repository.commit(&[
        ("one/app.yaml", Some(&config_map("one", "1"))),
        ("two/app.yaml", Some(&config_map("two", "1"))),
    ]);
    for key in [&old, &new] {
        scene.add_deploy_key(&repository, key, Access::ReadOnly);
    }
    scene
        .secret(KEYS, &[("authors.sshpub", &author.public)])
        .await;
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(APP, &old, &known_hosts).await;
    let spec = json!({
        "interval": "10m", "url": scene.git().ssh_url(&repository.name),
        "ref": {"branch": "main"}, "secretRef": {"name": APP},
        "verify": {"mode": "HEAD", "secretRef": {"name": KEYS}}});
    scene.apply::<GitRepository>(APP, spec).await;
    scene.kustomization(APP, APP, "./one", json!({})).await;
    scene.applied(APP, &revision).await;
    let before = object(&scene).await;

    // No new commit, and no new generation either.
    scene.ssh_secret(APP, &new, &known_hosts).await;
    scene.git().remove_key(&old.public).unwrap();
    scene.reconcile::<GitRepository>(APP).await;
    let after = object(&scene).await;
    is_ready(&after).unwrap();
    assert_eq!(condition(&after, "SourceVerified")["status"], "True");
    assert_eq!(after["status"]["artifact"], before["status"]["artifact"]);
    scene.kustomization(APP, APP, "./two", json!({})).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("two").await.as_deref(), Some("1"));
    scene.others_go_on().await;
}

#[tokio::test]
async fn a_tag_that_is_signed_anew_is_verified_anew() {
    let scene = Scene::start("tag-signed").await;
    let repository = scene.repository(APP);
    let [author, other] = ["author", "other"].map(|name| scene.key(name));
    repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    let id = repository.copy.head().unwrap();
    let tag = |key: &Path| {
        sign_with(&repository, key);
        for arguments in [
            &["tag", "-s", "-f", "v1", "-m", "v1", &id][..],
            &["push", "-f", "origin", "refs/tags/v1"],
        ] {
            repository.copy.git(arguments).unwrap();
        }
    };
    tag(&author.private);
    scene
        .secret(KEYS, &[("authors.sshpub", &author.public)])
        .await;
    let spec = json!({
        "interval": "10m", "url": scene.git().https_url(&repository.name),
        "ref": {"tag": "v1"},
        "verify": {"mode": "Tag", "secretRef": {"name": KEYS}}});
    scene.apply::<GitRepository>(APP, spec).await;
    scene.ready::<GitRepository>(APP).await;
    let before = object(&scene).await;

    // Another signature on the same commit: the revision stays what it is.
    tag(&other.private);
    scene.request::<GitRepository>(APP).await;
    let words = ["which is not in the Secret"];
    scene
        .says::<GitRepository>(APP, "False", "InvalidTagSignature", &words)
        .await;
    tag(&author.private);
    scene.reconcile::<GitRepository>(APP).await;
    let after = object(&scene).await;
    is_ready(&after).unwrap();
    assert_eq!(after["status"]["artifact"], before["status"]["artifact"]);
    scene.others_go_on().await;
}

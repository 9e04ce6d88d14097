//! Commits that must be signed, and a Secret of keys that changes.

use flux_api::{GitRepository, Kustomization};
use serde_json::json;

use super::{
    manifests::{condition, config_map},
    scene::Scene,
};

const APP: &str = "signed";
const KEYS: &str = "authors";

#[tokio::test]
async fn a_changed_key_is_checked_with_at_once() {
    let scene = Scene::start("signed").await;
    let repository = scene.repository(APP);
    let [author, other] = ["author", "other"].map(|name| scene.key(name));
    let sign = |file: &str| {
        for (name, value) in [("gpg.format", "ssh"), ("user.signingkey", file)] {
            repository.copy.git(&["config", name, value]).unwrap();
        }
        repository
            .copy
            .git(&["config", "commit.gpgsign", "true"])
            .unwrap();
    };
    sign(author.private.to_str().unwrap());
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
    let object = scene.api::<GitRepository>().get(APP).await.unwrap();
    let object = serde_json::to_value(object).unwrap();
    let verified = condition(&object, "SourceVerified");
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
    sign(other.private.to_str().unwrap());
    let second = repository.commit(&[("app.yaml", Some(&config_map(APP, "2")))]);
    scene.request::<GitRepository>(APP).await;
    scene.applied(APP, &second).await;
    scene
        .says::<Kustomization>(APP, "True", "ReconciliationSucceeded", &[])
        .await;
    scene.others_go_on().await;
}

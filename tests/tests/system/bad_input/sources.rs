//! What a GitRepository says of failures that are over, and of artifacts that are not what they were.

use flux_api::GitRepository;
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    cluster::PATIENCE,
    manifests::{condition, config_map},
    scene::{Repository, Scene},
};

const APP: &str = "app";

async fn working(name: &str) -> (Scene, Repository, Value) {
    let scene = Scene::start(name).await;
    let repository = scene.repository(APP);
    repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    scene.source(APP, &repository).await;
    scene.ready::<GitRepository>(APP).await;
    let object = scene.object().await;
    (scene, repository, object)
}

impl Scene {
    async fn object(&self) -> Value {
        let object = self.api::<GitRepository>().get(APP).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    async fn patch_status(&self, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.api::<GitRepository>()
            .patch_status(APP, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Waits for an event of the source with this type, reason and beginning.
    async fn told(&self, type_: &str, reason: &str, beginning: &str) -> Value {
        let params = ListParams::default().fields(&format!("reason={reason},type={type_}"));
        let api = self.api::<Event>();
        wait::until("an event", PATIENCE, None, async || {
            let events = api.list(&params).await.map_err(|e| e.to_string())?.items;
            let event = events.iter().find(|event| {
                let message = event.data["message"].as_str().unwrap_or_default();
                event.data["involvedObject"]["name"] == APP && message.starts_with(beginning)
            });
            let event = event.ok_or_else(|| format!("{events:#?}"))?;
            serde_json::to_value(event).map_err(|error| error.to_string())
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_failure_that_is_over_is_told_and_leaves_nothing_behind() {
    let (scene, repository, before) = working("recovery").await;
    let path = scene.git().repository_path(&repository.name);
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    scene.request::<GitRepository>(APP).await;
    let url = scene.git().https_url(&repository.name);
    let beginning =
        format!("failed to checkout and determine revision: unable to clone '{url}': repository");
    let failed = scene
        .says::<GitRepository>(APP, "False", "GitOperationFailed", &[&beginning])
        .await;
    let fetch = condition(&failed, "FetchFailed");
    assert_eq!(fetch["status"], "True");
    assert_eq!(fetch["message"], condition(&failed, "Ready")["message"]);
    assert_eq!(condition(&failed, "ArtifactInStorage")["status"], "True");

    // As a controller of Flux may have left it.
    let mut conditions = failed["status"]["conditions"].clone();
    let mut unavailable = fetch.clone();
    unavailable["type"] = json!("IncludeUnavailable");
    conditions.as_array_mut().unwrap().push(unavailable);
    scene.patch_status(json!({"conditions": conditions})).await;
    std::fs::rename(&away, &path).unwrap();
    scene.reconcile::<GitRepository>(APP).await;
    scene.ready::<GitRepository>(APP).await;
    let after = scene.object().await;
    for gone in ["FetchFailed", "IncludeUnavailable", "Reconciling"] {
        assert!(condition(&after, gone).is_null(), "{gone}: {after:#}");
    }
    let artifact = &before["status"]["artifact"];
    assert_eq!(&after["status"]["artifact"], artifact, "nothing was made");
    let message = "stored artifact for commit 'feat: next'";
    let event = scene.told("Normal", "Succeeded", message).await;
    for field in ["revision", "digest"] {
        let key = format!("source.toolkit.fluxcd.io/{field}");
        assert_eq!(event["metadata"]["annotations"][key], artifact[field]);
    }
    scene.others_go_on().await;
}

#[tokio::test]
async fn an_artifact_is_what_its_digest_says() {
    let (scene, _, before) = working("artifact").await;
    let artifact = &before["status"]["artifact"];
    let served = async |object: &Value| {
        let url = object["status"]["artifact"]["url"].as_str().unwrap();
        let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("sha256:{digest}")
    };
    assert_eq!(served(&before).await, artifact["digest"]);

    // Somebody writes into the storage.
    let file = scene.artifacts().join(artifact["path"].as_str().unwrap());
    std::fs::write(&file, "something else").unwrap();
    scene.reconcile::<GitRepository>(APP).await;
    assert_eq!(served(&scene.object().await).await, artifact["digest"]);
    let beginning = "failed to verify integrity of artifact";
    scene
        .told("Warning", "ArtifactVerificationFailed", beginning)
        .await;

    // Somebody who may write the status names the file of another.
    let other = scene.api::<GitRepository>().get("bystander").await.unwrap();
    let other = other.data["status"]["artifact"]["path"].clone();
    let theirs = scene.artifacts().join(other.as_str().unwrap());
    let url = json!("http://example.com/x.tar.gz");
    scene
        .patch_status(json!({"artifact": {"path": other, "url": url}}))
        .await;
    scene.reconcile::<GitRepository>(APP).await;
    let after = scene.object().await;
    for field in ["path", "url", "digest", "revision"] {
        assert_eq!(after["status"]["artifact"][field], artifact[field]);
    }
    assert!(theirs.is_file(), "it is not ours");
    assert_eq!(served(&after).await, artifact["digest"]);
    scene.others_go_on().await;
}

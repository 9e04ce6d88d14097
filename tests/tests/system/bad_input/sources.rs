//! What a GitRepository says of failures that are over, and of artifacts that are not what they were.

use std::path::PathBuf;

use flux_api::GitRepository;
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
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
    // With a content of its own the commit has an id of its own, by which its mirror is found.
    let content = config_map(APP, &scene.namespace);
    repository.commit(&[("app.yaml", Some(&content))]);
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

    /// The mirror in which a ref is at this commit.
    fn mirror_of(&self, commit: &str) -> PathBuf {
        let mirrors = self.artifacts().with_file_name("mirrors");
        let mut mirrors = std::fs::read_dir(mirrors).unwrap();
        let found = mirrors.find_map(|mirror| {
            let mirror = mirror.unwrap().path();
            let refs = std::fs::read_dir(mirror.join("refs/mirror")).ok()?;
            let is = |entry: std::io::Result<std::fs::DirEntry>| {
                let id = std::fs::read_to_string(entry.ok()?.path()).ok()?;
                (id.trim() == commit).then_some(())
            };
            refs.into_iter().find_map(is)?;
            Some(mirror)
        });
        found.unwrap()
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

/// The digest of the artifact that is served.
async fn served(object: &Value) -> String {
    let url = object["status"]["artifact"]["url"].as_str().unwrap();
    let bytes = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digest}")
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

#[tokio::test]
async fn an_artifact_that_is_lost_is_made_again_without_the_server() {
    let (scene, repository, before) = working("lost-artifact").await;
    let path = scene.git().repository_path(&repository.name);
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    let artifact = &before["status"]["artifact"];
    let file = scene.artifacts().join(artifact["path"].as_str().unwrap());
    let lose = || std::fs::remove_file(&file).unwrap();
    // Also when another spec asks for something that cannot be had yet.
    for spec in [json!({}), json!({"interval": "11m", "ignore": "app.yaml"})] {
        scene
            .patch::<GitRepository>(APP, json!({"spec": spec}))
            .await;
        lose();
        scene.reconcile::<GitRepository>(APP).await;
        assert!(file.is_file());
        let after = scene.object().await;
        assert_eq!(&after["status"]["artifact"], artifact);
        assert!(after["status"]["observedIgnore"].is_null());
        for name in ["FetchFailed", "ArtifactInStorage"] {
            assert_eq!(condition(&after, name)["status"], "True", "{name}");
        }
    }

    // Nobody has it any more: nothing says that it is there.
    let revision = artifact["revision"].as_str().unwrap();
    let (_, id) = revision.rsplit_once(':').unwrap();
    std::fs::remove_dir_all(scene.mirror_of(id)).unwrap();
    lose();
    scene.reconcile::<GitRepository>(APP).await;
    let after = scene.object().await;
    assert!(
        condition(&after, "ArtifactInStorage").is_null(),
        "{after:#}"
    );
    std::fs::rename(&away, &path).unwrap();
    scene
        .patch::<GitRepository>(APP, json!({"spec": {"ignore": null}}))
        .await;
    scene.reconcile::<GitRepository>(APP).await;
    let after = scene.object().await;
    assert!(file.is_file());
    assert_eq!(&after["status"]["artifact"], artifact);
    assert_eq!(condition(&after, "ArtifactInStorage")["status"], "True");
    scene.others_go_on().await;
}

#[tokio::test]
async fn a_status_that_stayed_behind_catches_up() {
    let (scene, repository, before) = working("behind").await;
    repository.commit(&[("app.yaml", Some(&config_map(APP, "2")))]);
    scene.reconcile::<GitRepository>(APP).await;
    let newest = scene.object().await["status"]["artifact"].clone();
    assert_ne!(newest["revision"], before["status"]["artifact"]["revision"]);

    // As it is when the status could not be written after a fetch.
    let old = before["status"]["artifact"].clone();
    scene.patch_status(json!({"artifact": old})).await;
    scene.reconcile::<GitRepository>(APP).await;
    let after = scene.object().await["status"]["artifact"].clone();
    for field in ["revision", "digest", "path"] {
        assert_eq!(after[field], newest[field], "{field}");
    }

    // As it is when that of other rules could not be written; the next run is about something else.
    for (change, lost) in [
        (
            json!({"ignore": "app.yaml"}),
            json!({"artifact": after, "observedIgnore": null}),
        ),
        (json!({"interval": "11m"}), json!({})),
    ] {
        scene
            .patch::<GitRepository>(APP, json!({"spec": change}))
            .await;
        scene.ready::<GitRepository>(APP).await;
        let object = scene.object().await;
        let artifact = &object["status"]["artifact"];
        assert_ne!(artifact["digest"], after["digest"]);
        assert_eq!(served(&object).await, artifact["digest"]);
        scene.patch_status(lost).await;
    }
    scene.others_go_on().await;
}

#[tokio::test]
async fn a_mirror_that_is_lost_is_fetched_again_for_those_who_read_it() {
    let scene = Scene::start("mirror").await;
    let repository = scene.repository(APP);
    let revision = repository.commit(&[
        ("one/app.yaml", Some(&config_map("one", "1"))),
        ("two/app.yaml", Some(&config_map("two", "1"))),
    ]);
    scene.source(APP, &repository).await;
    scene.kustomization(APP, APP, "./one", json!({})).await;
    scene.applied(APP, &revision).await;

    let (_, id) = revision.rsplit_once(':').unwrap();
    let mirror = scene.mirror_of(id);
    std::fs::remove_dir_all(&mirror).unwrap();
    // Long before anything is due, and without another commit.
    scene.kustomization(APP, APP, "./two", json!({})).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("two").await.as_deref(), Some("1"));
    assert!(mirror.is_dir());
    scene.others_go_on().await;
}

#[tokio::test]
async fn without_a_ref_it_is_said_which_branch_is_followed() {
    let scene = Scene::start("no-ref").await;
    let repository = scene.repository(APP);
    repository.commit(&[("app.yaml", Some(&config_map(APP, "1")))]);
    let url = scene.git().https_url(&repository.name);
    // Empty fields are no ref either.
    let spec = json!({"interval": "10m", "url": url, "ref": {"branch": ""}});
    scene.apply::<GitRepository>(APP, spec).await;
    let words = [
        "branch 'master' not found",
        "the default branch of the repository is 'main'",
        "set spec.ref.branch: main",
    ];
    scene
        .says::<GitRepository>(APP, "False", "GitOperationFailed", &words)
        .await;
    let beginning = "spec.ref is not set: following branch \"master\"";
    scene.told("Warning", "DefaultBranch", beginning).await;

    scene.source(APP, &repository).await;
    scene.ready::<GitRepository>(APP).await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn changed_ignore_rules_reach_what_is_applied() {
    let scene = Scene::start("ignore").await;
    let repository = scene.repository(APP);
    let (kept, left) = (config_map("kept", "1"), config_map("left", "1"));
    let revision = repository.commit(&[
        (".sourceignore", Some("*.txt\n")),
        ("deploy/kept.yaml", Some(&kept)),
        ("deploy/left.yaml", Some(&left)),
        ("deploy/README.txt", Some("not a manifest")),
    ]);
    scene.source(APP, &repository).await;
    scene.kustomization(APP, APP, "./deploy", json!({})).await;
    scene.applied(APP, &revision).await;
    assert_eq!(scene.value("left").await.as_deref(), Some("1"));
    let before = scene.object().await;

    // The commit and the revision stay, the files do not.
    scene
        .patch::<GitRepository>(APP, json!({"spec": {"ignore": "left.yaml"}}))
        .await;
    scene.gone::<ConfigMap>("left").await;
    scene.applied(APP, &revision).await;
    let after = scene.object().await;
    let artifact = |object: &Value, field: &str| object["status"]["artifact"][field].clone();
    for field in ["revision", "path", "url"] {
        assert_eq!(artifact(&before, field), artifact(&after, field));
    }
    assert_ne!(artifact(&before, "digest"), artifact(&after, "digest"));
    assert_eq!(after["status"]["observedIgnore"], "left.yaml");

    let sparse = json!({"spec": {"ignore": null, "sparseCheckout": ["deploy", "charts"]}});
    scene.patch::<GitRepository>(APP, sparse).await;
    let words = ["spec.sparseCheckout", "no path 'charts'"];
    scene
        .says::<GitRepository>(APP, "False", "GitOperationFailed", &words)
        .await;
    assert_eq!(scene.value("kept").await.as_deref(), Some("1"));
    let sparse = json!({"spec": {"sparseCheckout": ["./deploy/left.yaml"]}});
    scene.patch::<GitRepository>(APP, sparse).await;
    scene.gone::<ConfigMap>("kept").await;
    assert_eq!(scene.value("left").await.as_deref(), Some("1"));
    scene.others_go_on().await;
}

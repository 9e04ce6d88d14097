//! The condition `MarkersResolved` follows what it speaks of: who takes care of a folder, which
//! policies there are. And what a scan depends on wakes it.

use flux_api::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::{Value, json};

use super::{
    manifests::{condition, is_ready},
    scene::Scene,
    updating::{APP, automation, image, marked, writable},
};

/// Waits until the condition has this status and its message these words.
async fn markers(scene: &Scene, name: &str, status: &str, words: &str) {
    let said = |object: &Value| {
        let condition = condition(object, "MarkersResolved");
        let message = condition["message"].as_str().unwrap_or_default();
        (condition["status"] == status && message.contains(words))
            .then_some(())
            .ok_or_else(|| condition.to_string())
    };
    let what = format!("MarkersResolved {status}: {words}");
    scene
        .until::<ImageUpdateAutomation, _>(name, &what, said)
        .await;
}

#[tokio::test]
async fn markers_are_judged_again_when_others_come_and_go() {
    let scene = Scene::start("judged").await;
    let repository = writable(&scene).await;
    let marked = marked(&scene.namespace, APP, "1.0.0");
    repository.commit(&[
        ("one/app.yaml", Some(&marked)),
        ("two/app.yaml", Some(&marked)),
    ]);
    scene.ssh_source(APP, &repository).await;
    image(&scene, APP, &["1.0.0"]).await;
    scene.ready::<ImagePolicy>(APP).await;
    automation(&scene, "one", "./one").await;
    let outside = format!(
        "two/app.yaml:6 {}:{APP}:tag the file is outside",
        scene.namespace
    );
    markers(&scene, "one", "False", &outside).await;

    // Nobody asks for it, and no interval is over.
    automation(&scene, "two", "./two").await;
    markers(&scene, "one", "True", "all markers").await;
    automation(&scene, "two", "./elsewhere").await;
    markers(&scene, "one", "False", &outside).await;
    automation(&scene, "two", "./").await;
    markers(&scene, "one", "True", "all markers").await;
    scene.delete::<ImageUpdateAutomation>("two").await;
    markers(&scene, "one", "False", &outside).await;

    automation(&scene, "two", "./two").await;
    markers(&scene, "one", "True", "all markers").await;
    scene.delete::<ImagePolicy>(APP).await;
    for name in ["one", "two"] {
        let missing = format!("there is no ImagePolicy {}/{APP}", scene.namespace);
        markers(&scene, name, "False", &missing).await;
    }
    image(&scene, APP, &["1.0.0"]).await;
    for name in ["one", "two"] {
        markers(&scene, name, "True", "all markers").await;
    }
}

#[tokio::test]
async fn changed_pull_secrets_wake_the_scan() {
    let scene = Scene::start("pulled").await;
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry.push_tags(&path, &["1.0.0"]).await.unwrap();
    let login = json!({"auths": {registry.host(): {"username": "u", "password": "p"}}}).to_string();
    let key = ".dockerconfigjson";
    let account = json!({"imagePullSecrets": [{"name": "lent"}]});
    for name in ["named", "lent"] {
        scene.secret(name, &[(key, &login)]).await;
    }
    scene.fields::<ServiceAccount>("puller", account).await;
    let image = registry.image(&path);
    for (name, credentials) in [
        ("named", json!({"secretRef": {"name": "named"}})),
        ("lent", json!({"serviceAccountName": "puller"})),
    ] {
        let mut spec = json!({"image": image, "interval": "1h"});
        for (field, value) in credentials.as_object().unwrap() {
            spec[field] = value.clone();
        }
        scene.apply::<ImageRepository>(name, spec).await;
        scene.ready::<ImageRepository>(name).await;

        // An hour would go by otherwise.
        scene.secret(name, &[(key, "{")]).await;
        let secret = format!("Secret \"{}/{name}\"", scene.namespace);
        let words = [&*secret, "Docker configuration"];
        scene
            .says::<ImageRepository>(name, "False", "AuthenticationFailed", &words)
            .await;
        let tag = format!("2.0.0-{name}");
        registry.push_tags(&path, &[&tag]).await.unwrap();
        scene.secret(name, &[(key, &login)]).await;
        let scanned = |object: &Value| {
            is_ready(object)?;
            let result = &object["status"]["lastScanResult"];
            let tags = result["latestTags"].as_array().unwrap();
            tags.contains(&json!(tag))
                .then_some(())
                .ok_or_else(|| result.to_string())
        };
        scene
            .until::<ImageRepository, _>(name, "scans again", scanned)
            .await;
    }
}

#[tokio::test]
async fn a_changed_list_of_pull_secrets_wakes_the_scan() {
    let scene = Scene::start("lent").await;
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry.push_tags(&path, &["1.0.0"]).await.unwrap();
    scene.secret("broken", &[(".dockerconfigjson", "{")]).await;
    let lend = async |secrets: Value| {
        let fields = json!({"imagePullSecrets": secrets});
        scene.fields::<ServiceAccount>("puller", fields).await;
    };
    lend(json!([])).await;
    let image = registry.image(&path);
    let spec = json!({"image": image, "interval": "1h", "serviceAccountName": "puller"});
    scene.apply::<ImageRepository>(APP, spec).await;
    scene.ready::<ImageRepository>(APP).await;
    // An hour would go by otherwise.
    lend(json!([{"name": "broken"}])).await;
    let words = ["broken\"", "Docker configuration"];
    scene
        .says::<ImageRepository>(APP, "False", "AuthenticationFailed", &words)
        .await;
    lend(json!([])).await;
    scene.ready::<ImageRepository>(APP).await;
}

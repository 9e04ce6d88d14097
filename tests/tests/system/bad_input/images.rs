//! Registries that do not answer, and policies that find nothing.

use flux_api::{ImagePolicy, ImageRepository};
use flux_tests::sandbox::{wait, wait::free_port};
use serde_json::{Value, json};

use super::{cluster::PATIENCE, manifests::condition, scene::Scene};

const APP: &str = "app";

async fn image(scene: &Scene, image: &str) {
    let spec = json!({"image": image, "interval": "10m"});
    scene.apply::<ImageRepository>(APP, spec).await;
}

async fn policy(scene: &Scene, fields: Value) {
    let mut spec = json!({"imageRepositoryRef": {"name": APP}});
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    scene.apply::<ImagePolicy>(APP, spec).await;
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_named() {
    let scene = Scene::start("registry").await;
    let nobody = format!("127.0.0.1:{}", free_port().unwrap());
    image(&scene, &format!("{nobody}/team/app")).await;
    policy(&scene, json!({"policy": {"semver": {"range": "1.x"}}})).await;
    let words = [&nobody, "team/app", "cannot be reached", "spec.image"];
    scene
        .says::<ImageRepository>(APP, "False", "ReadOperationFailed", &words)
        .await;
    // The policy repeats what it waits for.
    let repository = format!("ImageRepository/{}/{APP}", scene.namespace);
    let words = [&repository, "has no tags", &nobody];
    scene
        .says::<ImagePolicy>(APP, "False", "DependencyNotReady", &words)
        .await;

    scene.others_go_on().await;
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry.push_tags(&path, &["1.0.0"]).await.unwrap();
    image(&scene, &registry.image(&path)).await;
    scene.ready::<ImageRepository>(APP).await;
    let words = ["resolved to 1.0.0"];
    scene
        .says::<ImagePolicy>(APP, "True", "Succeeded", &words)
        .await;
}

/// A registry that has a list of tags, and is silent about each of them.
async fn taciturn() -> String {
    let router = axum::Router::new().fallback(async |request: axum::extract::Request| {
        if request.uri().path().contains("/manifests/") {
            std::future::pending::<()>().await;
        }
        r#"{"name": "team/app", "tags": ["1.0.0"]}"#
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address.to_string()
}

#[tokio::test]
async fn a_digest_is_waited_for_as_long_as_the_repository_says() {
    let scene = Scene::start("digest").await;
    let registry = taciturn().await;
    let spec = json!({"image": format!("{registry}/team/app"), "interval": "10m",
        "timeout": "2s", "insecure": true});
    scene.apply::<ImageRepository>(APP, spec).await;
    let policy_of = json!({"semver": {"range": "1.x"}});
    let fields = json!({"policy": policy_of, "digestReflectionPolicy": "IfNotPresent"});
    policy(&scene, fields).await;
    let words = [&registry, "team/app", "within 2s", "spec.timeout"];
    scene
        .says::<ImagePolicy>(APP, "False", "ReadOperationFailed", &words)
        .await;
    scene.others_go_on().await;
}

/// More than the operator has workers, those that gave way included.
const SILENT: usize = 48;

/// How many objects of one server are asked for at once.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn a_registry_that_goes_silent_holds_nobody_up() {
    let scene = Scene::start("silent-registry").await;
    // It takes every connection and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let name = |number| format!("silent-{number}");
    for number in 0..SILENT {
        let image = format!("{silent}/team/app-{number}");
        let spec = json!({"image": image, "interval": "10m", "timeout": "20s"});
        scene.apply::<ImageRepository>(&name(number), spec).await;
    }
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry.push_tags(&path, &["1.0.0"]).await.unwrap();
    let well = registry.image(&path);
    image(&scene, &well).await;
    scene.ready::<ImageRepository>(APP).await;
    scene.others_go_on().await;
    let states = async || {
        let mut states = Vec::new();
        for number in 0..SILENT {
            let object = scene.api::<ImageRepository>().get(&name(number)).await;
            let object = serde_json::to_value(object.unwrap()).unwrap();
            states.push(condition(&object, "Ready").clone());
        }
        states
    };
    let pending = states().await;
    let pending = pending.iter().filter(|ready| ready["status"] != "False");
    let pending = pending.count();
    assert!(
        pending >= SILENT - AT_ONCE,
        "only {pending} were waited for meanwhile"
    );

    // Of one server so many are asked at once, so the others take longer than anybody wants to wait.
    wait::until("that silence is told", PATIENCE, None, async || {
        let states = states().await;
        let named = (0..SILENT).zip(&states).filter(|(number, ready)| {
            let path = format!("team/app-{number}");
            let words = [silent.as_str(), &path, "did not answer", "within 20s"];
            let message = ready["message"].as_str().unwrap_or_default();
            ready["reason"] == "ReadOperationFailed" && words.iter().all(|w| message.contains(w))
        });
        let named = named.count();
        (named >= AT_ONCE)
            .then_some(())
            .ok_or_else(|| format!("{named} of {AT_ONCE} in {states:#?}"))
    })
    .await
    .unwrap();
    let spec = json!({"image": well, "interval": "10m"});
    scene.apply::<ImageRepository>(&name(0), spec).await;
    scene.ready::<ImageRepository>(&name(0)).await;
}

#[tokio::test]
async fn a_policy_that_matches_nothing_shows_what_there_is() {
    let scene = Scene::start("policy").await;
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{APP}", scene.namespace);
    registry
        .push_tags(&path, &["1.0.0", "1.1.0"])
        .await
        .unwrap();
    image(&scene, &registry.image(&path)).await;
    let semver = json!({"semver": {"range": ">=2.0.0"}});
    let pattern = json!({"pattern": "^release-(?P<v>.*)$", "extract": "$v"});
    policy(&scene, json!({"policy": semver, "filterTags": pattern})).await;
    let words = ["'^release-(?P<v>.*)$'", "none of 2 tags", "'1.1.0'"];
    scene
        .says::<ImagePolicy>(APP, "False", "Failure", &words)
        .await;

    // Without the pattern it is the range that admits none.
    policy(&scene, json!({"policy": semver})).await;
    let words = ["'>=2.0.0'", "2 are outside of it", "'1.1.0'"];
    scene
        .says::<ImagePolicy>(APP, "False", "Failure", &words)
        .await;

    scene.others_go_on().await;
    registry.push_tags(&path, &["2.0.0"]).await.unwrap();
    scene.request::<ImageRepository>(APP).await;
    let words = ["resolved to 2.0.0"];
    scene
        .says::<ImagePolicy>(APP, "True", "Succeeded", &words)
        .await;
}

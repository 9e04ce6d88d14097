//! Image updates under trouble: the operator dies in the middle of a push, automations and people
//! push to one branch at once, the registry is away. Each change is committed exactly once.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation};
use flux_tests::sandbox::wait;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    manifests::condition,
    scene::{Repository, Scene},
    updating::{APP, PATIENCE, automation, committed, image, marked, push_tag, subjects, writable},
};

/// Rounds of commits from three sides; the soak test makes more.
const ROUNDS: usize = 4;

/// A server hook that stops until it is let go.
struct Gate(PathBuf);

impl Gate {
    fn close(scene: &Scene, repository: &Repository, hook: &str) -> Self {
        let bare = scene.git().repository_path(&repository.name);
        let gate = bare.join(format!("gate-{hook}"));
        fs::create_dir(&gate).unwrap();
        let script = bare.join("hooks").join(hook);
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        let wait = format!(
            "#!/bin/sh\ncat >/dev/null\ncd '{}'\ntouch reached\nwhile [ ! -e open ]; do sleep 0.1; done\n",
            gate.display()
        );
        fs::write(&script, wait).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Self(gate)
    }

    async fn reached(&self) {
        let reached = self.0.join("reached");
        wait::until("the push", PATIENCE, None, async || {
            reached
                .exists()
                .then_some(())
                .ok_or_else(|| "no push yet".to_owned())
        })
        .await
        .unwrap();
    }

    fn open(&self) {
        fs::write(self.0.join("open"), "").unwrap();
    }
}

#[tokio::test]
async fn a_killed_operator_commits_exactly_once() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "killed").await;
    let repository = writable(&scene).await;
    repository.commit(&[("app.yaml", Some(&marked(&scene.namespace, APP, "1.0.0")))]);
    scene.ssh_source(APP, &repository).await;
    image(&scene, APP, &["1.0.0"]).await;
    scene.ready::<ImagePolicy>(APP).await;
    automation(&scene, APP, "./").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;

    // Before the server takes the commit, and after it took it but before anybody heard of it.
    for (hook, tag) in [("pre-receive", "1.1.0"), ("post-receive", "1.2.0")] {
        let gate = Gate::close(&scene, &repository, hook);
        push_tag(&scene, APP, tag).await;
        gate.reached().await;
        operator.crash(scene.env, false).await;
        gate.open();
        committed(&scene, &repository, "app.yaml", tag).await;
        scene.reconcile::<ImageUpdateAutomation>(APP).await;
        scene.ready::<ImageUpdateAutomation>(APP).await;
    }
    let bot = |from: &str, to: &str| format!("{}:{APP}:tag {from} -> {to}", scene.namespace);
    assert_eq!(
        subjects(&repository),
        [
            bot("1.1.0", "1.2.0"),
            bot("1.0.0", "1.1.0"),
            "feat: next".to_owned()
        ]
    );
}

#[tokio::test]
async fn two_automations_and_a_person_lose_nothing() {
    let scene = Scene::start("three").await;
    let repository = writable(&scene).await;
    let namespace = scene.namespace.clone();
    repository.commit(&[
        ("one/app.yaml", Some(&marked(&namespace, "one", "0.0.0"))),
        ("two/app.yaml", Some(&marked(&namespace, "two", "0.0.0"))),
    ]);
    scene.ssh_source(APP, &repository).await;
    for name in ["one", "two"] {
        image(&scene, name, &["0.0.0"]).await;
        scene.ready::<ImagePolicy>(name).await;
        automation(&scene, name, &format!("./{name}")).await;
        scene.ready::<ImageUpdateAutomation>(name).await;
    }
    for round in 1..=ROUNDS {
        let tag = format!("{round}.0.0");
        tokio::join!(push_tag(&scene, "one", &tag), push_tag(&scene, "two", &tag));
        // The person rebases until it works, as people do.
        repository.copy.write("person", &tag).unwrap();
        repository.copy.git(&["add", "-A"]).unwrap();
        let message = format!("person {tag}");
        repository
            .copy
            .git(&["commit", "--quiet", "-m", &message])
            .unwrap();
        wait::until("the person's push", PATIENCE, None, async || {
            let pushed = repository
                .copy
                .git(&["pull", "--quiet", "--rebase", "origin", "main"])
                .and_then(|_| {
                    repository
                        .copy
                        .git(&["push", "--quiet", "origin", "HEAD:main"])
                });
            pushed.map(drop).map_err(|error| error.to_string())
        })
        .await
        .unwrap();
        for name in ["one", "two"] {
            committed(&scene, &repository, &format!("{name}/app.yaml"), &tag).await;
        }
    }
    let mut expected = vec!["feat: next".to_owned()];
    for round in 1..=ROUNDS {
        let (old, new) = (round - 1, round);
        expected.push(format!("person {new}.0.0"));
        for name in ["one", "two"] {
            expected.push(format!("{namespace}:{name}:tag {old}.0.0 -> {new}.0.0"));
        }
    }
    let mut made = subjects(&repository);
    made.sort();
    expected.sort();
    assert_eq!(made, expected, "each commit once, none lost");
    for name in ["one", "two"] {
        scene.ready::<ImageUpdateAutomation>(name).await;
        let object = scene
            .api::<ImageUpdateAutomation>()
            .get(name)
            .await
            .unwrap();
        let markers = condition(&object_value(&object), "MarkersResolved");
        assert_eq!(markers["status"], "True", "the other path is the other's");
    }
    scene.ready::<GitRepository>(APP).await;
}

fn object_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}

#[tokio::test]
async fn tags_are_kept_over_a_restart() {
    let (cluster, mut operator) = Cluster::alone().await;
    let scene = Scene::alone(cluster, "kept").await;
    image(&scene, APP, &["1.0.0", "2.0.0"]).await;
    scene
        .says::<ImagePolicy>(APP, "True", "Succeeded", &["resolved to 2.0.0"])
        .await;
    // A person who asks gets the same answer, with reasons.
    let plugin = &scene.env.build_binaries().await.unwrap().plugin;
    let output = Command::new(plugin)
        .args(["preview", "image-policy", APP, "-o", "json", "-n"])
        .arg(&scene.namespace)
        .envs(scene.env.variables().unwrap())
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["selected"], "2.0.0");
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 2);

    // Nobody scans any more: what the policy selects from now on is from what was kept.
    scene
        .patch::<ImageRepository>(APP, json!({"spec": {"suspend": true}}))
        .await;
    operator.crash(scene.env, false).await;
    let policy = json!({"spec": {"policy": {"semver": {"range": "1.x"}}}});
    scene.patch::<ImagePolicy>(APP, policy).await;
    scene
        .says::<ImagePolicy>(APP, "True", "Succeeded", &["resolved to 1.0.0"])
        .await;
}

#[tokio::test]
async fn policies_of_other_namespaces_need_a_grant() {
    let (cluster, _running) = Cluster::running().await;
    let scene = Scene::alone(cluster, "grant").await;
    let owner = Scene::alone(cluster, "owner").await;
    let repository = writable(&scene).await;
    repository.commit(&[("app.yaml", Some(&marked(&owner.namespace, APP, "1.0.0")))]);
    scene.ssh_source(APP, &repository).await;
    image(&owner, APP, &["1.0.0", "1.1.0"]).await;
    owner.ready::<ImagePolicy>(APP).await;
    automation(&scene, APP, "./").await;
    let unresolved = |object: &Value| {
        let markers = condition(object, "MarkersResolved");
        let message = markers["message"].as_str().unwrap_or_default();
        let line = format!("app.yaml:6 {}:{APP}:tag ", owner.namespace);
        (message.starts_with(&line) && message.contains("does not grant access"))
            .then_some(())
            .ok_or_else(|| markers.to_string())
    };
    scene
        .until::<ImageUpdateAutomation, _>(APP, "reports the marker", unresolved)
        .await;
    let label = format!("kubernetes.io/metadata.name={}", scene.namespace);
    let (key, value) = label.split_once('=').unwrap();
    let access = json!({"namespaceSelectors": [{"matchLabels": {key: value}}]});
    owner
        .patch::<ImageRepository>(APP, json!({"spec": {"accessFrom": access}}))
        .await;
    committed(&scene, &repository, "app.yaml", "1.1.0").await;
    scene.ready::<ImageUpdateAutomation>(APP).await;
}

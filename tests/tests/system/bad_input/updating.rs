//! What tests of image updates begin with: an image, its policy, a repository that may be written to,
//! and an automation.

use std::{process::Command, time::Duration};

use flux_api::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use flux_tests::sandbox::{git::Access, wait};
use serde_json::{Value, json};

use super::{
    manifests::config_map,
    scene::{Repository, Scene},
};

/// Name of whatever there is one of.
pub(super) const APP: &str = "app";

/// For what goes through a registry and a Git server while the machine is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A repository that the operator may push to over SSH, named `APP` like its source and Secret.
pub(super) async fn writable(scene: &Scene) -> Repository {
    let repository = scene.repository(APP);
    let key = scene.key("deploy");
    scene.add_deploy_key(&repository, &key, Access::ReadWrite);
    let known_hosts = scene.git().known_hosts().unwrap();
    scene.ssh_secret(APP, &key, &known_hosts).await;
    repository
}

/// An image with a policy for the highest version.
pub(super) async fn image(scene: &Scene, name: &str, tags: &[&str]) -> String {
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{name}", scene.namespace);
    registry.push_tags(&path, tags).await.unwrap();
    let spec = json!({"image": registry.image(&path), "interval": "10m"});
    scene.apply::<ImageRepository>(name, spec).await;
    let policy = json!({
        "imageRepositoryRef": {"name": name},
        "policy": {"semver": {"range": "*"}},
    });
    scene.apply::<ImagePolicy>(name, policy).await;
    registry.image(&path)
}

/// A new tag, seen at once.
pub(super) async fn push_tag(scene: &Scene, name: &str, tag: &str) {
    let registry = scene.env.registry().unwrap();
    let path = format!("{}/{name}", scene.namespace);
    registry.push_tags(&path, &[tag]).await.unwrap();
    scene.request::<ImageRepository>(name).await;
}

/// The manifest of a ConfigMap whose value is marked with a policy of this namespace.
pub(super) fn marked(namespace: &str, policy: &str, value: &str) -> String {
    let marker = format!("# {{\"$imagepolicy\": \"{namespace}:{policy}:tag\"}}");
    config_map(policy, value).replace(
        &format!("\"{value}\"\n"),
        &format!("\"{value}\" {marker}\n"),
    )
}

pub(super) async fn automation(scene: &Scene, name: &str, path: &str) {
    automation_with(scene, name, path, json!({})).await;
}

/// The same with something else to push to.
pub(super) async fn automation_with(scene: &Scene, name: &str, path: &str, push: Value) {
    let template = "{{range .Changed.Changes}}{{.Setter}} {{.OldValue}} -> {{.NewValue}}\n{{end}}";
    let spec = json!({
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": APP},
        "git": {
            "commit": {"author": {"email": "bot@example.com"}, "messageTemplate": template},
            "push": push,
        },
        "update": {"path": path},
    });
    scene.apply::<ImageUpdateAutomation>(name, spec).await;
}

/// Waits until a file at the branch holds a text.
pub(super) async fn committed(scene: &Scene, repository: &Repository, path: &str, text: &str) {
    let bare = scene.git().repository_path(&repository.name);
    let show = format!("main:{path}");
    wait::until(&format!("{text} in {path}"), PATIENCE, None, async || {
        let output = Command::new("git")
            .args(["-C", bare.to_str().unwrap(), "show", &show])
            .output()
            .unwrap();
        let content = String::from_utf8_lossy(&output.stdout).into_owned();
        content.contains(text).then_some(()).ok_or(content)
    })
    .await
    .unwrap();
}

pub(super) fn subjects(repository: &Repository) -> Vec<String> {
    repository.copy.pull().unwrap();
    let log = repository.copy.git(&["log", "--format=%s"]).unwrap();
    log.lines().map(str::to_owned).collect()
}

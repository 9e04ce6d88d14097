//! Completion through kubectl, which runs a program of its own for that.

use std::os::unix::fs::PermissionsExt as _;

use super::{POLICIES, Place};

#[tokio::test]
async fn kubectl_completes_commands_flags_and_names() {
    let place = Place::new("plugin-completion").await;
    place.apply(POLICIES).await;
    let folder = tempfile::tempdir().unwrap();
    let hook = folder.path().join("kubectl_complete-flux");
    let script = place.env.kubectl(&["flux", "completion", "kubectl"]).await;
    std::fs::write(&hook, script.unwrap().success().unwrap()).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut folders = vec![folder.path().to_owned()];
    folders.extend(std::env::split_paths(&place.path()));
    let path = std::env::join_paths(folders).unwrap();

    let namespace = place.namespace.as_str();
    for (words, expected) in [
        (&["get", "so"][..], "sources\tList sources\n:4\n"),
        (&["get", "all", "--not-r"], "--not-ready\t"),
        (&["get", "all", "--color=n"], "--color=never\n:4\n"),
        (
            &["suspend", "image", "policy", "-n", namespace, ""],
            "one\ntwo\n:4\n",
        ),
        (
            &["suspend", "image", "policy", "-n", namespace, "t"],
            "two\n:4\n",
        ),
        (
            &["get", "all", "-n", namespace],
            &format!("{namespace}\n:4\n"),
        ),
    ] {
        let output = tokio::process::Command::new("kubectl")
            .args(["__complete", "flux"])
            .args(words)
            .envs(place.env.variables().unwrap())
            .env("PATH", &path)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(text.starts_with(expected), "{words:?}: {output:?}");
    }
}

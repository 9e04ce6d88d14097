//! The layouts in `manifests/components/`: they build, and the operator knows their flags.

use std::path::{Path, PathBuf};

use flux_tests::env::Env;
use serde_json::Value;

/// The documents that kustomize makes of everything with a component.
async fn build(env: &Env, component: &str) -> Vec<Value> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let manifests = manifests.canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    // kustomize takes relative paths only.
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let manifests = up.join(manifests.strip_prefix("/").unwrap());
    let manifests = manifests.display();
    std::fs::write(
        here.join("kustomization.yaml"),
        format!("resources:\n- {manifests}\ncomponents:\n- {manifests}/components/{component}\n"),
    )
    .unwrap();
    let output = env.kubectl(&["kustomize", here.to_str().unwrap()]).await;
    let text = output.unwrap().success().unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

/// The arguments of a Deployment's program, which knows all of them.
fn args(env_operator: &Path, objects: &[Value], name: &str) -> Vec<String> {
    let deployment = objects
        .iter()
        .find(|o| o["kind"] == "Deployment" && o["metadata"]["name"] == name)
        .unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
    let output = std::process::Command::new(env_operator)
        .args(&args)
        .arg("--help")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    args
}

#[tokio::test]
async fn layouts_are_what_the_operator_understands() {
    let env = Env::shared().await.unwrap();
    let operator = &env.build_binaries().await.unwrap().operator;
    let objects = build(env, "multi-tenant").await;
    let found = args(operator, &objects, "sync-operator");
    for flag in [
        "--no-cross-namespace-refs",
        "--no-remote-bases",
        "--default-service-account=default",
    ] {
        assert!(found.iter().any(|arg| arg == flag), "{flag}: {found:?}");
    }
}

//! Layouts of `manifests/`, as a person composes them.

use std::path::{Path, PathBuf};

use flux_tests::env::Env;

/// What kustomize makes of everything with some of `manifests/components/`, with the images of a
/// registry.
pub(super) async fn build(env: &Env, components: &[&str], registry: Option<&str>) -> String {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let manifests = manifests.canonicalize().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    // kustomize takes relative paths only.
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let manifests = up.join(manifests.strip_prefix("/").unwrap());
    let manifests = manifests.display();
    let mut text = format!("resources:\n- {manifests}\ncomponents:\n");
    for component in components {
        text.push_str(&format!("- {manifests}/components/{component}\n"));
    }
    if let Some(registry) = registry {
        text.push_str("images:\n");
        for image in ["sync-operator", "admission-webhook"] {
            text.push_str(&format!("- name: {image}\n  newName: {registry}/{image}\n"));
        }
    }
    std::fs::write(here.join("kustomization.yaml"), text).unwrap();
    let output = env.kubectl(&["kustomize", here.to_str().unwrap()]).await;
    output.unwrap().success().unwrap()
}

//! Sources that were made to do harm: a clear error, within bounds.

use flux_api::kustomize::KustomizationSpec;
use serde_json::json;

use crate::{BuildError, BuildOptions, Files, build};

async fn error(files: &[(&str, String)], overlay: serde_json::Value) -> BuildError {
    let files: Files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.clone().into()))
        .collect();
    let mut spec = json!({"interval": "1m", "prune": true,
        "sourceRef": {"kind": "GitRepository", "name": "a"}});
    spec.as_object_mut()
        .unwrap()
        .append(&mut overlay.as_object().unwrap().clone());
    let spec: KustomizationSpec = serde_json::from_value(spec).unwrap();
    // A program that is not there: none of this may get as far as starting it.
    let options = BuildOptions {
        kustomize: Some("/nonexistent/kustomize".into()),
        ..BuildOptions::default()
    };
    build(&files, "", &spec, "ns", &options).await.unwrap_err()
}

#[tokio::test]
async fn yaml_that_explodes() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    for (text, message) in [
        (bomb, "excessive aliasing"),
        (format!("a: {}", "[".repeat(100_000)), "a.yaml:1:"),
        ("a: &a [*a]\n".to_owned(), "a.yaml:1:"),
        ("x".repeat(33 << 20), "larger than 32 MiB"),
    ] {
        let found = error(&[("a.yaml", text)], json!({})).await.to_string();
        assert!(found.contains(message), "{found}");
        assert!(found.len() < 1_000);
    }
}

#[tokio::test]
async fn bases_without_end() {
    // Each level names the next twice: 2^40 builds, in process and for the program.
    let mut files: Vec<(String, String)> = (0..40)
        .map(|level| {
            let next = level + 1;
            let text = format!("resources: [../{next}, ../{next}]\n");
            (format!("{level}/kustomization.yaml"), text)
        })
        .collect();
    files.push((
        "40/kustomization.yaml".to_owned(),
        "resources: []\n".to_owned(),
    ));
    files.push((
        "kustomization.yaml".to_owned(),
        "resources: [./0]\n".to_owned(),
    ));
    let files: Vec<(&str, String)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.clone()))
        .collect();
    for overlay in [json!({}), json!({"namePrefix": "x-"})] {
        let found = error(&files, overlay).await.to_string();
        assert!(found.contains("name each other too"), "{found}");
    }
    let circle = [
        ("kustomization.yaml", "resources: [a]\n".to_owned()),
        ("a/kustomization.yaml", "components: [../b]\n".to_owned()),
        ("b/kustomization.yaml", "components: [../a]\n".to_owned()),
    ];
    let found = error(&circle, json!({"namePrefix": "x-"}))
        .await
        .to_string();
    assert!(found.contains("in a circle"), "{found}");
}

#[tokio::test]
async fn ways_out_of_the_source() {
    for text in [
        "resources: [../../etc/passwd]\n",
        "resources: [/etc/passwd]\n",
        "secretGenerator: [{name: a, files: [../../../etc/shadow]}]\n",
        "patches: [{path: /etc/passwd}]\n",
    ] {
        let found = error(
            &[("kustomization.yaml", text.to_owned())],
            json!({"namePrefix": "x-"}),
        )
        .await;
        assert!(
            matches!(found, BuildError::Escape { .. }),
            "{text}: {found}"
        );
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_in_the_api() {
    let text = "\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: \"${name}\"}\n";
    let substitute = json!({"name": "web/scale"});
    let files = [("a.yaml", text.to_owned())];
    let overlay = json!({"postBuild": {"substitute": substitute}});
    let found = error(&files, overlay).await.to_string();
    assert_eq!(
        found,
        "a.yaml:3: not a Kubernetes object: metadata.name must not hold '/' here"
    );
}

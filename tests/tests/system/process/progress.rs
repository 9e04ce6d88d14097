//! What a run that takes long says of itself.

use std::{fs, os::unix::fs::PermissionsExt as _};

use flux_api::{Kustomization, conditions};
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::cluster::{Cluster, PATIENCE};

const APP: &str = "app";

#[tokio::test]
async fn a_build_that_takes_long_is_named_while_it_runs() {
    let cluster = Cluster::start().await;
    // A kustomize that is done when somebody writes into the pipe.
    let folder = cluster.env.sandbox().dir();
    let (program, pipe) = (folder.join("slow-kustomize"), folder.join("pipe"));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": APP}});
    let script = format!(
        "#!/bin/sh\nread -r go < {}\necho '{object}'\n",
        pipe.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let argument = format!("--kustomize={}", program.display());
    let operator = cluster.operator("progress", 0, &[&argument]).await;
    operator.readyz(true).await;

    let copy = cluster.source(APP).await;
    // In process it would be built at once.
    let needs_kustomize = "resources: [app.yaml]\nnamePrefix: a-\n";
    copy.write("kustomization.yaml", needs_kustomize).unwrap();
    let revision = cluster.push(&copy, APP, APP, "1").await;
    cluster.kustomization(APP, APP, json!({})).await;
    let words = format!("Building manifests for revision {revision} with a timeout of 9m30s");
    let what = format!("a condition that says {words}");
    wait::until(&what, PATIENCE, Some(&operator.process), async || {
        let object = cluster.api::<Kustomization>().get(APP).await;
        let status = object.map_err(|e| e.to_string())?.status;
        let list = status.unwrap_or_default().conditions;
        let shown = conditions::get(&list, "Reconciling");
        shown
            .is_some_and(|shown| shown.message == words)
            .then_some(())
            .ok_or_else(|| format!("{list:?}"))
    })
    .await
    .unwrap();
    fs::write(&pipe, "go\n").unwrap();
    cluster
        .says::<Kustomization>(APP, "True", &[&revision])
        .await;
    cluster.api::<ConfigMap>().get(APP).await.unwrap();
}

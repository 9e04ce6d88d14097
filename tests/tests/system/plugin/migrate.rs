//! `migrate` and `check --give-back`, in a cluster of their own: they concern all of its objects.

use std::path::Path;

use flux_tests::env::{Env, Output};

use super::own_cluster;

/// As people wrote it for an older Flux.
const OLD: &str = "\
# The apps of the shop
apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
metadata:
  name: apps # all of them
  namespace: NS
spec:
  interval: 5m
  path: ./apps
  prune: true
  validation: client
  sourceRef: {kind: GitRepository, name: code}
  patchesStrategicMerge:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web} # the shop
    spec: {replicas: 2}
---
apiVersion: image.toolkit.fluxcd.io/v1beta1
kind: ImageUpdateAutomation
metadata: {name: all, namespace: NS}
spec:
  interval: 5m
  sourceRef: {kind: GitRepository, name: code}
  git:
    checkout: {ref: {branch: main}}
    commit:
      author: {name: a, email: a@example.test}
      messageTemplate: |
        {{range .Updated.Images}}{{println .}}{{end}}
";

async fn flux(env: &Env, args: &[&str]) -> Output {
    env.kubectl(&[&["flux"], args].concat()).await.unwrap()
}

async fn set_stored(env: &Env, crd: &str, versions: &str) {
    let patch = format!(r#"{{"status": {{"storedVersions": [{versions}]}}}}"#);
    let line = [
        "patch",
        "crd",
        crd,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    env.kubectl(&line).await.unwrap().success().unwrap();
}

async fn lines(env: &Env, args: &[&str]) -> String {
    env.kubectl(args).await.unwrap().success().unwrap()
}

fn write(folder: &Path, namespace: &str) -> String {
    let path = folder.join("old.yaml");
    std::fs::write(&path, OLD.replace("NS", namespace)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_cluster_can_be_given_back() {
    const CRD: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
    let env = own_cluster().await;
    let namespace = env.namespace("migrate").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &namespace);
    lines(env, &["apply", "-f", &path]).await;
    set_stored(env, CRD, r#""v1beta2", "v1""#).await;

    let said = flux(env, &["check", "--give-back"])
        .await
        .failure()
        .unwrap();
    for expected in [
        format!("✗ {CRD}: objects may still be stored as v1beta2; run kubectl flux migrate"),
        format!(
            "✗ Kustomization/{namespace}/apps: managers of its fields refer to \
             kustomize.toolkit.fluxcd.io/v1beta2"
        ),
        format!("✗ Kustomization/{namespace}/apps: spec.validation is no field"),
        format!("✗ Kustomization/{namespace}/apps: spec.patchesStrategicMerge is no field"),
        format!(
            "✗ ImageUpdateAutomation/{namespace}/all: spec.git.commit.messageTemplate uses .Updated"
        ),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }

    let rehearsed = flux(env, &["migrate", "--dry-run"]).await;
    assert!(
        rehearsed.stderr.contains("apps would be migrated"),
        "{rehearsed}"
    );
    let stored = [
        "get",
        "crd",
        CRD,
        "-o",
        "jsonpath={.status.storedVersions[*]}",
    ];
    assert_eq!(lines(env, &stored).await, "v1beta2 v1");
    let migrated = flux(env, &["migrate"]).await;
    let said = migrated.stderr.clone();
    migrated.success().unwrap();
    for expected in [
        format!("✔ Kustomization/{namespace}/apps migrated to version v1"),
        format!("✔ {CRD} migrated to storage version v1"),
        "✔ custom resources migrated successfully".to_owned(),
    ] {
        assert!(said.contains(&expected), "{said}");
    }
    assert_eq!(lines(env, &stored).await, "v1");
    let again = flux(env, &["migrate"]).await;
    assert!(
        again.stderr.contains("no custom resources found"),
        "{again}"
    );

    // What is left has to change where it is written.
    let output = flux(env, &["check", "--give-back", &path]).await;
    assert!(output.failure().unwrap().contains(&format!("{path}:2: ")));
    let unsure = flux(env, &["migrate", "-f", &path]).await;
    assert!(unsure.stderr.contains("aborting"), "{unsure}");
    let mended = flux(env, &["migrate", "-f", &path, "--yes"]).await;
    let said = mended.stderr.clone();
    mended.success().unwrap();
    assert!(
        said.contains(&format!("✚ {path}:2: Kustomization v1beta2 -> v1\n")),
        "{said}"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    for kept in [
        "# The apps of the shop\n",
        "name: apps # all of them\n",
        "# the shop\n",
    ] {
        assert!(text.contains(kept), "{text}");
    }
    flux(env, &["check", "--give-back", &path])
        .await
        .success()
        .unwrap();
    lines(env, &["replace", "-f", &path]).await;
    let output = flux(env, &["check", "--give-back"]).await;
    output.success().unwrap();
}

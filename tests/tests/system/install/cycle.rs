//! Install and uninstall: everything is there, then nothing is, and workloads never notice.

use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::Deployment,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace},
        rbac::v1::{ClusterRole, ClusterRoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::api::ApiResource;

use super::scene::{REGISTRY, Scene};

const APP: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: installed-app
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: foo
  namespace: installed-app
spec:
  selector:
    matchLabels:
      app: foo
  template:
    metadata:
      labels:
        app: foo
    spec:
      containers:
      - name: foo
        image: foo:1
";

/// How often everything is installed and removed; what is between is looked at in the first rounds.
const ROUNDS: usize = 10;
const LOOKED_AT: usize = 2;

/// What a Kustomization applies in these tests.
fn workloads() -> [ApiResource; 3] {
    [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Namespace>(&()),
    ]
}

/// What may be left behind by an uninstallation, by name.
async fn traces(scene: &Scene) -> Vec<String> {
    let kinds = [
        ApiResource::erase::<CustomResourceDefinition>(&()),
        ApiResource::erase::<ClusterRole>(&()),
        ApiResource::erase::<ClusterRoleBinding>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<Namespace>(&()),
        ApiResource::erase::<Lease>(&()),
    ];
    let words = ["flux", "admission-webhook", "sync-operator"];
    let all = scene.uids(&kinds).await;
    all.into_iter()
        .filter(|object| words.iter().any(|word| object.contains(word)))
        .collect()
}

#[tokio::test]
async fn installed_and_removed_again_and_again() {
    let scene = Scene::start().await;
    let git = scene.env.git().unwrap();
    git.create_repository("installed/app").unwrap();
    let copy = git.work_copy("installed/app").unwrap();
    copy.write("app.yaml", APP).unwrap();
    copy.commit_and_push("app").unwrap();
    let url = git.https_url("installed/app");

    let mut before: Option<Vec<String>> = None;
    for round in 0..ROUNDS {
        let installed = scene.flux(&format!("install {REGISTRY}")).await;
        let text = installed.stderr.clone();
        installed.success().unwrap();
        for line in [
            "✚ generating manifests",
            "✔ manifests build completed",
            "► installing components in flux-system namespace",
            "Namespace/flux-system created",
            "CustomResourceDefinition/gitrepositories.source.toolkit.fluxcd.io created",
            "Deployment/flux-system/sync-operator created",
            "◎ verifying installation",
            "✔ sync-operator: deployment ready",
            "✔ admission-webhook: deployment ready",
            "✔ install finished",
        ] {
            assert!(
                text.contains(line),
                "{line} is missing in round {round}:\n{text}"
            );
        }
        if round >= LOOKED_AT {
            scene.flux("uninstall --silent").await.success().unwrap();
            assert_eq!(traces(&scene).await, Vec::<String>::new(), "round {round}");
            continue;
        }
        let check = scene.flux("check").await;
        assert!(check.stderr.contains("✔ all checks passed"), "{check}");

        // Something works with it.
        let operator = scene.operator().await;
        for line in [
            format!("create source git app --url={url} --branch=main"),
            "create kustomization app --source=GitRepository/app --prune=true".to_owned(),
        ] {
            scene.flux(&line).await.success().unwrap();
        }
        operator.stop();
        let mine = |all: Vec<String>| -> Vec<String> {
            all.into_iter()
                .filter(|object| object.contains("installed-app"))
                .collect()
        };
        let workloads_now = mine(scene.uids(&workloads()).await);
        assert!(workloads_now.len() >= 2, "{workloads_now:?}");
        if let Some(before) = &before {
            assert_eq!(*before, workloads_now, "the next installation found them");
        }
        before = Some(workloads_now.clone());

        // The same again changes nothing.
        let again = scene.flux(&format!("install {REGISTRY}")).await;
        let changed = |line: &&str| line.ends_with(" created") || line.ends_with(" configured");
        assert!(!again.stderr.lines().any(|line| changed(&line)), "{again}");
        again.success().unwrap();

        let rehearsal = scene.flux("uninstall --dry-run").await;
        let line = "✔ Deployment/flux-system/sync-operator deleted (dry run)";
        assert!(rehearsal.stderr.contains(line), "{rehearsal}");
        let refused = scene.flux("uninstall").await;
        assert!(refused.stderr.contains("1 Kustomization"), "{refused}");
        assert!(refused.stderr.ends_with("✗ aborting\n"), "{refused}");

        let removed = scene.flux("uninstall --silent").await;
        let text = removed.stderr.clone();
        removed.success().unwrap();
        for line in [
            "► deleting components in flux-system namespace",
            "✔ Deployment/flux-system/sync-operator deleted",
            "► deleting toolkit.fluxcd.io finalizers in all namespaces",
            "✔ Kustomization/flux-system/app finalizers deleted",
            "► deleting toolkit.fluxcd.io custom resource definitions",
            "✔ Namespace/flux-system deleted",
            "✔ uninstall finished",
        ] {
            assert!(
                text.contains(line),
                "{line} is missing in round {round}:\n{text}"
            );
        }
        assert_eq!(traces(&scene).await, Vec::<String>::new());
        assert_eq!(mine(scene.uids(&workloads()).await), workloads_now);
    }
    let nothing = scene.flux("uninstall --silent").await;
    assert!(
        nothing.stderr.contains("nothing of this distribution"),
        "{nothing}"
    );
    nothing.success().unwrap();
    scene
        .kubectl("delete namespace installed-app --wait=false")
        .await;
}

#[tokio::test]
async fn each_part_is_installed_without_the_other() {
    let scene = Scene::start().await;
    let line = format!("install --webhook --operator=false {REGISTRY}");
    scene.flux(&line).await.success().unwrap();
    let crds = scene.kubectl("get crds -o name").await.success().unwrap();
    assert!(!crds.contains("toolkit.fluxcd.io"), "{crds}");
    let all = scene
        .kubectl("-n flux-system get deployments -o name")
        .await;
    assert_eq!(
        all.success().unwrap(),
        "deployment.apps/admission-webhook\n"
    );
    // What others put into the namespace keeps it.
    scene
        .apply("{apiVersion: apps/v1, kind: Deployment, metadata: {name: other, namespace: flux-system}, \
                spec: {replicas: 0, selector: {matchLabels: {app: other}}, template: {metadata: {labels: {app: other}}, \
                spec: {containers: [{name: other, image: other}]}}}}")
        .await;
    let removed = scene.flux("uninstall --silent").await;
    let line = "Namespace/flux-system stays: Deployment/flux-system/other would be deleted with it";
    assert!(removed.stderr.contains(line), "{removed}");
    removed.success().unwrap();
    let left = scene
        .kubectl("-n flux-system get deployments,services,serviceaccounts,secrets -o name")
        .await;
    assert_eq!(
        left.success().unwrap(),
        "deployment.apps/other\nserviceaccount/default\n"
    );
    scene.kubectl("delete namespace flux-system").await;

    let line = format!("install --webhook=false --replicas=2 {REGISTRY} --timeout=60s");
    scene.flux(&line).await.success().unwrap();
    let all = scene
        .kubectl("-n flux-system get deployments -o jsonpath={.items[*].metadata.name}={.items[*].spec.replicas}")
        .await;
    assert_eq!(all.success().unwrap(), "sync-operator=2");
    // A process on somebody's machine would delete what it applied.
    let operator = scene.operator().await;
    scene
        .until("the operator's Lease", async || {
            let line = "-n flux-system get lease kustomize-controller-leader-election";
            let output = scene.kubectl(line).await;
            output.success().map(drop).map_err(|e| e.to_string())
        })
        .await;
    let refused = scene.flux("uninstall --silent --keep-namespace").await;
    let said = refused.failure().unwrap();
    assert!(
        said.contains("an operator that is no pod of flux-system namespace runs: it renews Lease"),
        "{said}"
    );
    operator.stop();
    let removed = scene.flux("uninstall --silent --keep-namespace").await;
    removed.success().unwrap();
    // For a moment discovery still names kinds whose definitions are gone, and `all` means them, too.
    scene
        .until("nothing but the namespace's own account", async || {
            let line = "-n flux-system get all,secrets,leases,serviceaccounts -o name";
            let left = scene.kubectl(line).await.success();
            let left = left.map_err(|error| error.to_string())?;
            match left.as_str() {
                "serviceaccount/default\n" => Ok(()),
                _ => Err(left),
            }
        })
        .await;
}

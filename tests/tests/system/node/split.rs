//! The operator as two Deployments, one of which may do little.

use flux_tests::sandbox::node::REGISTRY_HOST;

use super::cluster::Cluster;
use crate::layout;

const APPLIES: &str = "deployment/sync-operator";
const FETCHES: &str = "deployment/sync-operator-sources";

/// What the tags of the app's image are read from, and the choice among them.
const IMAGES: &str = "apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata:
  name: agnhost
  namespace: app
spec:
  image: registry.k8s.io/e2e-test-images/agnhost
  interval: 1m
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: agnhost
  namespace: app
spec:
  imageRepositoryRef:
    name: agnhost
  policy:
    alphabetical: {}
";

/// Changes the layout of what is installed; what one fetches the other applies, and neither is
/// refused anything.
pub(super) async fn two_deployments_share_the_work(cluster: &Cluster) {
    let text = layout::build(cluster.env, &["split"], Some(REGISTRY_HOST)).await;
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=flux",
        "-f",
        "-",
    ];
    let applied = cluster.env.kubectl_with_input(&apply, &text).await.unwrap();
    applied.success().unwrap();
    for deployment in [FETCHES, APPLIES] {
        let status = ["-n", "flux-system", "rollout", "status", deployment];
        cluster
            .kubectl(&[&status[..], &["--timeout=120s"]].concat())
            .await;
    }
    cluster.deploy("2.50").await;
    let applied = cluster
        .env
        .kubectl_with_input(&["apply", "-f", "-"], IMAGES);
    applied.await.unwrap().success().unwrap();
    for kind in ["imagerepository/agnhost", "imagepolicy/agnhost"] {
        cluster
            .kubectl(&[
                "-n",
                "app",
                "wait",
                "--for=condition=Ready",
                "--timeout=60s",
                kind,
            ])
            .await;
    }
    // Out of its hands: workloads, and who may do what.
    let account = "--as=system:serviceaccount:flux-system:sync-operator-sources";
    for (verb, resource) in [
        ("create", "deployments.apps"),
        ("patch", "deployments.apps"),
        ("create", "pods"),
        ("create", "secrets"),
        ("patch", "kustomizations.kustomize.toolkit.fluxcd.io"),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ] {
        let asked = ["auth", "can-i", verb, resource, "-A", account];
        let answer = cluster.env.kubectl(&asked).await.unwrap();
        assert_eq!(answer.stdout.trim(), "no", "{verb} {resource}: {answer}");
    }
    for deployment in [FETCHES, APPLIES] {
        let logs = cluster
            .kubectl(&["-n", "flux-system", "logs", deployment])
            .await;
        let refused: Vec<_> = logs.lines().filter(|l| l.contains("forbidden")).collect();
        assert!(refused.is_empty(), "{deployment}: {refused:#?}");
    }
}

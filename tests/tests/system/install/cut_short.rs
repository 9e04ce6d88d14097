//! A give-back that ends halfway is repeated.

use serde_json::json;

use super::{
    conflicts::{ROOT, flux},
    scene::{REGISTRY, Scene},
};

/// Has the API server refuse that the root is resumed.
const DENIED: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: keep-suspended
spec:
  matchConstraints:
    resourceRules:
    - apiGroups: [kustomize.toolkit.fluxcd.io]
      apiVersions: ['*']
      operations: [UPDATE]
      resources: [kustomizations]
  validations:
  - expression: has(object.spec.suspend) && object.spec.suspend
    message: not today
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: keep-suspended
spec:
  policyName: keep-suspended
  validationActions: [Deny]
";

/// Flux under ours, with its root.
async fn taken_over(scene: &Scene) {
    scene.apply(&flux()).await;
    scene
        .kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=flux")
        .await;
    scene.apply(ROOT).await;
    let entries = json!([{"id": "flux-system_source-controller_apps_Deployment", "v": "v1"}]);
    let status = json!({"inventory": {"entries": entries}});
    scene
        .set_status("kustomizations", "flux-system", &status)
        .await;
    let line = format!("install --take-over {REGISTRY}");
    scene.flux(&line).await.success().unwrap();
}

/// Replicas and notes of Flux's Deployments, and whether the root rests.
async fn state(scene: &Scene) -> String {
    let deployments = "-n flux-system get deployments source-controller kustomize-controller -o \
        jsonpath={range.items[*]}{.spec.replicas}{.metadata.annotations.flux-sync/replicas-before-take-over};{end}";
    let root = "-n flux-system get kustomization flux-system -o jsonpath={.spec.suspend}";
    let deployments = scene.kubectl(deployments).await.success().unwrap();
    deployments + &scene.kubectl(root).await.success().unwrap()
}

#[tokio::test]
async fn it_goes_on_where_it_was() {
    let scene = Scene::start().await;
    taken_over(&scene).await;
    scene.apply(DENIED).await;
    scene
        .until("the policy", async || {
            let line = "-n flux-system patch kustomization flux-system --dry-run=server --type=merge -p {\"spec\":{\"suspend\":false}}";
            let output = scene.kubectl(line).await;
            match output.stderr.contains("not today") {
                true => Ok(()),
                false => Err(output.to_string()),
            }
        })
        .await;
    let refused = scene.flux("uninstall --give-back --silent").await;
    let refused = refused.failure().unwrap();
    assert!(refused.contains("not today"), "{refused}");
    assert_eq!(state(&scene).await, "11;11;true");

    let allow =
        "delete validatingadmissionpolicies,validatingadmissionpolicybindings keep-suspended";
    scene.kubectl(allow).await.success().unwrap();
    scene
        .until("the give-back", async || {
            let given = scene.flux("uninstall --give-back --silent").await;
            given.success().map_err(|error| error.to_string())
        })
        .await;
    assert_eq!(state(&scene).await, "1;1;");
}

#[tokio::test]
async fn a_root_without_notes_at_the_controllers_is_resumed() {
    let scene = Scene::start().await;
    taken_over(&scene).await;
    // Somebody wakes Flux by hand.
    for line in [
        "-n flux-system annotate deployment source-controller kustomize-controller \
         flux-sync/replicas-before-take-over- kustomize.toolkit.fluxcd.io/reconcile-",
        "-n flux-system scale deployment source-controller kustomize-controller --replicas=1",
    ] {
        scene.kubectl(line).await.success().unwrap();
    }
    let left = scene.flux("uninstall --dry-run").await;
    assert!(
        left.stderr
            .contains("Kustomization flux-system/flux-system"),
        "{left}"
    );
    let given = scene.flux("uninstall --give-back --silent").await;
    given.success().unwrap();
    assert_eq!(state(&scene).await, "1;1;");
}

//! What stands in the way of an installation, and what goes wrong in the middle of one.

use super::scene::{REGISTRY, Scene};

/// What `flux install` of upstream leaves, as far as it matters here.
pub(super) fn flux() -> String {
    let mut manifests = String::from(
        "{apiVersion: v1, kind: Namespace, metadata: {name: flux-system, labels: {app.kubernetes.io/part-of: flux}}}\n",
    );
    for name in [
        "source-controller",
        "kustomize-controller",
        "helm-controller",
    ] {
        manifests.push_str(&format!(
            "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: flux-system, \
             labels: {{app.kubernetes.io/part-of: flux, app.kubernetes.io/component: {name}, \
             app.kubernetes.io/version: v2.9.0}}}}, \
             spec: {{replicas: 1, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: \
             {{labels: {{app: {name}, app.kubernetes.io/part-of: flux}}}}, spec: {{containers: \
             [{{name: manager, image: x}}]}}}}}}}}\n"
        ));
    }
    // Definitions of an older Flux: one version, other labels.
    for (plural, group, kind) in [
        ("gitrepositories", "source", "GitRepository"),
        ("kustomizations", "kustomize", "Kustomization"),
    ] {
        let lower = kind.to_lowercase();
        manifests.push_str(&format!(
            "---\n{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: \
             {plural}.{group}.toolkit.fluxcd.io, labels: {{app.kubernetes.io/part-of: flux, \
             app.kubernetes.io/component: {group}-controller}}}}, spec: {{group: {group}.toolkit.fluxcd.io, \
             scope: Namespaced, names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {lower}}}, \
             versions: [{{name: v1, served: true, storage: true, subresources: {{status: {{}}}}, schema: \
             {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]}}}}\n"
        ));
    }
    manifests
}

/// Its root.
pub(super) const ROOT: &str = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: flux-system
  namespace: flux-system
spec:
  interval: 10m
  path: ./
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
";

#[tokio::test]
async fn flux_is_found_before_the_first_write_and_can_be_replaced() {
    let scene = Scene::start().await;
    let confined = "image: x, args: [--watch-all-namespaces=true, --no-cross-namespace-refs=true, \
                    --default-service-account, default]";
    scene.apply(&flux().replace("image: x", confined)).await;
    scene
        .kubectl("wait --for=condition=Established crd -l app.kubernetes.io/part-of=flux")
        .await;
    scene.apply(ROOT).await;
    let patch = r#"{"status":{"inventory":{"entries":[{"id":"flux-system_source-controller_apps_Deployment","v":"v1"}]}}}"#;
    let words = [
        "-n",
        "flux-system",
        "patch",
        "kustomizations.kustomize.toolkit.fluxcd.io",
        "flux-system",
        "--subresource=status",
        "--type=merge",
        "-p",
        patch,
    ];
    scene.env.kubectl(&words).await.unwrap().success().unwrap();
    let version = || async {
        let line = "get namespace flux-system -o jsonpath={.metadata.resourceVersion}";
        scene.kubectl(line).await.success().unwrap()
    };
    let before = version().await;

    let refused = scene.flux(&format!("install {REGISTRY}")).await;
    let text = refused.failure().unwrap();
    for line in [
        "✗ Deployment flux-system/source-controller of Flux v2.9.0 is running",
        "✗ Kustomization flux-system/flux-system installs Flux's controllers from Git",
        "✗ CustomResourceDefinition kustomizations.kustomize.toolkit.fluxcd.io was installed by another",
        "--webhook --operator=false",
        "--take-over",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("helm-controller of Flux"), "{text}");
    assert_eq!(version().await, before, "nothing was written");

    // The webhook is of use beside it.
    let line = format!("install --webhook --operator=false {REGISTRY}");
    scene.flux(&line).await.success().unwrap();

    let taken = scene.flux(&format!("install --take-over {REGISTRY}")).await;
    let text = taken.stderr.clone();
    taken.success().unwrap();
    for line in [
        "keeping flags of the controllers here: --default-service-account=default --no-cross-namespace-refs=true",
        "✔ Kustomization flux-system/flux-system suspended",
        "✔ Deployment flux-system/source-controller stopped (it had 1)",
        "✔ sync-operator: deployment ready",
        "⚠️ helm-controller and notification-controller are not part of this distribution",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    let replicas = "-n flux-system get deployments -o jsonpath={range.items[*]}{.metadata.name}={.spec.replicas};{end}";
    let found = scene.kubectl(replicas).await.success().unwrap();
    for expected in [
        "helm-controller=1;",
        "source-controller=0;",
        "kustomize-controller=0;",
    ] {
        assert!(found.contains(expected), "{found}");
    }
    // What confined tenants does so still, also after the next installation.
    scene
        .flux(&format!("install --take-over {REGISTRY}"))
        .await
        .success()
        .unwrap();
    let args = "-n flux-system get deployment sync-operator -o jsonpath={.spec.template.spec.containers[0].args}";
    let args = scene.kubectl(args).await.success().unwrap();
    for flag in [
        "--default-service-account=default",
        "--no-cross-namespace-refs=true",
    ] {
        assert!(args.contains(flag), "{args}");
    }
    // All versions are served now.
    scene
        .kubectl(
            "-n flux-system get kustomizations.v1beta2.kustomize.toolkit.fluxcd.io flux-system",
        )
        .await
        .success()
        .unwrap();

    // What was Flux's stays.
    let removed = scene.flux("uninstall --silent").await;
    let text = removed.stderr.clone();
    removed.success().unwrap();
    for line in [
        "CustomResourceDefinition/kustomizations.kustomize.toolkit.fluxcd.io stays: it was installed by another program",
        "Namespace/flux-system stays:",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    scene
        .kubectl("-n flux-system get kustomizations.kustomize.toolkit.fluxcd.io flux-system")
        .await
        .success()
        .unwrap();
    let crds = scene.kubectl("get crds -o name").await.success().unwrap();
    assert!(!crds.contains("image.toolkit"), "those were ours: {crds}");
}

#[tokio::test]
async fn what_goes_wrong_is_said_and_can_be_repeated() {
    let mut scene = Scene::start().await;
    let refused = scene.flux("install").await.failure().unwrap();
    assert!(
        refused.contains("build and push REGISTRY/sync-operator:v"),
        "{refused}"
    );

    // No rights, no write.
    let line = format!("install --as=nobody {REGISTRY}");
    let refused = scene.flux(&line).await.failure().unwrap();
    assert!(
        refused.contains("takes the rights of a cluster administrator"),
        "{refused}"
    );
    assert_eq!(refused.lines().count(), 1, "{refused}");
    scene
        .kubectl("create clusterrolebinding viewer --clusterrole=view --user=viewer")
        .await;
    scene
        .kubectl("create clusterrole crds --verb=list --resource=customresourcedefinitions")
        .await;
    scene
        .kubectl("create clusterrolebinding crds --clusterrole=crds --user=viewer")
        .await;
    let line = format!("install --as=viewer {REGISTRY}");
    let refused = scene.flux(&line).await.failure().unwrap();
    assert!(refused.contains("Namespace/flux-system:"), "{refused}");
    assert!(refused.contains("\"viewer\" cannot patch"), "{refused}");
    let namespace = scene.kubectl("get namespace flux-system").await;
    assert!(!namespace.status.success(), "nothing was written");

    // The image cannot be had.
    scene.lose_node();
    let (waiting, broken) = tokio::join!(
        async {
            scene
                .flux(&format!("install {REGISTRY} --timeout=60s"))
                .await
        },
        async {
            scene
                .until("a pod of the operator", async || {
                    let line = "-n flux-system get pods -l app=sync-operator -o name";
                    let name = scene.kubectl(line).await.stdout;
                    let name = name.trim();
                    if name.is_empty() {
                        return Err("none".to_owned());
                    }
                    let patch = r#"{"status":{"containerStatuses":[{"name":"manager","image":"registry.example/gitops/sync-operator:v0.1.0","imageID":"","ready":false,"restartCount":0,"state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}]}}"#;
                    let words = ["-n", "flux-system", "patch", name, "--subresource=status", "--type=merge", "-p", patch];
                    let output = scene.env.kubectl(&words).await.map_err(|e| e.to_string())?;
                    output.success().map(drop).map_err(|e| e.to_string())
                })
                .await;
        }
    );
    let () = broken;
    let text = waiting.failure().unwrap();
    assert!(text.contains("cannot be pulled (not found)"), "{text}");

    // The wait ends with what is known.
    let line = "install --webhook=false --registry=other.example --timeout=1s";
    let text = scene.flux(line).await.failure().unwrap();
    assert!(
        text.contains("timed out after 1s waiting for Deployment flux-system/sync-operator"),
        "{text}"
    );
    scene.flux("uninstall --silent").await.success().unwrap();
}

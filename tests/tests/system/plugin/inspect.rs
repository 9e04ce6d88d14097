//! Where things come from and how they are.

use serde_json::Value;

use super::Place;

#[tokio::test]
async fn trees_and_waits_tell_the_state() {
    let place = Place::new("plugin-tree").await;
    place
        .apply(
            "
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec: {interval: 1h, prune: true, path: ./, sourceRef: {kind: GitRepository, name: app}, dependsOn: [{name: infra}]}
",
        )
        .await;
    let namespace = &place.namespace;
    let status = format!(
        r#"{{"status": {{"observedGeneration": 1, "inventory": {{"entries": [
            {{"id": "_{namespace}__Namespace", "v": "v1"}},
            {{"id": "{namespace}_foo_apps_Deployment", "v": "v1"}}]}},
          "conditions": [{{"type": "Ready", "status": "False", "reason": "BuildFailed", "message": "no such file",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}}]}}}}"#
    );
    let patched = place
        .env
        .kubectl(&[
            "patch",
            "kustomization",
            "apps",
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ])
        .await
        .unwrap();
    patched.success().unwrap();

    let tree = place.flux(&["tree", "ks", "apps"]).await.success().unwrap();
    assert_eq!(
        tree,
        format!(
            "Kustomization/{namespace}/apps (not ready: BuildFailed)\n\
             ├── Namespace/{namespace}\n\
             └── Deployment/{namespace}/foo\n\n"
        )
    );
    let json = place.flux(&["tree", "ks", "apps", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&json.success().unwrap()).unwrap();
    assert_eq!(
        json["resources"][1]["resource"]["GroupKind"]["Group"],
        "apps"
    );

    // Known to have failed: the answer comes now, not after the timeout, with what blocks it.
    let said = place.flux(&["wait", "ks/apps"]).await.failure().unwrap();
    for expected in [
        "BuildFailed: no such file",
        "which does not exist",
        "✗ 1 of 1 objects are not ready",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let stats = place.flux(&["stats"]).await.success().unwrap();
    let row = stats.lines().find(|line| line.starts_with("Kustomization"));
    let cells: Vec<_> = row.unwrap().split_whitespace().collect();
    assert_eq!(cells, ["Kustomization", "1", "1", "0", "-"]);
}

/// What the operator would have applied: a Deployment with the labels of its Kustomization.
const APPLIED: &str = "
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec: {interval: 1h, prune: true, path: ./foo, sourceRef: {kind: GitRepository, name: code}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: code}
spec: {url: 'https://example.test/code', interval: 1m, ref: {branch: main}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: foo
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: foo}}
  template:
    metadata: {labels: {app: foo}}
    spec: {containers: [{name: foo, image: example.test/foo}]}
";

#[tokio::test]
async fn a_pod_is_traced_to_its_source() {
    let place = Place::new("plugin-trace").await;
    let namespace = &place.namespace;
    place.apply(&APPLIED.replace("NAMESPACE", namespace)).await;
    let pods = [
        "get",
        "pods",
        "-n",
        namespace,
        "-o",
        "jsonpath={.items[0].metadata.name}",
    ];
    let pod = place
        .env
        .wait_for("a pod", std::time::Duration::from_secs(60), async || {
            let output = place.env.kubectl(&pods).await.map_err(|e| e.to_string())?;
            let found = output.status.success() && !output.stdout.is_empty();
            found.then_some(output.stdout.clone()).ok_or(output.stderr)
        })
        .await
        .unwrap();

    let traced = place.flux(&["trace", "pod", &pod]).await.success().unwrap();
    for expected in [
        format!("Object:          Pod/{pod}\n"),
        "Owner:           Deployment/foo\nStatus:          Managed by Flux\n---\n".to_owned(),
        format!("Kustomization:   apps\nNamespace:       {namespace}\nPath:            ./foo\n"),
        "URL:             https://example.test/code\nBranch:          main\n".to_owned(),
    ] {
        assert!(traced.contains(&expected), "{traced}");
    }
    // A service account of the namespace is nobody's: that is an error, and the exit code says so.
    let stray = place
        .flux(&["trace", "sa/default"])
        .await
        .failure()
        .unwrap();
    assert!(stray.contains("object not managed by Flux"), "{stray}");
}

//! Verbs of the plugin through a real kubectl: what they change, print and exit with. What needs a
//! controller is done by an operator in `bad_input` and by the tutorial.

use flux_tests::env::{Env, Output};
use serde_json::Value;

const REASON: &str = "{.metadata.annotations.flux-sync\\.io/suspend-reason}";

struct Place {
    env: &'static Env,
    namespace: String,
}

impl Place {
    async fn new(name: &str) -> Self {
        let env = Env::shared().await.unwrap();
        env.build_binaries().await.unwrap();
        let namespace = env.namespace(name).await.unwrap();
        Self { env, namespace }
    }

    async fn apply(&self, manifest: &str) {
        let args = ["apply", "-n", &self.namespace, "-f", "-"];
        let applied = self.env.kubectl_with_input(&args, manifest).await.unwrap();
        applied.success().unwrap();
    }

    async fn flux(&self, args: &[&str]) -> Output {
        let mut all = vec!["flux"];
        all.extend(args);
        all.extend(["-n", &self.namespace]);
        self.env.kubectl(&all).await.unwrap()
    }

    async fn field(&self, object: &str, path: &str) -> String {
        let path = format!("jsonpath={path}");
        let args = ["get", object, "-n", &self.namespace, "-o", &path];
        let output = self.env.kubectl(&args).await.unwrap();
        output.success().unwrap()
    }
}

const POLICIES: &str = "
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: one, labels: {team: web}}
spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: two}
spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}}
";

#[tokio::test]
async fn objects_are_suspended_with_a_reason_and_resumed() {
    let place = Place::new("plugin-suspend").await;
    place.apply(POLICIES).await;

    let output = place
        .flux(&[
            "suspend",
            "image",
            "policy",
            "one",
            "absent",
            "--reason=frozen for the fair",
        ])
        .await;
    // What is missing does not keep the rest from being done, and is not success either.
    let said = output.failure().unwrap();
    let namespace = &place.namespace;
    assert!(
        said.contains(&format!(
            "► suspending image policy one in {namespace} namespace\n✔ image policy suspended\n"
        )),
        "{said}"
    );
    assert!(
        said.contains("imagepolicies.image.toolkit.fluxcd.io \"absent\" not found"),
        "{said}"
    );
    assert_eq!(
        place.field("imagepolicy/one", "{.spec.suspend}").await,
        "true"
    );
    assert_eq!(
        place.field("imagepolicy/one", REASON).await,
        "frozen for the fair"
    );

    let resumed = place.flux(&["resume", "image", "policy", "--all"]).await;
    resumed.success().unwrap();
    assert_eq!(place.field("imagepolicy/one", "{.spec.suspend}").await, "");
    assert_eq!(place.field("imagepolicy/one", REASON).await, "");

    let all = place
        .flux(&["suspend", "image", "policy", "-l", "team=web"])
        .await;
    all.success().unwrap();
    let suspended = place
        .field("imagepolicies", "{.items[*].spec.suspend}")
        .await;
    assert_eq!(suspended, "true");
    let nothing = place.flux(&["suspend", "ks"]).await.failure().unwrap();
    assert!(
        nothing.contains("✗ Kustomization name is required"),
        "{nothing}"
    );
}

#[tokio::test]
async fn an_export_can_be_applied_again() {
    let place = Place::new("plugin-export").await;
    place.apply(POLICIES).await;
    place
        .apply(
            "
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {username: me, password: secret}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app}
spec: {url: 'https://example.test/app', interval: 1m, ref: {branch: main}, secretRef: {name: login}}
",
        )
        .await;

    let policies = place.flux(&["export", "image", "policy", "--all"]).await;
    let policies = policies.success().unwrap();
    assert_eq!(policies.matches("---\n").count(), 2, "{policies}");
    assert!(
        !policies.contains("uid") && !policies.contains("status"),
        "{policies}"
    );
    let source = place
        .flux(&["export", "source", "git", "app", "--with-credentials"])
        .await
        .success()
        .unwrap();
    assert!(source.contains("kind: Secret\n"), "{source}");

    let deleted = place
        .flux(&["delete", "image", "policy", "one", "two", "--silent"])
        .await;
    let said = deleted.stderr.clone();
    deleted.success().unwrap();
    assert_eq!(
        said.matches("✔ image policy deleted\n").count(),
        2,
        "{said}"
    );
    let args = ["apply", "-f", "-"];
    let applied = place
        .env
        .kubectl_with_input(&args, &policies)
        .await
        .unwrap();
    assert_eq!(applied.success().unwrap().matches(" created").count(), 2);
    let again = place.env.kubectl_with_input(&args, &source).await.unwrap();
    let again = again.success().unwrap();
    assert!(!again.contains("created"), "{again}");
}

#[tokio::test]
async fn a_deletion_that_nobody_agreed_to_is_none() {
    let place = Place::new("plugin-delete").await;
    place.apply(POLICIES).await;
    let refused = place.flux(&["delete", "image", "policy", "one"]).await;
    let said = refused.failure().unwrap();
    assert!(said.contains("--silent"), "{said}");
    assert_eq!(
        place.field("imagepolicy/one", "{.metadata.name}").await,
        "one"
    );
}

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

#[tokio::test]
async fn lists_show_what_is_asked_for() {
    let place = Place::new("plugin-get").await;
    place.apply(POLICIES).await;
    let suspended = place
        .flux(&["suspend", "image", "policy", "one", "--reason=fair"])
        .await;
    suspended.success().unwrap();
    let names = |args: &'static [&'static str]| {
        let place = &place;
        async move {
            let mut all = vec!["get", "image", "policy", "-o", "name"];
            all.extend(args);
            place.flux(&all).await.success().unwrap()
        }
    };
    let (one, two) = (
        "imagepolicies.image.toolkit.fluxcd.io/one\n",
        "imagepolicies.image.toolkit.fluxcd.io/two\n",
    );
    assert_eq!(names(&["--suspended"]).await, one);
    assert_eq!(names(&["--not-ready"]).await, format!("{one}{two}"));
    let several = place
        .flux(&["get", "all", "--watch"])
        .await
        .failure()
        .unwrap();
    assert!(
        several.contains("expected a single resource type"),
        "{several}"
    );
}

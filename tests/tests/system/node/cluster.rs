//! The product installed on a node, and one app that it keeps.

use flux_tests::{
    env::Env,
    sandbox::{git::WorkCopy, node::REGISTRY_HOST},
};
use k8s_openapi::api::core::v1::Service;
use kube::Api;

use super::PATIENCE;

/// Name of the app's namespace, Deployment and Service.
pub(super) const APP: &str = "app";

pub(super) const REPOSITORY: &str = "team/app";

/// Source and Kustomization, in the namespace of the operator.
const SYNC: &str = "apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata:
  name: app
  namespace: flux-system
spec:
  interval: 1s
  url: https://github.com/team/app.git
  ref:
    branch: main
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: app
  namespace: flux-system
spec:
  interval: 10s
  retryInterval: 1s
  timeout: 5s
  path: ./
  prune: true
  wait: true
  sourceRef:
    kind: GitRepository
    name: app
";

/// The app's objects; `TAG` is replaced.
const MANIFEST: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: app
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  namespace: app
spec:
  selector:
    matchLabels:
      app: app
  template:
    metadata:
      labels:
        app: app
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: agnhost
        image: registry.k8s.io/e2e-test-images/agnhost:TAG
        command: [/agnhost, netexec, --http-port, \"8080\"]
        readinessProbe:
          httpGet:
            path: /healthz
            port: 8080
          periodSeconds: 1
---
apiVersion: v1
kind: Service
metadata:
  name: app
  namespace: app
spec:
  selector:
    app: app
  ports:
  - port: 8080
";

pub(super) struct Cluster {
    pub(super) env: &'static Env,
    pub(super) copy: WorkCopy,
}

impl Cluster {
    /// Installs operator and webhook with the plugin, which waits for their pods.
    pub(super) async fn install(env: &'static Env) -> Self {
        env.push_images().await.unwrap();
        let git = env.git().unwrap();
        git.create_repository(REPOSITORY).unwrap();
        let copy = git.work_copy(REPOSITORY).unwrap();
        let cluster = Self { env, copy };
        // First from where the images are not: it says which one, and what to do.
        let absent = format!("--registry={REGISTRY_HOST}/absent");
        let refused = env.kubectl(&["flux", "install", &absent]).await.unwrap();
        let refused = refused.failure().unwrap();
        assert!(
            refused.contains(&format!("image {REGISTRY_HOST}/absent/"))
                && refused.contains("push it there, or correct --registry"),
            "{refused}"
        );
        // And then over it.
        let registry = format!("--registry={REGISTRY_HOST}");
        let started = std::time::Instant::now();
        cluster.kubectl(&["flux", "install", &registry]).await;
        println!(
            "install to all Ready: {:.1} s",
            started.elapsed().as_secs_f64()
        );
        cluster
    }

    /// Runs kubectl, which must succeed; its standard output.
    pub(super) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.env
            .kubectl(arguments)
            .await
            .unwrap()
            .success()
            .unwrap()
    }

    /// Writes a file of the app's repository.
    pub(super) fn write(&self, path: &str, content: &str) {
        self.copy.write(path, content).unwrap();
    }

    /// Commits and pushes what was written.
    pub(super) fn push(&self, message: &str) {
        self.copy.commit_and_push(message).unwrap();
    }

    /// Pushes the app with an image of this tag.
    pub(super) fn commit(&self, tag: &str) {
        self.write("app.yaml", &MANIFEST.replace("TAG", tag));
        self.push(&format!("feat: {tag}"));
    }

    /// The same, and waits until a pod runs it and answers.
    pub(super) async fn deploy(&self, tag: &str) {
        self.commit(tag);
        let applied = self.env.kubectl_with_input(&["apply", "-f", "-"], SYNC);
        applied.await.unwrap().success().unwrap();
        let image = format!("registry.k8s.io/e2e-test-images/agnhost:{tag}");
        let images = [
            "-n",
            APP,
            "get",
            "pods",
            "--field-selector=status.phase=Running",
            "-o",
            "jsonpath={.items[*].spec.containers[*].image}",
        ];
        self.wait_for(&format!("pods with {tag}"), async || {
            let running = self.kubectl(&images).await;
            (running == image && self.answers().await.is_some()).then_some(())
        })
        .await;
    }

    /// Name of the pod that answers a request to the Service's cluster address.
    pub(super) async fn answers(&self) -> Option<String> {
        let services: Api<Service> = Api::namespaced(self.env.client().await.unwrap(), APP);
        let address = services.get_opt(APP).await.ok()??.spec?.cluster_ip?;
        let network = self.env.node().unwrap().network();
        let mut command = network.inside("curl".as_ref());
        command.args(["--silent", "--fail", "--max-time", "2"]);
        command.arg(format!("http://{address}:8080/hostname"));
        let output = tokio::process::Command::from(command).output().await.ok()?;
        let name = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && !name.is_empty()).then_some(name)
    }

    /// Message of the Kustomization's Ready condition, empty when it is not false.
    pub(super) async fn ready_message(&self) -> String {
        let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")]['status','message']}";
        let said = self
            .kubectl(&[
                "-n",
                "flux-system",
                "get",
                "kustomization",
                "app",
                "-o",
                condition,
            ])
            .await;
        said.strip_prefix("False ").unwrap_or_default().to_owned()
    }

    /// Waits until `look` finds something.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let found = self.env.wait_for(what, PATIENCE, async || {
            look().await.ok_or_else(|| "not yet".to_owned())
        });
        let outcome = found.await;
        if outcome.is_err() {
            for arguments in [
                &[
                    "-n",
                    "flux-system",
                    "logs",
                    "deployment/sync-operator",
                    "--tail=20",
                ][..],
                &["get", "pods", "-A", "-o", "wide"],
            ] {
                println!("{}", self.env.kubectl(arguments).await.unwrap());
            }
        }
        outcome.unwrap()
    }
}

//! The cluster of these tests, and few words for what they do with it.

use std::{fmt::Debug, time::Duration};

use flux_api::{GitRepository, Kustomization};
use flux_tests::{
    env::{Env, Output},
    sandbox::{process::Process, wait::free_port},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::pods::Kubelet;

/// For what takes moments; a machine that compiles and tests at once takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A registry that nobody asks: no node pulls here.
pub(super) const REGISTRY: &str = "--registry=registry.example/gitops";

/// A cluster that one test at a time has to itself, with nothing of ours in it.
pub(super) struct Scene {
    pub(super) env: &'static Env,
    pub(super) client: Client,
    kubelet: Option<Kubelet>,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// Waits for its turn, and removes what the test before has left.
    pub(super) async fn start() -> Self {
        static ENV: OnceCell<Env> = OnceCell::const_new();
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let env = ENV
            .get_or_init(|| async { Env::start().await.unwrap() })
            .await;
        env.build_binaries().await.unwrap();
        let client = env.client().await.unwrap();
        let mut scene = Self {
            env,
            kubelet: None,
            client,
            _turn: turn,
        };
        scene.clean().await;
        scene.kubelet = Some(Kubelet::start(scene.client.clone()));
        scene
    }

    /// A test that failed may have left its installation.
    async fn clean(&self) {
        self.flux("uninstall --silent").await.success().unwrap();
        // Who was given back to a Flux that does not run here would never go.
        self.let_go::<GitRepository>().await;
        self.let_go::<Kustomization>().await;
        for leftover in [
            "delete kustomizations.kustomize.toolkit.fluxcd.io,gitrepositories --all -A --wait=false",
            "delete namespace flux-system --ignore-not-found",
            "delete deployments -A -l app.kubernetes.io/part-of=flux",
        ] {
            // The kinds may not be there.
            let _ = self.kubectl(leftover).await;
        }
        let crds = "delete crd -l app.kubernetes.io/part-of=flux";
        self.kubectl(crds).await.success().unwrap();
    }

    /// Takes the finalizers off all objects of a kind, if it is defined.
    async fn let_go<K>(&self)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let all: Api<K> = Api::all(self.client.clone());
        let Ok(list) = all.list(&ListParams::default()).await else {
            return;
        };
        for object in list {
            let namespace = object.namespace().unwrap_or_default();
            let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
            let none = json!({"metadata": {"finalizers": null}});
            // It may have gone meanwhile.
            let _ = api
                .patch(
                    &object.name_any(),
                    &PatchParams::default(),
                    &Patch::Merge(&none),
                )
                .await;
        }
    }

    /// No pod is reported as running from now on.
    pub(super) fn lose_node(&mut self) {
        self.kubelet = None;
    }

    /// Runs kubectl; words are separated by spaces.
    pub(super) async fn kubectl(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.env.kubectl(&words).await.unwrap()
    }

    /// The same for `kubectl flux`.
    pub(super) async fn flux(&self, line: &str) -> Output {
        self.kubectl(&format!("flux {line}")).await
    }

    /// Applies manifests.
    pub(super) async fn apply(&self, manifests: &str) {
        self.apply_as("kubectl", manifests).await;
    }

    /// Applies manifests under the name of a field manager.
    pub(super) async fn apply_as(&self, manager: &str, manifests: &str) {
        let manager = format!("--field-manager={manager}");
        let words = ["apply", "--server-side", &manager, "-f", "-"];
        // What begins with a brace would be taken for JSON.
        let manifests = format!("---\n{manifests}");
        let output = self.env.kubectl_with_input(&words, &manifests).await;
        output.unwrap().success().unwrap();
    }

    /// Merges into the status of an object in flux-system.
    pub(super) async fn set_status(&self, plural: &str, name: &str, status: &serde_json::Value) {
        let status = json!({ "status": status }).to_string();
        let words = [
            "-n",
            "flux-system",
            "patch",
            plural,
            name,
            "--subresource=status",
        ];
        let words = [&words[..], &["--type=merge", "-p", &status]].concat();
        self.env.kubectl(&words).await.unwrap().success().unwrap();
    }

    /// The operator with the flags of an installation, outside the cluster: without a node it cannot
    /// run inside.
    pub(super) async fn operator(&self) -> Arc<Process> {
        let ports = [(); 3].map(|()| free_port().unwrap());
        let storage = self.env.sandbox().dir().join(format!("data-{}", ports[0]));
        let arguments = [
            format!("--storage-path={}", storage.display()),
            format!("--storage-addr=127.0.0.1:{}", ports[0]),
            format!("--health-addr=127.0.0.1:{}", ports[1]),
            format!("--metrics-addr=127.0.0.1:{}", ports[2]),
            "--enable-leader-election".to_owned(),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.env.start_operator(&arguments).await.unwrap()
    }

    /// Polls until `look` finds something.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        self.env.wait_for(what, PATIENCE, look).await.unwrap()
    }

    /// `kind/namespace/name uid` of all objects of these kinds, but those in namespaces of the
    /// cluster itself.
    pub(super) async fn uids(&self, resources: &[ApiResource]) -> Vec<String> {
        let mut found = Vec::new();
        for resource in resources {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
            for object in api.list(&ListParams::default()).await.unwrap() {
                let namespace = object.namespace().unwrap_or_default();
                if namespace.starts_with("kube-") || namespace == "default" {
                    continue;
                }
                found.push(format!(
                    "{}/{namespace}/{} {}",
                    resource.kind,
                    object.name_any(),
                    object.uid().unwrap_or_default()
                ));
            }
        }
        found
    }
}

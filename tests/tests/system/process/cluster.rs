//! A cluster of its own for operators that come and go, and few words for what a test does in it.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use flux_api::{Condition, GitRepository, Kustomization, conditions};
use flux_tests::{
    env::Env,
    sandbox::{
        git::WorkCopy,
        process::Process,
        wait::{self, free_port},
    },
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use rustix::process::Signal;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// For what takes seconds on a machine that has nothing else to do.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The namespace of the objects.
pub(super) const NAMESPACE: &str = "default";

/// The cluster.
pub(super) struct Cluster {
    pub(super) env: Env,
    pub(super) client: Client,
}

/// An operator, its readiness and its folder.
pub(super) struct Operator {
    pub(super) process: Arc<Process>,
    pub(super) health: u16,
    pub(super) metrics: u16,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let env = Env::start().await.unwrap();
        let client = env.client().await.unwrap();
        let cluster = Self { env, client };
        cluster
            .create("v1", "Namespace", None, "flux-system", json!({}))
            .await;
        cluster
    }

    /// Starts an operator with these arguments beside those for folders and ports.
    pub(super) async fn operator(
        &self,
        folder: &str,
        storage_port: u16,
        more: &[&str],
    ) -> Operator {
        self.operator_with(&[], folder, storage_port, more).await
    }

    /// The same with more in its environment.
    pub(super) async fn operator_with(
        &self,
        variables: &[(&str, OsString)],
        folder: &str,
        storage_port: u16,
        more: &[&str],
    ) -> Operator {
        let storage: PathBuf = self.env.sandbox().dir().join(folder);
        let [health, metrics] = [(); 2].map(|()| free_port().unwrap());
        let mut arguments = vec![
            format!("--storage-path={}", storage.display()),
            format!("--storage-addr=127.0.0.1:{storage_port}"),
            format!("--health-addr=127.0.0.1:{health}"),
            format!("--metrics-addr=127.0.0.1:{metrics}"),
        ];
        arguments.extend(more.iter().map(|more| (*more).to_owned()));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let process = self.env.start_operator_with(variables, &arguments).await;
        let process = process.unwrap();
        Operator {
            process,
            health,
            metrics,
        }
    }

    /// Applies an object of any kind.
    pub(super) async fn create(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        mut object: Value,
    ) {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(name);
        let text = object.to_string();
        let mut arguments = vec!["apply", "--server-side", "-f", "-"];
        arguments.extend(namespace.iter().flat_map(|n| ["--namespace", n]));
        let output = self
            .env
            .kubectl_with_input(&arguments, &text)
            .await
            .unwrap();
        output.success().unwrap();
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// An empty repository with a clone, and a GitRepository that follows it.
    pub(super) async fn source(&self, name: &str) -> WorkCopy {
        let git = self.env.git().unwrap();
        let repository = format!("process/{name}");
        git.create_repository(&repository).unwrap();
        let spec = json!({
            "url": git.https_url(&repository), "interval": "10m", "ref": {"branch": "main"}});
        self.create(
            "source.toolkit.fluxcd.io/v1",
            "GitRepository",
            Some(NAMESPACE),
            name,
            json!({"spec": spec}),
        )
        .await;
        git.work_copy(&repository).unwrap()
    }

    /// A Kustomization of its whole repository.
    pub(super) async fn kustomization(&self, name: &str, source: &str, labels: Value) {
        let spec = json!({
            "interval": "10m", "prune": true, "path": "./",
            "sourceRef": {"kind": "GitRepository", "name": source}});
        let object = json!({"metadata": {"labels": labels}, "spec": spec});
        self.create(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            Some(NAMESPACE),
            name,
            object,
        )
        .await;
    }

    /// Commits a ConfigMap with this value, and asks for a fetch; the revision.
    pub(super) async fn push(
        &self,
        copy: &WorkCopy,
        source: &str,
        name: &str,
        value: &str,
    ) -> String {
        let content = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name}, "data": {"value": value}});
        copy.write("app.yaml", &content.to_string()).unwrap();
        let id = copy.commit_and_push("feat: next").unwrap();
        let asked = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": id}}});
        self.patch::<GitRepository>(source, asked).await;
        format!("main@sha1:{id}")
    }

    pub(super) async fn patch<K>(&self, name: &str, patch: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let params = PatchParams::default();
        self.api::<K>()
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// The Ready condition of an object.
    pub(super) async fn ready<K>(&self, name: &str) -> Option<Condition>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let object = self.api::<K>().get(name).await.unwrap();
        let object = serde_json::to_value(object).unwrap();
        let list = object.pointer("/status/conditions").cloned();
        let list: Vec<Condition> =
            serde_json::from_value(list.unwrap_or_default()).unwrap_or_default();
        conditions::get(&list, "Ready").cloned()
    }

    /// Waits until a request of this token is handled.
    pub(super) async fn handled<K>(&self, name: &str, token: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        wait::until(&format!("{name} handled"), PATIENCE, None, async || {
            let object = self.api::<K>().get(name).await.unwrap();
            let object = serde_json::to_value(object).unwrap();
            let handled = object.pointer("/status/lastHandledReconcileAt");
            (handled == Some(&json!(token)))
                .then_some(())
                .ok_or_else(|| format!("{handled:?}"))
        })
        .await
        .unwrap();
    }

    /// Waits until the Ready condition of an object has this status, and all words in its message.
    pub(super) async fn says<K>(&self, name: &str, status: &str, words: &[&str]) -> Condition
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let what = format!("{name} says {words:?}");
        wait::until(&what, PATIENCE, None, async || {
            let ready = self.ready::<K>(name).await;
            let found = ready.clone().filter(|ready| {
                ready.status == status && words.iter().all(|word| ready.message.contains(word))
            });
            found.ok_or_else(|| format!("{ready:?}"))
        })
        .await
        .unwrap()
    }

    /// Waits until a Kustomization has applied a revision and its ConfigMap has this value.
    pub(super) async fn applied(&self, name: &str, revision: &str, config_map: &str, value: &str) {
        wait::until(
            &format!("{name} at {revision}"),
            PATIENCE,
            None,
            async || {
                let object = self.api::<Kustomization>().get(name).await.unwrap();
                let status = object.status.unwrap_or_default();
                if status.last_applied_revision.as_deref() != Some(revision)
                    || !conditions::is_true(&status.conditions, "Ready")
                {
                    return Err(format!("{:?}", status.conditions));
                }
                Ok(())
            },
        )
        .await
        .unwrap();
        let applied = self.api::<ConfigMap>().get(config_map).await.unwrap();
        assert_eq!(applied.data.unwrap()["value"], value);
    }
}

impl Operator {
    /// Waits for an answer of `/readyz`.
    pub(super) async fn readyz(&self, ready: bool) {
        let url = format!("http://127.0.0.1:{}/readyz", self.health);
        wait::until("readyz", PATIENCE, Some(&self.process), async || {
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            let found = answer.status().is_success();
            let text = answer.text().await.unwrap_or_default();
            (found == ready).then_some(()).ok_or(text)
        })
        .await
        .unwrap();
    }

    /// A line of its metrics.
    pub(super) async fn metric(&self, line: &str) {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        wait::until(line, PATIENCE, Some(&self.process), async || {
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            let text = answer.text().await.unwrap_or_default();
            text.lines().any(|l| l == line).then_some(()).ok_or(text)
        })
        .await
        .unwrap();
    }

    /// What a scrape of its metrics says, by series, once `what` holds for it.
    pub(super) async fn scraped(
        &self,
        what: &str,
        holds: impl Fn(&BTreeMap<String, f64>) -> bool,
    ) -> BTreeMap<String, f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        wait::until(what, PATIENCE, Some(&self.process), async || {
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            let format = answer.headers()["content-type"].clone();
            assert!(format.to_str().unwrap().contains("openmetrics-text"));
            let text = answer.text().await.map_err(|error| error.to_string())?;
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let sample = |line: &str| {
                let (series, value) = line.rsplit_once(' ')?;
                Some((series.to_owned(), value.parse().ok()?))
            };
            let samples: Option<BTreeMap<String, f64>> = samples.map(sample).collect();
            samples.filter(&holds).ok_or(text)
        })
        .await
        .unwrap()
    }

    /// Waits until these words are in its log.
    pub(super) async fn says(&self, words: &str) {
        wait::until(words, PATIENCE, Some(&self.process), async || {
            let output = self.process.output();
            output.contains(words).then_some(()).ok_or(output)
        })
        .await
        .unwrap();
    }

    /// Waits until it has ended by itself.
    pub(super) async fn ended(&self) -> std::process::ExitStatus {
        wait::until("the operator's end", PATIENCE, None, async || {
            let status = self.process.exit_status();
            status.ok_or_else(|| "still running".to_owned())
        })
        .await
        .unwrap()
    }

    /// Ends it without a chance to say goodbye.
    pub(super) async fn kill(&self) {
        self.process.id().signal(Signal::KILL);
        self.ended().await;
    }
}

/// The artifact of a GitRepository.
pub(super) async fn artifact(cluster: &Cluster, name: &str) -> flux_api::Artifact {
    let object = cluster.api::<GitRepository>().get(name).await.unwrap();
    object.status.and_then(|s| s.artifact).unwrap()
}

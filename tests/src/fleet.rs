//! Many Kustomizations of one repository, and an operator for them: a test counts its requests, `soak`
//! measures what it uses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flux_api::{GitRepository, Kustomization};
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use rustix::process::Signal;
use serde_json::json;

use crate::env::Env;
use crate::sandbox::git::WorkCopy;
use crate::sandbox::process::{Process, ProcessId};
use crate::sandbox::wait::free_port;

const REPOSITORY: &str = "fleet/apps";
const SOURCE: &str = "apps";

/// How many there are, and how they are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many Kustomizations of 4 objects.
    pub kustomizations: usize,
    /// Whether they wait for health.
    pub wait: bool,
    /// Their interval, as in a manifest.
    pub interval: String,
    /// Objects that the operator reconciles at once.
    pub concurrent: u16,
    /// How long anything may take.
    pub patience: Duration,
}

/// What a Kustomization's status says.
#[derive(Clone, Debug, Default)]
struct State {
    ready: bool,
    /// Whether that is about the spec as it is now.
    observed: bool,
    revision: String,
    handled: String,
}

type States = Arc<Mutex<HashMap<String, State>>>;

/// The Kustomizations with their repository and their operator.
pub struct Fleet<'a> {
    env: &'a Env,
    client: Client,
    namespace: String,
    copy: WorkCopy,
    revision: String,
    options: Options,
    arguments: Vec<String>,
    metrics: String,
    operator: Arc<Process>,
    started: Instant,
    states: States,
    tokens: u32,
}

impl<'a> Fleet<'a> {
    /// Starts the operator, and commits what the Kustomizations will apply.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(env: &'a Env, options: &Options) -> Result<Self> {
        let client = env.client().await?;
        let namespace = env.namespace("fleet").await?;
        let git = env.git()?;
        git.create_repository(REPOSITORY)?;
        let copy = git.work_copy(REPOSITORY)?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let data = env.sandbox().dir().join("fleet-data");
        let flags = vec![
            format!("--storage-path={}", data.display()),
            format!("--storage-addr=127.0.0.1:{}", ports[0]),
            format!("--health-addr=127.0.0.1:{}", ports[1]),
            format!("--metrics-addr=127.0.0.1:{}", ports[2]),
            format!("--concurrent={}", options.concurrent),
        ];
        let states = States::default();
        tokio::spawn(follow(
            Api::namespaced(client.clone(), &namespace),
            states.clone(),
        ));
        let mut fleet = Self {
            operator: launch(env, &flags).await?,
            started: Instant::now(),
            env,
            client,
            namespace,
            copy,
            revision: String::new(),
            options: options.clone(),
            arguments: flags,
            metrics: format!("http://127.0.0.1:{}/metrics", ports[2]),
            states,
            tokens: 0,
        };
        fleet.commit(fleet.options.kustomizations)?;
        fleet.ready(ports[1]).await?;
        Ok(fleet)
    }

    /// A client with an administrator's rights.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The operator's process.
    pub fn operator(&self) -> ProcessId {
        self.operator.id()
    }

    /// When the operator was started last.
    pub fn started(&self) -> Instant {
        self.started
    }

    async fn ready(&self, port: u16) -> Result<()> {
        let url = format!("http://127.0.0.1:{port}/readyz");
        self.env
            .wait_for("the operator", self.options.patience, async || {
                let answer = reqwest::get(&url).await.map_err(|e| e.to_string())?;
                let status = answer.status();
                status.is_success().then_some(()).ok_or(status.to_string())
            })
            .await
    }

    /// Changes the first `count` paths and pushes.
    ///
    /// # Errors
    /// When Git fails.
    pub fn commit(&mut self, count: usize) -> Result<()> {
        for number in 0..count {
            let text = objects(number, &self.revision);
            self.copy.write(&format!("apps/{number}/app.yaml"), &text)?;
        }
        let commit = self.copy.commit_and_push("feat: next")?;
        self.revision = format!("main@sha1:{commit}");
        Ok(())
    }

    /// Creates source and Kustomizations.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn install(&self) -> Result<()> {
        self.create_source().await?;
        for number in 0..self.options.kustomizations {
            self.create(&name(number), number, &[]).await?;
        }
        Ok(())
    }

    async fn create_source(&self) -> Result<()> {
        let api: Api<GitRepository> = Api::namespaced(self.client.clone(), &self.namespace);
        let url = self.env.git()?.https_url(REPOSITORY);
        let object = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": SOURCE},
            "spec": {"interval": "1h", "url": url, "ref": {"branch": "main"}}});
        let params = PatchParams::apply("fleet").force();
        api.patch(SOURCE, &params, &Patch::Apply(object)).await?;
        Ok(())
    }

    async fn create(&self, name: &str, number: usize, depends_on: &[String]) -> Result<()> {
        let depends: Vec<_> = depends_on.iter().map(|n| json!({"name": n})).collect();
        let object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": name},
            "spec": {"interval": self.options.interval, "prune": true, "wait": self.options.wait, "dependsOn": depends,
                "targetNamespace": self.namespace, "path": format!("./apps/{number}"),
                "sourceRef": {"kind": "GitRepository", "name": SOURCE}}});
        let params = PatchParams::apply("fleet").force();
        self.kustomizations()
            .patch(name, &params, &Patch::Apply(object))
            .await?;
        Ok(())
    }

    fn kustomizations(&self) -> Api<Kustomization> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Has the new commit fetched.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn fetch(&mut self) -> Result<()> {
        self.tokens += 1;
        let api: Api<GitRepository> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = annotation(&self.tokens.to_string());
        api.patch(SOURCE, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Asks all Kustomizations for a run, and waits until each has had one.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn request_all(&mut self) -> Result<()> {
        self.tokens += 1;
        let token = self.tokens.to_string();
        for number in 0..self.options.kustomizations {
            let patch = annotation(&token);
            self.kustomizations()
                .patch(&name(number), &PatchParams::default(), &patch)
                .await?;
        }
        self.until("every request is handled", |state| state.handled == token)
            .await
    }

    /// Waits until all show the last commit.
    ///
    /// # Errors
    /// When that takes longer than patience.
    pub async fn all_show(&self) -> Result<()> {
        let revision = self.revision.clone();
        let what = format!("all show {revision}");
        self.until(&what, |state| state.ready && state.revision == revision)
            .await
    }

    /// Waits until the first path is applied.
    ///
    /// # Errors
    /// When that takes longer than patience.
    pub async fn first_applied(&self) -> Result<()> {
        self.shows(&name(0)).await
    }

    async fn shows(&self, name: &str) -> Result<()> {
        let what = format!("{name} shows {}", self.revision);
        self.poll(&what, |states| {
            let found = states.get(name);
            found.is_some_and(|s| s.ready && s.revision == self.revision)
        })
        .await
    }

    async fn until(&self, what: &str, is_so: impl Fn(&State) -> bool) -> Result<()> {
        self.poll(what, |states| {
            states.len() >= self.options.kustomizations && states.values().all(&is_so)
        })
        .await
    }

    async fn poll(
        &self,
        what: &str,
        is_so: impl Fn(&HashMap<String, State>) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            if is_so(&self.states.lock().unwrap_or_else(PoisonError::into_inner)) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills the operator and starts it again.
    ///
    /// # Errors
    /// When it does not end or start.
    pub async fn restart(&mut self) -> Result<()> {
        self.operator.id().signal(Signal::KILL);
        self.env
            .wait_for("the operator's end", self.options.patience, async || {
                let status = self.operator.exit_status();
                status.map(drop).ok_or_else(|| "running".to_owned())
            })
            .await?;
        self.started = Instant::now();
        self.operator = launch(self.env, &self.arguments).await?;
        Ok(())
    }

    /// Waits until the operator has verified all Kustomizations.
    ///
    /// # Errors
    /// When that takes longer than patience.
    pub async fn all_verified(&self) -> Result<()> {
        let want = self.options.kustomizations as f64;
        loop {
            let found = self.metric("flux_sync_kustomizations_verified").await;
            if found == want {
                return Ok(());
            }
            let waited = self.started.elapsed();
            let patience = self.options.patience;
            ensure!(waited < patience, "verified: {found} of {want}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many runs over Kustomizations the operator has made since it started.
    pub async fn runs(&self) -> f64 {
        self.metric(r#"gotk_reconcile_duration_seconds_count{kind="Kustomization""#)
            .await
    }

    /// The sum of all lines of the operator's metrics that begin so; 0 while there are none.
    async fn metric(&self, start: &str) -> f64 {
        let text = match reqwest::get(&self.metrics).await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        let lines = text.lines().filter(|line| line.starts_with(start));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        lines.filter_map(value).sum()
    }

    /// Changes the interval of all, and waits until they have taken note of it.
    ///
    /// # Errors
    /// When that takes longer than patience.
    pub async fn set_interval(&mut self, interval: &str) -> Result<()> {
        self.options.interval = interval.to_owned();
        for number in 0..self.options.kustomizations {
            self.create(&name(number), number, &[]).await?;
        }
        self.until("the interval is noted", |state| state.observed)
            .await
    }

    /// A chain of Kustomizations that wait for each other.
    ///
    /// # Errors
    /// When that takes longer than patience.
    pub async fn install_chain(&self, length: usize) -> Result<()> {
        let link = |number: usize| format!("chain-{number}");
        for number in (0..length).rev() {
            let before: Vec<_> = number.checked_sub(1).map(link).into_iter().collect();
            self.create(&link(number), number, &before).await?;
        }
        self.shows(&link(length - 1)).await
    }
}

fn name(number: usize) -> String {
    format!("app-{number}")
}

fn annotation(token: &str) -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}))
}

async fn launch(env: &Env, flags: &[String]) -> Result<Arc<Process>> {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    env.start_operator(&flags).await
}

/// Four objects of four kinds, none of which needs a node to become healthy.
fn objects(number: usize, text: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: app-{number}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{number}}}\ndata: {{after: \"{text}\"}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: app-{number}}}\nspec:\n  \
         selector: {{app: app-{number}}}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{number}}}\nspec:\n  replicas: 0\n  \
         selector: {{matchLabels: {{app: app-{number}}}}}\n  template:\n    metadata: {{labels: {{app: app-{number}}}}}\n    \
         spec:\n      serviceAccountName: app-{number}\n      containers:\n      - name: app\n        image: app:1\n        \
         ports: [{{name: http, containerPort: 8080}}]\n"
    )
}

/// Keeps `states` as the API server has them.
async fn follow(api: Api<Kustomization>, states: States) {
    use futures::TryStreamExt;
    let mut version = "0".to_owned();
    loop {
        let Ok(stream) = api.watch(&WatchParams::default(), &version).await else {
            continue;
        };
        let mut stream = std::pin::pin!(stream);
        while let Ok(Some(event)) = stream.try_next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                version = object.resource_version().unwrap_or_default();
                let status = object.status.clone().unwrap_or_default();
                let ready = status
                    .conditions
                    .iter()
                    .any(|c| c.type_ == "Ready" && c.status == "True");
                let state = State {
                    ready,
                    observed: status.observed_generation == object.metadata.generation,
                    revision: status.last_applied_revision.unwrap_or_default(),
                    handled: status.last_handled_reconcile_at.unwrap_or_default(),
                };
                let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                states.insert(object.name_any(), state);
            }
        }
    }
}

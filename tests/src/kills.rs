//! An operator that is killed at random moments, as `kill -9` does, while commits come and go:
//! the test does it a few times, `soak kills` as often as it is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use flux_api::{GitRepository, Kustomization, conditions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::env::Env;
use crate::sandbox::git::WorkCopy;

/// Name of repository and source.
const APPS: &str = "kills";
/// Kustomizations of the repository.
const COUNT: usize = 4;
/// For all of them to be where they should be after the last kill.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How often it was killed.
    pub kills: u32,
    /// How often everything that had been committed was applied before the kill.
    pub complete: u32,
    /// From the last start until everything was as committed.
    pub converged: Duration,
}

/// Begins with a running operator, kills it so often by way of `restart`, and checks that nothing
/// was lost, left behind or made anew.
///
/// # Errors
/// What was not as it should be.
pub async fn run(
    env: &Env,
    namespace: &str,
    kills: u32,
    mut restart: impl AsyncFnMut() -> Result<()>,
) -> Result<Report> {
    let git = env.git()?;
    let name = format!("{namespace}/{APPS}");
    git.create_repository(&name)?;
    let mut run = Run {
        client: env.client().await?,
        namespace: namespace.to_owned(),
        copy: git.work_copy(&name)?,
        revision: String::new(),
    };
    run.commit(0)?;
    run.install(&git.https_url(&name)).await?;
    run.converge(env, 0).await?;
    let first = run.uids().await?;
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos() | 1;
    let mut complete = 0;
    for round in 1..=kills {
        run.commit(round)?;
        run.fetch(round).await?;
        // Any moment of the work, which takes about half a second: not a wait for anything.
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        tokio::time::sleep(Duration::from_millis(u64::from(random % 700))).await;
        complete += u32::from(run.check(round).await.is_ok());
        restart().await?;
    }
    let start = Instant::now();
    run.fetch(kills + 1).await?;
    run.converge(env, kills).await?;
    let converged = start.elapsed();
    let last = run.uids().await?;
    for (object, uid) in first
        .iter()
        .filter(|(object, _)| object.ends_with("-stays"))
    {
        ensure!(last.get(object) == Some(uid), "{object} was made anew");
    }
    Ok(Report {
        kills,
        complete,
        converged,
    })
}

struct Run {
    client: Client,
    namespace: String,
    copy: WorkCopy,
    revision: String,
}

impl Run {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Each round brings an object, changes one, and takes one away.
    fn commit(&mut self, round: u32) -> Result<()> {
        let map = |name: String, value: u32| {
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name}, "data": {"value": value.to_string()}})
            .to_string()
        };
        for name in names() {
            let file = |object: &str| format!("{name}/{object}.yaml");
            self.copy
                .write(&file("stays"), &map(format!("{name}-stays"), round))?;
            self.copy.write(
                &file(&round.to_string()),
                &map(format!("{name}-{round}"), 1),
            )?;
            if let Some(old) = round.checked_sub(1) {
                self.copy.remove(&file(&old.to_string()))?;
            }
        }
        self.revision = format!("main@sha1:{}", self.copy.commit_and_push("feat: next")?);
        Ok(())
    }

    async fn install(&self, url: &str) -> Result<()> {
        let spec = json!({"interval": "10m", "url": url, "ref": {"branch": "main"}});
        self.apply::<GitRepository>(APPS, spec).await?;
        for name in names() {
            let source = json!({"kind": "GitRepository", "name": APPS});
            let spec = json!({"interval": "10m", "prune": true, "path": format!("./{name}"),
                "targetNamespace": self.namespace, "sourceRef": source});
            self.apply::<Kustomization>(&name, spec).await?;
        }
        Ok(())
    }

    async fn apply<K>(&self, name: &str, spec: Value) -> Result<()>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name}, "spec": spec});
        let params = PatchParams::apply("kills").force();
        let patch = Patch::Apply(object);
        self.api::<K>().patch(name, &params, &patch).await?;
        Ok(())
    }

    async fn fetch(&self, round: u32) -> Result<()> {
        let annotations = json!({"reconcile.fluxcd.io/requestedAt": format!("kill-{round}")});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let params = PatchParams::default();
        self.api::<GitRepository>()
            .patch(APPS, &params, &patch)
            .await?;
        Ok(())
    }

    /// Waits until everything is as committed in a round.
    async fn converge(&self, env: &Env, round: u32) -> Result<()> {
        env.wait_for("everything as committed", PATIENCE, async || {
            self.check(round)
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await
    }

    /// Whether exactly what is committed is there, and said to be.
    async fn check(&self, round: u32) -> Result<()> {
        let mut wanted = BTreeMap::new();
        for name in names() {
            let object = self.api::<Kustomization>().get(&name).await?;
            let status = object.status.unwrap_or_default();
            ensure!(
                status.last_applied_revision.as_ref() == Some(&self.revision)
                    && conditions::is_true(&status.conditions, "Ready"),
                "{name}: {:?}",
                status.conditions
            );
            wanted.insert(format!("{name}-stays"), round.to_string());
            wanted.insert(format!("{name}-{round}"), "1".to_owned());
        }
        let found: BTreeMap<String, String> = self
            .owned()
            .await?
            .into_iter()
            .map(|map| {
                let value = map.data.as_ref().and_then(|data| data.get("value"));
                (map.name_any(), value.cloned().unwrap_or_default())
            })
            .collect();
        ensure!(found == wanted, "{found:?} instead of {wanted:?}");
        Ok(())
    }

    /// The ConfigMaps that carry the label of an owner, and are to stay.
    async fn owned(&self) -> Result<Vec<ConfigMap>> {
        let label = "kustomize.toolkit.fluxcd.io/name";
        let list = ListParams::default().labels(label);
        let found = self.api::<ConfigMap>().list(&list).await;
        let mut found = found.context("cannot list ConfigMaps")?.items;
        found.retain(|map| {
            map.metadata.deletion_timestamp.is_none()
                && names().any(|name| map.labels().get(label) == Some(&name))
        });
        Ok(found)
    }

    async fn uids(&self) -> Result<BTreeMap<String, String>> {
        let owned = self.owned().await?.into_iter();
        Ok(owned
            .map(|map| (map.name_any(), map.uid().unwrap_or_default()))
            .collect())
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..COUNT).map(|number| format!("k{number}"))
}

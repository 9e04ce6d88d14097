//! A repository that changes, and Kustomizations that follow it: what must be there after each
//! round, nothing more, and nothing made anew.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flux_api::{GitRepository, Kustomization, conditions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::apply;
use crate::env::Env;
use crate::sandbox::git::WorkCopy;

/// Name of repository and source.
const APPS: &str = "endurance";
/// Kustomizations of the repository.
const COUNT: usize = 4;
/// For all of them to be where they should be after the last disturbance.
const PATIENCE: Duration = Duration::from_secs(120);

/// One namespace with its repository.
pub(super) struct Scenario {
    client: Client,
    namespace: String,
    copy: WorkCopy,
    revision: String,
    first: BTreeMap<String, String>,
}

impl Scenario {
    /// Everything as committed in round 0.
    pub(super) async fn start(env: &Env, namespace: &str) -> Result<Self> {
        let git = env.git()?;
        let name = format!("{namespace}/{APPS}");
        git.create_repository(&name)?;
        let mut scenario = Self {
            client: env.client().await?,
            namespace: namespace.to_owned(),
            copy: git.work_copy(&name)?,
            revision: String::new(),
            first: BTreeMap::new(),
        };
        scenario.commit(0)?;
        scenario.install(&git.https_url(&name)).await?;
        scenario.converge(env, 0).await?;
        scenario.first = scenario.uids().await?;
        Ok(scenario)
    }

    /// Fails when an object that is in every round is not the one of round 0.
    pub(super) async fn nothing_made_anew(&self) -> Result<()> {
        let last = self.uids().await?;
        let stay = self
            .first
            .iter()
            .filter(|(name, _)| name.ends_with("-stays"));
        for (object, uid) in stay {
            ensure!(last.get(object) == Some(uid), "{object} was made anew");
        }
        Ok(())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Each round brings an object, changes one, and takes one away.
    pub(super) fn commit(&mut self, round: u32) -> Result<()> {
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
        apply(&self.api::<GitRepository>(), APPS, spec).await?;
        for name in names() {
            let source = json!({"kind": "GitRepository", "name": APPS});
            let spec = json!({"interval": "10m", "prune": true, "path": format!("./{name}"),
                "targetNamespace": self.namespace, "sourceRef": source});
            apply(&self.api::<Kustomization>(), &name, spec).await?;
        }
        Ok(())
    }

    /// Has the last commit fetched.
    pub(super) async fn fetch(&self, round: u32) -> Result<()> {
        let annotations = json!({"reconcile.fluxcd.io/requestedAt": format!("round-{round}")});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let params = PatchParams::default();
        self.api::<GitRepository>()
            .patch(APPS, &params, &patch)
            .await?;
        Ok(())
    }

    /// Waits until everything is as committed in a round.
    pub(super) async fn converge(&self, env: &Env, round: u32) -> Result<()> {
        env.wait_for("everything as committed", PATIENCE, async || {
            self.check(round)
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await
    }

    /// Fails when a Kustomization is said to have failed.
    pub(super) async fn nobody_is_blamed(&self) -> Result<()> {
        for name in names() {
            let object = self.api::<Kustomization>().get(&name).await?;
            let conditions = object.status.unwrap_or_default().conditions;
            let ready = conditions::get(&conditions, "Ready");
            ensure!(
                ready.is_some_and(|r| r.status != "False"),
                "{name}: {ready:?}"
            );
        }
        Ok(())
    }

    /// Whether exactly what is committed is there, and said to be.
    pub(super) async fn check(&self, round: u32) -> Result<()> {
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

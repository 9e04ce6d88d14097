//! Repositories that are made to exhaust whoever reads them: each gets a condition that says what is
//! wrong with it, and all others go on.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use flux_api::{Condition, GitRepository, Kustomization};
use kube::Api;
use serde_json::json;

use super::scenario::Scenario;
use super::traps::{Out, file};
pub use super::traps::{Sizes, TRAPS, Trap};
use super::{apply, fast_import};
use crate::env::Env;

/// For the largest of them to be fetched and judged.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the operator may need for all of them, in bytes, built with or without optimization.
pub const MEMORY: u64 = 128 << 20;

/// What was said about one repository.
#[derive(Debug)]
pub struct Verdict {
    /// What it was.
    pub trap: Trap,
    /// Message of the source's condition.
    pub source: String,
    /// Message of the condition of the Kustomization of the whole repository.
    pub whole: String,
    /// The same of the Kustomization of one small folder in it.
    pub part: String,
    /// Until all of them were said.
    pub took: Duration,
}

/// Begins with a running operator and shows it one repository after the other. Others are changed
/// meanwhile, and must be applied as if nothing was.
///
/// # Errors
/// When an object gets no condition, or others do not go on.
pub async fn run(env: &Env, namespace: &str, sizes: Sizes) -> Result<Vec<Verdict>> {
    let mut others = Scenario::start(env, namespace).await?;
    let mut verdicts = Vec::new();
    for (round, trap) in (1..).zip(TRAPS) {
        let short = trap.name().replace(' ', "-").to_lowercase();
        let repository = format!("{namespace}/{short}");
        env.git()?.create_repository(&repository)?;
        import(env, &repository, |out| trap.write(out, sizes))?;
        let start = Instant::now();
        let place = Place {
            env,
            namespace,
            name: &short,
        };
        place.install(&repository).await?;
        others.commit(round)?;
        others.fetch(round).await?;
        others.converge(env, round).await?;
        verdicts.push(Verdict {
            trap,
            source: place.says::<GitRepository>("").await?,
            whole: place.says::<Kustomization>("-whole").await?,
            part: place.says::<Kustomization>("-part").await?,
            took: start.elapsed(),
        });
    }
    others.nothing_made_anew().await?;
    Ok(verdicts)
}

/// Where the objects of one repository are.
struct Place<'a> {
    env: &'a Env,
    namespace: &'a str,
    name: &'a str,
}

impl Place<'_> {
    async fn api<K>(&self) -> Result<Api<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Ok(Api::namespaced(self.env.client().await?, self.namespace))
    }

    async fn install(&self, repository: &str) -> Result<()> {
        let url = self.env.git()?.https_url(repository);
        let spec = json!({"interval": "1h", "url": url, "ref": {"branch": "main"},
            "timeout": "5m"});
        apply(&self.api::<GitRepository>().await?, self.name, spec).await?;
        for (suffix, path) in [("-whole", "./"), ("-part", "./part")] {
            let spec = json!({"interval": "1h", "prune": true, "path": path,
                "targetNamespace": self.namespace,
                "sourceRef": {"kind": "GitRepository", "name": self.name}});
            let name = format!("{}{suffix}", self.name);
            apply(&self.api::<Kustomization>().await?, &name, spec).await?;
        }
        Ok(())
    }

    /// Waits until an object is judged, and gives the words, with `ok: ` before those of success.
    async fn says<K>(&self, suffix: &str) -> Result<String>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let (api, name) = (self.api::<K>().await?, format!("{}{suffix}", self.name));
        let judged = async || {
            let object = api.get(&name).await.map_err(|error| error.to_string())?;
            let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
            let conditions = object.pointer("/status/conditions").cloned();
            let conditions: Vec<Condition> =
                serde_json::from_value(conditions.unwrap_or_default()).unwrap_or_default();
            let ready = conditions
                .iter()
                .find(|condition| condition.type_ == "Ready");
            match ready {
                Some(ready) if ready.status == "True" => Ok(format!("ok: {}", ready.message)),
                Some(ready) if ready.status == "False" => {
                    Ok(format!("{}: {}", ready.reason, ready.message))
                }
                other => Err(format!("{name}: {other:?}")),
            }
        };
        self.env.wait_for("a verdict", PATIENCE, judged).await
    }
}

/// One commit on main, with what is written in the form of `git fast-import`.
fn import(
    env: &Env,
    repository: &str,
    write: impl FnOnce(&mut Out<'_>) -> std::io::Result<()>,
) -> Result<()> {
    fast_import(env, repository, |out| {
        write!(
            out,
            "blob\nmark :1\ndata 4\na: 1\ncommit refs/heads/main\ncommitter somebody <somebody@example.com> 1700000000 +0000\n\
             data 4\nfeat\n"
        )?;
        let small = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: part\n";
        file(out, "part/small.yaml", small)?;
        write(out)
    })
}

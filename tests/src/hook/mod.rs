//! The admission webhook under load and disturbance: what a person at `kubectl apply` notices of
//! certificates that change, pods that die and configurations that somebody overwrites. Nothing,
//! if all is well.
//!
//! Two replicas run as processes behind [`Balancer`], which does what a Service does. [`Load`]
//! applies good objects and probes with bad ones at a steady rate.

mod balancer;
mod load;
mod replicas;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

use crate::{env::Env, sandbox::wait};

pub use balancer::Balancer;
pub use load::{Load, Tally};
pub use replicas::Replicas;

/// For what takes seconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name of both webhook configurations.
const CONFIGURATION: &str = "admission-webhook";

/// What happened in one disturbance.
#[derive(Debug)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// How long that took.
    pub wall: Duration,
    /// What clients got meanwhile.
    pub tally: Tally,
    /// How often the API server went on without an answer of the webhook.
    pub unanswered: u64,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            wall,
            tally,
            unanswered,
        } = self;
        write!(
            f,
            "| {name} | {:.1} s | {} | {:.0} | {} | {} of {} | {unanswered} |",
            wall.as_secs_f64(),
            tally.applied,
            f64::from(tally.applied) / wall.as_secs_f64(),
            tally.errors.len(),
            tally.probes - tally.unheard,
            tally.probes,
        )
    }
}

/// Heads of the columns of [`Phase`].
pub const COLUMNS: &str = "| disturbance | wall | applies | a second | errors | bad objects denied | failed open |\n|---|---|---|---|---|---|---|";

/// Flags for certificates that live for seconds, so that all of them change within a minute.
pub const SHORT_LIVES: [&str; 4] = [
    "--ca-lifetime=36s",
    "--certificate-lifetime=9s",
    "--ca-announcement=3s",
    "--certificate-check-interval=500ms",
];

/// How often the API server admitted a request without an answer of a webhook, since its start.
///
/// # Errors
/// When its metrics cannot be read.
pub async fn failed_open(env: &Env) -> Result<u64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = env.client().await?.request_text(request).await?;
    let lines = text
        .lines()
        .filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter"
    )]
    Ok(values.sum::<f64>() as u64)
}

/// A cluster with two replicas and a load, and everything that happened to them.
#[derive(Debug)]
pub struct Trial<'e> {
    env: &'e Env,
    /// The replicas.
    pub replicas: Replicas<'e>,
    load: Load,
}

impl<'e> Trial<'e> {
    /// Starts both replicas at once, with these flags and those of each of its own, waits until
    /// they are ready and begins with `rate` applies a second.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(
        env: &'e Env,
        rate: u32,
        flags: &[&str],
        each: [&[&str]; 2],
    ) -> Result<Self> {
        let replicas = Replicas::start(env, flags, each).await?;
        let load = Load::start(env, rate).await?;
        Ok(Self {
            env,
            replicas,
            load,
        })
    }

    /// Does something, goes on for `then`, and says what clients noticed.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn phase(
        &mut self,
        name: &'static str,
        then: Duration,
        disturb: impl AsyncFnOnce(&mut Replicas<'e>) -> Result<()>,
    ) -> Result<Phase> {
        let before = failed_open(self.env).await?;
        self.load.take();
        let started = Instant::now();
        disturb(&mut self.replicas).await.context(name)?;
        tokio::time::sleep(then).await;
        let tally = self.load.take();
        let wall = started.elapsed();
        let unanswered = failed_open(self.env).await? - before;
        Ok(Phase {
            name,
            wall,
            tally,
            unanswered,
        })
    }
}

/// Waits until the authority of the certificates is another one.
///
/// # Errors
/// When it stays the same.
pub async fn authority_changes(env: &Env) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(env.client().await?, "flux-system");
    let authority = async || {
        let secret = secrets.get("admission-webhook-ca").await;
        let data = secret.ok().and_then(|secret| secret.data);
        data.and_then(|data| Some(data.get("tls.crt")?.0.clone()))
    };
    let before = authority().await.context("there is no authority")?;
    wait::until("another authority", PATIENCE, None, async || {
        let now = authority().await;
        let changed = now.is_some_and(|now| now != before);
        changed.then_some(()).ok_or_else(|| "the same".to_owned())
    })
    .await?;
    Ok(())
}

/// Deletes the Secret of the authority and waits until it is there again, and the same is trusted.
///
/// # Errors
/// When another one comes instead, or none.
pub async fn delete_authority(env: &Env) -> Result<()> {
    const NAME: &str = "admission-webhook-ca";
    let secrets: Api<Secret> = Api::namespaced(env.client().await?, "flux-system");
    let before = secrets.get(NAME).await?;
    secrets.delete(NAME, &DeleteParams::default()).await?;
    let after = wait::until("the Secret", PATIENCE, None, async || {
        secrets.get(NAME).await.map_err(|error| error.to_string())
    })
    .await?;
    let field = |secret: &Secret, key: &str| {
        let data = secret.data.as_ref()?.get(key)?;
        Some(String::from_utf8_lossy(&data.0).trim().to_owned())
    };
    let (signer, trusted) = (field(&before, "tls.crt"), field(&after, "ca.crt"));
    // A successor may have begun to sign meanwhile; what was signed before is still good.
    let known = trusted.zip(signer);
    ensure!(
        known.is_some_and(|(trusted, signer)| trusted.contains(&signer)),
        "another authority"
    );
    Ok(())
}

/// Overwrites how the API server verifies the webhook, as a tool does that applies an old state,
/// and waits until that is mended.
///
/// # Errors
/// When it is not.
pub async fn overwrite_bundles(env: &Env) -> Result<()> {
    let client = env.client().await?;
    for kind in [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    ] {
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&gvk));
        let bundle = |object: &DynamicObject| {
            object
                .data
                .pointer("/webhooks/0/clientConfig/caBundle")
                .cloned()
        };
        let before = bundle(&api.get(CONFIGURATION).await?);
        let patch = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(patch)?);
        api.patch(CONFIGURATION, &PatchParams::default(), &patch)
            .await?;
        wait::until("the bundle", PATIENCE, None, async || {
            let found = api.get(CONFIGURATION).await;
            let found = found.map_err(|error| error.to_string())?;
            let there = bundle(&found).is_some();
            there.then_some(()).ok_or_else(|| format!("not {before:?}"))
        })
        .await?;
    }
    Ok(())
}

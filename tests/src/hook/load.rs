//! Applies at a steady rate, and probes that must be denied.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use flux_api::GitRepository;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::env::Env;

/// One of so many requests is a probe.
const PROBES: u64 = 5;

/// Objects that are applied in turn.
const OBJECTS: u64 = 20;

/// What clients got.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Objects applied.
    pub applied: u32,
    /// Bad objects sent.
    pub probes: u32,
    /// Those among them that were not denied.
    pub unheard: u32,
    /// What went wrong with good objects.
    pub errors: Vec<String>,
    /// How long each apply took.
    pub latencies: Vec<Duration>,
}

/// A load that goes on until it is dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Begins with `rate` requests a second in a namespace of its own.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn start(env: &Env, rate: u32) -> Result<Self> {
        let namespace = env.namespace("load").await?;
        let client = env.client().await?;
        let tally: Arc<Mutex<Tally>> = Arc::default();
        let shared = tally.clone();
        let task = tokio::spawn(async move {
            let number = Arc::new(AtomicU64::new(0));
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
            // Late requests are made up for: the rate is what is promised.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
            loop {
                ticks.tick().await;
                let number = number.fetch_add(1, Ordering::Relaxed);
                let (client, namespace) = (client.clone(), namespace.clone());
                let tally = shared.clone();
                tokio::spawn(async move {
                    if number.is_multiple_of(PROBES) {
                        probe(client, &namespace, &tally).await;
                    } else {
                        apply(client, &namespace, number, &tally).await;
                    }
                });
            }
        });
        Ok(Self { tally, task })
    }

    /// What happened since the last call.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *lock(&self.tally))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send(
    client: Client,
    namespace: &str,
    name: &str,
    spec: Value,
    params: &PatchParams,
) -> Result<GitRepository, kube::Error> {
    let api: Api<GitRepository> = Api::namespaced(client, namespace);
    let object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": name}, "spec": spec});
    api.patch(name, params, &Patch::Apply(object)).await
}

/// A good object, changed each time: what does not change never reaches the webhook.
async fn apply(client: Client, namespace: &str, number: u64, tally: &Mutex<Tally>) {
    let spec = json!({"url": "https://example.com/app", "interval": format!("{}s", 600 + number),
        "suspend": true, "ref": {"branch": "main"}});
    let name = format!("app-{}", number % OBJECTS);
    let started = Instant::now();
    let params = PatchParams::apply("load").force();
    let answer = send(client, namespace, &name, spec, &params).await;
    let mut tally = lock(tally);
    tally.latencies.push(started.elapsed());
    match answer {
        Ok(_) => tally.applied += 1,
        Err(error) => tally.errors.push(error.to_string()),
    }
}

/// An object that the schema takes and the webhook does not. It is never stored: a second one like
/// it would change nothing.
async fn probe(client: Client, namespace: &str, tally: &Mutex<Tally>) {
    let spec = json!({"url": "ssh://git@example.com:org/app", "interval": "10m", "suspend": true});
    let params = PatchParams::apply("load").force().dry_run();
    let answer = send(client, namespace, "bad", spec, &params).await;
    let denied = matches!(&answer, Err(error) if error.to_string().contains("[GR02]"));
    let mut tally = lock(tally);
    tally.probes += 1;
    if !denied {
        tally.unheard += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

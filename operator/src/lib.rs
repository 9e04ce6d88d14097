//! The operator: controllers for GitRepository, Kustomization, ImageRepository, ImagePolicy and
//! ImageUpdateAutomation in one process.
//!
//! ```text
//! remote -fetch-> mirror -> commit -> files -> build -> objects -> apply -> prune -> health
//! registry -tags-> policy -image-> automation: files + markers -> commit -> push -> the same remote
//! ```
//!
//! Every kind has a folder with its steps; what they share is in the modules around
//! [`driver`]. Nothing here knows how Git, a registry or server-side apply work: that is in the
//! `flux-*` crates.

use std::sync::Arc;

use anyhow::Context as _;
use flux_api::names;
use flux_apply::{Applier, Live, Mapper};
use flux_git::Git;
use kube::Client;
use kube_runtime::reflector::store;
use tokio_util::sync::CancellationToken;

pub mod access;
pub mod args;
pub mod automation;
pub mod backoff;
pub mod conclusion;
pub mod context;
pub mod driver;
pub mod events;
pub mod http;
pub mod image_policy;
pub mod image_repository;
pub mod key;
pub mod kustomization;
pub mod logging;
pub mod metrics;
pub mod secrets;
pub mod source;
pub mod status;
pub mod triggers;
pub mod words;

use args::Args;
use context::{Context, Parts, Stores, Triggers};
use triggers::Trigger;

/// Runs the operator until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start: no API server, no CRDs, an address in use, a folder that cannot be
/// written.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("cannot find an API server")?;
    let version = client
        .apiserver_version()
        .await
        .context("cannot reach the API server")?;
    tracing::info!(kubernetes = version.git_version, "starting");
    let artifacts = args.storage_path.join("artifacts");
    std::fs::create_dir_all(&artifacts).with_context(|| {
        format!(
            "cannot write to {}; choose another folder by --storage-path",
            artifacts.display()
        )
    })?;
    let git = Git::new(args.storage_path.join("mirrors"))?;

    let storage = http::bind(args.storage_addr, "--storage-addr").await?;
    let health = http::bind(args.health_addr, "--health-addr").await?;
    let metrics = http::bind(args.metrics_addr, "--metrics-addr").await?;
    let artifacts_url = match &args.storage_adv_addr {
        Some(address) => format!("http://{}", address.trim_end_matches('.')),
        None => format!("http://{}", storage.local_addr()?),
    };

    let (git_repositories, git_writer) = store();
    let (kustomizations, kustomization_writer) = store();
    let (image_repositories, repository_writer) = store();
    let (image_policies, policy_writer) = store();
    let (image_update_automations, automation_writer) = store();
    let (git_trigger, git_wakeups) = Trigger::new();
    let (kustomization_trigger, kustomization_wakeups) = Trigger::new();
    let (repository_trigger, repository_wakeups) = Trigger::new();
    let (policy_trigger, policy_wakeups) = Trigger::new();
    let (automation_trigger, automation_wakeups) = Trigger::new();
    let mapper = Mapper::new(client.clone());
    let (live, drifts) = Live::new(client.clone(), names::APPLY_FIELD_MANAGER);
    let context = Arc::new(Context::new(Parts {
        applier: Applier::new(client.clone(), mapper, live)
            .living_in(std::env::var("RUNTIME_NAMESPACE").ok()),
        recorder: events::Recorder::start(client.clone()),
        artifacts: artifacts.clone(),
        artifacts_url,
        git,
        stores: Stores {
            git_repositories,
            kustomizations,
            image_repositories,
            image_policies,
            image_update_automations,
        },
        triggers: Triggers {
            git_repositories: git_trigger,
            kustomizations: kustomization_trigger,
            image_repositories: repository_trigger,
            image_policies: policy_trigger,
            image_update_automations: automation_trigger,
        },
        client,
        args,
    }));

    let stop = CancellationToken::new();
    let readiness = http::Readiness::of(5);
    let servers = [
        (health, http::health(readiness.clone())),
        (metrics, http::metrics(context.metrics.clone())),
        (storage, http::artifacts(artifacts)),
    ];
    for (listener, router) in servers {
        let stop = stop.clone();
        tokio::spawn(async move {
            let server = axum::serve(listener, router)
                .with_graceful_shutdown(async move { stop.cancelled().await });
            if let Err(error) = server.await {
                tracing::error!(%error, "HTTP server ended");
            }
        });
    }
    tokio::spawn(secrets::run(context.clone()));
    tokio::spawn(kustomization::drift::run(context.clone(), drifts));
    tokio::spawn(stop_on_signal(stop.clone()));

    tokio::join!(
        driver::run(
            context.clone(),
            git_writer,
            git_wakeups,
            stop.clone(),
            &readiness
        ),
        driver::run(
            context.clone(),
            kustomization_writer,
            kustomization_wakeups,
            stop.clone(),
            &readiness
        ),
        driver::run(
            context.clone(),
            repository_writer,
            repository_wakeups,
            stop.clone(),
            &readiness
        ),
        driver::run(
            context.clone(),
            policy_writer,
            policy_wakeups,
            stop.clone(),
            &readiness
        ),
        driver::run(
            context.clone(),
            automation_writer,
            automation_wakeups,
            stop.clone(),
            &readiness
        ),
    );
    tracing::info!("stopped");
    Ok(())
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping: runs under way are finished first");
    stop.cancel();
}

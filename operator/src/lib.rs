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

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use flux_api::names;
use flux_api::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};
use flux_apply::managers::Manager;
use flux_apply::{Applier, Live, Mapper};
use flux_git::Git;
use futures::FutureExt as _;
use kube::Client;
use kube_runtime::reflector::store::Writer;
use kube_runtime::reflector::{Store, store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod access;
pub mod args;
pub mod automation;
pub mod backoff;
pub mod client;
pub mod conclusion;
pub mod context;
pub mod controllers;
pub mod driver;
pub mod events;
pub mod http;
pub mod image_policy;
pub mod image_repository;
pub mod key;
pub mod kustomization;
pub mod leader;
pub mod logging;
pub mod metrics;
pub mod newest;
pub mod preview;
pub mod references;
pub mod secrets;
pub mod selector;
pub mod source;
pub mod status;
pub mod triggers;
pub mod watch;
pub mod words;
pub mod workers;

use args::Args;
use client::{Connector, Unreachable, asked};
use context::{Context, Parts, Stores, Triggers};
use controllers::{ControllerName, Role};
use driver::Controlled;
use http::Phases;
use leader::{Election, Leadership, rivals};
use triggers::{Trigger, Wakeups};

/// How long runs that have begun may take to finish after the end was asked for. A pod is killed
/// after 60 s, and the Leases are to be given back before.
const GRACE: Duration = Duration::from_secs(50);

/// How long events of the last runs may take to be published before the process ends, within what is
/// left to it then.
const FAREWELL: Duration = Duration::from_secs(5);

/// Between two attempts to begin while the API server is away.
const RETRY: Duration = Duration::from_secs(2);

/// Runs the operator until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start: no configuration for an API server, no CRDs, an address in use, a folder that cannot be
/// written, Flux's controllers at work; when it loses its Leases, or Flux's controllers wake up.
pub async fn run(args: Args) -> anyhow::Result<()> {
    for remark in args.remarks() {
        tracing::warn!("{remark}");
    }
    let (metrics, stop) = (Arc::default(), CancellationToken::new());
    let serves_artifacts = args.controllers.contains(&ControllerName::Source);
    let phases = Phases::new(KINDS, serves_artifacts);
    // Before the API server is asked: one that is away for a while must not get us killed.
    let health = http::bind(&args.health_addr, "--health-addr").await?;
    serve(health, http::health(phases.clone()), &stop);
    let listener = http::bind(&args.metrics_addr, "--metrics-addr").await?;
    serve(listener, http::metrics(Arc::clone(&metrics)), &stop);
    let connector = Connector::new(Arc::clone(&metrics));
    let client = connector.connect(None).await?;
    while let Err(error) = settle(&client, &args).await {
        if error.downcast_ref::<Unreachable>().is_none() {
            return Err(error);
        }
        tracing::warn!("{error:#}; trying again in {} s", RETRY.as_secs());
        tokio::time::sleep(RETRY).await;
    }
    let rivals = (client.clone(), args.clone());
    tokio::select! {
        result = operate(args, (client, connector), metrics, &phases, &stop) => result,
        // At once: what they do they do now.
        error = rivals::watch(&rivals.0, &rivals.1) => Err(error),
    }
}

/// Works, or stands by for others of ours, until it is told to stop.
async fn operate(
    args: Args,
    (client, connector): (Client, Connector),
    metrics: Arc<metrics::Metrics>,
    phases: &Phases,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let serves_artifacts = args.controllers.contains(&ControllerName::Source);
    let election = match args.enable_leader_election {
        true => Some(Election::new(client.clone(), &args)?),
        false => None,
    };
    let (context, ends) = prepare(args, (client, connector), metrics, phases, stop).await?;
    tokio::spawn(stop_on_signal(stop.clone()));
    tokio::spawn(secrets::run(context.clone()));
    if serves_artifacts {
        tokio::spawn(source::garbage::run(
            context.clone(),
            phases.clone(),
            stop.clone(),
        ));
    }
    let work = work(&context, ends, phases, stop).shared();
    let Some(election) = election else {
        tokio::join!(work, begin(&context, phases, stop));
        context.recorder.flush(FAREWELL).await;
        tracing::info!("stopped");
        return Ok(());
    };

    for lease in election.names() {
        context.metrics.leading(lease, false);
    }
    let elected = async {
        let leadership = election.acquire(stop).await?;
        if leadership.is_some() {
            for lease in election.names() {
                context.metrics.leading(lease, true);
            }
            begin(&context, phases, stop).await;
        }
        anyhow::Ok(leadership)
    };
    // Caches fill while others lead, so that taking over is quick. The election sees the end, too.
    let standby = async {
        work.clone().await;
        std::future::pending::<()>().await;
    };
    let leadership: Option<Leadership> = tokio::select! {
        leadership = elected => leadership?,
        () = standby => None,
    };
    let Some(leadership) = leadership else {
        work.await;
        tracing::info!("stopped while standing by");
        return Ok(());
    };
    tokio::select! {
        () = work => {}
        () = leadership.lost() => {
            anyhow::bail!("lost the Lease to another process or to time; ending at once, so that two never work on the same objects");
        }
    }
    // Others need not wait for what is told of our work.
    tokio::join!(leadership.release(), context.recorder.flush(FAREWELL));
    tracing::info!("stopped");
    Ok(())
}

/// Makes sure that there is an API server, and nobody else who does our work.
async fn settle(client: &Client, args: &Args) -> anyhow::Result<()> {
    let version = client.apiserver_version().await.map_err(asked)?;
    let (kubernetes, controllers) = (version.git_version, &args.controllers);
    tracing::info!(kubernetes, ?controllers, "starting");
    rivals::settle(client, args).await
}

/// The kinds that there are controllers for.
const KINDS: usize = 5;

/// What fills caches and wakes objects of a kind.
struct End<K: Controlled> {
    writer: Writer<K>,
    wakeups: Wakeups<K>,
}

struct Ends {
    git_repositories: End<GitRepository>,
    kustomizations: End<Kustomization>,
    image_repositories: End<ImageRepository>,
    image_policies: End<ImagePolicy>,
    image_update_automations: End<ImageUpdateAutomation>,
}

/// Opens folders and addresses, and starts the servers.
async fn prepare(
    args: Args,
    (client, connector): (Client, Connector),
    metrics: Arc<metrics::Metrics>,
    phases: &Phases,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<Context>, Ends)> {
    let artifacts = args.storage_path.join("artifacts");
    std::fs::create_dir_all(&artifacts).with_context(|| {
        format!(
            "cannot write to {}; choose another folder by --storage-path",
            artifacts.display()
        )
    })?;
    let git = Git::new(args.storage_path.join("mirrors"))?;

    let mut artifacts_url = String::new();
    if phases.serves_artifacts {
        let storage = http::bind(&args.storage_addr, "--storage-addr").await?;
        artifacts_url = format!("http://{}", advertised(&args, storage.local_addr()?));
        serve(storage, http::artifacts(artifacts.clone()), stop);
    }
    let (git_repositories, git_trigger, git_end) = kind();
    let (kustomizations, kustomization_trigger, kustomization_end) = kind();
    let (image_repositories, repository_trigger, repository_end) = kind();
    let (image_policies, policy_trigger, policy_end) = kind();
    let (image_update_automations, automation_trigger, automation_end) = kind();
    let mapper = Mapper::new(client.clone());
    let manager = Manager::from(names::APPLY_FIELD_MANAGER);
    let manager = manager.overriding(&args.override_manager);
    let (live, drifts) = Live::new(client.clone(), manager);
    let context = Context::new(Parts {
        connector,
        applier: Applier::new(client.clone(), mapper, live)
            .living_in(Some(args.runtime_namespace.clone())),
        recorder: events::Recorder::start(client.clone(), args.events_addr.as_deref()),
        artifacts,
        artifacts_url,
        git,
        metrics,
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
    });
    let ends = Ends {
        git_repositories: git_end,
        kustomizations: kustomization_end,
        image_repositories: repository_end,
        image_policies: policy_end,
        image_update_automations: automation_end,
    };
    let context = Arc::new(context);
    if let Some(address) = &context.args.preview_addr {
        let listener = http::bind(address, "--preview-addr").await?;
        let previews = preview::router(context.clone(), phases.clone());
        serve(listener, previews, stop);
    }
    tokio::spawn(kustomization::drift::run(context.clone(), drifts));
    Ok((context, ends))
}

/// Serves until `stop`.
fn serve(listener: TcpListener, router: Router, stop: &CancellationToken) {
    let ended = stop.clone().cancelled_owned();
    tokio::spawn(async move {
        let server = axum::serve(listener, router).with_graceful_shutdown(ended);
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP server ended");
        }
    });
}

/// Where others reach the artifact server that listens at `bound`.
fn advertised(args: &Args, bound: SocketAddr) -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|h| !h.is_empty());
    match (&args.storage_adv_addr, host) {
        (Some(address), _) => address.clone(),
        (None, Some(host)) if args.storage_addr.is_everywhere() => {
            format!("{host}:{}", bound.port())
        }
        (None, _) => bound.to_string(),
    }
}

/// A cache, a way to wake objects, and what is behind both.
fn kind<K: Controlled>() -> (Store<K>, Trigger<K>, End<K>) {
    let (reader, writer) = store();
    let (trigger, wakeups) = Trigger::new();
    (reader, trigger, End { writer, wakeups })
}

/// Runs all controllers until the end, and gives those that work then some time to finish.
///
/// Each is a task: on the main thread, which the runtime wakes across threads and which would look at
/// all of them whenever one has something to do, a run would cost a quarter more.
async fn work(context: &Arc<Context>, ends: Ends, phases: &Phases, stop: &CancellationToken) {
    let mut all = JoinSet::new();
    all.spawn(control(context, ends.git_repositories, phases, stop));
    all.spawn(control(context, ends.kustomizations, phases, stop));
    all.spawn(control(context, ends.image_repositories, phases, stop));
    all.spawn(control(context, ends.image_policies, phases, stop));
    all.spawn(control(
        context,
        ends.image_update_automations,
        phases,
        stop,
    ));
    let too_long = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = all.join_all() => {}
        () = too_long => {
            // What was intended is stored: the next process finishes or undoes it.
            tracing::warn!("runs under way did not finish in time and are abandoned");
        }
    }
}

/// Does about a kind what this process is there for.
fn control<K: Controlled>(
    context: &Arc<Context>,
    end: End<K>,
    phases: &Phases,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<K> {
    let (context, phases, stop) = (context.clone(), phases.clone(), stop.clone());
    async move {
        match context.role::<K>() {
            Role::Control => driver::run(context, end.writer, end.wakeups, stop, &phases).await,
            Role::Watch => watch::follow(context, end.writer, stop, &phases).await,
            Role::Ignore => phases.listed.report(),
        }
    }
}

/// The first thing that a process does when it may work.
async fn begin(context: &Arc<Context>, phases: &Phases, stop: &CancellationToken) {
    tokio::select! {
        () = phases.listed.wait() => {}
        () = stop.cancelled() => return,
    }
    source::restore::all(context).await;
    phases.leading.report();
    tracing::info!("working");
    let (context, serving) = (context.clone(), phases.serving.clone());
    tokio::spawn(async move {
        context.unserved.wait().await;
        serving.report();
        tracing::info!("ready");
    });
}

async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    let mut asked = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    asked().await;
    tracing::info!("stopping: runs under way are finished first");
    stop.cancel();
    asked().await;
    tracing::warn!("stopping at once");
    std::process::exit(1);
}

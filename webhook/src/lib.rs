//! Admission webhook for Flux objects and Ingress.
//!
//! The API server shows it every such object that is created or changed. It answers with what
//! [`flux_rules`] say: denies what is provably broken, warns about what is probably not meant and
//! fills in fields that the schema requires. It makes its own certificates, creates its own
//! webhook configurations; besides, it writes events about what it finds in a background scan.
//!
//! [`run`] is the program. The pieces below it work without a cluster: [`admission`] is pure,
//! [`server`] needs a certificate only.

pub mod admission;
mod args;
pub mod authority;
pub mod certificates;
pub mod clients;
pub mod cluster;
pub mod configuration;
pub mod decisions;
mod endpoint;
pub mod install;
pub mod lease;
pub mod metrics;
pub mod preview;
pub mod readiness;
pub mod scan;
mod secrets;
pub mod server;
pub mod store;
mod words;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use flux_rules::Context;
use kube::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use args::{Args, FailurePolicy};
pub use endpoint::{Endpoint, EndpointError};

use admission::Stage;
use authority::{State, ensure};
use certificates::{Clock, Periods, Served};
use cluster::Caches;
use configuration::{Current, Design};
use decisions::Decisions;
use install::Stored;
use lease::Leader;
use metrics::Metrics;
use readiness::Readiness;
use scan::Scan;
use server::App;
use store::Store;

/// Serves until `stop` ends.
///
/// Needs a crypto provider to be installed in rustls.
///
/// # Errors
/// If there is no cluster to talk to, its namespace does not exist, or the address is taken.
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<()> {
    let endpoint = args.endpoint()?;
    let client = Client::try_default()
        .await
        .context("cannot find a cluster: set KUBECONFIG, or run inside of one")?;
    let namespace = &args.namespace;
    let uid = match install::namespace_uid(&client, namespace).await {
        Ok(uid) => uid,
        Err(kube::Error::Api(status)) if status.code == 404 => {
            anyhow::bail!(
                "there is no namespace {namespace}: create it, or name another with --namespace"
            )
        }
        Err(error) => {
            anyhow::bail!(
                "cannot read namespace {namespace}: {}",
                install::reason(&error)
            )
        }
    };
    let design = Design {
        name: args.name.clone(),
        namespace: namespace.clone(),
        endpoint,
        failure_policy: args.failure_policy,
        namespace_uid: uid,
    };

    let metrics = Arc::new(Metrics::default());
    let served = Arc::new(Served::default());
    let (clock, periods) = (args.clock(), args.periods());
    let state = ensure(&client, namespace, clock.now(), &periods, None).await?;
    let keeper = Keeper {
        client: client.clone(),
        namespace: namespace.clone(),
        names: design.endpoint.names(),
        served: Arc::clone(&served),
        metrics: Arc::clone(&metrics),
        clock,
        periods,
        tick: args.certificate_check(),
    };
    keeper.renew(&state)?;
    let (current, follow) = watch::channel(Current {
        bundle: state.bundle(),
        fills_ingresses: false,
    });

    let stored = Arc::new(Stored::default());
    let store = Store::start(&client);
    let caches = Caches::start(&client, Arc::clone(&store), args.inspect_secret_keys);
    let decisions = Decisions::new(namespace, args.settings());
    let readiness = Arc::new(Readiness::new(
        Arc::clone(&served),
        Some(Arc::clone(&stored)),
        Some(Arc::clone(&caches)),
    ));
    let context = Context::new(args.settings(), caches);
    let mut app = App::new(
        context.clone(),
        Arc::clone(&decisions),
        Arc::clone(&metrics),
        Arc::clone(&readiness),
    );
    if let Some(previews) = args.previews()? {
        app = app.asking(previews);
    }
    let clients = args.clients()?;
    if clients.is_some() {
        app = app.for_known_clients();
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    tracing::info!(address = %args.listen, "listening");
    readiness.listening();

    // The configurations come last: from then on the API server calls.
    let mut tasks = JoinSet::new();
    for stage in [Stage::Mutate, Stage::Validate] {
        let (client, design, follow) = (client.clone(), design.clone(), follow.clone());
        let stored = Arc::clone(&stored);
        tasks.spawn(async move { install::keep(client, &design, stage, follow, &stored).await });
    }
    tasks.spawn(decisions::follow(
        client.clone(),
        Arc::clone(&decisions),
        current.clone(),
    ));
    if !args.no_scan {
        let leader = Arc::new(Leader::default());
        tasks.spawn(lease::keep(
            client.clone(),
            namespace.clone(),
            identity(),
            Arc::clone(&leader),
        ));
        let scan = Scan {
            client: client.clone(),
            store,
            context,
            decisions,
            metrics: Arc::clone(&metrics),
            leader,
        };
        tasks.spawn(scan.run());
    }
    tasks.spawn(keeper.run(state, current));

    let delay = args.delay();
    let stop = async move {
        stop.await;
        tracing::info!("stopping");
        readiness.stopping();
        tokio::time::sleep(delay).await;
    };
    if args.remove_configurations_on_exit {
        // Removed while we still answer, so that no request waits for nobody.
        let (client, name) = (client.clone(), args.name.clone());
        let stop = async move {
            stop.await;
            tasks.shutdown().await;
            if let Err(error) = install::remove(&client, &name).await {
                let error = install::reason(&error);
                tracing::error!(error, name, "cannot remove the webhook configurations");
            }
        };
        server::serve(
            listener,
            server::tls(served, clients)?,
            server::router(app),
            stop,
        )
        .await;
    } else {
        server::serve(
            listener,
            server::tls(served, clients)?,
            server::router(app),
            stop,
        )
        .await;
    }
    Ok(())
}

/// What tells this replica from others: the name of its pod, or host and process.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "webhook".to_owned());
    format!("{host}-{}", std::process::id())
}

/// Ends at SIGTERM or SIGINT.
pub async fn termination() {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "cannot wait for SIGTERM");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Keeps certificates current.
struct Keeper {
    client: Client,
    namespace: String,
    names: Vec<String>,
    served: Arc<Served>,
    metrics: Arc<Metrics>,
    clock: Clock,
    periods: Periods,
    tick: Duration,
}

impl Keeper {
    /// Serves with a new leaf if the current one is due, or was signed by somebody else.
    fn renew(&self, state: &State) -> Result<(), certificates::CertificateError> {
        let now = self.clock.now();
        let current = self.served.leaf();
        let good = current.is_some_and(|leaf| {
            !leaf.is_due(now) && leaf.authority() == state.signer.certificate()
        });
        if good {
            return Ok(());
        }
        let leaf = state.signer.leaf(&self.names, now, &self.periods)?;
        let names = self.names.join(",");
        tracing::info!(until = %leaf.not_after(), names, "new certificate");
        self.metrics
            .certificate_ends(leaf.not_after().unix_timestamp());
        self.served.swap(leaf);
        Ok(())
    }

    /// Looks at the authority and the leaf again and again, by the wall clock: a suspended machine
    /// must not sleep past the end of a certificate.
    async fn run(self, mut held: State, current: watch::Sender<Current>) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            match ensure(
                &self.client,
                &self.namespace,
                now,
                &self.periods,
                Some(&held),
            )
            .await
            {
                Ok(state) => {
                    let new = state.bundle();
                    current.send_if_modified(|known| {
                        let changed = known.bundle != new;
                        known.bundle.clone_from(&new);
                        changed
                    });
                    if let Err(error) = self.renew(&state) {
                        tracing::error!(%error, "cannot renew the certificate");
                    }
                    held = state;
                }
                Err(error) => tracing::warn!("{:#}", anyhow::Error::new(error)),
            }
        }
    }
}

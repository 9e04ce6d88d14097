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
mod keeper;
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
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

pub use args::{Args, FailurePolicy};
pub use endpoint::{Endpoint, EndpointError};

use admission::Stage;
use certificates::Served;
use cluster::Caches;
use configuration::Design;
use decisions::Decisions;
use install::Stored;
use keeper::Keeper;
use lease::Leader;
use metrics::Metrics;
use readiness::Readiness;
use scan::Scan;
use server::App;
use store::Store;

/// How long a connection to the API server may be silent while something is expected: watches get a
/// bookmark each minute. Where the server's machine is gone nobody closes the connection.
const SILENCE: Duration = Duration::from_secs(150);

async fn client() -> Result<Client> {
    let mut config = Config::infer()
        .await
        .context("cannot find a cluster: set KUBECONFIG, or run inside of one")?;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Client::try_from(config).context("cannot make a client")
}

/// Serves until `stop` ends.
///
/// Needs a crypto provider to be installed in rustls.
///
/// # Errors
/// If there is no cluster to talk to, its namespace does not exist, or the address is taken.
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<()> {
    let endpoint = args.endpoint()?;
    let client = client().await?;
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
    let stored = Arc::new(Stored::default());
    let names = design.endpoint.names();
    let keeper = Keeper::start(&args, &client, names, &served, &stored, &metrics).await?;
    let keeper = Arc::new(keeper);
    let (current, follow) = (keeper.current(), keeper.current().subscribe());

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
        let (keeper, stored) = (Arc::clone(&keeper), Arc::clone(&stored));
        tasks.spawn(async move {
            install::keep(client, &design, stage, follow, &stored, &keeper).await;
        });
    }
    tasks.spawn(decisions::follow(
        client.clone(),
        Arc::clone(&decisions),
        current,
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
    tasks.spawn(keeper.run());

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

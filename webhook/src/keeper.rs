//! Keeps the certificates of this process current.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{Mutex, watch};

use crate::args::Args;
use crate::authority::{AuthorityError, State, ensure};
use crate::certificates::{CertificateError, Clock, Periods, Served};
use crate::configuration::Current;
use crate::install::Stored;
use crate::metrics::Metrics;

/// Holds what is stored of the authority, and serves with a leaf of it.
pub(crate) struct Keeper {
    client: Client,
    namespace: String,
    names: Vec<String>,
    served: Arc<Served>,
    stored: Arc<Stored>,
    metrics: Arc<Metrics>,
    clock: Clock,
    periods: Periods,
    tick: Duration,
    held: Mutex<State>,
    current: watch::Sender<Current>,
}

impl Keeper {
    /// Reads or makes the authority and serves with a first leaf for these names.
    ///
    /// # Errors
    /// [`AuthorityError`] if there is no authority to be had.
    pub(crate) async fn start(
        args: &Args,
        client: &Client,
        names: Vec<String>,
        served: &Arc<Served>,
        stored: &Arc<Stored>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AuthorityError> {
        let (clock, periods) = (args.clock(), args.periods());
        let state = ensure(client, &args.namespace, clock.now(), &periods, None).await?;
        let (current, _) = watch::channel(Current {
            bundle: state.bundle(),
            fills_ingresses: false,
        });
        let keeper = Self {
            client: client.clone(),
            namespace: args.namespace.clone(),
            names,
            served: Arc::clone(served),
            stored: Arc::clone(stored),
            metrics: Arc::clone(metrics),
            clock,
            periods,
            tick: args.certificate_check(),
            held: Mutex::new(state),
            current,
        };
        keeper.renew(&*keeper.held.lock().await)?;
        Ok(keeper)
    }

    /// What the configurations are to say; the bundle in it is ours.
    pub(crate) fn current(&self) -> watch::Sender<Current> {
        self.current.clone()
    }

    /// Serves with a new leaf if the current one is due, or was signed by somebody else.
    fn renew(&self, state: &State) -> Result<(), CertificateError> {
        let now = self.clock.now();
        let current = self.served.leaf();
        let signer = state.signer.certificate();
        let good = current.is_some_and(|leaf| {
            // Clocks differ: a successor may sign before the API server heard of it.
            let waits = || !self.stored.trusts(signer) && state.trusts(leaf.authority());
            !leaf.is_due(now) && (leaf.authority() == signer || waits())
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

    /// Reads what is stored, does what is due, and serves and announces what came of it.
    ///
    /// Also asked for by whoever finds that a configuration trusts somebody else: a replica whose
    /// clock is ahead may have replaced the authority a moment ago, and to insist on the one held
    /// here would lock that replica out.
    pub(crate) async fn refresh(&self) {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let (client, namespace) = (&self.client, &self.namespace);
        match ensure(client, namespace, now, &self.periods, Some(&held)).await {
            Ok(state) => {
                let new = state.bundle();
                self.current.send_if_modified(|known| {
                    let changed = known.bundle != new;
                    known.bundle.clone_from(&new);
                    changed
                });
                if let Err(error) = self.renew(&state) {
                    tracing::error!(%error, "cannot renew the certificate");
                }
                *held = state;
            }
            Err(error) => tracing::warn!("{:#}", anyhow::Error::new(error)),
        }
    }

    /// Looks at the authority and the leaf again and again, by the wall clock: a suspended machine
    /// must not sleep past the end of a certificate.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh().await;
        }
    }
}

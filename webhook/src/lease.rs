//! Which of several replicas does what only one should: the one that holds a Lease
//! ([`flux_api::lease`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flux_api::lease::{self, Claim, Observation};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

/// Name of the Lease, and label of its holders in logs.
const LEASE: &str = "admission-webhook";

/// How long a Lease holds without being renewed.
const LASTS: Duration = Duration::from_secs(35);

/// How often it is renewed or asked for.
const PERIOD: Duration = Duration::from_secs(5);

/// Whether this process holds the Lease.
#[derive(Debug, Default)]
pub struct Leader(AtomicBool);

impl Leader {
    /// Whether it is this one, as far as known.
    #[must_use]
    pub fn is_me(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, mine: bool) {
        if self.0.swap(mine, Ordering::AcqRel) != mine {
            tracing::info!(mine, "the Lease changed hands");
        }
    }
}

/// Asks for the Lease and renews it, for ever.
pub async fn keep(client: Client, namespace: String, identity: String, leader: Arc<Leader>) {
    let api: Api<Lease> = Api::namespaced(client, &namespace);
    let (mut seen, mut renewed) = (None, Instant::now());
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        let problem = match timeout(PERIOD, turn(&api, &identity, &mut seen)).await {
            Ok(Ok(mine)) => {
                leader.set(mine);
                if mine {
                    renewed = begun;
                }
                continue;
            }
            Ok(Err(error)) => crate::install::reason(&error),
            Err(_) => "the API server does not answer".to_owned(),
        };
        tracing::debug!(problem, "cannot renew the Lease");
        // Others may take it over from then on.
        if renewed.elapsed() + 2 * PERIOD > LASTS {
            leader.set(false);
        }
    }
}

/// Takes or renews the Lease if that is possible, and says whether it is ours now.
async fn turn(
    api: &Api<Lease>,
    identity: &str,
    seen: &mut Option<Observation>,
) -> Result<bool, kube::Error> {
    let params = PostParams::default();
    let held = |lease| lease::held(lease, identity, LASTS, Timestamp::now());
    let written = match api.get_opt(LEASE).await? {
        None => {
            let mut new = held(Lease::default());
            new.metadata.name = Some(LEASE.to_owned());
            api.create(&params, &new).await
        }
        Some(found) => {
            let spec = found.spec.clone().unwrap_or_default();
            Observation::update(seen, &spec, Instant::now());
            let claim = seen.as_ref().map_or(Claim::Free, |seen| {
                seen.claim(identity, Instant::now(), Timestamp::now())
            });
            if let Claim::Held(_) = claim {
                return Ok(false);
            }
            api.replace(LEASE, &params, &held(found)).await
        }
    };
    match written {
        Ok(_) => Ok(true),
        // Another one was quicker.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

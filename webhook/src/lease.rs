//! Which of several replicas does what only one should: a Lease, in the manner of client-go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};

/// Name of the Lease, and label of its holders in logs.
const LEASE: &str = "admission-webhook";

/// How long a Lease holds without being renewed.
const DURATION: i32 = 35;

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
    let mut renewed = Timestamp::now();
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        let now = Timestamp::now();
        match turn(&api, &namespace, &identity, now).await {
            Ok(mine) => {
                leader.set(mine);
                if mine {
                    renewed = now;
                }
            }
            Err(error) => {
                tracing::debug!(
                    error = crate::install::reason(&error),
                    "cannot renew the Lease"
                );
                // Others may take it over from then on.
                if now.duration_since(renewed) > SignedDuration::from_secs(i64::from(DURATION) - 5)
                {
                    leader.set(false);
                }
            }
        }
    }
}

/// Takes or renews the Lease if that is possible, and says whether it is ours now.
async fn turn(
    api: &Api<Lease>,
    namespace: &str,
    identity: &str,
    now: Timestamp,
) -> Result<bool, kube::Error> {
    let params = PostParams::default();
    let written = match api.get_opt(LEASE).await? {
        None => {
            let metadata = ObjectMeta {
                name: Some(LEASE.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(spec(identity, now, None)),
            };
            api.create(&params, &lease).await
        }
        Some(lease) => {
            if !is_free(lease.spec.as_ref(), identity, now) {
                return Ok(false);
            }
            let next = Lease {
                metadata: ObjectMeta {
                    name: lease.metadata.name.clone(),
                    namespace: lease.metadata.namespace.clone(),
                    resource_version: lease.resource_version(),
                    ..ObjectMeta::default()
                },
                spec: Some(spec(identity, now, lease.spec.as_ref())),
            };
            api.replace(LEASE, &params, &next).await
        }
    };
    match written {
        Ok(_) => Ok(true),
        // Another one was quicker.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_free(spec: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> bool {
    let Some(spec) = spec else { return true };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == identity {
        return true;
    }
    let seconds = i64::from(spec.lease_duration_seconds.unwrap_or(DURATION));
    spec.renew_time
        .as_ref()
        .is_none_or(|renewed| now.duration_since(renewed.0) > SignedDuration::from_secs(seconds))
}

fn spec(identity: &str, now: Timestamp, old: Option<&LeaseSpec>) -> LeaseSpec {
    let same = old.is_some_and(|old| old.holder_identity.as_deref() == Some(identity));
    let acquired = old
        .and_then(|old| old.acquire_time.clone())
        .filter(|_| same);
    let transitions = old
        .and_then(|old| old.lease_transitions)
        .unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(DURATION),
        acquire_time: Some(acquired.unwrap_or(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions + i32::from(!same && old.is_some())),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_when_nobody_renews_it() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000);
        let held = spec("a", now, None);
        assert!(is_free(None, "b", now));
        assert!(is_free(Some(&held), "a", now));
        assert!(!is_free(
            Some(&held),
            "b",
            now + SignedDuration::from_secs(30)
        ));
        assert!(is_free(
            Some(&held),
            "b",
            now + SignedDuration::from_secs(36)
        ));
        let taken = spec("b", now, Some(&held));
        assert_eq!(taken.lease_transitions, Some(1));
        assert_eq!(spec("b", now, Some(&taken)).lease_transitions, Some(1));
    }
}

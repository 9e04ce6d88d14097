//! Leader election: a process works only while it holds the Leases of its controllers.
//!
//! There is one Lease per controller, under the name that Flux's own controller uses: neither two
//! of our processes nor one of ours and one of Flux's can work on the same objects at a time.
//!
//! Flux's defaults let 35 s pass before a dead leader is replaced. Ours are 15 s, renewed every
//! third of that, so that sync goes on within 20 s; see [`lease`] for the rules.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use flux_api::lease::{self, Claim, Observation};
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::words::api_error;

pub mod rivals;

/// The name of the Lease of one of Flux's controllers. With a selector, the first 8 digits of its
/// SHA-256 are appended, as Flux does it for shards.
fn lease_name(controller: &str, selector: &str) -> String {
    let id = format!("{controller}-leader-election");
    if selector.is_empty() {
        return id;
    }
    let digits: String = Sha256::digest(selector)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{id}-{digits}")
}

/// How long times are between steps.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// Others wait so long for us.
    lasts: Duration,
    /// We give up after this.
    deadline: Duration,
    /// Between two looks at a Lease that somebody else holds.
    retry: Duration,
}

/// The Leases that a process wants.
pub struct Election {
    api: Api<Lease>,
    names: Vec<String>,
    identity: String,
    timing: Timing,
}

/// A Lease that we hold.
struct Held {
    lease: Lease,
    /// When the request began that took or renewed it last: it lasts from then on, or from later.
    begun: Instant,
}

/// Leases that are held. Dropping it lets them expire.
pub struct Leadership {
    lost: CancellationToken,
    renewing: tokio::task::JoinHandle<Vec<Held>>,
    stop: CancellationToken,
    api: Api<Lease>,
    deadline: Duration,
}

impl Election {
    /// An election for the controllers of the command line.
    ///
    /// # Errors
    /// When the durations make no sense.
    pub fn new(client: Client, args: &Args) -> anyhow::Result<Self> {
        let timing = Timing {
            lasts: args.leader_election_lease_duration.as_std(),
            deadline: args.leader_election_renew_deadline.as_std(),
            retry: args.leader_election_retry_period.as_std(),
        };
        anyhow::ensure!(
            timing.retry < timing.deadline && timing.deadline < timing.lasts,
            "--leader-election-retry-period ({}), -renew-deadline ({}) and -lease-duration ({}) must grow in this order",
            args.leader_election_retry_period,
            args.leader_election_renew_deadline,
            args.leader_election_lease_duration,
        );
        // All candidates ask in the same order: none waits for a second Lease while the other
        // waits for the first.
        let mut controllers = args.controllers.clone();
        controllers.sort_unstable();
        controllers.dedup();
        let names = controllers
            .iter()
            .map(|c| lease_name(c.as_str(), args.watch_label_selector.as_str()))
            .collect();
        Ok(Self {
            api: Api::namespaced(client, &args.runtime_namespace),
            names,
            identity: identity(args.pod_uid.as_deref())?,
            timing,
        })
    }

    /// Names of the Leases.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Waits until all Leases are ours; none when `stop` comes first.
    ///
    /// # Errors
    /// When we may not use Leases.
    pub async fn acquire(&self, stop: &CancellationToken) -> anyhow::Result<Option<Leadership>> {
        let leases = loop {
            let start = Instant::now();
            let Some(leases) = self.acquire_all(stop).await? else {
                return Ok(None);
            };
            // The first ones may have run out while the last one was waited for.
            if start.elapsed() < self.timing.lasts / 3 {
                break leases;
            }
        };
        tracing::info!(identity = self.identity, leases = ?self.names, "leading");
        let (lost, ending) = (CancellationToken::new(), CancellationToken::new());
        let renewal = Renewal {
            api: self.api.clone(),
            identity: self.identity.clone(),
            timing: self.timing,
            lost: lost.clone(),
            stop: ending.clone(),
        };
        Ok(Some(Leadership {
            lost,
            renewing: tokio::spawn(renewal.run(leases)),
            stop: ending,
            api: self.api.clone(),
            deadline: self.timing.deadline,
        }))
    }

    /// One pass over all Leases, those that are ours already among them.
    async fn acquire_all(&self, stop: &CancellationToken) -> anyhow::Result<Option<Vec<Held>>> {
        let mut leases = Vec::with_capacity(self.names.len());
        for name in &self.names {
            match self.acquire_one(name, stop).await? {
                Some(lease) => leases.push(lease),
                None => {
                    give_back(&self.api, leases).await;
                    return Ok(None);
                }
            }
        }
        Ok(Some(leases))
    }

    async fn acquire_one(
        &self,
        name: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Held>> {
        let (mut seen, mut waiting_for) = (None, String::new());
        loop {
            let begun = Instant::now();
            match self.try_one(name, &mut seen).await {
                Ok(Ok(lease)) => return Ok(Some(Held { lease, begun })),
                Ok(Err(holder)) => {
                    if holder != waiting_for {
                        tracing::info!(lease = name, holder, "standing by");
                        waiting_for = holder;
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    return Err(kube::Error::Api(status)).with_context(|| {
                        format!("cannot use Lease {name}; grant get, create and update on leases.coordination.k8s.io, or switch leader election off")
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        lease = name,
                        error = api_error(&error),
                        "cannot read the Lease"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.timing.retry) => {}
                () = stop.cancelled() => return Ok(None),
            }
        }
    }

    /// One attempt: the Lease, or who holds it.
    async fn try_one(
        &self,
        name: &str,
        seen: &mut Option<Observation>,
    ) -> Result<Result<Lease, String>, kube::Error> {
        let params = PostParams::default();
        let written = match self.api.get_opt(name).await? {
            None => {
                let mut new = self.held(Lease::default());
                new.metadata.name = Some(name.to_owned());
                self.api.create(&params, &new).await
            }
            Some(found) => {
                let spec = found.spec.clone().unwrap_or_default();
                Observation::update(seen, &spec, Instant::now());
                let claim = seen.as_ref().map_or(Claim::Free, |seen| {
                    seen.claim(&self.identity, Instant::now(), Timestamp::now())
                });
                if let Claim::Held(holder) = claim {
                    return Ok(Err(holder));
                }
                self.api.replace(name, &params, &self.held(found)).await
            }
        };
        match written {
            Ok(lease) => Ok(Ok(lease)),
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Err("another".to_owned())),
            Err(error) => Err(error),
        }
    }

    fn held(&self, lease: Lease) -> Lease {
        lease::held(lease, &self.identity, self.timing.lasts, Timestamp::now())
    }
}

impl Leadership {
    /// Resolves when a Lease is not ours any more; then nothing may be written.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Gives the Leases back, so that the next in line need not wait.
    pub async fn release(self) {
        self.stop.cancel();
        let leases = self.renewing.await.unwrap_or_default();
        let _ = tokio::time::timeout(self.deadline, give_back(&self.api, leases)).await;
    }
}

async fn give_back(api: &Api<Lease>, leases: Vec<Held>) {
    for Held { lease, .. } in leases.into_iter().rev() {
        let name = lease.name_any();
        let released = lease::released(lease, Timestamp::now());
        // Whoever changed it meanwhile holds it.
        if let Err(error) = api.replace(&name, &PostParams::default(), &released).await {
            tracing::warn!(
                lease = name,
                error = api_error(&error),
                "cannot give the Lease back"
            );
        }
    }
}

/// Between two attempts to renew a Lease.
const RENEW_AGAIN: Duration = Duration::from_secs(1);

/// What came of one attempt to renew a Lease.
enum Attempt {
    Renewed(Lease),
    /// It is ours, at another version than we knew.
    Read(Lease),
    /// It is not ours any more.
    Lost(String),
    Failed(String),
}

struct Renewal {
    api: Api<Lease>,
    identity: String,
    timing: Timing,
    lost: CancellationToken,
    stop: CancellationToken,
}

impl Renewal {
    /// Renews until told to stop; returns the Leases as they are then.
    async fn run(self, mut leases: Vec<Held>) -> Vec<Held> {
        let period = self.timing.lasts / 3;
        loop {
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = self.stop.cancelled() => return leases,
            }
            // At once: none runs out while another one is waited for.
            let renewed = leases.iter_mut().map(|held| self.renew(held));
            if let Err((lease, problem)) = try_join_all(renewed).await {
                tracing::error!(lease, problem, "lost the Lease");
                self.lost.cancel();
                return Vec::new();
            }
        }
    }

    /// Renews one Lease, again and again up to the deadline.
    /// What it ends with is the name of the Lease and why it is not ours any more.
    async fn renew(&self, held: &mut Held) -> Result<(), (String, String)> {
        let name = held.lease.name_any();
        let last = held.begun;
        loop {
            let begun = Instant::now();
            // After a pause of the whole machine there is still time for one attempt: somebody else's
            // claim is a conflict.
            let left = self.timing.deadline.saturating_sub(last.elapsed());
            let left = left.max(self.timing.retry);
            let attempt = tokio::time::timeout(left, self.attempt(&name, &held.lease)).await;
            let problem = match attempt {
                Ok(Attempt::Renewed(lease)) => {
                    *held = Held { lease, begun };
                    return Ok(());
                }
                Ok(Attempt::Read(lease)) => {
                    held.lease = lease;
                    continue;
                }
                Ok(Attempt::Lost(problem)) => return Err((name, problem)),
                Ok(Attempt::Failed(problem)) => problem,
                Err(_) => "the API server does not answer".to_owned(),
            };
            if last.elapsed() + RENEW_AGAIN >= self.timing.deadline {
                return Err((name, format!("could not renew it in time: {problem}")));
            }
            tracing::warn!(lease = name, problem, "cannot renew the Lease");
            tokio::time::sleep(RENEW_AGAIN).await;
        }
    }

    async fn attempt(&self, name: &str, lease: &Lease) -> Attempt {
        let now = Timestamp::now();
        let next = lease::held(lease.clone(), &self.identity, self.timing.lasts, now);
        let written = self.api.replace(name, &PostParams::default(), &next).await;
        let code = |error: &kube::Error| match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        };
        match written {
            Ok(written) => Attempt::Renewed(written),
            Err(error) if code(&error) == 404 => Attempt::Lost("somebody deleted it".to_owned()),
            // An answer that got lost, or somebody else.
            Err(error) if code(&error) == 409 => match self.api.get(name).await {
                Ok(found) if self.is_ours(&found) => Attempt::Read(found),
                Ok(found) => {
                    let holder = found.spec.and_then(|s| s.holder_identity);
                    Attempt::Lost(format!("held by {}", holder.unwrap_or_default()))
                }
                Err(error) => Attempt::Failed(api_error(&error)),
            },
            Err(error) => Attempt::Failed(api_error(&error)),
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_ref());
        holder == Some(&self.identity)
    }
}

/// `hostname_uuid`, the form of controller-runtime: nobody else has it. In a pod the second half is
/// the pod's UID, so that a container that is started again after a crash goes on with the Leases
/// of the former one instead of waiting for their end: a pod never runs two of them at once.
/// Elsewhere not even the process that ran under this host name before has the same.
fn identity(pod_uid: Option<&str>) -> anyhow::Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown",
        host => host,
    };
    if let Some(uid) = pod_uid.filter(|uid| !uid.is_empty()) {
        return Ok(format!("{host}_{uid}"));
    }
    let mut bytes = [0_u8; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{host}_{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_flux() {
        assert_eq!(
            lease_name("source-controller", ""),
            "source-controller-leader-election"
        );
        // sha256("bar") begins so.
        assert_eq!(lease_name("x", "bar"), "x-leader-election-fcde2b2e");
    }

    #[test]
    fn a_pod_keeps_its_identity() {
        let one = identity(Some("4b7e")).unwrap();
        assert!(one.ends_with("_4b7e"), "{one}");
        assert_eq!(one, identity(Some("4b7e")).unwrap());
        assert_ne!(identity(None).unwrap(), identity(Some("")).unwrap());
    }
}

//! An operator of this installation that is not one of its pods: a process on somebody's machine.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use tokio::time::{Instant, sleep};

use super::inventory::is_held_by_us;
use crate::cluster::{Cluster, Scope, Selection};
use crate::error::Error;

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until no Lease of an operator of ours is alive. To be called when its pods are gone: one
/// that was killed does not give its Leases back, they end by themselves.
///
/// # Errors
/// When a Lease is renewed: its holder would put its finalizer back and delete what it applied.
/// Processes that run without leader election cannot be seen.
pub(super) async fn wait(cluster: &Cluster, namespace: &str) -> Result<(), Error> {
    let resource = ApiResource::erase::<Lease>(&());
    let started = Instant::now();
    let mut first: Option<Vec<(String, String)>> = None;
    loop {
        let scope = Scope::Namespace(namespace);
        let all = cluster
            .list_resource(&resource, scope, Selection::default())
            .await?;
        let elapsed = started.elapsed();
        let held: Vec<_> = all.iter().filter(|lease| is_held(lease)).collect();
        let known = first.get_or_insert_with(|| held.iter().map(|lease| renewed(lease)).collect());
        if let Some(alive) = held.iter().find(|lease| !known.contains(&renewed(lease))) {
            return Err(Error::input(format!(
                "an operator that is no pod of {namespace} namespace runs: it renews Lease {} as {}; \
                 stop it, or it deletes what it applied, then try again",
                alive.name_any(),
                alive.data["spec"]["holderIdentity"]
                    .as_str()
                    .unwrap_or_default()
            )));
        }
        if held.iter().all(|lease| elapsed > lasts(lease)) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// Whether an operator holds it, and has not given it back.
fn is_held(lease: &DynamicObject) -> bool {
    let holder = lease.data["spec"]["holderIdentity"].as_str();
    holder.is_some_and(|holder| !holder.is_empty()) && is_held_by_us(lease)
}

/// Its name and when it was renewed.
fn renewed(lease: &DynamicObject) -> (String, String) {
    let at = lease.data["spec"]["renewTime"].as_str().unwrap_or_default();
    (lease.name_any(), at.to_owned())
}

fn lasts(lease: &DynamicObject) -> Duration {
    let seconds = lease.data["spec"]["leaseDurationSeconds"].as_u64();
    Duration::from_secs(seconds.unwrap_or_default())
}

//! Both repositories hold the Namespaces of the apps: nobody fights over them.

use std::time::Duration;

use anyhow::Result;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};

use super::apps::BOTH;
use super::walk::Walk;

/// Most writes to a Namespace in five minutes, from whomever (issue 5).
const MOST: usize = 10;

/// Leaves everything alone for so long and counts writes to a Namespace.
pub(super) async fn run(walk: &mut Walk, time: Duration) -> Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    walk.report.chapter("Nothing happens for a while");
    let namespaces: Api<Namespace> = Api::all(walk.env.client().await?);
    let app = BOTH[0];
    let version = namespaces
        .get(app)
        .await?
        .resource_version()
        .unwrap_or_default();
    let params = WatchParams::default().fields(&format!("metadata.name={app}"));
    let stream = namespaces.watch(&params, &version).await?;
    let mut stream = std::pin::pin!(stream);
    let mut writes = 0;
    let count = async {
        while let Some(event) = stream.try_next().await? {
            writes += usize::from(matches!(event, WatchEvent::Modified(_)));
        }
        Ok::<_, kube::Error>(())
    };
    // The end of the time is the end of the count.
    let _ = tokio::time::timeout(time, count).await;
    walk.report.check(
        &format!("Namespace {app} is written {writes} times in {time:?}"),
        writes <= MOST,
        &writes.to_string(),
    );
    Ok(())
}

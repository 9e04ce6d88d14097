//! Mirrors that no GitRepository needs any more: the repository, or the credentials, are others
//! now.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::remote;
use crate::context::Context;

/// Mirrors are small beside the disk they are on, and a mirror that is deleted too early costs a
/// fetch.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Deletes mirrors once an hour until `stop`.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => collect(&context).await,
            () = stop.cancelled() => return,
        }
    }
}

async fn collect(context: &Context) {
    let mut used = Vec::new();
    // Those of other shards, too: image automations of this process may write to them.
    for object in context.stores.git_repositories.state() {
        match remote::of(&object, context).await {
            Ok(remote) => used.push(remote),
            // Whose mirror it has cannot be told; it may be the only copy within reach.
            Err(_) => return,
        }
    }
    if let Err(error) = context.git.retain(&used).await {
        tracing::warn!(%error, "mirrors that are not needed cannot be deleted");
    }
}

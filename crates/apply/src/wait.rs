//! Waiting until objects are healthy.
//!
//! Each object is read once; only those that are not there yet are watched, one by one, so that a
//! wait costs no polling and holds no more than the objects it waits for.

use std::sync::Arc;
use std::time::Duration;

use flux_api::inventory::ObjectId;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use serde_json::Value;
use tokio::time::Instant;

use crate::applier::Applier;
use crate::health::{self, Status};
use crate::mapper::Resource;
use crate::object::{self, Gvk};
use crate::request;

/// Between two looks at an object that cannot be watched.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// An object whose health is awaited.
#[derive(Clone, Debug)]
pub struct Target {
    /// Identity.
    pub id: ObjectId,
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Who says how it is, in the place of [`health::status`].
    pub judge: Option<Judge>,
}

/// Tells the health of objects in its own way.
#[derive(Clone)]
pub struct Judge(Arc<dyn Fn(Value) -> BoxFuture<'static, Status> + Send + Sync>);

impl Judge {
    /// A judge who is given the live object.
    pub fn new<F>(judge: impl Fn(Value) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Status> + Send + 'static,
    {
        Self(Arc::new(move |live| Box::pin(judge(live))))
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Judge")
    }
}

impl Target {
    async fn status(&self, live: Value) -> Status {
        match &self.judge {
            Some(Judge(judge)) => judge(live).await,
            None => health::status(&live),
        }
    }
}

/// Why a wait ended without success.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Time is up.
    #[error("timeout waiting for: [{}]", list(.0))]
    Timeout(Vec<(ObjectId, Status)>),
    /// Some objects will not become healthy without help.
    #[error("failed early due to stalled resources: [{}]", list(.0))]
    Failed(Vec<(ObjectId, Status)>),
}

fn list(objects: &[(ObjectId, Status)]) -> String {
    let one = |(id, status): &(ObjectId, Status)| {
        let detail = match status.detail() {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        format!(
            "{} status: '{}'{detail}",
            object::display(id),
            status.name()
        )
    };
    objects.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Applier {
    /// Waits until all targets are current; with `fails_early` not for those that cannot become so.
    ///
    /// # Errors
    /// [`WaitError::Failed`] as soon as one cannot become healthy, [`WaitError::Timeout`] with
    /// what is still missing when time is up.
    pub async fn wait(
        &self,
        mut targets: Vec<Target>,
        timeout: Duration,
        fails_early: bool,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + timeout;
        for target in &mut targets {
            // What was named without a namespace was taken for an object of the Kustomization's.
            if let Ok(Some(Resource {
                namespaced: false, ..
            })) = self.resource_of(target).await
            {
                target.id.namespace.clear();
            }
        }
        let mut pending: Vec<(Target, Status)> =
            targets.into_iter().map(|t| (t, Status::NotFound)).collect();
        let mut running: FuturesUnordered<_> = pending
            .iter()
            .enumerate()
            .map(|(index, (target, _))| self.follow(index, target.clone(), fails_early))
            .collect();
        let mut open = pending.len();
        while open > 0 {
            let next = tokio::time::timeout_at(deadline, running.next()).await;
            let Ok(Some((index, status))) = next else {
                break;
            };
            if let Some(slot) = pending.get_mut(index) {
                slot.1 = status;
            }
            open -= 1;
            let is_failed = |(_, status): &(_, _)| matches!(status, Status::Failed(_));
            if fails_early && pending.iter().any(is_failed) {
                let failed = unhealthy(pending, |s| matches!(s, Status::Failed(_)));
                return Err(WaitError::Failed(failed));
            }
        }
        if open == 0 {
            return Ok(());
        }
        drop(running);
        for (target, status) in &mut pending {
            if *status != Status::Current {
                *status = self
                    .look(target)
                    .await
                    .unwrap_or_else(|error| Status::InProgress(error.to_string()));
            }
        }
        match unhealthy(pending, |s| *s != Status::Current) {
            left if left.is_empty() => Ok(()),
            left => Err(WaitError::Timeout(left)),
        }
    }

    async fn look(&self, target: &Target) -> Result<Status, request::RequestError> {
        if self.is_known_healthy(target) {
            return Ok(Status::Current);
        }
        let resource = self.resource_of(target).await?;
        let Some(resource) = resource else {
            return Ok(Status::NotFound);
        };
        let path = request::path(
            &target.gvk,
            &resource,
            &target.id.namespace,
            &target.id.name,
        );
        let Some(live) = request::get(&self.client, &path).await? else {
            return Ok(self.absent(target));
        };
        let version = object::resource_version(&live).to_owned();
        let status = target.status(live).await;
        self.note(target, &status, &version);
        Ok(status)
    }

    /// What it means that an object is not there: a Job that goes when it is done may be done.
    fn absent(&self, target: &Target) -> Status {
        match self.live.may_have_expired(&target.id) {
            true => Status::Current,
            false => Status::NotFound,
        }
    }

    /// Whether the watch of managed objects answers without a request: the object was healthy at
    /// the version that it has, or there is nothing to wait for in its kind.
    fn is_known_healthy(&self, target: &Target) -> bool {
        if target.judge.is_some() {
            return false;
        }
        self.live.is_healthy(&target.id)
            || (health::is_at_once(&target.gvk)
                && self.live.seen(&target.id).is_some_and(|s| !s.terminating))
    }

    fn note(&self, target: &Target, status: &Status, version: &str) {
        // What one Kustomization takes for health is not so for the next.
        if target.judge.is_some() {
            return;
        }
        if let (Status::Current, Ok(version)) = (status, version.parse()) {
            self.live.healthy(&target.id, version);
        }
    }

    async fn resource_of(
        &self,
        target: &Target,
    ) -> Result<Option<Resource>, request::RequestError> {
        self.mapper
            .resource(&target.gvk)
            .await
            .map_err(|error| request::RequestError::Transport(Box::new(error)))
    }

    /// Ends with the status that decides: current, or failed where that ends the wait. Errors are
    /// retried by the watch.
    async fn follow(&self, index: usize, target: Target, fails_early: bool) -> (usize, Status) {
        let decides = |status: &Status| match status {
            Status::Failed(_) => fails_early,
            status => *status == Status::Current,
        };
        let mut pause = Duration::from_secs(1);
        loop {
            // Also before each further watch: it may be that watching is not allowed.
            if let Ok(status) = self.look(&target).await
                && decides(&status)
            {
                return (index, status);
            }
            if let Ok(Some(resource)) = self.resource_of(&target).await {
                let api = self.api(&target, &resource);
                let mut updates =
                    std::pin::pin!(watch_object(api, &target.id.name).default_backoff());
                loop {
                    match updates.try_next().await {
                        Ok(Some(Some(live))) => {
                            let status = target.status(complete(&live, &target.gvk)).await;
                            let version = live.metadata.resource_version.as_deref();
                            self.note(&target, &status, version.unwrap_or_default());
                            if decides(&status) {
                                return (index, status);
                            }
                        }
                        Ok(Some(None)) if self.absent(&target) == Status::Current => {
                            return (index, Status::Current);
                        }
                        Ok(Some(None)) => {}
                        Ok(None) | Err(_) => break,
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn api(&self, target: &Target, resource: &Resource) -> Api<DynamicObject> {
        let described = ApiResource {
            group: target.gvk.group.clone(),
            version: target.gvk.version.clone(),
            api_version: target.gvk.api_version(),
            kind: target.gvk.kind.clone(),
            plural: resource.plural.clone(),
        };
        if resource.namespaced {
            Api::namespaced_with(self.client.clone(), &target.id.namespace, &described)
        } else {
            Api::all_with(self.client.clone(), &described)
        }
    }
}

/// An object that a watch brought. Its first event comes from a list, whose items do not say of
/// which kind they are.
fn complete(live: &DynamicObject, gvk: &Gvk) -> Value {
    let mut live = serde_json::to_value(live).unwrap_or_default();
    live["apiVersion"] = Value::String(gvk.api_version());
    live["kind"] = Value::String(gvk.kind.clone());
    live
}

fn unhealthy(
    pending: Vec<(Target, Status)>,
    filter: impl Fn(&Status) -> bool,
) -> Vec<(ObjectId, Status)> {
    pending
        .into_iter()
        .filter(|(_, s)| filter(s))
        .map(|(t, s)| (t.id, s))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_of_lists_are_judged_by_their_kind() {
        let item = json!({"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 1}});
        let item: DynamicObject = serde_json::from_value(item).unwrap();
        let gvk = |group: &str, kind: &str| Gvk {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
        };
        assert_eq!(
            health::status(&complete(&item, &gvk("apps", "Deployment"))).name(),
            "InProgress"
        );
        let map = complete(&item, &gvk("", "ConfigMap"));
        assert_eq!(health::status(&map), Status::Current);
    }
}

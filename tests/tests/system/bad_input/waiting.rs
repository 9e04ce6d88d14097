//! Waiting for what comes of a change: never for a time, always for an outcome with a deadline.

use std::time::Duration;

use flux_api::Kustomization;
use flux_tests::sandbox::wait;
use kube::Resource;
use serde_json::Value;

use super::{
    cluster::PATIENCE,
    manifests::{condition, is_ready},
    scene::Scene,
};

impl Scene {
    /// Asks for a reconciliation and waits until it was tried.
    pub(super) async fn reconcile<K: Resource<DynamicType = ()>>(&self, name: &str) {
        let token = self.request::<K>(name).await;
        self.until::<K, _>(name, "is reconciled on request", |object| {
            let handled = &object["status"]["lastHandledReconcileAt"];
            (*handled == token)
                .then_some(())
                .ok_or_else(|| format!("request {token}, handled {handled}"))
        })
        .await;
    }

    /// Waits until an object is as `check` wants it; its error says what is missing.
    pub(super) async fn until<K: Resource<DynamicType = ()>, T>(
        &self,
        name: &str,
        what: &str,
        check: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        self.until_within::<K, T>(PATIENCE, name, what, check).await
    }

    /// The same with a deadline of one's own.
    pub(super) async fn until_within<K: Resource<DynamicType = ()>, T>(
        &self,
        deadline: Duration,
        name: &str,
        what: &str,
        check: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        let api = self.api::<K>();
        let what = format!("that {} {}/{name} {what}", K::kind(&()), self.namespace);
        wait(&what, deadline, async || {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            check(&serde_json::to_value(object).map_err(|error| error.to_string())?)
        })
        .await
    }

    /// Waits until an object is ready as it is written now.
    pub(super) async fn ready<K: Resource<DynamicType = ()>>(&self, name: &str) {
        self.until::<K, _>(name, "is ready", is_ready).await;
    }

    /// Waits until a Kustomization has applied a revision and is ready.
    pub(super) async fn applied(&self, name: &str, revision: &str) {
        self.applied_within(PATIENCE, name, revision).await;
    }

    /// The same with a deadline of one's own.
    pub(super) async fn applied_within(&self, deadline: Duration, name: &str, revision: &str) {
        let what = format!("has applied {revision}");
        self.until_within::<Kustomization, _>(deadline, name, &what, |object| {
            is_ready(object)?;
            let applied = &object["status"]["lastAppliedRevision"];
            (*applied == revision)
                .then_some(())
                .ok_or_else(|| format!("ready at {applied}"))
        })
        .await;
    }

    /// Waits until an object's Ready condition has this status and reason and all these words;
    /// the object.
    pub(super) async fn says<K: Resource<DynamicType = ()>>(
        &self,
        name: &str,
        status: &str,
        reason: &str,
        words: &[&str],
    ) -> Value {
        self.until::<K, _>(name, &format!("says {words:?}"), |object| {
            let ready = condition(object, "Ready");
            let message = ready["message"].as_str().unwrap_or_default();
            let missing: Vec<_> = words.iter().filter(|w| !message.contains(**w)).collect();
            if ready["status"] == status && ready["reason"] == reason && missing.is_empty() {
                return Ok(object.clone());
            }
            Err(format!(
                "{status} {reason} and {missing:?} missing in {}",
                object["status"]
            ))
        })
        .await
    }

    /// Waits until an object is gone.
    pub(super) async fn gone<K: Resource<DynamicType = ()>>(&self, name: &str) {
        let api = self.api::<K>();
        let what = format!("the end of {} {}/{name}", K::kind(&()), self.namespace);
        wait(&what, PATIENCE, async || {
            match api.get_opt(name).await.map_err(|error| error.to_string())? {
                Some(_) => Err("still there".to_owned()),
                None => Ok(()),
            }
        })
        .await;
    }
}

#[expect(clippy::panic, reason = "the test fails with what was still missing")]
async fn wait<T>(
    what: &str,
    deadline: Duration,
    probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    match wait::until(what, deadline, None, probe).await {
        Ok(found) => found,
        Err(error) => panic!("{error}"),
    }
}

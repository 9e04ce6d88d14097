//! What all controllers have in common: the finalizer, suspension, the status protocol, events,
//! metrics and the time of the next run. A kind brings the steps between.

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::names::{self, reason};
use flux_api::{Lean, conditions};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::core::object::{HasSpec, HasStatus};
use kube::{Api, Resource, ResourceExt};
use kube_runtime::reflector::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::args::Args;
use crate::conclusion::{Retry, Verdict, status_patch};
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::events::Event;
use crate::key::Key;
use crate::references::Referent;
use crate::status::Status;
use crate::watch;
use crate::words::api_error;
use crate::workers::Worker;

mod turns;
mod written;

pub use turns::run;
pub(crate) use written::write_status;

/// Work that takes longer than this shows itself in the status while it runs, and gives way to others
/// where it waits for servers.
const SHOW_PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// The result of one reconcile.
pub struct Pass<S> {
    /// The new status; conditions Ready, Reconciling and Stalled follow from the verdict.
    pub status: S,
    /// How it ended.
    pub verdict: Verdict,
    /// What to tell about it.
    pub events: Vec<Event>,
    /// When to look again after success.
    pub interval: Duration,
}

/// How the deletion of an object goes on.
pub enum Finalized {
    /// All is cleaned up.
    Done,
    /// Not yet, and nothing is wrong: look again after this time.
    Wait(Duration),
    /// Not yet; the text says what is in the way.
    Retry(String),
}

/// A kind with a controller.
pub trait Controlled:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasSpec<Spec: DeserializeOwned>
    + HasStatus<Status: Status>
    + Clone
    + Debug
    + Default
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Its kind.
    const KIND: &'static str;

    /// Flux's controller for the kind; it also reports the events.
    const CONTROLLER: ControllerName;

    /// Other controllers that read it.
    const READERS: &'static [ControllerName] = &[];

    /// Field manager of status and finalizer.
    const MANAGER: &'static str;

    /// Whether its runs tell of their failures themselves.
    const TELLS_FAILURES: bool = false;

    /// Whether its runs wait for servers of others: those that take long give way.
    const WAITS_FOR_SERVERS: bool = false;

    /// The server that a run would ask, where that is known and only some may do so at once.
    fn server(&self, _context: &Context) -> Option<String> {
        None
    }

    /// The cache of its kind.
    fn cache(stores: &Stores) -> &Store<Self>;
    /// Whether it is suspended.
    fn suspended(&self) -> bool;
    /// Names of Secrets of its namespace that it refers to.
    fn secrets(&self) -> Vec<&str>;
    /// Whose change wakes it.
    fn references(&self, _args: &Args) -> Vec<Referent> {
        let namespace = self.namespace().unwrap_or_default();
        let secret = |name| Referent::Secret(Key::new(&namespace, name));
        self.secrets().into_iter().map(secret).collect()
    }
    /// What to say of a run that takes long.
    fn progress(&self, _context: &Context) -> String {
        "Reconciliation in progress".to_owned()
    }
    /// One run.
    fn reconcile(&self, context: &Arc<Context>) -> impl Future<Output = Pass<Self::Status>> + Send;
    /// Called when the outcome of a run is stored: the place to wake dependants.
    fn concluded(&self, _verdict: &Verdict, _context: &Context) {}
    /// Called when an object that another process works on has changed, appeared or gone: the
    /// place to wake dependants that are ours.
    fn observed(_before: Option<&Self>, _after: Option<&Self>, _context: &Context) {}
    /// Called when an object has changed, appeared or gone after the first listing, whoever works on
    /// it: the place to wake others that say something about it.
    fn changed(_before: Option<&Self>, _after: Option<&Self>, _context: &Context) {}
    /// What is to be done for a suspended object, once per change of it.
    fn rest(&self, _context: &Arc<Context>) -> impl Future<Output = ()> + Send {
        async {}
    }
    /// Cleans up before the object goes.
    fn finalize(&self, context: &Arc<Context>) -> impl Future<Output = Finalized> + Send;
}

/// Failures of the API server itself; what an object's own reconcile finds is in its status.
#[derive(Debug, thiserror::Error)]
enum DriverError {
    #[error("cannot write to the API server: {}", api_error(.0))]
    Api(#[from] kube::Error),
    #[error("cannot encode the status: {0}")]
    Encode(#[from] serde_json::Error),
}

/// When an object is reconciled again; without a time, when something changes.
type Next = Option<Duration>;

async fn reconcile<K: Controlled>(
    object: Arc<K>,
    context: Arc<Context>,
    mut worker: Worker,
) -> Result<Next, DriverError> {
    let started = Instant::now();
    let key = Key::of(&*object);
    let labels = watch::labels::<K>(&key);
    let object = context.newest_of(object);
    let api: Api<Lean<K>> = Api::namespaced(context.client.clone(), &key.namespace);
    if object.meta().deletion_timestamp.is_some() {
        return finalize(&*object, &api, &context).await;
    }
    let object = ensure_finalizer(object, &api, &context).await?;
    if object.suspended() {
        object.rest(&context).await;
        return Ok(None);
    }
    let Pass {
        mut status,
        verdict,
        events,
        interval,
    } = with_progress(&*object, &api, &context, &mut worker).await;
    if verdict == Verdict::Unchanged {
        return Ok(next_run::<K>(&key, &verdict, interval, &context));
    }
    let generation = object.meta().generation.unwrap_or_default();
    let observed = verdict.conclude(status.conditions(), generation);
    let handled = object.annotations().get(names::REQUESTED_AT).cloned();
    status.observe(observed.then_some(generation), handled);
    // The run itself may have written: the difference is to what is stored now.
    let stored = context.newest_of(object.clone());
    if stored.meta().uid != object.meta().uid {
        // Made anew under its name meanwhile; its own run follows.
        return Ok(None);
    }
    if let Some(patch) = status_patch(stored.status(), &status)? {
        written::conclude(&*stored, status, patch, &api, &context).await?;
    }
    object.concluded(&verdict, &context);
    tell(&*object, &verdict, events, interval, &context);
    let ok = !matches!(verdict, Verdict::Failed { .. } | Verdict::Stalled { .. });
    let took = started.elapsed();
    context.metrics.reconciled(&labels, took);
    worker.reconciled(took, ok);
    log::<K>(&key, &verdict, took);
    Ok(next_run::<K>(&key, &verdict, interval, &context))
}

/// One run; one that takes long says so in the status, and leaves its worker to others.
async fn with_progress<K: Controlled>(
    object: &K,
    api: &Api<Lean<K>>,
    context: &Arc<Context>,
    worker: &mut Worker,
) -> Pass<K::Status> {
    let mut work = pin!(object.reconcile(context));
    if let Ok(pass) = tokio::time::timeout(SHOW_PROGRESS_AFTER, &mut work).await {
        return pass;
    }
    worker.give_way();
    // Without holding up the run: what it waits for may be what this waits for.
    let (shown, pass) = futures::join!(show_progress(object, api, context), &mut work);
    if let Err(error) = shown {
        let name = object.name_any();
        tracing::warn!(kind = K::KIND, name, %error, "cannot show the progress");
    }
    pass
}

/// Reports what a run did or found.
fn tell<K: Controlled>(
    object: &K,
    verdict: &Verdict,
    mut events: Vec<Event>,
    interval: Duration,
    context: &Context,
) {
    let (recorder, controller) = (&context.recorder, K::CONTROLLER.as_str());
    let (reason, message) = verdict.words();
    if verdict.is_ready() && events.is_empty() {
        recorder.checked(object, controller, reason, interval);
    }
    let failure = match verdict {
        _ if K::TELLS_FAILURES => None,
        // Waiting for something else is no failure of this object.
        Verdict::Failed {
            retry: Retry::OnChange(_),
            ..
        } => Some(Event::normal(reason, message)),
        Verdict::Failed { .. } | Verdict::Stalled { .. } => Some(Event::warning(reason, message)),
        Verdict::Ready { .. } | Verdict::Progressing { .. } | Verdict::Unchanged => None,
    };
    events.extend(failure);
    for event in events {
        recorder.record(object, controller, event);
    }
}

fn log<K: Controlled>(key: &Key, verdict: &Verdict, took: Duration) {
    let kind = K::KIND;
    let (reason, message) = verdict.words();
    let milliseconds = took.as_millis();
    match verdict {
        Verdict::Unchanged => {}
        Verdict::Ready { .. } | Verdict::Progressing { .. } => {
            tracing::info!(
                kind,
                name = key.name,
                namespace = key.namespace,
                reason,
                milliseconds,
                "{message}"
            );
        }
        Verdict::Failed { .. } | Verdict::Stalled { .. } => {
            tracing::error!(
                kind,
                name = key.name,
                namespace = key.namespace,
                reason,
                milliseconds,
                "{message}"
            );
        }
    }
}

/// When a failed run is repeated: backing off must not mean looking less often than a healthy object
/// would, if that looks at times at all.
fn again_after(backoff: Duration, interval: Duration) -> Duration {
    match interval.is_zero() {
        true => backoff,
        false => backoff.min(interval.max(Duration::from_secs(1))),
    }
}

fn next_run<K: Controlled>(
    key: &Key,
    verdict: &Verdict,
    interval: Duration,
    context: &Context,
) -> Next {
    match verdict {
        Verdict::Failed {
            retry: Retry::Backoff,
            ..
        } => {
            let wait = context.backoff.failed(K::KIND, key);
            return Some(again_after(wait, interval));
        }
        Verdict::Failed {
            retry: Retry::After(wait) | Retry::OnChange(wait),
            ..
        } => {
            return Some(*wait);
        }
        Verdict::Stalled { .. } => {
            context.backoff.reset(K::KIND, key);
            return None;
        }
        Verdict::Ready { .. } | Verdict::Progressing { .. } | Verdict::Unchanged => {}
    }
    context.backoff.reset(K::KIND, key);
    if interval.is_zero() {
        return None;
    }
    Some(context.backoff.jitter(interval))
}

async fn ensure_finalizer<K: Controlled>(
    object: Arc<K>,
    api: &Api<Lean<K>>,
    context: &Context,
) -> Result<Arc<K>, kube::Error> {
    if object.finalizers().iter().any(|f| f == names::FINALIZER) {
        return Ok(object);
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(names::FINALIZER.to_owned());
    let patch = finalizer_patch(&*object, &finalizers);
    let params = PatchParams {
        field_manager: Some(K::MANAGER.into()),
        ..PatchParams::default()
    };
    let Lean(object) = api
        .patch(&object.name_any(), &params, &Patch::Merge(patch))
        .await?;
    let object = Arc::new(object);
    context.remember(object.clone());
    Ok(object)
}

/// Replaces the list, guarded by the resource version: somebody else's finalizer must survive.
fn finalizer_patch<K: Controlled>(object: &K, finalizers: &[String]) -> serde_json::Value {
    json!({"metadata": {
        "finalizers": finalizers, "resourceVersion": object.resource_version()}})
}

async fn finalize<K: Controlled>(
    object: &K,
    api: &Api<Lean<K>>,
    context: &Arc<Context>,
) -> Result<Next, DriverError> {
    if !object.finalizers().iter().any(|f| f == names::FINALIZER) {
        return Ok(None);
    }
    let key = Key::of(object);
    match object.finalize(context).await {
        Finalized::Done => {}
        Finalized::Wait(time) => return Ok(Some(time)),
        Finalized::Retry(message) => {
            let event = Event::warning("FinalizationFailed", message.clone());
            context
                .recorder
                .record(object, K::CONTROLLER.as_str(), event);
            tracing::error!(kind = K::KIND, object = %key, "cannot finish the deletion: {message}");
            return Ok(Some(context.backoff.failed(K::KIND, &key)));
        }
    }
    let finalizers: Vec<_> = object
        .finalizers()
        .iter()
        .filter(|f| *f != names::FINALIZER)
        .cloned()
        .collect();
    let patch = finalizer_patch(object, &finalizers);
    let params = PatchParams {
        field_manager: Some(K::MANAGER.into()),
        ..PatchParams::default()
    };
    match api.patch(&key.name, &params, &Patch::Merge(patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error.into()),
    }
    tracing::info!(kind = K::KIND, object = %key, "deleted");
    Ok(None)
}

/// Shows that work goes on; Ready is touched only where there is none yet.
async fn show_progress<K: Controlled>(
    object: &K,
    api: &Api<Lean<K>>,
    context: &Context,
) -> Result<(), DriverError> {
    let mut status = object.status().cloned().unwrap_or_default();
    let generation = object.meta().generation.unwrap_or_default();
    let list = status.conditions();
    let message = &object.progress(context);
    conditions::set(
        list,
        names::RECONCILING,
        conditions::Status::True,
        reason::PROGRESSING,
        message,
        generation,
    );
    if conditions::get(list, names::READY).is_none_or(|ready| ready.status == "Unknown") {
        conditions::set(
            list,
            names::READY,
            conditions::Status::Unknown,
            reason::PROGRESSING,
            message,
            generation,
        );
    }
    if let Some(patch) = status_patch(object.status(), &status)? {
        write_status(api, &object.name_any(), patch, context).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_interval() {
        for (backoff, interval, expected) in [(30, 600, 30), (900, 600, 600), (900, 0, 900)] {
            let [backoff, interval, expected] =
                [backoff, interval, expected].map(Duration::from_secs);
            assert_eq!(again_after(backoff, interval), expected);
        }
        let (backoff, interval) = (Duration::from_secs(30), Duration::from_millis(1));
        assert_eq!(again_after(backoff, interval), Duration::from_secs(1));
    }
}

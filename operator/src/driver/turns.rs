//! When it is an object's turn: the changes, wake-ups and times that ask for a run, and the workers
//! that take them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use flux_api::names;
use futures::{StreamExt, TryStreamExt};
use kube::{Resource, ResourceExt};
use kube_runtime::controller::{self, Action, Controller};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::reflector::store::Writer;
use kube_runtime::{Predicate, WatchStreamExt, predicates};
use tokio_util::sync::CancellationToken;

use super::{Controlled, DriverError, Next, reconcile};
use crate::context::Context;
use crate::http::Phases;
use crate::key::Key;
use crate::triggers::Wakeups;
use crate::watch;
use crate::words::chain;
use crate::workers::Workers;

/// When a run comes again whose server is asked by many.
const STAND_BACK: Duration = Duration::from_secs(1);

/// Runs the controller of a kind until `stop`.
pub async fn run<K: Controlled>(
    context: Arc<Context>,
    writer: Writer<K>,
    wakeups: Wakeups<K>,
    stop: CancellationToken,
    phases: &Phases,
) {
    let (concurrent, controller) = (context.args.concurrent, watch::controller::<K>());
    let workers = Workers::new(
        &controller,
        concurrent,
        K::WAITS_FOR_SERVERS,
        &context.metrics,
    );
    let workers = Arc::new(workers);
    let reader = writer.as_reader();
    let owned = {
        let context = context.clone();
        move |object: &K| Some(u64::from(context.owns(object)))
    };
    let changes = predicates::generation
        .combine(requested_at)
        .combine(being_deleted)
        .combine(owned);
    let wanted = workers.clone();
    let stream = watch::objects(context.clone(), writer, phases)
        .applied_objects()
        .predicate_filter(changes, Default::default())
        .inspect_ok(move |object| wanted.wanted(Key::of(object)));
    let wanted = workers.clone();
    let wakeups = futures::stream::unfold(wakeups, |mut wakeups| async move {
        wakeups.recv().await.map(|object| (object, wakeups))
    })
    .inspect(move |object| wanted.wanted(key_of(object)));
    let (phases, ending) = (phases.clone(), stop.clone());
    let config = controller::Config::default().concurrency(workers.runs());
    let begin = {
        let workers = workers.clone();
        move |object: Arc<K>, context: Arc<Context>| {
            let (phases, ending, workers) = (phases.clone(), ending.clone(), workers.clone());
            let key = Key::of(&*object);
            let turn = workers.turn(&key);
            async move {
                let worker = async {
                    phases.may_work().await;
                    workers.next(turn).await
                };
                let mut worker = tokio::select! {
                    biased;
                    () = ending.cancelled() => return Ok(Action::await_change()),
                    worker = worker => worker,
                };
                if !context.owns(&*object) {
                    return Ok(Action::await_change());
                }
                if let Some(server) = asks(&*object, &context)
                    && !worker.may_ask(server)
                {
                    return Ok(action(&workers, key, Some(STAND_BACK)));
                }
                let next = reconcile::<K>(object, context, worker).await?;
                Ok(action(&workers, key, next))
            }
        }
    };
    let failed = {
        let workers = workers.clone();
        move |object: Arc<K>, _: &DriverError, context: Arc<Context>| {
            let key = Key::of(&*object);
            let next = context.backoff.failed(K::KIND, &key);
            action(&workers, key, Some(next))
        }
    };
    Controller::for_stream(stream, reader)
        .reconcile_on(wakeups)
        .with_config(config)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(begin, failed, context)
        .for_each(|result| {
            match result {
                Ok(_) => {}
                Err(controller::Error::ObjectNotFound(object)) => {
                    workers.gone(&key_of(&object));
                }
                Err(controller::Error::QueueError(error)) => {
                    tracing::warn!(
                        kind = K::KIND,
                        error = chain(&error),
                        "cannot watch the objects"
                    );
                }
                Err(error) => tracing::warn!(kind = K::KIND, %error, "reconcile failed"),
            }
            std::future::ready(())
        })
        .await;
}

/// The server that a run of an object asks; none where it only cleans up or rests.
fn asks<K: Controlled>(object: &K, context: &Context) -> Option<String> {
    let rests = object.meta().deletion_timestamp.is_some() || object.suspended();
    if rests { None } else { object.server(context) }
}

fn action(workers: &Workers, key: Key, next: Next) -> Action {
    match next {
        Some(time) => {
            workers.wanted_again(key, time);
            Action::requeue(time)
        }
        None => Action::await_change(),
    }
}

fn key_of<K: Resource>(object: &ObjectRef<K>) -> Key {
    Key::new(object.namespace.clone().unwrap_or_default(), &object.name)
}

fn requested_at<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    object
        .annotations()
        .get(names::REQUESTED_AT)
        .hash(&mut hasher);
    Some(hasher.finish())
}

fn being_deleted<K: Resource>(object: &K) -> Option<u64> {
    Some(u64::from(object.meta().deletion_timestamp.is_some()))
}

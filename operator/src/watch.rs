//! Watching a kind: the cache that all controllers read, the gauges that follow the objects, and
//! the objects that another process works on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flux_api::{Lean, conditions, names};
use futures::{Stream, StreamExt};
use kube::{Api, ResourceExt};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::reflector::store::Writer;
use kube_runtime::utils::Backoff;
use kube_runtime::watcher::{self, Event};
use kube_runtime::{WatchStreamExt, watcher as start};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::driver::Controlled;
use crate::http::Phases;
use crate::key::Key;
use crate::metrics::ObjectLabels;
use crate::status::Status;

/// How soon a watch that broke off is tried again: as clients of Kubernetes do, but never later than
/// after a few seconds. An API server that is back would else be waited for half a minute longer.
#[derive(Default)]
pub struct Reconnect(watcher::DefaultBackoff);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

impl Iterator for Reconnect {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(LONGEST))
    }
}

impl Backoff for Reconnect {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The API of a kind: everywhere, or in our own namespace only.
pub fn api<K>(context: &Context) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    if context.args.watch_all_namespaces {
        Api::all(context.client.clone())
    } else {
        Api::namespaced(context.client.clone(), &context.args.runtime_namespace)
    }
}

/// Watches a kind and keeps its cache. Selectors are not sent along: what other shards work on is
/// still a source or a dependency.
pub fn objects<K: Controlled>(
    context: Arc<Context>,
    mut writer: Writer<K>,
    phases: &Phases,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send + use<K> {
    // Not `Store::wait_until_ready`: it wakes only the last of several waiters, and the controller
    // is one of them.
    let mut listed = Some(phases.listed.clone());
    start(api::<Lean<K>>(&context), watcher::Config::default())
        .backoff(Reconnect::default())
        .map(move |event| {
            let event = event.map(whole);
            if let Ok(event) = &event {
                take(&context, &mut writer, event, listed.is_some());
            }
            if matches!(event, Ok(Event::InitDone))
                && let Some(listed) = listed.take()
            {
                listed.report();
            }
            event
        })
}

fn whole<K>(event: Event<Lean<K>>) -> Event<K> {
    match event {
        Event::Apply(Lean(object)) => Event::Apply(object),
        Event::Delete(Lean(object)) => Event::Delete(object),
        Event::Init => Event::Init,
        Event::InitApply(Lean(object)) => Event::InitApply(object),
        Event::InitDone => Event::InitDone,
    }
}

/// Follows a kind that another process works on, until `stop`.
pub async fn follow<K: Controlled>(
    context: Arc<Context>,
    writer: Writer<K>,
    stop: CancellationToken,
    phases: &Phases,
) {
    let events = objects(context, writer, phases).for_each(|event| async move {
        if let Err(error) = event {
            tracing::warn!(kind = K::KIND, %error, "cannot watch");
        }
    });
    tokio::select! {
        () = events => {}
        () = stop.cancelled() => {}
    }
}

/// Brings the cache up to date, and tells of what has changed; `first` until all objects are known.
fn take<K: Controlled>(context: &Context, writer: &mut Writer<K>, event: &Event<K>, first: bool) {
    match event {
        Event::Init | Event::InitApply(_) => writer.apply_watcher_event(event),
        Event::InitDone => {
            let reader = writer.as_reader();
            let before = reader.state();
            writer.apply_watcher_event(event);
            for (before, after) in changes(before, reader.state()) {
                let (before, after) = (before.as_deref(), after.as_deref());
                if !first {
                    K::changed(before, after, context);
                }
                tell(context, before, after);
            }
        }
        Event::Apply(object) => {
            let before = writer.as_reader().get(&ObjectRef::from_obj(object));
            writer.apply_watcher_event(event);
            K::changed(before.as_deref(), Some(object), context);
            tell(context, before.as_deref(), Some(object));
        }
        Event::Delete(object) => {
            writer.apply_watcher_event(event);
            K::changed(Some(object), None, context);
            tell(context, Some(object), None);
        }
    }
}

/// An object before and after a change.
type Change<K> = (Option<Arc<K>>, Option<Arc<K>>);

/// What has happened between two listings: nobody told of it while the watch was broken. First what
/// is gone; an object that is there again under its name was gone, too.
fn changes<K>(before: Vec<Arc<K>>, after: Vec<Arc<K>>) -> Vec<Change<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone,
{
    let mut old: HashMap<_, _> = before
        .into_iter()
        .map(|object| (ObjectRef::from_obj(&*object), object))
        .collect();
    let mut present = Vec::new();
    for object in after {
        match old.remove(&ObjectRef::from_obj(&*object)) {
            Some(known) if known.meta().uid != object.meta().uid => {
                present.push((Some(known), None));
                present.push((None, Some(object)));
            }
            Some(known) if known.resource_version() == object.resource_version() => {}
            known => present.push((known, Some(object))),
        }
    }
    let gone = old.into_values().map(|object| (Some(object), None));
    gone.chain(present).collect()
}

fn tell<K: Controlled>(context: &Context, before: Option<&K>, after: Option<&K>) {
    let Some(object) = after.or(before) else {
        return;
    };
    let key = Key::of(object);
    match after {
        Some(object) => context.caught_up(object),
        None => context.forget::<K>(&key),
    }
    if context.owns(object) {
        let referents = after.map(|object| object.references(&context.args));
        let referents = referents.unwrap_or_default();
        context.references.set(K::KIND, &key, referents);
        gauges(context, object, after.is_none());
    } else {
        // It may have been ours before somebody changed its labels.
        context.references.set(K::KIND, &key, Vec::new());
        context.metrics.forget(&labels::<K>(&key));
        K::observed(before, after, context);
    }
}

/// Ready and suspended as the object says it, so that both are right before its first run, too.
fn gauges<K: Controlled>(context: &Context, object: &K, gone: bool) {
    let labels = labels::<K>(&Key::of(object));
    if gone {
        context.metrics.forget(&labels);
        return;
    }
    let mut status = object.status().cloned().unwrap_or_default();
    let ready = conditions::get(status.conditions(), names::READY);
    let ready = ready.map_or("Unknown", |ready| ready.status.as_str());
    context.metrics.ready(&labels, ready);
    context.metrics.suspended(&labels, object.suspended());
}

/// The name of a kind's controller in metrics: there is one for each kind.
pub fn controller<K: Controlled>() -> String {
    K::KIND.to_lowercase()
}

/// The labels of an object's metrics.
pub fn labels<K: Controlled>(key: &Key) -> ObjectLabels {
    ObjectLabels {
        kind: K::KIND.to_owned(),
        name: key.name.clone(),
        namespace: key.namespace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_broken_watch_missed_is_found_in_the_next_listing() {
        let object = |name: &str, uid: &str, version: &str| -> Arc<ConfigMap> {
            let metadata = json!({"name": name, "namespace": "a", "uid": uid,
                "resourceVersion": version});
            Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let before = vec![
            object("same", "1", "1"),
            object("changed", "2", "2"),
            object("gone", "3", "3"),
            object("again", "4", "4"),
        ];
        let after = vec![
            object("same", "1", "1"),
            object("changed", "2", "5"),
            object("again", "6", "6"),
            object("new", "7", "7"),
        ];
        let found = changes(before, after);
        let version = |object: &Option<Arc<ConfigMap>>| object.as_ref()?.resource_version();
        let found: Vec<_> = found
            .iter()
            .map(|(before, after)| (version(before), version(after)))
            .collect();
        let text = |version: &str| Some(version.to_owned());
        assert_eq!(
            found,
            [
                (text("3"), None),
                (text("2"), text("5")),
                (text("4"), None),
                (None, text("6")),
                (None, text("7")),
            ]
        );
    }
}

//! Wakes objects when a Secret, ConfigMap or ServiceAccount that they refer to changes, so that mended
//! credentials heal, and changed variables arrive, at once instead of at the next interval.
//!
//! Only metadata is watched: no content is held here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use flux_api::{GitRepository, ImageRepository, ImageUpdateAutomation, Kustomization};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Resource, ResourceExt};
use kube_runtime::watcher::{self, Event};
use kube_runtime::{WatchStreamExt, watcher as watch};

use crate::context::Context;
use crate::driver::Controlled;
use crate::key::Key;
use crate::references::Referent;
use crate::watch::Reconnect;

/// Watches until the process ends.
pub async fn run(context: Arc<Context>) {
    futures::join!(
        follow::<Secret>(&context, Referent::Secret),
        follow::<ConfigMap>(&context, Referent::ConfigMap),
        follow::<ServiceAccount>(&context, Referent::ServiceAccount),
    );
}

/// Tells of every object of a kind that changes after the first listing.
async fn follow<K>(context: &Context, referent: fn(Key) -> Referent)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + 'static,
{
    let api: Api<PartialObjectMeta<K>> = crate::watch::api(context);
    let stream = watch(api, watcher::Config::default()).backoff(Reconnect::default());
    let mut stream = std::pin::pin!(stream);
    let mut seen = Seen::default();
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                for key in seen.take(&event) {
                    wake(context, referent(key));
                }
            }
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "cannot watch"),
        }
    }
}

/// The resource versions of the objects of a kind.
#[derive(Default)]
struct Seen {
    /// None before the first listing is complete.
    known: Option<HashMap<Key, String>>,
    /// What a listing under way has brought.
    listed: HashMap<Key, String>,
}

impl Seen {
    /// Takes in an event, and names what has changed, appeared or gone, also while nobody watched.
    fn take<K>(&mut self, event: &Event<K>) -> Vec<Key>
    where
        K: Resource<DynamicType = ()>,
    {
        let entry = |object: &K| {
            let version = object.resource_version().unwrap_or_default();
            (Key::of(object), version)
        };
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => self.listed.extend([entry(object)]),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let Some(before) = self.known.replace(listed.clone()) else {
                    return Vec::new();
                };
                let gone = before.keys().filter(|key| !listed.contains_key(key));
                let new = listed
                    .iter()
                    .filter(|(key, version)| before.get(key) != Some(version))
                    .map(|(key, _)| key);
                return gone.chain(new).cloned().collect();
            }
            Event::Apply(object) => {
                let (key, version) = entry(object);
                let known = self.known.get_or_insert_default();
                if known.insert(key.clone(), version.clone()) != Some(version) {
                    return vec![key];
                }
            }
            Event::Delete(object) => {
                let key = Key::of(object);
                self.known.get_or_insert_default().remove(&key);
                return vec![key];
            }
        }
        Vec::new()
    }
}

/// Wakes those who refer to what has changed.
fn wake(context: &Context, changed: Referent) {
    let mut referrers = context.references.to(&changed);
    referrers.extend(context.pull_secrets.to(&changed));
    let triggers = &context.triggers;
    for (kind, key) in referrers {
        match kind {
            GitRepository::KIND => triggers.git_repositories.wake(&key),
            ImageRepository::KIND => {
                // What the old credentials saw is no answer.
                context.asked.set(&key, Instant::now());
                triggers.image_repositories.wake(&key);
            }
            ImageUpdateAutomation::KIND => triggers.image_update_automations.wake(&key),
            Kustomization::KIND => {
                // It builds again, whatever it remembers.
                context.known.reference_changed(&key);
                triggers.kustomizations.wake(&key);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_noticed_also_while_nobody_watched() {
        let object = |name: &str, version: &str| -> Secret {
            let metadata = json!({"name": name, "namespace": "a", "resourceVersion": version});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let mut seen = Seen::default();
        for (event, names) in [
            (Event::Init, vec![]),
            (Event::InitApply(object("kept", "1")), vec![]),
            (Event::InitApply(object("lost", "1")), vec![]),
            (Event::InitApply(object("mended", "1")), vec![]),
            (Event::InitDone, vec![]),
            (Event::Apply(object("kept", "1")), vec![]),
            (Event::Apply(object("kept", "2")), vec!["kept"]),
            (Event::Apply(object("short", "2")), vec!["short"]),
            (Event::Delete(object("short", "3")), vec!["short"]),
            // The watch breaks; a first listing is cut short.
            (Event::Init, vec![]),
            (Event::InitApply(object("kept", "2")), vec![]),
            (Event::Init, vec![]),
            (Event::InitApply(object("kept", "2")), vec![]),
            (Event::InitApply(object("mended", "4")), vec![]),
            (Event::InitApply(object("new", "5")), vec![]),
            (Event::InitDone, vec!["lost", "mended", "new"]),
        ] {
            let mut found: Vec<_> = seen.take(&event).into_iter().map(|key| key.name).collect();
            found.sort_unstable();
            assert_eq!(found, names, "{event:?}");
        }
    }
}

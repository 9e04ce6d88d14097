//! Wakes objects when a Secret or ConfigMap that they refer to changes, so that mended credentials
//! heal, and changed variables arrive, at once instead of at the next interval.
//!
//! Only metadata is watched: no content is held here.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use flux_api::{ImageRepository, Kustomization};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Resource, ResourceExt};
use kube_runtime::reflector::Store;
use kube_runtime::watcher::{self, Event};
use kube_runtime::{WatchStreamExt, watcher as watch};

use crate::context::Context;
use crate::driver::Controlled;
use crate::key::Key;
use crate::kustomization::substitution;
use crate::triggers::Trigger;

/// Watches until the process ends.
pub async fn run(context: Arc<Context>) {
    futures::join!(
        follow::<Secret>(&context, wake),
        follow::<ConfigMap>(&context, wake_for_config_map),
    );
}

/// Tells of every object of a kind that changes after the first listing.
async fn follow<K>(context: &Context, wake: fn(&Context, &Key))
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + 'static,
{
    let api: Api<PartialObjectMeta<K>> = crate::watch::api(context);
    let stream = watch(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut known: HashMap<Key, String> = HashMap::new();
    let mut started = false;
    loop {
        match stream.try_next().await {
            Ok(Some(Event::Init)) => {}
            Ok(Some(Event::InitDone)) => started = true,
            Ok(Some(Event::InitApply(object) | Event::Apply(object))) => {
                let key = Key::of(&object);
                let version = object.resource_version().unwrap_or_default();
                let before = known.insert(key.clone(), version.clone());
                if started && before.as_ref() != Some(&version) {
                    wake(context, &key);
                }
            }
            Ok(Some(Event::Delete(object))) => {
                let key = Key::of(&object);
                known.remove(&key);
                wake(context, &key);
            }
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "cannot watch"),
        }
    }
}

fn wake(context: &Context, secret: &Key) {
    let (stores, triggers) = (&context.stores, &context.triggers);
    wake_kind(
        context,
        &stores.git_repositories,
        &triggers.git_repositories,
        secret,
    );
    wake_kind(
        context,
        &stores.image_repositories,
        &triggers.image_repositories,
        secret,
    );
    wake_kustomizations(context, secret, |object| {
        object.secrets().contains(&secret.name.as_str())
    });
    wake_kind(
        context,
        &stores.image_update_automations,
        &triggers.image_update_automations,
        secret,
    );
}

fn wake_for_config_map(context: &Context, config_map: &Key) {
    wake_kustomizations(context, config_map, |object| {
        substitution::config_maps(&object.spec).any(|name| name == config_map.name)
    });
}

/// A Kustomization that refers to what has changed builds again, whatever it remembers.
fn wake_kustomizations(context: &Context, changed: &Key, refers: impl Fn(&Kustomization) -> bool) {
    for object in context.stores.kustomizations.state() {
        let near = object.metadata.namespace.as_deref() == Some(&changed.namespace);
        if near && refers(&object) {
            let key = Key::of(&*object);
            context.known.reference_changed(&key);
            context.triggers.kustomizations.wake(&key);
        }
    }
}

fn wake_kind<K: Controlled>(
    context: &Context,
    store: &Store<K>,
    trigger: &Trigger<K>,
    secret: &Key,
) {
    for object in store.state() {
        let refers = object.meta().namespace.as_deref() == Some(&secret.namespace)
            && (object.secrets().contains(&secret.name.as_str())
                || K::KIND == ImageRepository::KIND
                    && pulls_with(context, &Key::of(&*object), secret));
        if refers {
            let key = Key::of(&*object);
            if K::KIND == ImageRepository::KIND {
                // What the old credentials saw is no answer.
                context.asked.set(&key, Instant::now());
            }
            trigger.wake(&key);
        }
    }
}

/// Whether the Secret is one of the service account's that an ImageRepository names.
fn pulls_with(context: &Context, repository: &Key, secret: &Key) -> bool {
    let names = context.pull_secrets.get(repository).unwrap_or_default();
    names.contains(&secret.name)
}

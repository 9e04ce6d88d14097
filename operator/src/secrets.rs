//! Wakes objects when a Secret that they refer to changes, so that mended credentials heal at
//! once instead of at the next interval.
//!
//! Only metadata is watched: no Secret's content is held here.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use kube_runtime::reflector::Store;
use kube_runtime::watcher::{self, Event};
use kube_runtime::{WatchStreamExt, watcher as watch};

use crate::context::Context;
use crate::driver::Controlled;
use crate::key::Key;
use crate::triggers::Trigger;

/// Watches until the process ends.
pub async fn run(context: Arc<Context>) {
    let api: Api<PartialObjectMeta<Secret>> = Api::all(context.client.clone());
    let stream = watch(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut known: HashMap<Key, String> = HashMap::new();
    let mut started = false;
    loop {
        match stream.try_next().await {
            Ok(Some(Event::Init)) => {}
            Ok(Some(Event::InitDone)) => started = true,
            Ok(Some(Event::InitApply(secret) | Event::Apply(secret))) => {
                let key = Key::of(&secret);
                let version = secret.resource_version().unwrap_or_default();
                let before = known.insert(key.clone(), version.clone());
                if started && before.as_ref() != Some(&version) {
                    wake(&context, &key);
                }
            }
            Ok(Some(Event::Delete(secret))) => {
                known.remove(&Key::of(&secret));
            }
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "cannot watch Secrets"),
        }
    }
}

fn wake(context: &Context, secret: &Key) {
    let (stores, triggers) = (&context.stores, &context.triggers);
    wake_kind(&stores.git_repositories, &triggers.git_repositories, secret);
    wake_kind(
        &stores.image_repositories,
        &triggers.image_repositories,
        secret,
    );
    wake_kind(&stores.kustomizations, &triggers.kustomizations, secret);
    wake_kind(
        &stores.image_update_automations,
        &triggers.image_update_automations,
        secret,
    );
}

fn wake_kind<K: Controlled>(store: &Store<K>, trigger: &Trigger<K>, secret: &Key) {
    for object in store.state() {
        let refers = object.namespace().as_deref() == Some(&secret.namespace)
            && object.secrets().contains(&secret.name.as_str());
        if refers {
            trigger.wake(&Key::of(&*object));
        }
    }
}

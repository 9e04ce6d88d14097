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
                    wake(context, referent(key));
                }
            }
            Ok(Some(Event::Delete(object))) => {
                let key = Key::of(&object);
                known.remove(&key);
                wake(context, referent(key));
            }
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, kind = %K::kind(&()), "cannot watch"),
        }
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

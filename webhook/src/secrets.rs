//! What rules may know of Secrets, with `--inspect-secret-keys` only. Values are dropped as soon as
//! they arrive: what stays is in [`flux_rules::Secret`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use flux_rules::{Fact, Secret as Known};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};

/// Types whose Secrets no rule asks about, and of which there may be very many.
const UNINTERESTING: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// Namespace and name.
type Id = (String, String);

/// The Secrets of a cluster; `None` until all were seen.
#[derive(Debug, Default)]
pub(crate) struct Secrets(RwLock<Option<HashMap<Id, Known>>>);

impl Secrets {
    /// Starts watching; the watch ends with the runtime.
    #[must_use]
    pub(crate) fn start(client: &Client) -> Arc<Self> {
        let secrets = Arc::new(Self::default());
        tokio::spawn(follow(client.clone(), Arc::clone(&secrets)));
        secrets
    }

    /// A Secret. One of a type that is not looked at is unknown, not absent; who refers to such a
    /// Secret has a mistake that another rule tells.
    #[must_use]
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Fact<Known> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            None => Fact::Unknown,
            Some(all) => all
                .get(&(namespace.to_owned(), name.to_owned()))
                .map_or(Fact::Absent, |known| Fact::Present(known.clone())),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Option<HashMap<Id, Known>>)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn id(secret: &Secret) -> Id {
    (secret.namespace().unwrap_or_default(), secret.name_any())
}

fn known(secret: &Secret) -> Known {
    Known::read(&serde_json::to_value(secret).unwrap_or_default())
}

async fn follow(client: Client, secrets: Arc<Secrets>) {
    let config = watcher::Config::default().fields(UNINTERESTING);
    let mut events = watcher::watcher(Api::<Secret>::all(client), config)
        .default_backoff()
        .boxed();
    let mut listed = HashMap::new();
    let mut complained = false;
    loop {
        match events.try_next().await {
            Ok(None) => return,
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(secret))) => {
                listed.insert(id(&secret), known(&secret));
            }
            Ok(Some(Event::InitDone)) => {
                let all = std::mem::take(&mut listed);
                secrets.change(|known| *known = Some(all));
                complained = false;
            }
            Ok(Some(Event::Apply(secret))) => secrets.change(|all| {
                if let Some(all) = all {
                    all.insert(id(&secret), known(&secret));
                }
            }),
            Ok(Some(Event::Delete(secret))) => secrets.change(|all| {
                if let Some(all) = all {
                    all.remove(&id(&secret));
                }
            }),
            Err(error) => {
                if !complained {
                    tracing::warn!(%error, "cannot watch Secrets; rules about them are silent");
                }
                complained = true;
            }
        }
    }
}

//! What the controllers share.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flux_api::{
    GitRepository, ImagePolicy, ImageRef, ImageRepository, ImageUpdateAutomation, Kustomization,
};
use flux_apply::Applier;
use flux_git::{Git, Index};
use flux_image::marker;
use flux_image::update::Content;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use kube_runtime::reflector::{ObjectRef, Store};

use crate::args::Args;
use crate::automation::Judged;
use crate::backoff::Backoff;
use crate::client::Connector;
use crate::controllers::{self, Role};
use crate::driver::Controlled;
use crate::events::Recorder;
use crate::image_policy::ranking::Rankings;
use crate::image_repository::scans::Scans;
use crate::image_repository::store::TagStore;
use crate::key::Key;
use crate::kustomization::health::HealthWaits;
use crate::kustomization::impersonation::Accounts;
use crate::kustomization::past::Known;
use crate::metrics::Metrics;
use crate::newest::Newest;
use crate::references::{Lent, References};
use crate::source::Source;
use crate::source::artifact::Seen;
use crate::source::restore::Unserved;
use crate::triggers::Trigger;
use crate::words::api_error;

/// Caches of the five kinds, filled by their watches.
pub struct Stores {
    /// GitRepositories.
    pub git_repositories: Store<GitRepository>,
    /// Kustomizations.
    pub kustomizations: Store<Kustomization>,
    /// ImageRepositories.
    pub image_repositories: Store<ImageRepository>,
    /// ImagePolicies.
    pub image_policies: Store<ImagePolicy>,
    /// ImageUpdateAutomations.
    pub image_update_automations: Store<ImageUpdateAutomation>,
}

/// Ways to wake objects of the five kinds.
#[derive(Clone)]
pub struct Triggers {
    /// GitRepositories.
    pub git_repositories: Trigger<GitRepository>,
    /// Kustomizations.
    pub kustomizations: Trigger<Kustomization>,
    /// ImageRepositories.
    pub image_repositories: Trigger<ImageRepository>,
    /// ImagePolicies.
    pub image_policies: Trigger<ImagePolicy>,
    /// ImageUpdateAutomations.
    pub image_update_automations: Trigger<ImageUpdateAutomation>,
}

/// A map that many tasks read and write for moments.
pub struct Shared<V>(Mutex<HashMap<Key, V>>);

impl<V> Default for Shared<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Shared<V> {
    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<V> {
        self.lock().get(key).cloned()
    }

    /// Sets a value and returns the one before.
    pub fn set(&self, key: &Key, value: V) -> Option<V> {
        self.lock().insert(key.clone(), value)
    }

    /// Sets a value unless there is one.
    pub fn set_if_absent(&self, key: &Key, value: V) {
        self.lock().entry(key.clone()).or_insert(value);
    }

    /// Forgets a key.
    pub fn remove(&self, key: &Key) -> Option<V> {
        self.lock().remove(key)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the controllers share.
pub struct Context {
    /// Client of the API server.
    pub client: Client,
    /// Command line.
    pub args: Args,
    /// Where artifacts lie.
    pub artifacts: PathBuf,
    /// Where others fetch them: `http://host:port`.
    pub artifacts_url: String,
    /// Mirrors of repositories.
    pub git: Git,
    /// Applies objects.
    pub applier: Applier,
    /// Publishes events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Failures in a row.
    pub backoff: Backoff,
    /// Caches.
    pub stores: Stores,
    /// Wakes objects.
    pub triggers: Triggers,
    /// What was fetched, by GitRepository.
    pub sources: Shared<Arc<Source>>,
    /// Since when its mirror has what this process pushed, by GitRepository that has yet to look.
    pub pushed: Shared<Instant>,
    /// Artifacts that are to be rebuilt after the start.
    pub unserved: Unserved,
    /// Tarballs that are known to be what they should be, by GitRepository.
    pub tarballs: Shared<Seen>,
    /// Tags after exclusion, by ImageRepository.
    pub tags: TagStore,
    /// Scans of registries.
    pub scans: Scans,
    /// When somebody last asked for something new, by ImageRepository.
    pub asked: Shared<Instant>,
    /// What objects refer to.
    pub references: References,
    /// Secrets that service accounts lend to ImageRepositories.
    pub pull_secrets: Lent,
    /// The best tags, by ImagePolicy.
    pub rankings: Rankings,
    /// Where markers are.
    pub markers: Arc<Index<Content>>,
    /// What markers were last judged by, by ImageUpdateAutomation.
    pub judged: Shared<Arc<Judged>>,
    /// What policies selected, by ImagePolicy; newer than the cache of objects.
    pub selected: Shared<ImageRef>,
    /// Health waits under way.
    pub health: HealthWaits,
    /// Who applies for tenants.
    pub accounts: Accounts,
    /// What is remembered of Kustomizations.
    pub known: Known,
    newest: Newest,
}

/// The parts of which a [`Context`] is made; the rest starts empty.
pub struct Parts {
    /// See [`Context::client`].
    pub client: Client,
    /// Makes further clients.
    pub connector: Connector,
    /// See [`Context::args`].
    pub args: Args,
    /// See [`Context::artifacts`].
    pub artifacts: PathBuf,
    /// See [`Context::artifacts_url`].
    pub artifacts_url: String,
    /// See [`Context::git`].
    pub git: Git,
    /// See [`Context::applier`].
    pub applier: Applier,
    /// See [`Context::recorder`].
    pub recorder: Recorder,
    /// See [`Context::metrics`].
    pub metrics: Arc<Metrics>,
    /// See [`Context::stores`].
    pub stores: Stores,
    /// See [`Context::triggers`].
    pub triggers: Triggers,
}

impl Context {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            client,
            connector,
            args,
            artifacts,
            artifacts_url,
            git,
            applier,
            recorder,
            metrics,
            stores,
            triggers,
        } = parts;
        let tags = args.storage_path.join("tags");
        let backoff = Backoff::new(&args);
        Self {
            client,
            args,
            artifacts,
            artifacts_url,
            git,
            applier,
            recorder,
            metrics,
            backoff,
            stores,
            triggers,
            sources: Shared::default(),
            pushed: Shared::default(),
            unserved: Unserved::default(),
            tarballs: Shared::default(),
            tags: TagStore::new(tags),
            scans: Scans::default(),
            asked: Shared::default(),
            references: References::default(),
            pull_secrets: Lent::default(),
            rankings: Rankings::default(),
            markers: Arc::new(Index::new(marker::is_candidate, Content::of)),
            judged: Shared::default(),
            selected: Shared::default(),
            health: HealthWaits::default(),
            accounts: Accounts::new(connector),
            known: Known::default(),
            newest: Newest::default(),
        }
    }

    /// What this process does about a kind.
    pub fn role<K: Controlled>(&self) -> Role {
        controllers::role(&self.args.controllers, K::CONTROLLER, K::READERS)
    }

    /// Whether an object is reconciled by this process: its controller runs here, and its labels
    /// are those of our shard.
    pub fn owns<K: Controlled>(&self, object: &K) -> bool {
        self.role::<K>() == Role::Control && self.args.watch_label_selector.matches(object.labels())
    }

    /// What a GitRepository holds now: what this process fetched, or the artifact of the process
    /// that works on it. None when there is nothing yet.
    pub fn source(&self, key: &Key) -> Option<Arc<Source>> {
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let known = self.sources.get(key);
        let object = self.stores.git_repositories.get(&reference)?;
        if self.owns(&*object) {
            return known.filter(|source| source.is_ours());
        }
        let artifact = object.status.as_ref()?.artifact.as_ref()?;
        if let Some(source) = known.filter(|source| source.is_of(artifact)) {
            return Some(source);
        }
        let source = Arc::new(Source::of_artifact(artifact.clone()));
        self.sources.set(key, source.clone());
        Some(source)
    }

    /// Remembers an object as the API server returned it from a write, until the watch brings it.
    pub fn remember<K: Controlled>(&self, object: Arc<K>) {
        self.newest.remember(object, K::cache(&self.stores));
    }

    /// The newest form of an object that is known, however old the one is that the caller was given.
    pub fn newest_of<K: Controlled>(&self, given: Arc<K>) -> Arc<K> {
        self.newest.of(given, K::cache(&self.stores))
    }

    /// Notes that the watch has brought this form of an object to the cache.
    pub fn caught_up<K: Controlled>(&self, cached: &K) {
        self.newest.caught_up(cached);
    }

    /// Forgets what was remembered of an object that is gone.
    pub fn forget<K: Controlled>(&self, key: &Key) {
        self.newest.forget::<K>(key);
        self.backoff.reset(K::KIND, key);
    }

    /// The data of a Secret.
    ///
    /// # Errors
    /// [`SecretError`], in words for a condition.
    pub async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, SecretError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        match api.get_opt(name).await {
            Ok(Some(secret)) => Ok(secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(k, v)| (k, v.0))
                .collect()),
            Ok(None) => Err(SecretError::Missing(Key::new(namespace, name))),
            Err(error) => Err(SecretError::Read {
                key: Key::new(namespace, name),
                source: Box::new(error),
            }),
        }
    }
}

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none.
    #[error(
        "Secret \"{0}\" does not exist; create it, the reconciliation goes on as soon as it is there"
    )]
    Missing(Key),
    /// It cannot be read.
    #[error("Secret \"{key}\" cannot be read: {}", api_error(source))]
    Read {
        /// Which one.
        key: Key,
        /// Why.
        source: Box<kube::Error>,
    },
}

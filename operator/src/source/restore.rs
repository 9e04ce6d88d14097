//! After a restart: what a former process fetched is taken from its mirrors, before anybody asks a
//! remote. Kustomizations find their sources at once, also while a Git server is away and for
//! suspended GitRepositories.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flux_api::{Artifact, GitRepository};
use flux_git::{Commit, Remote};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::watch;

use super::artifact::State;
use super::run::mirrored;
use super::verify::Check;
use super::{Source, artifact, origin, reference, remote, rules};
use crate::context::Context;
use crate::driver::{Controlled, write_status};
use crate::key::Key;

/// GitRepositories that are loaded at once; each opens a repository.
const AT_ONCE: usize = 4;

/// How long readiness waits for artifacts at most. A remote that is away takes 60 s by default to
/// be given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// GitRepositories whose artifact is named in their status, but not known to be here.
pub struct Unserved {
    keys: Mutex<HashSet<Key>>,
    count: watch::Sender<usize>,
}

impl Default for Unserved {
    fn default() -> Self {
        Self {
            keys: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Unserved {
    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the artifact is here, or cannot be for now.
    pub fn served(&self, key: &Key) {
        let mut keys = self.keys();
        keys.remove(key);
        self.count.send_replace(keys.len());
    }

    /// Whether there is nothing to do about the artifact.
    pub fn is_served(&self, key: &Key) -> bool {
        !self.keys().contains(key)
    }

    fn expect(&self, key: Key) {
        let mut keys = self.keys();
        keys.insert(key);
        self.count.send_replace(keys.len());
    }

    /// Waits until all artifacts are here, but not for ever.
    pub async fn wait(&self) {
        let mut count = self.count.subscribe();
        let all = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(
                missing = self.keys().len(),
                "not all artifacts could be rebuilt yet"
            );
        }
    }
}

/// Loads what the mirrors have of all GitRepositories of this process.
pub async fn all(context: &Arc<Context>) {
    let objects = context.stores.git_repositories.state();
    let owned = objects.into_iter().filter(|object| {
        let artifact = object.status.as_ref().and_then(|s| s.artifact.as_ref());
        artifact.is_some() && context.owns(&**object)
    });
    futures::stream::iter(owned)
        .for_each_concurrent(AT_ONCE, |object| async move {
            context.unserved.expect(Key::of(&*object));
            load(&object, context).await;
        })
        .await;
}

/// Loads the commit that the status names, if the mirror has it and it may be used as it is.
async fn load(object: &GitRepository, context: &Arc<Context>) -> Option<Arc<Source>> {
    let key = Key::of(object);
    if let Some(source) = context.sources.get(&key) {
        return Some(source);
    }
    let status = object.status.as_ref()?;
    let revision = &status.artifact.as_ref()?.revision;
    // Another spec may mean another commit. Nobody observes the spec of a suspended object, which
    // serves what it has until it is resumed.
    if !object.spec.suspend && status.observed_generation != object.metadata.generation {
        return None;
    }
    remote::check_supported(&object.spec).ok()?;
    let (remote, commit) = find(object, revision, context).await?;
    if let Some(check) = Check::of(object, context).await.ok()? {
        check.verify(&remote, &commit, context).await.ok()?;
    }
    // What the artifact was made by, too. With other rules it is of no generation that there is.
    let filter = rules::observed(status);
    let generation = object.metadata.generation;
    let generation = generation.filter(|_| filter == rules::asked(&object.spec));
    let generation = generation.unwrap_or_default();
    let mirrored = mirrored(remote, commit, filter, generation, context).await;
    let mirrored = mirrored.ok()?;
    artifact::note_origin(&key, &mirrored, context).await;
    context
        .sources
        .set_if_absent(&key, Arc::new(Source::of_commit(mirrored)));
    context.sources.get(&key)
}

/// Looks for a commit in the mirror that the credentials of now lead to, and then in the one that it
/// was fetched into: its Secret may be another since, or gone.
async fn find(
    object: &GitRepository,
    revision: &str,
    context: &Context,
) -> Option<(Remote, Commit)> {
    let key = Key::of(object);
    let reference = reference(object.spec.reference.as_ref());
    let origin = origin::read(&artifact::folder(&key, context)).await;
    let places = [
        remote::of(object, context).await.ok(),
        origin.and_then(|mirror| remote::of_mirror(object, mirror)),
    ];
    for remote in places.into_iter().flatten() {
        match context.git.load(&remote, &reference, revision).await {
            Ok(Some(commit)) => return Some((remote, commit)),
            Ok(None) => {}
            Err(error) => tracing::debug!(source = %key, %error, "nothing to restore"),
        }
    }
    None
}

/// Keeps the artifact of a suspended GitRepository available.
pub(super) async fn suspended(object: &GitRepository, context: &Arc<Context>) {
    let key = Key::of(object);
    let Some(source) = load(object, context).await else {
        return;
    };
    let known = object.status.as_ref().and_then(|s| s.artifact.as_ref());
    let (Some(source), Some(known)) = (source.mirrored(), known) else {
        return;
    };
    if context.unserved.is_served(&key) {
        return;
    }
    let mut found = known.clone();
    found.url = artifact::url(&known.path, context);
    if artifact::state(&key, known, context).await != State::Intact {
        artifact::discard(&key, known, context).await;
        match artifact::store(&key, source, None, context).await {
            // Another version of ours may pack differently.
            Ok(new) => {
                found = Artifact {
                    last_update_time: known.last_update_time.clone(),
                    ..new
                };
            }
            Err(error) => tracing::warn!(source = %key, %error, "artifact cannot be rebuilt"),
        }
    }
    if found == *known {
        return;
    }
    let patch = json!({"artifact": found});
    let api = kube::Api::namespaced(context.client.clone(), &key.namespace);
    let written = write_status::<GitRepository>(&api, &key.name, patch, context).await;
    if let Err(error) = written {
        tracing::warn!(source = %key, %error, kind = GitRepository::KIND, "cannot write the status");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_every_artifact() {
        let unserved = Arc::new(Unserved::default());
        unserved.wait().await;
        let [a, b] = ["a", "b"].map(|name| Key::new("x", name));
        unserved.expect(a.clone());
        unserved.expect(b.clone());
        let waiting = tokio::spawn({
            let unserved = unserved.clone();
            async move { unserved.wait().await }
        });
        unserved.served(&a);
        assert!(unserved.is_served(&a) && !unserved.is_served(&b));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        unserved.served(&b);
        unserved.served(&b);
        waiting.await.unwrap();
    }
}

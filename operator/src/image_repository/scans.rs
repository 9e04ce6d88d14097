//! Scans that ImageRepositories share: whoever sees the same repository with the same credentials
//! needs no scan of its own when another was made in time. Clients are kept between scans, with
//! their connections and tokens.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flux_registry::{Client, ClientOptions, Reference, RegistryError, Tags};

use crate::key::Key;

/// How long a client is kept that nobody uses.
const CLIENT_LIFE: Duration = Duration::from_secs(3600);

/// Who sees what: identity of the options, canonical name of the image.
type Subject = ([u8; 32], String);

/// The clients and the last scan of each repository.
#[derive(Default)]
pub struct Scans {
    clients: Mutex<HashMap<[u8; 32], (Client, Instant)>>,
    entries: Mutex<HashMap<Subject, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    users: Mutex<BTreeSet<Key>>,
    /// Held while a scan is under way.
    last: tokio::sync::Mutex<Option<Scanned>>,
}

#[derive(Clone)]
struct Scanned {
    began: Instant,
    tags: Arc<Tags>,
}

/// The tags of a repository, sorted.
pub struct Scan {
    /// All of them, before exclusion.
    pub tags: Arc<Tags>,
    /// Other ImageRepositories that see the same, when this scan has news for them.
    pub others: Vec<Key>,
}

impl Scans {
    /// A client for these options.
    ///
    /// # Errors
    /// When they make none.
    pub fn client(&self, options: ClientOptions) -> Result<Client, RegistryError> {
        let (identity, now, timeout) = (options.identity(), Instant::now(), options.timeout);
        let mut clients = lock(&self.clients);
        if let Some((client, used)) = clients.get_mut(&identity) {
            *used = now;
            return Ok(client.with_timeout(timeout));
        }
        clients.retain(|_, (_, used)| now.duration_since(*used) < CLIENT_LIFE);
        let client = Client::new(options)?;
        clients.insert(identity, (client.clone(), now));
        Ok(client)
    }

    /// The tags of a repository, as of a scan that began at `since` or later; made now if there is
    /// none. One scan of a repository is under way at a time.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn scan(
        &self,
        user: &Key,
        options: ClientOptions,
        reference: &Reference,
        since: Instant,
    ) -> Result<Scan, RegistryError> {
        let subject = (options.identity(), reference.canonical());
        let entry = self.entry(user, subject);
        let mut last = entry.last.lock().await;
        if let Some(scanned) = last.as_ref().filter(|scanned| scanned.began >= since) {
            return Ok(Scan {
                tags: scanned.tags.clone(),
                others: Vec::new(),
            });
        }
        let began = Instant::now();
        let tags = self.client(options)?.tags(reference).await?;
        let tags = Arc::new(on_a_thread(move || tags.sorted(|_| true)).await);
        let before = last.replace(Scanned {
            began,
            tags: tags.clone(),
        });
        let is_new = before.is_some_and(|before| before.tags != tags);
        let mut others = Vec::new();
        if is_new {
            others.extend(
                lock(&entry.users)
                    .iter()
                    .filter(|key| *key != user)
                    .cloned(),
            );
        }
        Ok(Scan { tags, others })
    }

    /// Forgets an ImageRepository, and what only it needed.
    pub fn forget(&self, user: &Key) {
        lock(&self.entries).retain(|_, entry| {
            let mut users = lock(&entry.users);
            users.remove(user);
            !users.is_empty()
        });
    }

    /// Notes who uses what; a user uses one subject.
    fn entry(&self, user: &Key, subject: Subject) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(&subject)
            && lock(&entry.users).contains(user)
        {
            return entry.clone();
        }
        entries.retain(|_, entry| {
            let mut users = lock(&entry.users);
            users.remove(user);
            !users.is_empty()
        });
        let entry = entries.entry(subject).or_default().clone();
        lock(&entry.users).insert(user.clone());
        entry
    }
}

/// Long lists are not for a thread that serves others.
pub async fn on_a_thread<T: Default + Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "work on tags ended early");
            T::default()
        })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_and_go() {
        let scans = Scans::default();
        let subject = |image: &str| ([0; 32], image.to_owned());
        let (a, b) = (Key::new("x", "a"), Key::new("y", "b"));
        let first = scans.entry(&a, subject("app"));
        assert!(Arc::ptr_eq(&first, &scans.entry(&b, subject("app"))));
        assert!(Arc::ptr_eq(&first, &scans.entry(&a, subject("app"))));
        // Another image: the entry of the old one lives on for the other user only.
        scans.entry(&a, subject("next"));
        assert_eq!(lock(&scans.entries).len(), 2);
        scans.forget(&b);
        assert_eq!(lock(&scans.entries).len(), 1);
        scans.forget(&a);
        assert!(lock(&scans.entries).is_empty());
    }
}

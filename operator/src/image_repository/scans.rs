//! Scans that ImageRepositories share: whoever sees the same repository with the same credentials
//! needs no scan of its own when another was made in time. Clients are kept between scans, with
//! their connections and tokens.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flux_api::names::reason;
use flux_registry::{Client, ClientOptions, Reference, RegistryError, Tags};
use thiserror::Error;

use crate::conclusion::{Retry, Verdict};
use crate::key::Key;

/// How long a scan for several waits before it begins, so that whoever asks at the same time shares
/// it.
const COMPANY: Duration = Duration::from_millis(10);

/// How long a client is kept that nobody uses.
const CLIENT_LIFE: Duration = Duration::from_secs(3600);

/// Who sees what: identity of the options, canonical name of the image.
type Subject = ([u8; 32], String);

/// A scan without tags.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScanError {
    /// The registry gave none.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What was done with them ended early.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// Work on tags that ended early.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the work on the tags ended early, by a mistake in this program; what is known of them is kept. \
     Please report it with the message \"panicked at\" in the log"
)]
pub struct Panicked;

impl From<ScanError> for Verdict {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Registry(error) => Self::Failed {
                reason: error.reason(),
                message: error.to_string(),
                retry: Retry::Backoff,
            },
            ScanError::Panicked(error) => error.into(),
        }
    }
}

impl From<Panicked> for Verdict {
    fn from(error: Panicked) -> Self {
        Self::Failed {
            reason: reason::FAILURE,
            message: error.to_string(),
            retry: Retry::Backoff,
        }
    }
}

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
    last: tokio::sync::Mutex<Last>,
}

/// What is known of a repository.
#[derive(Default)]
struct Last {
    /// When the last scan began, how long it might take, and what it ended with.
    scan: Option<(Instant, Duration, Result<(), ScanError>)>,
    /// The tags of the last scan that succeeded.
    tags: Option<Arc<Tags>>,
}

impl Last {
    /// The outcome of a scan that began at `since` or later. That the time was too short counts only
    /// for those who have no more.
    fn answer(&self, since: Instant, timeout: Duration) -> Option<Result<Arc<Tags>, ScanError>> {
        let (began, allowed, outcome) = self.scan.as_ref()?;
        if *began < since {
            return None;
        }
        match outcome {
            Err(ScanError::Registry(RegistryError::Timeout { .. })) if timeout > *allowed => None,
            Err(error) => Some(Err(error.clone())),
            Ok(()) => self.tags.clone().map(Ok),
        }
    }
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
    /// none. One scan of a repository is under way at a time, and a failure is shared as well.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn scan(
        &self,
        user: &Key,
        options: ClientOptions,
        reference: &Reference,
        since: Instant,
    ) -> Result<Scan, ScanError> {
        let subject = (options.identity(), reference.canonical());
        let entry = self.entry(user, subject);
        let mut last = entry.last.lock().await;
        let timeout = options.timeout;
        if let Some(answer) = last.answer(since, timeout) {
            let others = Vec::new();
            return answer.map(|tags| Scan { tags, others });
        }
        let is_shared = lock(&entry.users).len() > 1;
        if is_shared {
            tokio::time::sleep(COMPANY).await;
        }
        let began = Instant::now();
        let scanned = self.tags(options, reference).await;
        let outcome = scanned.as_ref().map(drop).map_err(Clone::clone);
        last.scan = Some((began, timeout, outcome));
        let tags = scanned?;
        let before = last.tags.replace(tags.clone());
        let is_new = before.is_some_and(|before| before != tags);
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

    /// The tags that a registry has now.
    async fn tags(
        &self,
        options: ClientOptions,
        reference: &Reference,
    ) -> Result<Arc<Tags>, ScanError> {
        let tags = self.client(options)?.tags(reference).await?;
        let sorted = on_a_thread(move || tags.sorted(|_| true)).await?;
        Ok(Arc::new(sorted))
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

/// Does what takes too long for a thread that serves others: reading, sorting, judging many tags.
///
/// # Errors
/// When it panics, which concerns this run only.
pub async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "work on tags ended early");
        Panicked
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// A registry that counts lists, and answers with a status.
    async fn registry(status: u16) -> (Reference, Arc<AtomicUsize>) {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let lists: Arc<AtomicUsize> = Arc::default();
        let seen = lists.clone();
        let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let seen = seen.clone();
            async move {
                if request.uri().path() == "/v2/" {
                    return (http::StatusCode::OK, "");
                }
                seen.fetch_add(1, Ordering::Relaxed);
                let status = http::StatusCode::from_u16(status).unwrap_or_default();
                (status, r#"{"tags": ["1.0", "2.0"]}"#)
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (
            Reference::parse(&format!("{address}/team/app")).unwrap(),
            lists,
        )
    }

    #[tokio::test]
    async fn simultaneous_scans_are_one() {
        for (status, works) in [(200, true), (404, false)] {
            let (image, lists) = registry(status).await;
            let scans = Scans::default();
            let keys: Vec<_> = (0..16)
                .map(|at| Key::new("ns", format!("app-{at}")))
                .collect();
            let scan = |key| {
                let now = Instant::now();
                scans.scan(key, ClientOptions::default(), &image, now)
            };
            let all = futures::future::join_all(keys.iter().map(scan)).await;
            assert!(all.iter().all(|scan| scan.is_ok() == works));
            assert_eq!(lists.load(Ordering::Relaxed), 1, "HTTP {status}");
            // Who asks later gets what is there then.
            let later = scan(&keys[0]).await;
            assert_eq!(later.is_ok_and(|scan| scan.tags.len() == 2), works);
            assert_eq!(lists.load(Ordering::Relaxed), 2, "HTTP {status}");
        }
    }

    #[tokio::test]
    async fn a_panic_fails_the_run_and_is_no_list_without_tags() {
        let tags = on_a_thread(|| -> Tags { panic!("a mistake") }).await;
        assert_eq!(tags, Err(Panicked));
        let verdict = Verdict::from(Panicked);
        assert!(matches!(
            verdict,
            Verdict::Failed {
                reason: reason::FAILURE,
                ..
            }
        ));
    }

    #[test]
    fn who_has_more_time_does_not_share_that_it_was_too_short() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let error = ScanError::from(RegistryError::Timeout {
            registry: "r".to_owned(),
            repository: "a".to_owned(),
            timeout: second,
        });
        let last = Last {
            scan: Some((began, second, Err(error.clone()))),
            tags: None,
        };
        assert_eq!(last.answer(began, second), Some(Err(error)));
        assert_eq!(last.answer(began, second * 2), None);
        assert_eq!(last.answer(began + second, second), None);
    }
}

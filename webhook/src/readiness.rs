//! When this program may be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::certificates::Served;
use crate::cluster::Caches;
use crate::install::Stored;

/// After this long incomplete caches no longer hold up readiness: rules that need nothing but the
/// object are worth having.
const PATIENCE: Duration = Duration::from_secs(10);

/// The share of a leaf's life after which it is as good as none: it is renewed after two thirds, so
/// its renewal has failed for days by then.
const CLOSE: i32 = 7;

/// What readiness depends on.
#[derive(Debug)]
pub struct Readiness {
    served: Arc<Served>,
    stored: Option<Arc<Stored>>,
    caches: Option<Arc<Caches>>,
    listening: AtomicBool,
    stopping: AtomicBool,
    started: Instant,
}

impl Readiness {
    /// Of a server with these certificates; without a cluster, of nothing more.
    #[must_use]
    pub fn new(
        served: Arc<Served>,
        stored: Option<Arc<Stored>>,
        caches: Option<Arc<Caches>>,
    ) -> Self {
        Self {
            served,
            stored,
            caches,
            listening: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
        }
    }

    /// Connections are accepted from now on.
    pub fn listening(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// Connections are not to be sent here any more.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What is missing; nothing if ready.
    #[must_use]
    pub fn missing(&self, now: OffsetDateTime) -> Vec<String> {
        let mut missing = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            missing.push("it is stopping".to_owned());
        }
        if !self.listening.load(Ordering::Acquire) {
            missing.push("it does not listen yet".to_owned());
        }
        match self.served.leaf() {
            None => missing.push("there is no certificate yet".to_owned()),
            Some(leaf) if leaf.not_after() - now < leaf.life() / CLOSE => {
                missing.push(format!("the certificate ends at {}", leaf.not_after()));
            }
            Some(leaf) => {
                if self
                    .stored
                    .as_ref()
                    .is_some_and(|stored| !stored.trusts(leaf.authority()))
                {
                    missing
                        .push("the webhook configurations do not trust the certificate".to_owned());
                }
            }
        }
        let waiting = self
            .caches
            .as_ref()
            .map(|caches| caches.waiting_for())
            .unwrap_or_default();
        if !waiting.is_empty() && self.started.elapsed() < PATIENCE {
            missing.push(format!("caches are not complete: {}", waiting.join(", ")));
        }
        missing
    }
}

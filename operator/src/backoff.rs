//! How long to wait after failures and between runs.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use crate::key::Key;

/// After the first failure; Flux's default.
const FIRST: Duration = Duration::from_millis(750);

/// At most; Flux's default.
const MOST: Duration = Duration::from_secs(15 * 60);

/// Failures in a row, by kind and object.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<(&'static str, Key), u32>>,
}

impl Backoff {
    /// Counts a failure and returns how long to wait: twice as long each time.
    pub fn failed(&self, kind: &'static str, key: &Key) -> Duration {
        let mut failures = self.lock();
        let count = failures.entry((kind, key.clone())).or_insert(0);
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(*count)).min(MOST);
        *count = count.saturating_add(1);
        jitter(wait)
    }

    /// Forgets the failures of an object.
    pub fn reset(&self, kind: &'static str, key: &Key) {
        self.lock().remove(&(kind, key.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(&'static str, Key), u32>> {
        self.failures
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Spreads by up to 5 % either way, so that objects with one interval do not run in step.
pub fn jitter(duration: Duration) -> Duration {
    // A freshly keyed hasher is randomness enough for spreading load.
    let random = RandomState::new().build_hasher().finish() % 1000;
    let permille = u32::try_from(950 + random / 10).unwrap_or(1000);
    duration.saturating_mul(permille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let backoff = Backoff::default();
        let key = Key::new("a", "b");
        let near = |found: Duration, want: Duration| {
            assert!(
                found >= want * 94 / 100 && found <= want * 106 / 100,
                "{found:?} {want:?}"
            );
        };
        near(backoff.failed("X", &key), FIRST);
        near(backoff.failed("X", &key), FIRST * 2);
        near(backoff.failed("Y", &key), FIRST);
        for _ in 0..40 {
            backoff.failed("X", &key);
        }
        near(backoff.failed("X", &key), MOST);
        backoff.reset("X", &key);
        near(backoff.failed("X", &key), FIRST);
    }
}

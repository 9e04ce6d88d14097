//! How long to wait after failures and between runs.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use crate::args::Args;
use crate::key::Key;

/// Failures in a row, by kind and object.
pub struct Backoff {
    /// After the first failure.
    first: Duration,
    /// At most.
    most: Duration,
    /// By how many percent waits are spread.
    spread: u8,
    failures: Mutex<HashMap<(&'static str, Key), u32>>,
}

impl Backoff {
    /// No failures yet.
    pub fn new(args: &Args) -> Self {
        let first = args.min_retry_delay.as_std();
        Self {
            first,
            most: args.max_retry_delay.as_std().max(first),
            spread: args.interval_jitter_percentage,
            failures: Mutex::default(),
        }
    }

    /// Counts a failure and returns how long to wait: twice as long each time.
    pub fn failed(&self, kind: &'static str, key: &Key) -> Duration {
        let mut failures = self.lock();
        let count = failures.entry((kind, key.clone())).or_insert(0);
        let wait = 2_u32.saturating_pow(*count);
        let wait = self.first.saturating_mul(wait).min(self.most);
        *count = count.saturating_add(1);
        self.jitter(wait)
    }

    /// Spreads either way, so that objects with one interval do not run in step.
    pub fn jitter(&self, duration: Duration) -> Duration {
        let random = RandomState::new().build_hasher().finish();
        spread(duration, self.spread, random)
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

/// Spreads by up to so many percent either way. A freshly keyed hasher is randomness enough.
fn spread(duration: Duration, percent: u8, random: u64) -> Duration {
    let width = u32::from(percent) * 10;
    let offset = random % u64::from(2 * width + 1);
    let permille = 1000 - width + u32::try_from(offset).unwrap_or(width);
    duration.saturating_mul(permille) / 1000
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const FIRST: Duration = Duration::from_millis(750);
    const MOST: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn waits_double_up_to_a_bound() {
        let backoff = Backoff::new(&Args::parse_from(["x"]));
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

    #[test]
    fn spreading_is_even_and_bounded() {
        let minute = Duration::from_secs(60);
        for (percent, random, seconds) in [
            (0, 7, 60),
            (5, 0, 57),
            (5, 50, 60),
            (5, 100, 63),
            (5, 101, 57),
            (99, 0, 0),
        ] {
            let spread = spread(minute, percent, random);
            assert_eq!(spread.as_secs(), seconds, "{percent} {random}");
        }
    }
}

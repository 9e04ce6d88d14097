//! The books of a queue, without a clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::key::Key;

/// Where a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has been due since then.
    Waits(Instant),
    /// It began then.
    Works(Instant),
}

/// Who waits, who is worked on, and since when.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Since when there is work at all.
    pub(super) opened: Option<Instant>,
    /// When objects are due.
    due: HashMap<Key, Instant>,
    turns: HashMap<u64, Stage>,
    last_turn: u64,
    /// Those who wait no more.
    left: u64,
}

/// What a scrape reads of the books.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) depth: u64,
    pub(super) adds: u64,
    pub(super) unfinished: Duration,
    pub(super) longest: Duration,
}

impl Books {
    /// A run is wanted at a time.
    pub(super) fn enter(&mut self, key: Key, due: Instant) {
        let entry = self.due.entry(key).or_insert(due);
        *entry = due.min(*entry);
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, key: &Key, now: Instant) {
        if self.due.remove(key).is_some_and(|due| due <= now) {
            self.left += 1;
        }
    }

    /// It is the turn of an object; which turn.
    pub(super) fn take(&mut self, key: &Key, now: Instant) -> u64 {
        let due = self.due.remove(key).unwrap_or(now);
        self.last_turn += 1;
        self.turns.insert(self.last_turn, Stage::Waits(due));
        self.last_turn
    }

    /// A worker is there: how long it waited.
    pub(super) fn begin(&mut self, turn: u64, now: Instant) -> Option<Duration> {
        let stage = self.turns.get_mut(&turn)?;
        let Stage::Waits(due) = *stage else {
            return None;
        };
        *stage = Stage::Works(now);
        self.left += 1;
        let since = self.opened.map_or(now, |opened| opened.max(due));
        Some(now.saturating_duration_since(since))
    }

    /// It is over: how long it worked, if it began.
    pub(super) fn end(&mut self, turn: u64, now: Instant) -> Option<Duration> {
        match self.turns.remove(&turn)? {
            Stage::Works(since) => Some(now.saturating_duration_since(since)),
            Stage::Waits(_) => {
                self.left += 1;
                None
            }
        }
    }

    /// What a scrape at this moment shows.
    pub(super) fn numbers(&self, now: Instant) -> Numbers {
        let mut numbers = Numbers::default();
        if self.opened.is_some() {
            numbers.depth = self.due.values().filter(|due| **due <= now).count() as u64;
        }
        for stage in self.turns.values() {
            match stage {
                Stage::Waits(_) => numbers.depth += u64::from(self.opened.is_some()),
                Stage::Works(since) => {
                    let worked = now.saturating_duration_since(*since);
                    numbers.unfinished += worked;
                    numbers.longest = numbers.longest.max(worked);
                }
            }
        }
        numbers.adds = self.left + numbers.depth;
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn numbers(depth: u64, adds: u64, unfinished: u32, longest: u32) -> Numbers {
        Numbers {
            depth,
            adds,
            unfinished: SECOND * unfinished,
            longest: SECOND * longest,
        }
    }

    #[test]
    fn objects_wait_from_when_they_are_due_until_a_worker_is_there() {
        let start = Instant::now();
        let at = |seconds| start + SECOND * seconds;
        let [a, b, c] = ["a", "b", "c"].map(|name| Key::new("foo", name));
        let mut books = Books {
            opened: Some(start),
            ..Books::default()
        };
        books.enter(a.clone(), at(1));
        books.enter(a.clone(), at(2));
        books.enter(b.clone(), at(9));
        assert_eq!(books.numbers(at(1)), numbers(1, 1, 0, 0), "entered once");
        let first = books.take(&a, at(3));
        assert_eq!(books.numbers(at(3)), numbers(1, 1, 0, 0), "no worker yet");
        assert_eq!(books.begin(first, at(4)), Some(SECOND * 3));
        assert_eq!(books.begin(first, at(5)), None);
        books.enter(a.clone(), at(6));
        assert_eq!(books.numbers(at(6)), numbers(1, 2, 2, 2), "asked meanwhile");
        books.enter(b.clone(), at(7));
        let second = books.take(&b, at(7));
        assert_eq!(books.begin(second, at(7)), Some(Duration::ZERO), "hurried");
        assert_eq!(books.numbers(at(8)), numbers(1, 3, 5, 4));
        assert_eq!(books.end(first, at(9)), Some(SECOND * 5));
        books.forget(&a, at(9));
        books.enter(c.clone(), at(20));
        assert_eq!(books.numbers(at(10)), numbers(0, 3, 3, 3));
        books.forget(&c, at(11));
        assert_eq!(books.numbers(at(20)), numbers(0, 3, 13, 13), "never due");
    }

    #[test]
    fn a_queue_begins_with_the_work() {
        let start = Instant::now();
        let mut books = Books::default();
        let [a, b] = ["a", "b"].map(|name| Key::new("foo", name));
        books.enter(a.clone(), start);
        books.enter(b, start);
        let turn = books.take(&a, start);
        assert_eq!(books.numbers(start + SECOND), Numbers::default());
        books.opened = Some(start + SECOND * 2);
        assert_eq!(books.numbers(start + SECOND * 2), numbers(2, 2, 0, 0));
        assert_eq!(books.begin(turn, start + SECOND * 3), Some(SECOND));
    }
}

//! How many requests may be under way at once: more while the API server answers as quickly as it
//! can, fewer when it says that it is too much (429) or becomes slow. Pure.
//!
//! Additive increase, multiplicative decrease, as TCP does it: several clients that follow the rule
//! share a server fairly without knowing of each other.

use std::time::{Duration, Instant};

/// At first, and at most. A server with default settings takes 200 writes at a time from all of
/// its clients together.
const START: f64 = 16.0;
const MOST: f64 = 64.0;

/// Fewer would let one slow request hold up everything.
const LEAST: f64 = 2.0;

/// Answers that are this many times slower than the fastest mean that requests queue up.
const SLOW: f64 = 4.0;

/// Below this nobody needs to give way: 50 ms is what an apply with its admission takes anyway.
const QUICK: Duration = Duration::from_millis(50);

/// Between two reductions: the first one must have had time to show.
const SETTLE: Duration = Duration::from_millis(500);

/// What an answer says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It came after this time.
    After(Duration),
    /// The server is overloaded: 429, 503, 504, or no answer.
    Overload,
}

/// The number of requests that may be under way.
#[derive(Debug)]
pub(super) struct Pace {
    limit: f64,
    /// Mean of the last answers, in seconds.
    mean: f64,
    /// The lowest mean; forgotten slowly, because what is quick changes with the cluster.
    best: f64,
    reduced: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: START,
            mean: 0.0,
            best: f64::INFINITY,
            reduced: None,
        }
    }
}

impl Pace {
    /// The limit now.
    pub(super) fn limit(&self) -> usize {
        // Between LEAST and MOST.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "2 to 64"
        )]
        let limit = self.limit as usize;
        limit
    }

    /// Learns from an answer.
    pub(super) fn learn(&mut self, answer: Answer, now: Instant) {
        let factor = match answer {
            Answer::Overload => 0.5,
            Answer::After(took) => {
                let took = took.as_secs_f64();
                self.mean = if self.mean == 0.0 {
                    took
                } else {
                    self.mean * 0.9 + took * 0.1
                };
                self.best = self.mean.min(self.best * 1.001);
                if self.mean > QUICK.as_secs_f64() && self.mean > self.best * SLOW {
                    0.8
                } else {
                    self.limit = (self.limit + 1.0 / self.limit).min(MOST);
                    return;
                }
            }
        };
        if self.reduced.is_none_or(|last| now - last >= SETTLE) {
            self.limit = (self.limit * factor).max(LEAST);
            self.reduced = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(pace: &mut Pace, answer: Answer, times: u64, now: &mut Instant) {
        for _ in 0..times {
            *now += Duration::from_millis(20);
            pace.learn(answer, *now);
        }
    }

    #[test]
    fn gives_way_and_comes_back() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let quick = Answer::After(Duration::from_millis(5));
        assert_eq!(pace.limit(), 16);
        feed(&mut pace, quick, 5000, &mut now);
        assert_eq!(pace.limit(), 64);
        feed(&mut pace, Answer::Overload, 1, &mut now);
        assert_eq!(pace.limit(), 32);
        // One reduction for one burst of refusals.
        feed(&mut pace, Answer::Overload, 5, &mut now);
        assert_eq!(pace.limit(), 32);
        feed(&mut pace, Answer::Overload, 500, &mut now);
        assert_eq!(pace.limit(), 2);
        feed(&mut pace, quick, 5000, &mut now);
        assert_eq!(pace.limit(), 64);
    }

    #[test]
    fn slow_answers_are_a_sign_of_load_only_where_they_were_quick_before() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let slow = Answer::After(Duration::from_millis(300));
        feed(&mut pace, slow, 1000, &mut now);
        assert!(pace.limit() >= 40, "a far server: {}", pace.limit());
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        feed(
            &mut pace,
            Answer::After(Duration::from_millis(10)),
            100,
            &mut now,
        );
        feed(&mut pace, slow, 500, &mut now);
        assert!(pace.limit() <= 4, "a loaded server: {}", pace.limit());
    }
}

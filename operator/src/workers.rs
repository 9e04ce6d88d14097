//! Who of a kind may work at once.
//!
//! A run that asks servers of others (Git, registries) can take as long as its time limit when they
//! are silent, and a handful of dead servers must not hold up all who are well: such a run lets the
//! next one begin after a moment, and goes on beside it. Of those there is a limit, too.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{Metrics, Working};

/// Runs of one kind that have given way and are still under way, at most. Each may hold a thread.
pub const ASIDE: u16 = 32;

/// The workers of a kind.
pub struct Workers {
    runs: u16,
    places: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    controller: String,
    metrics: Arc<Metrics>,
}

/// One of them, at work as long as it lives.
pub struct Worker {
    /// The place of a worker or, after it gave way, one of those aside.
    place: Option<OwnedSemaphorePermit>,
    aside: Arc<Semaphore>,
    working: Option<Working>,
}

impl Workers {
    /// So many workers, 0 for no limit; `give_way` says whether they do.
    pub fn new(controller: String, count: u16, give_way: bool, metrics: Arc<Metrics>) -> Self {
        let aside = if give_way { ASIDE } else { 0 };
        let (places, runs) = match count {
            0 => (Semaphore::MAX_PERMITS, 0),
            count => (count.into(), count.saturating_add(aside)),
        };
        metrics.workers(&controller, count);
        Self {
            runs,
            places: Arc::new(Semaphore::new(places)),
            aside: Arc::new(Semaphore::new(aside.into())),
            controller,
            metrics,
        }
    }

    /// Runs that may be under way, those aside too; 0 for no limit.
    pub fn runs(&self) -> u16 {
        self.runs
    }

    /// Waits for one that is free.
    pub async fn next(&self) -> Worker {
        // An error means that the semaphore is closed, which nobody does.
        let place = self.places.clone().acquire_owned().await.ok();
        Worker {
            place,
            aside: self.aside.clone(),
            working: Some(self.metrics.working(&self.controller)),
        }
    }
}

impl Worker {
    /// Lets the next one begin, unless too many have given way already.
    pub fn give_way(&mut self) {
        if let Ok(aside) = self.aside.clone().try_acquire_owned() {
            self.place = Some(aside);
            self.working = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn workers(count: u16, give_way: bool) -> Workers {
        Workers::new("test".to_owned(), count, give_way, Arc::default())
    }

    #[test]
    fn those_who_give_way_let_others_begin_up_to_a_limit() {
        let workers = workers(1, true);
        let mut aside = Vec::new();
        for _ in 0..ASIDE {
            let mut worker = workers.next().now_or_never().unwrap();
            assert!(workers.next().now_or_never().is_none());
            worker.give_way();
            aside.push(worker);
        }
        let mut last = workers.next().now_or_never().unwrap();
        last.give_way();
        assert!(workers.next().now_or_never().is_none(), "too many");
        aside.pop();
        last.give_way();
        assert!(workers.next().now_or_never().is_some());
    }

    #[test]
    fn others_keep_their_place() {
        let workers = workers(1, false);
        let mut worker = workers.next().now_or_never().unwrap();
        worker.give_way();
        assert!(workers.next().now_or_never().is_none());
        drop(worker);
        assert!(workers.next().now_or_never().is_some());
    }
}

//! Who of a kind may work at once.
//!
//! A run that asks servers of others (Git, registries) can take as long as its time limit when they
//! are silent, and a handful of dead servers must not hold up all who are well: such a run lets the
//! next one begin after a moment, and goes on beside it. Of those there is a limit, too; one server
//! gets a part of them, and who finds that used up does not wait in the way of others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::key::Key;
use crate::metrics::{Controller, Metrics, Turn, Working};

/// Runs of one kind that have given way and are still under way, at most. Each may hold a thread.
pub const ASIDE: u16 = 32;

/// How many of them one server gets, so that all objects of one that is silent leave room for others.
const OF_ONE_SERVER: u16 = ASIDE / 4;

/// The workers of a kind.
pub struct Workers {
    runs: u16,
    places: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    servers: Servers,
    controller: Arc<Controller>,
}

/// One of them, at work as long as it lives.
pub struct Worker {
    /// The place of a worker or, after it gave way, one of those aside.
    place: Option<OwnedSemaphorePermit>,
    aside: Arc<Semaphore>,
    servers: Servers,
    asking: Option<Asking>,
    working: Option<Working>,
    controller: Arc<Controller>,
    _turn: Turn,
}

/// How many runs ask each server, of those that are asked at all.
#[derive(Clone)]
struct Servers {
    /// None for no limit.
    limit: Option<u16>,
    asked: Arc<Mutex<BTreeMap<String, u16>>>,
}

impl Servers {
    fn asked(&self) -> MutexGuard<'_, BTreeMap<String, u16>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run that asks a server, as long as it lives.
struct Asking {
    server: String,
    servers: Servers,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut asked = self.servers.asked();
        if let Some(runs) = asked.get_mut(&self.server) {
            *runs -= 1;
            if *runs == 0 {
                asked.remove(&self.server);
            }
        }
    }
}

impl Workers {
    /// So many workers, 0 for no limit; `give_way` says whether they do.
    pub fn new(controller: &str, count: u16, give_way: bool, metrics: &Metrics) -> Self {
        let aside = if give_way { ASIDE } else { 0 };
        let (places, runs) = match count {
            0 => (Semaphore::MAX_PERMITS, 0),
            count => (count.into(), count.saturating_add(aside)),
        };
        Self {
            runs,
            places: Arc::new(Semaphore::new(places)),
            aside: Arc::new(Semaphore::new(aside.into())),
            servers: Servers {
                limit: (count > 0).then_some(count.max(OF_ONE_SERVER)),
                asked: Arc::default(),
            },
            controller: Arc::new(metrics.controller(controller, count)),
        }
    }

    /// Runs that may be under way, those aside too; 0 for no limit.
    pub fn runs(&self) -> u16 {
        self.runs
    }

    /// Somebody wants a run of this object at once.
    pub fn wanted(&self, key: Key) {
        self.controller.queue.add(key);
    }

    /// A run of this object wants another one after a time.
    pub fn wanted_again(&self, key: Key, after: Duration) {
        self.controller.queue.again(key, after);
    }

    /// This object is gone; nobody works on it any more.
    pub fn gone(&self, key: &Key) {
        self.controller.queue.forget(key);
    }

    /// It is this object's turn.
    pub fn turn(&self, key: &Key) -> Turn {
        self.controller.queue.turn(key)
    }

    /// Waits for one that is free.
    pub async fn next(&self, turn: Turn) -> Worker {
        self.controller.queue.open();
        // An error means that the semaphore is closed, which nobody does.
        let place = self.places.clone().acquire_owned().await.ok();
        turn.begin();
        Worker {
            place,
            aside: self.aside.clone(),
            servers: self.servers.clone(),
            asking: None,
            working: Some(self.controller.working()),
            controller: self.controller.clone(),
            _turn: turn,
        }
    }
}

impl Worker {
    /// Notes that the run asks this server; false where too many do so already, so that it had
    /// better come again.
    #[must_use]
    pub fn may_ask(&mut self, server: String) -> bool {
        let mut asked = self.servers.asked();
        let runs = asked.get(&server).copied().unwrap_or_default();
        if self.servers.limit.is_some_and(|limit| runs >= limit) {
            return false;
        }
        asked.insert(server.clone(), runs + 1);
        drop(asked);
        self.asking = Some(Asking {
            server,
            servers: self.servers.clone(),
        });
        true
    }

    /// Lets the next one begin, unless too many have given way already.
    pub fn give_way(&mut self) {
        if let Ok(aside) = self.aside.clone().try_acquire_owned() {
            self.place = Some(aside);
            self.working = None;
        }
    }

    /// Records how the run ended.
    pub fn reconciled(&self, took: Duration, ok: bool) {
        self.controller.reconciled(took, ok);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn workers(count: u16, give_way: bool) -> Workers {
        Workers::new("test", count, give_way, &Metrics::default())
    }

    fn next(workers: &Workers) -> Option<Worker> {
        let turn = workers.turn(&Key::new("foo", "a"));
        workers.next(turn).now_or_never()
    }

    #[test]
    fn those_who_give_way_let_others_begin_up_to_a_limit() {
        let workers = workers(1, true);
        let mut aside = Vec::new();
        for _ in 0..ASIDE {
            let mut worker = next(&workers).unwrap();
            assert!(next(&workers).is_none());
            worker.give_way();
            aside.push(worker);
        }
        let mut last = next(&workers).unwrap();
        last.give_way();
        assert!(next(&workers).is_none(), "too many");
        aside.pop();
        last.give_way();
        assert!(next(&workers).is_some());
    }

    #[test]
    fn one_server_gets_a_part_of_them() {
        let workers = workers(1, true);
        let may_ask = |server: &str| {
            let mut worker = next(&workers).unwrap();
            let may = worker.may_ask(server.to_owned());
            worker.give_way();
            may.then_some(worker)
        };
        let mut silent: Vec<_> = (0..OF_ONE_SERVER)
            .map(|_| may_ask("silent").unwrap())
            .collect();
        assert!(may_ask("silent").is_none());
        assert!(may_ask("well").is_some());
        silent.pop();
        assert!(may_ask("silent").is_some());
        drop(silent);
        assert!(workers.servers.asked().is_empty());
    }

    #[test]
    fn others_keep_their_place() {
        let workers = workers(1, false);
        let mut worker = next(&workers).unwrap();
        worker.give_way();
        assert!(next(&workers).is_none());
        drop(worker);
        assert!(next(&workers).is_some());
    }
}

//! The queue of each controller, as controller-runtime shows its own.
//!
//! The queue is kube-runtime's, which says nothing about itself: here are books of the same entries.
//! An object is entered when a change or a wake-up asks for a run, or when a run asks for the next one
//! after a time; entries of one object become one, the earlier. That is how kube-runtime merges them,
//! too.
//!
//! | metric | here |
//! |---|---|
//! | `workqueue_depth` | objects that are due and for which no worker was free yet |
//! | `workqueue_adds_total` | objects that became due |
//! | `workqueue_queue_duration_seconds` | from when an object was due until a worker took it |
//! | `workqueue_work_duration_seconds` | runs from then to their end, also where they gave way ([`crate::workers`]) |
//! | `workqueue_unfinished_work_seconds` | how long the runs under way have taken so far, together |
//! | `workqueue_longest_running_processor_seconds` | the longest of them |
//! | `workqueue_retries_total` | runs that asked for another one after a time, be it their interval |
//!
//! Before the process may work (while another one leads, say) nothing counts as due: as with
//! controller-runtime, a queue begins with the work. All objects have the same priority.

use std::fmt::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::key::Key;

mod books;

use books::{Books, Numbers};

/// Both labels hold the same, as with controller-runtime.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    name: String,
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DepthLabels {
    name: String,
    controller: String,
    priority: u8,
}

/// The books of one controller's queue.
#[derive(Debug)]
pub struct Queue {
    name: String,
    books: Mutex<Books>,
    waited: Histogram,
    worked: Histogram,
    retries: Counter,
}

/// One run of an object, from when kube-runtime begins it until this is dropped.
#[derive(Debug)]
pub struct Turn {
    queue: Arc<Queue>,
    id: u64,
}

impl Queue {
    fn new(name: String) -> Self {
        // Those of controller-runtime: 10 ns to 1000 s.
        let histogram = || Histogram::new(exponential_buckets(1e-8, 10.0, 12));
        Self {
            name,
            books: Mutex::default(),
            waited: histogram(),
            worked: histogram(),
            retries: Counter::default(),
        }
    }

    /// Work begins; further calls do nothing.
    pub fn open(&self) {
        self.books().opened.get_or_insert_with(Instant::now);
    }

    /// Somebody wants a run at once.
    pub fn add(&self, key: Key) {
        self.books().enter(key, Instant::now());
    }

    /// A run wants another one after a time.
    pub fn again(&self, key: Key, after: Duration) {
        self.retries.inc();
        let now = Instant::now();
        // What cannot be counted to never comes.
        if let Some(due) = now.checked_add(after) {
            self.books().enter(key, due);
        }
    }

    /// An object is gone before its turn came.
    pub fn forget(&self, key: &Key) {
        self.books().forget(key, Instant::now());
    }

    /// It is an object's turn, as soon as a worker is free.
    pub fn turn(self: &Arc<Self>, key: &Key) -> Turn {
        Turn {
            id: self.books().take(key, Instant::now()),
            queue: self.clone(),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labels(&self) -> QueueLabels {
        QueueLabels {
            name: self.name.clone(),
            controller: self.name.clone(),
        }
    }
}

impl Turn {
    /// A worker is there.
    pub fn begin(&self) {
        let waited = self.queue.books().begin(self.id, Instant::now());
        if let Some(waited) = waited {
            self.queue.waited.observe(waited.as_secs_f64());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let worked = self.queue.books().end(self.id, Instant::now());
        if let Some(worked) = worked {
            self.queue.worked.observe(worked.as_secs_f64());
        }
    }
}

/// All queues of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues(Arc<Mutex<Vec<Arc<Queue>>>>);

impl Queues {
    /// The queue of a controller that begins.
    pub(super) fn create(&self, controller: &str) -> Arc<Queue> {
        let queue = Arc::new(Queue::new(controller.to_owned()));
        self.all().push(queue.clone());
        queue
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let now = Instant::now();
        let queues = self.all().clone();
        let numbers: Vec<_> = queues.iter().map(|q| q.books().numbers(now)).collect();
        let each = || queues.iter().zip(&numbers);

        let (name, help) = ("workqueue_depth", "Objects that wait for a worker");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (queue, numbers) in each() {
            let QueueLabels { name, controller } = queue.labels();
            let labels = DepthLabels {
                name,
                controller,
                priority: 0,
            };
            let depth = i64::try_from(numbers.depth).unwrap_or(i64::MAX);
            ConstGauge::new(depth).encode(family.encode_family(&labels)?)?;
        }
        let mut counter = |name, help, value: &dyn Fn(&Queue, &Numbers) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            each().try_for_each(|(queue, numbers)| {
                let value = ConstCounter::new(value(queue, numbers));
                value.encode(family.encode_family(&queue.labels())?)
            })
        };
        let (name, help) = ("workqueue_adds", "Objects that became due");
        counter(name, help, &|_, numbers| numbers.adds)?;
        let (name, help) = (
            "workqueue_retries",
            "Runs that asked for another one after a time",
        );
        counter(name, help, &|queue, _| queue.retries.get())?;
        let mut gauge = |name, help, value: &dyn Fn(&Numbers) -> Duration| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            each().try_for_each(|(queue, numbers)| {
                let value = ConstGauge::new(value(numbers).as_secs_f64());
                value.encode(family.encode_family(&queue.labels())?)
            })
        };
        let (name, help) = (
            "workqueue_unfinished_work_seconds",
            "How long the runs under way have taken so far, together",
        );
        gauge(name, help, &|numbers| numbers.unfinished)?;
        let (name, help) = (
            "workqueue_longest_running_processor_seconds",
            "How long the longest run under way has taken so far",
        );
        gauge(name, help, &|numbers| numbers.longest)?;
        let mut histogram = |name, help, value: &dyn Fn(&Queue) -> Histogram| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            queues
                .iter()
                .try_for_each(|queue| value(queue).encode(family.encode_family(&queue.labels())?))
        };
        let (name, help) = (
            "workqueue_queue_duration_seconds",
            "How long objects that were due waited for a worker",
        );
        histogram(name, help, &|queue| queue.waited.clone())?;
        let (name, help) = ("workqueue_work_duration_seconds", "How long runs took");
        histogram(name, help, &|queue| queue.worked.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_given_up_counts_as_no_work() {
        let queues = Queues::default();
        let queue = queues.create("x");
        queue.open();
        let key = Key::new("foo", "a");
        queue.add(key.clone());
        drop(queue.turn(&key));
        let turn = queue.turn(&key);
        turn.begin();
        drop(turn);
        queue.again(key, Duration::MAX);
        let numbers = queue.books().numbers(Instant::now());
        assert_eq!((numbers.depth, numbers.adds), (0, 2));
        assert_eq!(queue.retries.get(), 1);
    }
}

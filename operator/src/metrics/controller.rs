//! What each controller does, under the names of controller-runtime.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::duration_histogram;
use super::queue::{Queue, Queues};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    controller: String,
    result: String,
}

/// Metrics of all controllers.
pub(super) struct Controllers {
    reconciles: Family<ResultLabels, Counter>,
    times: Family<NameLabels, Histogram, fn() -> Histogram>,
    errors: Family<NameLabels, Counter>,
    workers: Family<NameLabels, Gauge>,
    most_workers: Family<NameLabels, Gauge>,
    queues: Queues,
}

/// Metrics of one controller.
pub struct Controller {
    /// Who waits for it.
    pub queue: Arc<Queue>,
    succeeded: Counter,
    failed: Counter,
    times: Histogram,
    errors: Counter,
    workers: Gauge,
}

/// A worker that is busy until this is dropped.
pub struct Working(Gauge);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Controllers {
    fn default() -> Self {
        Self {
            reconciles: Family::default(),
            times: Family::new_with_constructor(duration_histogram as fn() -> Histogram),
            errors: Family::default(),
            workers: Family::default(),
            most_workers: Family::default(),
            queues: Queues::default(),
        }
    }
}

impl Controllers {
    pub(super) fn register(&self, registry: &mut Registry) {
        let (name, help) = (
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
        );
        registry.register(name, help, self.reconciles.clone());
        let (name, help) = (
            "controller_runtime_reconcile_time_seconds",
            "Duration of reconciles by controller",
        );
        registry.register(name, help, self.times.clone());
        let name = "controller_runtime_reconcile_errors";
        registry.register(name, "Reconciles that failed", self.errors.clone());
        let name = "controller_runtime_active_workers";
        registry.register(name, "Reconciles under way", self.workers.clone());
        let (name, help) = (
            "controller_runtime_max_concurrent_reconciles",
            "Reconciles of a kind at once",
        );
        registry.register(name, help, self.most_workers.clone());
        registry.register_collector(Box::new(self.queues.clone()));
    }

    /// Those of a controller that begins. All its series are there from then on: the increase of one
    /// that comes with its first value is not seen.
    pub(super) fn create(&self, controller: &str, most: u16) -> Controller {
        let labels = NameLabels {
            controller: controller.to_owned(),
        };
        let result = |result: &str| {
            self.reconciles.get_or_create_owned(&ResultLabels {
                controller: controller.to_owned(),
                result: result.to_owned(),
            })
        };
        let most = i64::from(most);
        self.most_workers.get_or_create(&labels).set(most);
        Controller {
            queue: self.queues.create(controller),
            succeeded: result("success"),
            failed: result("error"),
            times: self.times.get_or_create_owned(&labels),
            errors: self.errors.get_or_create_owned(&labels),
            workers: self.workers.get_or_create_owned(&labels),
        }
    }
}

impl Controller {
    /// Counts a worker as busy.
    pub fn working(&self) -> Working {
        self.workers.inc();
        Working(self.workers.clone())
    }

    /// Records a finished reconcile.
    pub fn reconciled(&self, took: Duration, ok: bool) {
        self.times.observe(took.as_secs_f64());
        if ok {
            self.succeeded.inc();
        } else {
            self.failed.inc();
            self.errors.inc();
        }
    }
}

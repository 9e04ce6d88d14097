//! Metrics, under the names that dashboards for Flux's controllers use.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::key::Key;

mod process;

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ObjectLabels {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// Names a condition of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    kind: String,
    name: String,
    namespace: String,
    r#type: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    host: Arc<str>,
    method: String,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    duration: Family<ObjectLabels, Histogram, fn() -> Histogram>,
    suspended: Family<ObjectLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    reconciles: Family<ControllerLabels, Counter>,
    times: Family<NameLabels, Histogram, fn() -> Histogram>,
    errors: Family<NameLabels, Counter>,
    workers: Family<NameLabels, Gauge>,
    most_workers: Family<NameLabels, Gauge>,
    leading: Family<LeaseLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    limit: Gauge,
    verified: Gauge,
    verified_keys: Mutex<HashSet<Key>>,
}

/// A worker that is busy until this is dropped.
pub struct Working(Gauge);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Ten buckets from 10 ms to half an hour, each about 3.8 times the one before.
fn duration_histogram() -> Histogram {
    let factor = (1800.0_f64 / 0.01).powf(1.0 / 9.0);
    Histogram::new((0..10).map(move |n| 0.01 * factor.powi(n)))
}

impl Default for Metrics {
    fn default() -> Self {
        let duration = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let (suspended, conditions) = (Family::default(), Family::default());
        let times = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let reconciles = Family::default();
        let metrics = Self {
            registry: Mutex::default(),
            duration,
            suspended,
            conditions,
            reconciles,
            times,
            errors: Family::default(),
            workers: Family::default(),
            most_workers: Family::default(),
            leading: Family::default(),
            requests: Family::default(),
            limit: Gauge::default(),
            verified: Gauge::default(),
            verified_keys: Mutex::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry();
        let name = "gotk_reconcile_duration_seconds";
        registry.register(name, "Duration of reconciles", self.duration.clone());
        let name = "gotk_suspend_status";
        registry.register(
            name,
            "Whether an object is suspended",
            self.suspended.clone(),
        );
        let (name, help) = (
            "gotk_reconcile_condition",
            "The Ready condition of an object",
        );
        registry.register(name, help, self.conditions.clone());
        let name = "controller_runtime_reconcile";
        registry.register(
            name,
            "Reconciles by controller and result",
            self.reconciles.clone(),
        );
        let name = "controller_runtime_reconcile_time_seconds";
        let help = "Duration of reconciles by controller";
        registry.register(name, help, self.times.clone());
        let name = "controller_runtime_reconcile_errors";
        registry.register(name, "Reconciles that failed", self.errors.clone());
        let name = "controller_runtime_active_workers";
        registry.register(name, "Reconciles under way", self.workers.clone());
        let name = "controller_runtime_max_concurrent_reconciles";
        registry.register(
            name,
            "Reconciles of a kind at once",
            self.most_workers.clone(),
        );
        let name = "leader_election_master_status";
        registry.register(
            name,
            "Whether this process holds a Lease",
            self.leading.clone(),
        );
        let name = "rest_client_requests";
        registry.register(name, "Requests to the API server", self.requests.clone());
        let name = "flux_sync_api_concurrency";
        registry.register(
            name,
            "Requests to the API server allowed at once",
            self.limit.clone(),
        );
        registry.register_collector(Box::new(process::Process));
        let name = "flux_sync_kustomizations_verified";
        let help = "Kustomizations found to be as their source says since the process started";
        registry.register(name, help, self.verified.clone());
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a worker of a controller as busy.
    pub fn working(&self, controller: &str) -> Working {
        let gauge = self.workers.get_or_create_owned(&name_labels(controller));
        gauge.inc();
        Working(gauge)
    }

    /// Records how many reconciles of a controller may be under way.
    pub fn workers(&self, controller: &str, most: u16) {
        self.most_workers
            .get_or_create(&name_labels(controller))
            .set(i64::from(most));
    }

    /// Records whether a Lease is held.
    pub fn leading(&self, lease: &str, leading: bool) {
        let name = lease.to_owned();
        self.leading
            .get_or_create(&LeaseLabels { name })
            .set(i64::from(leading));
    }

    /// Records an answered request to the API server; `code` is `<error>` without an answer.
    pub fn requested(&self, host: &Arc<str>, method: &str, code: &str) {
        let labels = RequestLabels {
            code: code.to_owned(),
            host: host.clone(),
            method: method.to_owned(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Records how many requests to the API server may be under way.
    pub fn api_concurrency(&self, limit: usize) {
        self.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    /// Records whether a Kustomization is as its source says.
    pub fn verified(&self, key: &Key, verified: bool) {
        let mut keys = self.verified_keys();
        if verified {
            keys.insert(key.clone());
        } else {
            keys.remove(key);
        }
        self.verified
            .set(i64::try_from(keys.len()).unwrap_or(i64::MAX));
    }

    fn verified_keys(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.verified_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a finished reconcile.
    pub fn reconciled(&self, object: &ObjectLabels, controller: &str, took: Duration, ok: bool) {
        self.duration
            .get_or_create(object)
            .observe(took.as_secs_f64());
        self.times
            .get_or_create(&name_labels(controller))
            .observe(took.as_secs_f64());
        let result = if ok { "success" } else { "error" };
        let labels = ControllerLabels {
            controller: controller.to_owned(),
            result: result.to_owned(),
        };
        self.reconciles.get_or_create(&labels).inc();
        if !ok {
            self.errors.get_or_create(&name_labels(controller)).inc();
        }
    }

    /// Records the Ready condition.
    pub fn ready(&self, object: &ObjectLabels, status: &str) {
        for candidate in ["True", "False", "Unknown"] {
            let value = i64::from(candidate == status);
            self.conditions
                .get_or_create(&condition_labels(object, candidate))
                .set(value);
        }
    }

    /// Records whether the object is suspended.
    pub fn suspended(&self, object: &ObjectLabels, suspended: bool) {
        self.suspended
            .get_or_create(object)
            .set(i64::from(suspended));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectLabels) {
        self.duration.remove(object);
        self.suspended.remove(object);
        if object.kind == "Kustomization" {
            self.verified(&Key::new(&object.namespace, &object.name), false);
        }
        for status in ["True", "False", "Unknown"] {
            self.conditions.remove(&condition_labels(object, status));
        }
    }

    /// The text that a scrape reads.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.registry();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

fn name_labels(controller: &str) -> NameLabels {
    NameLabels {
        controller: controller.to_owned(),
    }
}

fn condition_labels(object: &ObjectLabels, status: &str) -> ConditionLabels {
    ConditionLabels {
        kind: object.kind.clone(),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        r#type: "Ready".to_owned(),
        status: status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_come_and_go_with_their_object() {
        let metrics = Metrics::default();
        let object = ObjectLabels {
            kind: "GitRepository".into(),
            name: "apps".into(),
            namespace: "foo".into(),
        };
        metrics.reconciled(&object, "gitrepository", Duration::from_millis(20), true);
        metrics.ready(&object, "True");
        metrics.suspended(&object, false);
        let text = metrics.encode();
        assert!(text.contains(
            r#"gotk_reconcile_condition{kind="GitRepository",name="apps",namespace="foo",type="Ready",status="True"} 1"#
        ), "{text}");
        assert!(text.contains("gotk_reconcile_duration_seconds_count"));
        metrics.forget(&object);
        assert!(!metrics.encode().contains("apps"));
    }

    #[test]
    fn kustomizations_are_counted_once_and_only_while_verified() {
        let metrics = Metrics::default();
        let [a, b] = ["a", "b"].map(|name| Key::new("foo", name));
        for (key, verified, count) in [
            (&a, true, 1),
            (&a, true, 1),
            (&b, true, 2),
            (&a, false, 1),
            (&a, false, 1),
        ] {
            metrics.verified(key, verified);
            let line = format!("flux_sync_kustomizations_verified {count}\n");
            assert!(metrics.encode().contains(&line), "{key} {verified}");
        }
        let object = ObjectLabels {
            kind: "Kustomization".into(),
            name: "b".into(),
            namespace: "foo".into(),
        };
        metrics.forget(&object);
        assert!(
            metrics
                .encode()
                .contains("flux_sync_kustomizations_verified 0\n")
        );
    }

    #[test]
    fn workers_are_busy_as_long_as_they_work() {
        let metrics = Metrics::default();
        let line =
            |count| format!("controller_runtime_active_workers{{controller=\"x\"}} {count}\n");
        let working = metrics.working("x");
        assert!(metrics.encode().contains(&line(1)));
        drop(working);
        assert!(metrics.encode().contains(&line(0)));
    }
}

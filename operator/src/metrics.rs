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

mod controller;
mod process;
mod queue;

use controller::Controllers;
pub use controller::{Controller, Working};
pub use queue::{Queue, Turn};

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
    controllers: Controllers,
    leading: Family<LeaseLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    limit: Gauge,
    verified: Gauge,
    verified_keys: Mutex<HashSet<Key>>,
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
        let metrics = Self {
            registry: Mutex::default(),
            duration,
            suspended,
            conditions,
            controllers: Controllers::default(),
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
        self.controllers.register(&mut registry);
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

    /// Those of a controller that begins, of which so many reconciles may be under way.
    pub fn controller(&self, name: &str, most: u16) -> Controller {
        self.controllers.create(name, most)
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
    pub fn reconciled(&self, object: &ObjectLabels, took: Duration) {
        self.duration
            .get_or_create(object)
            .observe(took.as_secs_f64());
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
        metrics.reconciled(&object, Duration::from_millis(20));
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

    /// What OpenMetrics, as which the text is served, asks of families and the names in them.
    #[test]
    fn each_sample_is_of_the_family_before_it() {
        let metrics = Metrics::default();
        let controller = metrics.controller("x", 1);
        controller.reconciled(Duration::from_millis(1), true);
        metrics.requested(&"10.96.0.1:443".into(), "GET", "200");
        let text = metrics.encode();
        let mut families = HashSet::new();
        let (mut family, mut suffixes) = ("", [""].as_slice());
        for line in text.strip_suffix("# EOF\n").unwrap().lines() {
            if let Some(line) = line.strip_prefix("# TYPE ") {
                let (name, kind) = line.split_once(' ').unwrap();
                assert!(families.insert(name), "twice: {name}");
                family = name;
                suffixes = match kind {
                    "counter" => &["_total"],
                    "histogram" => &["_sum", "_count", "_bucket"],
                    _ => &[""],
                };
            } else if !line.starts_with('#') {
                let suffix = line.split(['{', ' ']).next().unwrap();
                let suffix = suffix.strip_prefix(family);
                assert!(suffix.is_some_and(|s| suffixes.contains(&s)), "{line}");
            }
        }
        for name in [
            "workqueue_depth",
            "rest_client_requests",
            "process_cpu_seconds",
        ] {
            assert!(families.contains(name), "{name}");
        }
    }

    #[test]
    fn workers_are_busy_as_long_as_they_work() {
        let metrics = Metrics::default();
        let line =
            |count| format!("controller_runtime_active_workers{{controller=\"x\"}} {count}\n");
        let controller = metrics.controller("x", 1);
        let working = controller.working();
        assert!(metrics.encode().contains(&line(1)));
        drop(working);
        assert!(metrics.encode().contains(&line(0)));
    }
}

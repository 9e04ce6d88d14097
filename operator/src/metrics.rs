//! Metrics, under the names that dashboards for Flux's controllers use.

use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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

/// All metrics of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    duration: Family<ObjectLabels, Histogram, fn() -> Histogram>,
    suspended: Family<ObjectLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    reconciles: Family<ControllerLabels, Counter>,
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
        let reconciles = Family::default();
        let mut registry = Registry::default();
        registry.register(
            "gotk_reconcile_duration_seconds",
            "Duration of reconciles",
            duration.clone(),
        );
        registry.register(
            "gotk_suspend_status",
            "Whether an object is suspended",
            suspended.clone(),
        );
        registry.register(
            "gotk_reconcile_condition",
            "The current Ready condition of an object",
            conditions.clone(),
        );
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles by controller and result",
            reconciles.clone(),
        );
        Self {
            registry: Mutex::new(registry),
            duration,
            suspended,
            conditions,
            reconciles,
        }
    }
}

impl Metrics {
    /// Records a finished reconcile.
    pub fn reconciled(&self, object: &ObjectLabels, controller: &str, took: Duration, ok: bool) {
        self.duration
            .get_or_create(object)
            .observe(took.as_secs_f64());
        let result = if ok { "success" } else { "error" };
        let labels = ControllerLabels {
            controller: controller.to_owned(),
            result: result.to_owned(),
        };
        self.reconciles.get_or_create(&labels).inc();
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
        for status in ["True", "False", "Unknown"] {
            self.conditions.remove(&condition_labels(object, status));
        }
    }

    /// The text that a scrape reads.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
}

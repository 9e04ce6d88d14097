//! What Prometheus may know.

use std::collections::HashMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Bounds of the latency buckets, in seconds: from a tenth of the handler's target to its deadline.
const BUCKETS: [f64; 10] = [
    0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReviewLabels {
    stage: &'static str,
    kind: &'static str,
    operation: String,
    allowed: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RuleLabels {
    rule: &'static str,
}

/// All metrics of this program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    rules: Family<RuleLabels, Counter>,
    duration: Histogram,
    unjudged: Counter,
    violations: Family<RuleLabels, Gauge>,
    certificate_end: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("flux_admission");
        let reviews = Family::default();
        let rules = Family::default();
        let duration = Histogram::new(BUCKETS);
        let unjudged = Counter::default();
        let violations = Family::<RuleLabels, Gauge>::default();
        let certificate_end = Gauge::default();
        registry.register("reviews", "Answered admission reviews", reviews.clone());
        registry.register("findings", "Findings told, by rule", rules.clone());
        registry.register(
            "review_duration_seconds",
            "Time from reading a request to its answer",
            duration.clone(),
        );
        registry.register(
            "unjudged",
            "Reviews let through because a rule panicked or took too long",
            unjudged.clone(),
        );
        registry.register(
            "violations",
            "Objects in the cluster that a rule finds something in, by the last scan",
            violations.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "End of the serving certificate",
            certificate_end.clone(),
        );
        Self {
            registry,
            reviews,
            rules,
            duration,
            unjudged,
            violations,
            certificate_end,
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(
        &self,
        stage: crate::admission::Stage,
        operation: &str,
        answer: &crate::admission::Answer,
        took: Duration,
    ) {
        let labels = ReviewLabels {
            stage: stage.as_str(),
            kind: answer.kind.map_or("other", flux_rules::Kind::name),
            // A forged request must not invent labels.
            operation: match operation {
                "CREATE" | "UPDATE" => operation.to_owned(),
                _ => "other".to_owned(),
            },
            allowed: if answer.allowed { "true" } else { "false" },
        };
        self.reviews.get_or_create(&labels).inc();
        for rule in &answer.rules {
            self.rules.get_or_create(&RuleLabels { rule }).inc();
        }
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a review that was let through without a judgement.
    pub fn unjudged(&self) {
        self.unjudged.inc();
    }

    /// Remembers what a scan found: objects by rule.
    pub fn violations(&self, counts: &HashMap<&'static str, i64>) {
        for (&rule, &count) in counts {
            self.violations
                .get_or_create(&RuleLabels { rule })
                .set(count);
        }
    }

    /// Remembers when the serving certificate ends (Unix seconds).
    pub fn certificate_ends(&self, at: i64) {
        self.certificate_end.set(at);
    }

    /// The exposition in OpenMetrics' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

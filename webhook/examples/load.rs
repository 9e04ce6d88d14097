//! Figures of the handler under load: latency at 1,000 reviews a second, the most it answers, and
//! memory, with the caches of a large cluster.
//!
//! `cargo run --profile dist -p flux-admission-webhook --example load [SECONDS]`
//!
//! The handler is everything between the bytes of a request and those of its answer: reading,
//! rules, writing. TLS and HTTP framing are not in it.
#![expect(clippy::print_stdout, reason = "figures are what this prints")]
#![expect(clippy::expect_used, reason = "a measurement that cannot go on stops")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use flux_admission_webhook::certificates::Served;
use flux_admission_webhook::decisions::Decisions;
use flux_admission_webhook::metrics::Metrics;
use flux_admission_webhook::readiness::Readiness;
use flux_admission_webhook::server::{App, router};
use flux_admission_webhook::store::Store;
use flux_rules::{Context, Fact, Facts, IngressClass, Key, Kind, Settings};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const INGRESSES: usize = 12_000;
const FLUX: usize = 1_000; // of each of five kinds
const RATE: u32 = 1_000;

/// The caches, without a cluster behind them.
struct Caches(Arc<Store>);

impl Facts for Caches {
    fn ingress_classes(&self) -> Fact<Vec<IngressClass>> {
        Fact::Present(vec![IngressClass {
            name: "nginx".to_owned(),
            controller: "k8s.io/ingress-nginx".to_owned(),
            default: false,
        }])
    }

    fn object(&self, kind: Kind, namespace: &str, name: &str) -> Fact<Arc<Value>> {
        self.0.get(kind, namespace, name)
    }

    fn indexed(&self, kind: Kind, key: Key) -> Fact<Vec<Arc<Value>>> {
        self.0.indexed(kind, key)
    }
}

fn object(kind: Kind, index: usize) -> Value {
    let namespace = format!("team-{}", index % 100);
    let name = format!("app-{index}");
    let spec = match kind {
        Kind::GitRepository => {
            json!({"url": format!("ssh://git@github.com/org/{name}"), "interval": "5m",
            "ref": {"branch": "main"}, "secretRef": {"name": "key"}})
        }
        Kind::ImageRepository => json!({"image": format!("ghcr.io/org/{name}"), "interval": "10m"}),
        Kind::ImagePolicy => json!({"imageRepositoryRef": {"name": name},
            "filterTags": {"pattern": "^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "extract": "$ts"},
            "policy": {"numerical": {"order": "asc"}}}),
        Kind::ImageUpdateAutomation => {
            json!({"interval": "30m", "sourceRef": {"kind": "GitRepository", "name": name},
            "git": {"checkout": {"ref": {"branch": "main"}}, "commit": {"author": {"email": "a@b.c"},
            "messageTemplate": "{{ range .Changed.Changes }}{{ .OldValue }} -> {{ .NewValue }}{{ end }}"}},
            "update": {"path": format!("./{name}"), "strategy": "Setters"}})
        }
        Kind::Kustomization => {
            json!({"interval": "10m", "prune": true, "path": format!("./{name}"),
            "sourceRef": {"kind": "GitRepository", "name": name}, "dependsOn": [{"name": format!("app-{}", index.saturating_sub(100))}]})
        }
        Kind::Ingress => {
            json!({"ingressClassName": "nginx", "tls": [{"hosts": [format!("{name}.example.com")], "secretName": "tls"}],
            "rules": [{"host": format!("{name}.example.com"), "http": {"paths": [
                {"path": "/api(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": {"service": {"name": name, "port": {"number": 80}}}},
                {"path": "/static(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": {"service": {"name": "static", "port": {"name": "http"}}}}]}}]})
        }
    };
    let annotations = if kind == Kind::Ingress {
        json!({"nginx.ingress.kubernetes.io/rewrite-target": "/$2", "nginx.ingress.kubernetes.io/proxy-body-size": "8m"})
    } else {
        json!({})
    };
    json!({"apiVersion": format!("{}/v1", kind.group()), "kind": kind.name(),
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations}, "spec": spec})
}

fn review(index: usize) -> Vec<u8> {
    let kind = Kind::ALL
        .get(index % Kind::ALL.len())
        .copied()
        .unwrap_or(Kind::Ingress);
    let object = object(kind, index % FLUX);
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "UPDATE", "userInfo": {"username": "jane"},
        "object": object, "oldObject": object}});
    review.to_string().into_bytes()
}

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len() as f64) * share) as usize;
    let value = sorted.get(index.min(sorted.len().saturating_sub(1)));
    value.copied().unwrap_or_default().as_secs_f64() * 1000.0
}

#[tokio::main]
async fn main() {
    let seconds: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    println!("empty: {:.1} MiB resident", resident());
    let store = Store::new();
    for kind in Kind::ALL {
        let count = if kind == Kind::Ingress {
            INGRESSES
        } else {
            FLUX
        };
        store.fill(kind, (0..count).map(|index| object(kind, index)));
    }
    println!(
        "{INGRESSES} Ingresses and {} Flux objects cached: {:.1} MiB resident",
        FLUX * 5,
        resident()
    );
    let readiness = Arc::new(Readiness::new(Arc::new(Served::default()), None, None));
    let decisions = Decisions::new("flux-system", Settings::default());
    let context = Context::new(Settings::default(), Arc::new(Caches(store)));
    let app = router(App::new(
        context,
        decisions,
        Arc::new(Metrics::default()),
        readiness,
    ));
    let ask = async |index: usize| {
        let request = Request::post("/validate")
            .body(Body::from(review(index)))
            .expect("a request");
        let started = Instant::now();
        let answer = app.clone().oneshot(request).await.expect("an answer");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .expect("a body");
        assert!(!body.is_empty());
        started.elapsed()
    };

    let mut latencies = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    for index in 0..(RATE * seconds) as usize {
        ticks.tick().await;
        latencies.push(ask(index).await);
    }
    latencies.sort_unstable();
    println!(
        "{RATE} reviews a second for {seconds} s: p50 {:.3} ms, p99 {:.3} ms, worst {:.3} ms; {:.1} MiB resident",
        percentile(&latencies, 0.5),
        percentile(&latencies, 0.99),
        percentile(&latencies, 1.0),
        resident()
    );

    let before = cpu();
    let mut answered = 0_usize;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(u64::from(seconds) / 2 + 1) {
        ask(answered).await;
        answered += 1;
    }
    let used = cpu() - before;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = answered as f64 / used;
    println!(
        "one after the other: {rate:.0} reviews a second of processor time (one core), generator included"
    );
}

/// Processor seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or_default()
    };
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

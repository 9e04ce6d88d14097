//! The background scan: what is wrong with objects that are there already.
//!
//! By one replica, every ten minutes and on change: an event on the object, a gauge per rule. The
//! objects themselves are never written.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use flux_rules::{Context, Finding, Kind, Mode, Severity};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use crate::decisions::Decisions;
use crate::lease::Leader;
use crate::metrics::Metrics;
use crate::store::{Change, Store};

/// How often everything is looked at.
const PERIOD: Duration = Duration::from_secs(600);

/// How long changes are collected: an apply of many objects is one look.
const SETTLE: Duration = Duration::from_secs(2);

/// Longest message of an event, in bytes (the API's limit is 1024).
const LONGEST: usize = 1000;

/// What the scan works with.
#[derive(Clone)]
pub struct Scan {
    /// To publish events.
    pub client: Client,
    /// The objects.
    pub store: Arc<Store>,
    /// What rules may ask.
    pub context: Context,
    /// Which rules matter.
    pub decisions: Arc<Decisions>,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    /// Whether it is this replica's turn.
    pub leader: Arc<Leader>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}

/// What is known about the objects with findings.
#[derive(Debug, Default)]
struct Known(HashMap<Change, Vec<(&'static str, Severity)>>);

impl Known {
    /// Objects per rule.
    fn counts(&self) -> HashMap<&'static str, i64> {
        let mut counts: HashMap<&'static str, i64> =
            flux_rules::rules().map(|rule| (rule.id, 0)).collect();
        for found in self.0.values() {
            let rules: HashSet<&str> = found.iter().map(|(rule, _)| *rule).collect();
            for rule in rules {
                if let Some(count) = counts.get_mut(rule) {
                    *count += 1;
                }
            }
        }
        counts
    }
}

impl Scan {
    /// Scans for ever.
    pub async fn run(self) {
        let mut known = Known::default();
        let mut changes = self.store.changes();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut started = tokio::time::interval(SETTLE);
        // Kinds that were listed when everything was looked at last.
        let mut seen = 0;
        loop {
            let mut changed: HashSet<Change> = HashSet::new();
            let mut everything = false;
            tokio::select! {
                _ = ticks.tick() => everything = true,
                // What a first list brings is no change.
                _ = started.tick() => everything = self.listed() > seen,
                change = changes.recv() => match change {
                    Ok(change) => {
                        changed.insert(change);
                        tokio::time::sleep(SETTLE).await;
                        loop {
                            match changes.try_recv() {
                                Ok(change) => _ = changed.insert(change),
                                Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => everything = true,
                                Err(_) => break,
                            }
                        }
                    }
                    Err(RecvError::Lagged(_)) => everything = true,
                    Err(RecvError::Closed) => return,
                },
            }
            if !self.leader.is_me() {
                // Whoever takes over begins with everything, and alone says how much there is.
                if seen != 0 {
                    known = Known::default();
                    self.metrics.violations(&known.counts());
                }
                seen = 0;
                continue;
            }
            if everything {
                seen = self.listed();
                known.0.clear();
                changed.extend(self.all());
            }
            if changed.is_empty() && !everything {
                continue;
            }
            for change in changed {
                self.look(change, &mut known).await;
            }
            self.metrics.violations(&known.counts());
        }
    }

    fn listed(&self) -> usize {
        let kinds = Kind::ALL.into_iter();
        kinds.filter(|kind| self.store.is_complete(*kind)).count()
    }

    fn all(&self) -> impl Iterator<Item = Change> {
        Kind::ALL.into_iter().flat_map(|kind| {
            let names = self.store.names(kind).into_iter();
            names.map(move |(namespace, name)| Change {
                kind,
                namespace,
                name,
            })
        })
    }

    async fn look(&self, change: Change, known: &mut Known) {
        known.0.remove(&change);
        let Change {
            kind,
            namespace,
            name,
        } = &change;
        let Some(object) = self.store.get(*kind, namespace, name).present() else {
            return;
        };
        let policy = self.decisions.policy();
        let mut context = self.context.clone();
        context.settings = policy.settings;
        // Whoever switched a namespace off is not told about it either.
        let label = self.context.facts().namespace(namespace).present();
        let label = label.and_then(|labels| labels.get(flux_rules::MODE_LABEL).cloned());
        let mode = policy.mode("", label.as_deref()).min(Mode::Enforce);
        let work = {
            let object = Arc::clone(&object);
            move || policy.judge(&object, None, &context, mode)
        };
        let Ok(review) = tokio::task::spawn_blocking(work).await else {
            self.metrics.unjudged();
            return;
        };
        let findings: Vec<&Finding> = review
            .findings
            .iter()
            .filter(|finding| finding.severity > Severity::Note)
            .collect();
        if findings.is_empty() {
            return;
        }
        self.tell(*kind, &object, &findings).await;
        let told = findings.iter().map(|found| (found.rule, found.severity));
        known.0.insert(change.clone(), told.collect());
    }

    /// An event. Its name is made from what it says, so that the same is not said twice while the
    /// API server keeps it, whichever replica says it.
    async fn tell(&self, kind: Kind, object: &Value, findings: &[&Finding]) {
        let Some(event) = event(kind, object, findings) else {
            return;
        };
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 404) => {}
            Err(error) => {
                let error = crate::install::reason(&error);
                tracing::debug!(error, "cannot publish an event");
            }
        }
    }
}

fn event(kind: Kind, object: &Value, findings: &[&Finding]) -> Option<Event> {
    let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    let (name, uid) = (text("/metadata/name")?, text("/metadata/uid"));
    let namespace = text("/metadata/namespace")?;
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let mut message = lines.join("\n");
    if message.len() > LONGEST {
        let end = (0..=LONGEST)
            .rev()
            .find(|end| message.is_char_boundary(*end))?;
        message.truncate(end);
        message.push_str("...");
    }
    let mut hasher = DefaultHasher::new();
    (&message, &uid).hash(&mut hasher);
    let now = Time(Timestamp::now());
    Some(Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:016x}", hasher.finish())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: text("/apiVersion"),
            kind: Some(kind.name().to_owned()),
            name: Some(name),
            namespace: Some(namespace),
            uid,
            ..ObjectReference::default()
        },
        reason: Some("ManifestFindings".to_owned()),
        message: Some(message),
        type_: Some("Warning".to_owned()),
        source: Some(EventSource {
            component: Some("admission-webhook".to_owned()),
            ..EventSource::default()
        }),
        reporting_component: Some("admission-webhook".to_owned()),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        ..Event::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_all_and_has_the_same_name_again() {
        let object = json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy",
            "metadata": {"name": "a", "namespace": "b", "uid": "1"}});
        let finding = |message: &str| Finding {
            rule: "IP17",
            severity: Severity::Warning,
            path: String::new(),
            pointer: String::new(),
            message: message.to_owned(),
            fix: None,
        };
        let (one, two) = (finding("x"), finding(&"é".repeat(2000)));
        let first = event(Kind::ImagePolicy, &object, &[&one]).expect("an event");
        let again = event(Kind::ImagePolicy, &object, &[&one]).expect("an event");
        assert_eq!(first.metadata.name, again.metadata.name);
        assert_eq!(first.message.as_deref(), Some("[IP17] x"));
        let long = event(Kind::ImagePolicy, &object, &[&one, &two]).expect("an event");
        assert!(long.message.expect("a message").len() <= 1024);
    }
}

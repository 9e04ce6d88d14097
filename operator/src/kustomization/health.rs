//! Waiting for health without holding a worker.
//!
//! The wait is a task of its own; the run that started it ends. When the wait is over it wakes the
//! object, and that run only concludes. A new revision, a changed spec or a request ends the wait
//! and starts over; so does whatever else changes what is to be applied. A correction of what
//! others changed is applied, too, but within the time of the wait that it interrupts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flux_api::names::{self, reason};
use flux_api::{ObjectId, conditions, go_string};
use flux_apply::object::Gvk;
use flux_apply::wait::{Target, WaitError};
use kube::ResourceExt;

use super::run::Run;
use super::{inventory, timeout};
use crate::conclusion::Verdict;
use crate::context::Shared;
use crate::events::Event;
use crate::key::Key;
use crate::source::Source;

/// A wait that ends sooner than this is awaited by the run itself: most objects are healthy when
/// they are applied, and a flicker of Unknown would be noise.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How a wait ended.
type Ended = Result<Duration, String>;

/// What a wait is for: everything that decides what is applied, and the handled request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purpose {
    revision: String,
    /// Of the source's files; ignore rules change it, too.
    content: String,
    generation: i64,
    /// How often ConfigMaps and Secrets that are referred to had changed.
    references: u64,
    request: Option<String>,
}

struct Wait {
    purpose: Purpose,
    /// Its time counts from here.
    since: Instant,
    /// Whether it is news that all is well: it was not, or a new revision changed something.
    news: bool,
    /// Somebody changed what was applied.
    disturbed: AtomicBool,
    ended: Mutex<Option<Ended>>,
    task: tokio::task::AbortHandle,
}

/// Waits under way, by Kustomization.
#[derive(Default)]
pub struct HealthWaits(Shared<Arc<Wait>>);

impl HealthWaits {
    /// Ends the wait of an object.
    pub fn abort(&self, key: &Key) {
        if let Some(wait) = self.0.remove(key) {
            wait.task.abort();
        }
    }

    /// Has the next run apply what somebody changed, instead of waiting on.
    pub fn disturb(&self, key: &Key) {
        if let Some(wait) = self.0.get(key) {
            wait.disturbed.store(true, Ordering::Relaxed);
        }
    }

    /// Ends a wait that was to go on after a correction, which failed.
    pub(super) fn give_up(&self, key: &Key) {
        if self.0.get(key).is_some_and(|wait| wait.is_disturbed()) {
            self.abort(key);
        }
    }

    /// Since when there is a wait for this.
    fn since(&self, key: &Key, purpose: &Purpose) -> Option<Instant> {
        let wait = self.0.get(key)?;
        (wait.purpose == *purpose).then_some(wait.since)
    }
}

impl Wait {
    fn is_disturbed(&self) -> bool {
        self.disturbed.load(Ordering::Relaxed)
    }
}

impl Run<'_> {
    fn purpose(&self, source: &Source) -> Purpose {
        Purpose {
            revision: source.revision().to_owned(),
            content: source.content().to_owned(),
            generation: self.generation(),
            references: self.references,
            request: self.object.annotations().get(names::REQUESTED_AT).cloned(),
        }
    }

    /// The verdict of a wait for this very state, if there is one: still waiting, or how it
    /// ended. Any other wait is ended.
    pub(super) fn awaited_health(&mut self, source: &Source) -> Option<Result<Verdict, Verdict>> {
        let wait = self.context.health.0.get(&self.key)?;
        if wait.purpose != self.purpose(source) {
            self.context.health.abort(&self.key);
            return None;
        }
        if wait.is_disturbed() {
            // It stays known, for its time goes on.
            wait.task.abort();
            return None;
        }
        let revision = source.revision();
        let ended = wait
            .ended
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        self.revision = Some(revision.to_owned());
        match ended {
            None => Some(Ok(self.still_waiting(revision))),
            Some(ended) => {
                self.context.health.0.remove(&self.key);
                // What was waited for is the outcome of the build that began the wait.
                self.digest = self.past().map(|past| past.digest.clone());
                Some(self.conclude_health(revision, ended, wait.news))
            }
        }
    }

    /// Starts a wait where the spec asks for one.
    pub(super) async fn check_health(&mut self, source: &Source) -> Result<Verdict, Verdict> {
        let revision = source.revision();
        let mut targets = self.health_targets();
        let expressions = self.health_expressions()?;
        for target in &mut targets {
            target.judge = expressions.judge(&target.gvk);
        }
        if targets.is_empty() {
            conditions::remove(&mut self.status.conditions, names::HEALTHY);
            return Ok(self.applied(revision));
        }
        let (context, key, limit) = (self.context.clone(), self.key.clone(), timeout(self.object));
        let purpose = self.purpose(source);
        let since = self.context.health.since(&self.key, &purpose);
        let since = since.unwrap_or_else(Instant::now);
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let applier = self.applier().await?;
        let fails_early = self.context.args.fails_early();
        let task = tokio::spawn(async move {
            let left = limit.saturating_sub(since.elapsed());
            let ended = applier.wait(targets, left, fails_early).await;
            let ended = ended.map(|()| since.elapsed()).map_err(|error| {
                // Whole seconds: what fails the same way again says the same again.
                let after = match error {
                    WaitError::Timeout(_) => limit,
                    WaitError::Failed(_) => Duration::from_secs(since.elapsed().as_secs()),
                };
                format!("health check failed after {}: {error}", go_string(after))
            });
            // The run may have stopped listening; then the result is left for the next one.
            if let Err(ended) = sender.send(ended)
                && let Some(wait) = context.health.0.get(&key)
            {
                *wait
                    .ended
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(ended);
                context.triggers.kustomizations.wake(&key);
            }
        });
        let was_healthy = conditions::is_true(&self.status.conditions, names::HEALTHY);
        let is_new = self.status.last_applied_revision.as_deref() != Some(revision);
        let news = !was_healthy || (is_new && self.changed);
        let wait = Wait {
            purpose,
            since,
            news,
            disturbed: AtomicBool::new(false),
            ended: Mutex::new(None),
            task: task.abort_handle(),
        };
        self.context.health.0.set(&self.key, Arc::new(wait));
        let ended = match tokio::time::timeout(AT_ONCE, &mut receiver).await {
            Ok(ended) => ended.ok(),
            Err(_) => {
                // What was sent in the very last moment must not be lost.
                receiver.close();
                receiver.try_recv().ok()
            }
        };
        match ended {
            Some(ended) => {
                self.context.health.0.remove(&self.key);
                self.conclude_health(revision, ended, news)
            }
            None => Ok(self.still_waiting(revision)),
        }
    }

    fn still_waiting(&mut self, revision: &str) -> Verdict {
        let message = format!(
            "Running health checks for revision {revision} with a timeout of {}",
            go_string(timeout(self.object))
        );
        let generation = self.generation();
        let (list, reason) = (&mut self.status.conditions, reason::PROGRESSING);
        let unknown = conditions::Status::Unknown;
        conditions::set(list, names::HEALTHY, unknown, reason, &message, generation);
        Verdict::Progressing { reason, message }
    }

    fn conclude_health(
        &mut self,
        revision: &str,
        ended: Ended,
        news: bool,
    ) -> Result<Verdict, Verdict> {
        let generation = self.generation();
        match ended {
            Ok(took) => {
                let message = format!("Health check passed in {}", go_string(took));
                let list = &mut self.status.conditions;
                if news || !conditions::is_true(list, names::HEALTHY) {
                    let reason = reason::SUCCEEDED;
                    conditions::set(list, names::HEALTHY, true, reason, &message, generation);
                }
                if news {
                    self.record(Event::normal(reason::PROGRESSING, message));
                }
                Ok(self.applied(revision))
            }
            Err(message) => {
                conditions::set(
                    &mut self.status.conditions,
                    names::HEALTHY,
                    false,
                    reason::HEALTH_CHECK_FAILED,
                    &message,
                    generation,
                );
                Err(self.failed(reason::HEALTH_CHECK_FAILED, message))
            }
        }
    }

    fn applied(&self, revision: &str) -> Verdict {
        Verdict::Ready {
            reason: reason::RECONCILIATION_SUCCEEDED,
            message: format!("Applied revision: {revision}"),
        }
    }

    fn health_targets(&self) -> Vec<Target> {
        let spec = &self.object.spec;
        if spec.wait {
            return inventory::entries(&self.status)
                .into_iter()
                .filter_map(|entry| {
                    let id = entry.object().ok()?;
                    let gvk = Gvk {
                        group: id.group.clone(),
                        version: entry.v,
                        kind: id.kind.clone(),
                    };
                    Some(Target {
                        id,
                        gvk,
                        judge: None,
                    })
                })
                .filter(|target| !self.is_self(&target.id) && !self.skipped.contains(&target.id))
                .collect();
        }
        spec.health_checks
            .iter()
            .map(|check| {
                let api_version = check.api_version.as_deref().filter(|v| !v.is_empty());
                let (group, version) = match api_version.unwrap_or("apps/v1").split_once('/') {
                    Some((group, version)) => (group.to_owned(), version.to_owned()),
                    None => (String::new(), api_version.unwrap_or_default().to_owned()),
                };
                let id = ObjectId {
                    namespace: check
                        .namespace
                        .clone()
                        .unwrap_or_else(|| self.key.namespace.clone()),
                    name: check.name.clone(),
                    group: group.clone(),
                    kind: check.kind.clone(),
                };
                Target {
                    id,
                    gvk: Gvk {
                        group,
                        version,
                        kind: check.kind.clone(),
                    },
                    judge: None,
                }
            })
            .collect()
    }

    /// A Kustomization that applies itself would wait for itself.
    fn is_self(&self, id: &ObjectId) -> bool {
        id.kind == "Kustomization"
            && id.group == "kustomize.toolkit.fluxcd.io"
            && id.name == self.key.name
            && id.namespace == self.key.namespace
    }
}

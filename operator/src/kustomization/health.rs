//! Waiting for health without holding a worker.
//!
//! The wait is a task of its own; the run that started it ends. When the wait is over it wakes the
//! object, and that run only concludes. A new revision, a changed spec or a request ends the wait
//! and starts over.

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

/// A wait that ends sooner than this is awaited by the run itself: most objects are healthy when
/// they are applied, and a flicker of Unknown would be noise.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How a wait ended.
type Ended = Result<Duration, String>;

/// What a wait is for: revision, generation and handled request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purpose {
    revision: String,
    generation: i64,
    request: Option<String>,
}

struct Wait {
    purpose: Purpose,
    /// Whether all was well when it began.
    was_healthy: bool,
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
}

impl Run<'_> {
    fn purpose(&self, revision: &str) -> Purpose {
        Purpose {
            revision: revision.to_owned(),
            generation: self.generation(),
            request: self.object.annotations().get(names::REQUESTED_AT).cloned(),
        }
    }

    /// The verdict of a wait for this very revision, if there is one: still waiting, or how it
    /// ended. Any other wait is ended.
    pub(super) fn awaited_health(&mut self, revision: &str) -> Option<Result<Verdict, Verdict>> {
        let wait = self.context.health.0.get(&self.key)?;
        if wait.purpose != self.purpose(revision) {
            self.context.health.abort(&self.key);
            return None;
        }
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
                Some(self.conclude_health(revision, ended, wait.was_healthy))
            }
        }
    }

    /// Starts a wait where the spec asks for one.
    pub(super) async fn check_health(&mut self, revision: &str) -> Result<Verdict, Verdict> {
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
        let purpose = self.purpose(revision);
        let started = Instant::now();
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let applier = self.applier().await?;
        let fails_early = self.context.args.fails_early();
        let task = tokio::spawn(async move {
            let ended = applier.wait(targets, limit, fails_early).await;
            let ended = ended.map(|()| started.elapsed()).map_err(|error| {
                // Whole seconds: what fails the same way again says the same again.
                let after = match error {
                    WaitError::Timeout(_) => limit,
                    WaitError::Failed(_) => Duration::from_secs(started.elapsed().as_secs()),
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
        let wait = Wait {
            purpose,
            was_healthy,
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
                self.conclude_health(revision, ended, was_healthy)
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
        was_healthy: bool,
    ) -> Result<Verdict, Verdict> {
        let generation = self.generation();
        match ended {
            Ok(took) => {
                let message = format!("Health check passed in {}", go_string(took));
                let list = &mut self.status.conditions;
                let news = self.status.last_applied_revision.as_deref() != Some(revision);
                let news = !was_healthy || (news && self.changed);
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

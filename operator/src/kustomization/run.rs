//! The steps of a run.

use std::sync::Arc;
use std::time::Instant;

use flux_api::names::{self, reason};
use flux_api::{Kustomization, KustomizationStatus, ObjectId, ResourceRef, conditions, go_string};
use flux_apply::applier::Action;
use flux_apply::{Options, Owner, Plan, object};
use flux_build::{BuildOptions, Object};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;

use super::origins::{Origins, describe_failures};
use super::{
    DEFINITION_TIMEOUT, DEPENDENCY_RETRY, dependencies, history, inventory, retry_interval,
    timeout, unsupported, warnings,
};
use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::driver::Pass;
use crate::events::Event;
use crate::key::Key;
use crate::source::Source;
use crate::words::api_error;

/// One run over one object.
pub(super) struct Run<'a> {
    pub(super) object: &'a Kustomization,
    pub(super) key: Key,
    pub(super) context: &'a Arc<Context>,
    pub(super) status: KustomizationStatus,
    events: Vec<Event>,
    started: Instant,
    pub(super) revision: Option<String>,
    digest: Option<String>,
    changed: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(object: &'a Kustomization, context: &'a Arc<Context>) -> Self {
        Self {
            object,
            key: Key::of(object),
            context,
            status: object.status.clone().unwrap_or_default(),
            events: Vec::new(),
            started: Instant::now(),
            revision: None,
            digest: None,
            changed: false,
        }
    }

    /// The steps; `Err` holds the verdict of the one that ended the run early.
    pub(super) async fn steps(&mut self) -> Result<Verdict, Verdict> {
        unsupported::check(&self.object.spec)?;
        let source = self.source()?;
        let revision = source.revision().to_owned();
        if let Some(verdict) = self.awaited_health(&revision) {
            return verdict;
        }
        self.revision = Some(revision.clone());
        dependencies::check(self.object, &revision, self.context)
            .map_err(|message| self.waiting(reason::DEPENDENCY_NOT_READY, message))?;
        self.status.last_attempted_revision = Some(revision.clone());
        let objects = self.build(&source).await?;
        self.digest = Some(history::digest(&objects));
        self.apply(objects).await?;
        self.check_health(&revision).await
    }

    /// A failure that waits for something else to change.
    fn waiting(&self, reason: &'static str, message: String) -> Verdict {
        Verdict::Failed {
            reason,
            message,
            retry: Retry::OnChange(DEPENDENCY_RETRY),
        }
    }

    /// A failure that only another revision, or time, can mend.
    pub(super) fn failed(&self, reason: &'static str, message: String) -> Verdict {
        Verdict::Failed {
            reason,
            message,
            retry: Retry::After(retry_interval(self.object)),
        }
    }

    fn source(&self) -> Result<Arc<Source>, Verdict> {
        let reference = &self.object.spec.source_ref;
        if reference.kind.as_str() != "GitRepository" {
            return Err(Verdict::Stalled {
                reason: unsupported::REASON,
                message: format!(
                    "spec.sourceRef.kind {} is not supported yet; use a GitRepository",
                    reference.kind
                ),
            });
        }
        let namespace = reference
            .namespace
            .as_deref()
            .unwrap_or(&self.key.namespace);
        if self.context.args.no_cross_namespace_refs && namespace != self.key.namespace {
            return Err(Verdict::Stalled {
                reason: reason::ACCESS_DENIED,
                message: format!(
                    "cannot access GitRepository/{namespace}/{}: cross-namespace references are disabled (--no-cross-namespace-refs); define the GitRepository in namespace {}",
                    reference.name, self.key.namespace
                ),
            });
        }
        let key = Key::new(namespace, &reference.name);
        if let Some(source) = self.context.sources.get(&key) {
            return Ok(source);
        }
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let Some(found) = self.context.stores.git_repositories.get(&reference) else {
            let message = format!(
                "Source GitRepository/{key} does not exist; create it or correct spec.sourceRef"
            );
            return Err(self.waiting(reason::ARTIFACT_FAILED, message));
        };
        let found = self.context.newest_of(found);
        let list = found.status.as_ref().map(|s| s.conditions.as_slice());
        let failed = conditions::get(list.unwrap_or_default(), names::READY)
            .filter(|ready| ready.status == "False");
        // What was applied stays applied, unless somebody wants to hear why nothing happens.
        let silent = failed.is_none() || (!self.asked() && self.is_observed());
        if silent && conditions::is_true(&self.status.conditions, names::READY) {
            return Err(Verdict::Unchanged);
        }
        Err(match failed {
            Some(ready) => self.waiting(
                reason::ARTIFACT_FAILED,
                format!(
                    "Source artifact not found: GitRepository/{key}: {}",
                    ready.message
                ),
            ),
            None => Verdict::Progressing {
                reason: reason::PROGRESSING,
                message: format!("Waiting for GitRepository/{key} to be fetched"),
            },
        })
    }

    async fn build(&self, source: &Source) -> Result<Vec<Object>, Verdict> {
        let spec = &self.object.spec;
        let files = source
            .files(self.context)
            .await
            .map_err(|error| self.failed(reason::ARTIFACT_FAILED, error.to_string()))?;
        let options = BuildOptions {
            kustomize: self.context.args.kustomize.clone(),
            remote_bases: self.context.args.remote_bases,
            timeout: timeout(self.object),
        };
        let path = spec.path.as_deref().unwrap_or("./");
        flux_build::build(&files, path, spec, &self.key.namespace, &options)
            .await
            .map_err(|error| self.failed(error.reason(), error.to_string()))
    }

    async fn apply(&mut self, objects: Vec<Object>) -> Result<(), Verdict> {
        let options = Options {
            owner: Owner {
                name: self.key.name.clone(),
                namespace: self.key.namespace.clone(),
            },
            force: self.object.spec.force,
            default_namespace: self
                .object
                .spec
                .target_namespace
                .clone()
                .unwrap_or_else(|| self.key.namespace.clone()),
            concurrency: self.context.args.concurrent_ssa,
            definition_timeout: DEFINITION_TIMEOUT,
        };
        let origins = Origins::of(&objects);
        let values = objects.into_iter().map(|o| o.value).collect();
        let plan = self
            .context
            .applier
            .plan(values, &options)
            .await
            .map_err(|error| {
                self.failed(
                    reason::RECONCILIATION_FAILED,
                    format!(
                        "cannot read which kinds the API server serves: {}",
                        api_error(&error)
                    ),
                )
            })?;
        let before = inventory::entries(&self.status);
        let intended = inventory::union(&plan.inventory(), &before);
        self.write_intended(&plan, intended).await?;
        let after = plan.inventory();
        let claims = inventory::Claims::of_others(&self.key, self.context);
        let shared = |id: &ObjectId, owner: &Owner| claims.has(id, owner);
        let outcome = self.context.applier.apply(plan, &options, &shared).await;
        self.note_changes(&outcome.changes);
        let (lines, fresh) =
            warnings::merge(&self.status.conditions, &outcome, |id| origins.of_id(id));
        let generation = self.generation();
        warnings::set(&mut self.status.conditions, &lines, generation);
        if let Some(fresh) = fresh {
            self.record(Event::warning(warnings::EVENT, fresh));
        }
        if !outcome.failures.is_empty() {
            return Err(self.failed(
                reason::RECONCILIATION_FAILED,
                describe_failures(&outcome.failures, outcome.changes.len(), &origins),
            ));
        }
        inventory::store(&mut self.status, after.clone());
        if self.object.spec.prune {
            self.prune(&before, &after, &options.owner).await?;
        }
        Ok(())
    }

    /// Says what is intended before it is done: after a crash the next run knows what the lost
    /// one may have created.
    async fn write_intended(
        &mut self,
        plan: &Plan,
        intended: Vec<ResourceRef>,
    ) -> Result<(), Verdict> {
        let known = inventory::entries(&self.status);
        if plan.objects.is_empty() || intended.len() == known.len() {
            return Ok(());
        }
        inventory::store(&mut self.status, intended);
        inventory::write(self.object, &self.status, self.context)
            .await
            .map_err(|error| {
                self.failed(
                    reason::RECONCILIATION_FAILED,
                    format!(
                        "cannot write the intended inventory, nothing was applied: {}",
                        api_error(&error)
                    ),
                )
            })
    }

    async fn prune(
        &mut self,
        before: &[ResourceRef],
        after: &[ResourceRef],
        owner: &Owner,
    ) -> Result<(), Verdict> {
        let obsolete = inventory::difference(before, after);
        if obsolete.is_empty() {
            return Ok(());
        }
        let claims = inventory::Claims::of_others(&self.key, self.context);
        let pruned = self
            .context
            .applier
            .prune(obsolete, owner, |id| claims.claimant(id))
            .await;
        self.note_changes(&pruned.changes);
        for (id, why) in &pruned.kept {
            tracing::info!(object = object::display(id), why, "kept");
        }
        if pruned.failures.is_empty() {
            return Ok(());
        }
        inventory::keep(&mut self.status, &pruned.failures, before);
        let lines: Vec<_> = pruned.failures.iter().map(ToString::to_string).collect();
        Err(self.failed(reason::PRUNE_FAILED, lines.join("\n")))
    }

    fn note_changes(&mut self, changes: &[(ObjectId, Action)]) {
        let lines: Vec<_> = changes
            .iter()
            .filter_map(|(id, action)| Some(format!("{} {}", object::display(id), action.word()?)))
            .collect();
        if lines.is_empty() {
            return;
        }
        self.changed = true;
        self.record(Event::normal(reason::PROGRESSING, lines.join("\n")));
    }

    pub(super) fn record(&mut self, event: Event) {
        let event = match &self.revision {
            Some(revision) => event.with(names::KUSTOMIZE_EVENT_REVISION, revision),
            None => event,
        };
        self.events.push(event);
    }

    pub(super) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// Whether somebody asks for a run that was not made yet.
    fn asked(&self) -> bool {
        let requested = self.object.annotations().get(names::REQUESTED_AT);
        requested.is_some() && requested != self.status.last_handled_reconcile_at.as_ref()
    }

    /// Whether the last run was over the spec as it is now.
    fn is_observed(&self) -> bool {
        self.status.observed_generation == self.object.metadata.generation
    }

    /// Turns the verdict into status and events.
    pub(super) fn finish(mut self, verdict: Verdict) -> Pass<KustomizationStatus> {
        let interval = self.object.spec.interval.as_std();
        let was_ready = conditions::is_true(&self.status.conditions, names::READY);
        let asked = self.asked();
        if verdict.is_ready() {
            self.status.last_applied_revision = self.revision.clone();
            if self.changed || !was_ready || asked {
                self.record(
                    Event::normal(
                        reason::RECONCILIATION_SUCCEEDED,
                        format!(
                            "Reconciliation finished in {}, next run in {}",
                            go_string(self.started.elapsed()),
                            go_string(interval)
                        ),
                    )
                    .with(names::KUSTOMIZE_EVENT_COMMIT_STATUS, "update"),
                );
            }
        }
        let worth_history = self.changed || asked || !(was_ready && verdict.is_ready());
        if let (true, Some(digest), Some(revision)) = (worth_history, &self.digest, &self.revision)
            && !matches!(verdict, Verdict::Progressing { .. })
        {
            let (word, _) = verdict.words();
            history::add(
                &mut self.status.history,
                digest,
                word,
                revision,
                self.started.elapsed(),
            );
        }
        Pass {
            status: self.status,
            verdict,
            events: self.events,
            interval,
        }
    }
}

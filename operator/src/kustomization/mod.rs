//! Kustomization: from a commit to the cluster.
//!
//! The steps of a run: what cannot be done yet ([`unsupported`]), the source, dependencies
//! ([`dependencies`]), build, plan, the intended inventory, apply, prune ([`inventory`]), health
//! ([`health`]). Each has its words in the Ready condition; the first that fails ends the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::names::{self, reason};
use flux_api::{Kustomization, KustomizationStatus, ObjectId, conditions, go_string};
use flux_apply::applier::{Action, Failure, Plan};
use flux_apply::{Options, Owner, object};
use flux_build::{BuildOptions, Object};
use kube_runtime::reflector::ObjectRef;

use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::driver::{Controlled, Finalized, Pass};
use crate::events::Event;
use crate::key::Key;
use crate::source::Source;
use crate::status::common_fields;

pub mod dependencies;
pub mod finalize;
pub mod health;
pub mod history;
pub mod inventory;
pub mod unsupported;
pub mod warnings;

/// How long a run waits for a source or a dependency at most before it looks again; what it waits
/// for wakes it earlier.
const DEPENDENCY_RETRY: Duration = Duration::from_secs(30);

/// How long new definitions may take to be served.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(60);

impl Controlled for Kustomization {
    type Status = KustomizationStatus;

    const KIND: &'static str = "Kustomization";
    const CONTROLLER: &'static str = "kustomize-controller";
    const MANAGER: &'static str = names::KUSTOMIZATION_STATUS_FIELD_MANAGER;

    common_fields!();

    fn secrets(&self) -> Vec<&str> {
        let decryption = self
            .spec
            .decryption
            .as_ref()
            .and_then(|d| d.secret_ref.as_ref());
        let kube_config = self
            .spec
            .kube_config
            .as_ref()
            .and_then(|k| k.secret_ref.as_ref());
        decryption
            .map(|r| r.name.as_str())
            .into_iter()
            .chain(kube_config.map(|r| r.name.as_str()))
            .collect()
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run::new(self, context);
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        run.finish(verdict)
    }

    fn concluded(&self, verdict: &Verdict, context: &Context) {
        if verdict.is_ready() {
            dependencies::wake_dependants(&Key::of(self), context);
        }
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        finalize::finalize(self, context).await
    }
}

/// One run over one object.
struct Run<'a> {
    object: &'a Kustomization,
    key: Key,
    context: &'a Arc<Context>,
    status: KustomizationStatus,
    events: Vec<Event>,
    started: Instant,
    revision: Option<String>,
    digest: Option<String>,
    changed: bool,
}

impl<'a> Run<'a> {
    fn new(object: &'a Kustomization, context: &'a Arc<Context>) -> Self {
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
    async fn steps(&mut self) -> Result<Verdict, Verdict> {
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
    fn failed(&self, reason: &'static str, message: String) -> Verdict {
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
        if conditions::is_true(&self.status.conditions, names::READY) {
            return Err(Verdict::Unchanged);
        }
        let status = found.status.clone().unwrap_or_default();
        Err(match conditions::get(&status.conditions, names::READY) {
            Some(ready) if ready.status == "False" => self.waiting(
                reason::ARTIFACT_FAILED,
                format!(
                    "Source artifact not found: GitRepository/{key}: {}",
                    ready.message
                ),
            ),
            _ => Verdict::Progressing {
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
                    format!("cannot read which kinds the API server serves: {error}"),
                )
            })?;
        let before = inventory::entries(&self.status);
        let intended = inventory::union(&plan.inventory(), &before);
        self.write_intended(&plan, intended).await?;
        let after = plan.inventory();
        let outcome = self.context.applier.apply(plan, &options).await;
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
        intended: Vec<flux_api::ResourceRef>,
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
                    format!("cannot write the intended inventory, nothing was applied: {error}"),
                )
            })
    }

    async fn prune(
        &mut self,
        before: &[flux_api::ResourceRef],
        after: &[flux_api::ResourceRef],
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

    fn record(&mut self, event: Event) {
        let event = match &self.revision {
            Some(revision) => event.with(names::KUSTOMIZE_EVENT_REVISION, revision),
            None => event,
        };
        self.events.push(event);
    }

    fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// Turns the verdict into status and events.
    fn finish(mut self, verdict: Verdict) -> Pass<KustomizationStatus> {
        let interval = self.object.spec.interval.as_std();
        let was_ready = conditions::is_true(&self.status.conditions, names::READY);
        let requested = self
            .object
            .metadata
            .annotations
            .as_ref()
            .and_then(|a| a.get(names::REQUESTED_AT));
        let asked =
            requested.is_some() && requested != self.status.last_handled_reconcile_at.as_ref();
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

/// Where objects come from: the files of a Git repository, by kind, namespace as written, and name.
struct Origins(BTreeMap<(String, String, String), String>);

impl Origins {
    fn of(objects: &[Object]) -> Self {
        let entry = |o: &Object| {
            let origin = o.origin.as_ref()?.to_string();
            let kind = o.value["kind"].as_str()?.to_owned();
            let namespace = object::namespace(&o.value).to_owned();
            Some(((kind, namespace, object::name(&o.value).to_owned()), origin))
        };
        Self(objects.iter().filter_map(entry).collect())
    }

    fn of_id(&self, id: &ObjectId) -> Option<&str> {
        let at = |namespace: &str| {
            let key = (id.kind.clone(), namespace.to_owned(), id.name.clone());
            self.0.get(&key).map(String::as_str)
        };
        // The namespace may have been left to the Kustomization.
        at(&id.namespace).or_else(|| at(""))
    }
}

fn describe_failures(failures: &[Failure], applied: usize, origins: &Origins) -> String {
    let mut text = failures
        .iter()
        .map(|failure| match origins.of_id(&failure.id) {
            Some(origin) => format!("{failure} [{origin}]"),
            None => failure.to_string(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    let (those, are) = if applied == 1 {
        ("other object", "is")
    } else {
        ("other objects", "are")
    };
    text.push_str(&format!(
        "\nThe {applied} {those} of this revision {are} applied, nothing was pruned."
    ));
    text
}

/// When a failed run is tried again.
pub fn retry_interval(object: &Kustomization) -> Duration {
    let interval = object.spec.interval.as_std();
    let retry = object
        .spec
        .retry_interval
        .as_ref()
        .map_or(interval, flux_api::GoDuration::as_std);
    retry.max(Duration::from_secs(1))
}

/// How long builds and health checks may take: `spec.timeout`, by default the interval less 30
/// seconds, never less than 30 seconds.
pub fn timeout(object: &Kustomization) -> Duration {
    const FLOOR: Duration = Duration::from_secs(30);
    match &object.spec.timeout {
        Some(timeout) => timeout.as_std().max(Duration::from_secs(1)),
        None => object
            .spec
            .interval
            .as_std()
            .saturating_sub(FLOOR)
            .max(FLOOR),
    }
}

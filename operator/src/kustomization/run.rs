//! The steps of a run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_api::names::{self, reason};
use flux_api::{Kustomization, KustomizationStatus, ObjectId, ResourceRef, conditions};
use flux_apply::applier::Action;
use flux_apply::ignore::Rules;
use flux_apply::{Options, Owner, variables};
use flux_build::{BuildOptions, Object, Redaction, Variables};
use kube_runtime::reflector::ObjectRef;

use super::inputs::{self, Inputs};
use super::origins::{Origins, describe_failures};
use super::past::{Step, proves};
use super::{
    DEFINITION_TIMEOUT, dependencies, history, inventory, links, moves, redaction, retry_interval,
    timeout, unsupported, warnings,
};
use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::driver::Pass;
use crate::events::Event;
use crate::key::Key;
use crate::source::{Source, SourceError};
use crate::status::Status as _;

/// After a new commit, the time in which Kustomizations that it does not touch stand back, and how
/// much longer for each that there is: all of them must have looked. With very many, not for ever.
const GIVE_WAY: Duration = Duration::from_millis(500);
const GIVE_WAY_EACH: Duration = Duration::from_micros(1500);
const GIVE_WAY_MOST: Duration = Duration::from_secs(3);

/// What was applied, and is still to be settled.
pub(super) struct Applied {
    /// When all objects were applied, known or not, if ever.
    full: Option<Instant>,
    /// The inventory as it was.
    pub(super) before: Vec<ResourceRef>,
    /// The inventory as it is to be.
    pub(super) after: Vec<ResourceRef>,
}

/// One run over one object.
pub(super) struct Run<'a> {
    pub(super) object: &'a Kustomization,
    pub(super) key: Key,
    pub(super) context: &'a Arc<Context>,
    pub(super) status: KustomizationStatus,
    pub(super) events: Vec<Event>,
    pub(super) started: Instant,
    pub(super) revision: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) changed: bool,
    /// How often what it refers to had changed when the run began.
    pub(super) references: u64,
    /// Objects that were left alone because they ask for it.
    pub(super) skipped: BTreeSet<ObjectId>,
    /// What must not be shown.
    redaction: Redaction,
    /// When to come back, where that is not after the interval.
    later: Option<Duration>,
}

impl<'a> Run<'a> {
    pub(super) fn new(object: &'a Kustomization, context: &'a Arc<Context>) -> Self {
        Self {
            references: context.known.references(&Key::of(object)),
            object,
            key: Key::of(object),
            context,
            status: object.status.clone().unwrap_or_default(),
            events: Vec::new(),
            started: Instant::now(),
            revision: None,
            digest: None,
            changed: false,
            skipped: BTreeSet::new(),
            redaction: Redaction::default(),
            later: None,
        }
    }

    /// The steps; `Err` holds the verdict of the one that ended the run early.
    pub(super) async fn steps(&mut self) -> Result<Verdict, Verdict> {
        unsupported::check(&self.object.spec)?;
        let source = self.source()?;
        let revision = source.revision().to_owned();
        if let Some(verdict) = self.awaited_health(&source) {
            return verdict;
        }
        self.revision = Some(revision.clone());
        self.check_ready_expressions().await?;
        dependencies::check(self.object, &revision, self.context)
            .map_err(|message| self.waiting(reason::DEPENDENCY_NOT_READY, message))?;
        self.status.last_attempted_revision = Some(revision.clone());
        if self.is_unaffected(&source).await {
            self.looked();
            if let Some(wait) = self.gives_way(&source) {
                self.later = Some(wait);
                return Err(Verdict::Unchanged);
            }
            self.digest = self.past().map(|past| past.digest.clone());
        } else {
            self.note_link(&source).await;
            let (objects, inputs) = self.build(&source).await?;
            self.digest = Some(history::digest(&objects));
            let applied = self.apply(objects).await?;
            if self.prunes(&applied) && moves::are_possible(self.object, self.context) {
                self.remember(&source, None, applied.full);
                self.later = Some(moves::AGAIN);
                return Err(moves::others_first(&revision));
            }
            self.settle(&applied).await?;
            self.remember(&source, inputs, applied.full);
        }
        self.note_shared();
        self.check_health(&source).await
    }

    /// How long one that has nothing to do but to show a new revision leaves the API server to
    /// those that apply something of it. Others that wait for it to show it are not kept waiting.
    fn gives_way(&self, source: &Source) -> Option<Duration> {
        let count = u32::try_from(self.context.stores.kustomizations.len()).unwrap_or(u32::MAX);
        let looking = GIVE_WAY_EACH.saturating_mul(count);
        let wait = (GIVE_WAY + looking)
            .min(GIVE_WAY_MOST)
            .checked_sub(source.age())?;
        let shown = self.status.last_applied_revision.as_deref() == Some(source.revision());
        let wanted = shown
            || self.status.is_asked(self.object)
            || dependencies::is_awaited(&self.key, self.context);
        (!wanted).then_some(wait)
    }

    /// Names a link where the kustomization file should be.
    async fn note_link(&mut self, source: &Source) {
        let link = links::find(source, &self.object.spec, self.context).await;
        let generation = self.generation();
        if let Some(event) = links::note(&mut self.status.conditions, link.as_deref(), generation) {
            self.record(event);
        }
    }

    /// Names the objects that other Kustomizations apply, too.
    fn note_shared(&mut self) {
        let (entries, generation) = (self.claim(), self.generation());
        let list = &mut self.status.conditions;
        let claims = &self.context.known.claims;
        claims.note(&self.key, &entries, list, generation, self.context);
    }

    pub(super) fn owner(&self) -> Owner {
        Owner {
            name: self.key.name.clone(),
            namespace: self.key.namespace.clone(),
        }
    }

    /// A failure that waits for something else to change.
    fn waiting(&self, reason: &'static str, message: String) -> Verdict {
        Verdict::Failed {
            reason,
            message,
            retry: Retry::OnChange(self.context.args.dependency_retry()),
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
        let key = moves::source_key(self.object);
        let namespace = &key.namespace;
        if self.context.args.no_cross_namespace_refs && *namespace != self.key.namespace {
            return Err(Verdict::Stalled {
                reason: reason::ACCESS_DENIED,
                message: format!(
                    "cannot access GitRepository/{namespace}/{}: cross-namespace references are disabled (--no-cross-namespace-refs); define the GitRepository in namespace {}",
                    reference.name, self.key.namespace
                ),
            });
        }
        if let Some(source) = self.context.source(&key) {
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
        let silent = failed.is_none() || (!self.status.is_asked(self.object) && self.is_observed());
        if silent && conditions::is_true(&self.status.conditions, names::READY) {
            return Err(Verdict::Unchanged);
        }
        Err(match failed {
            Some(ready) => self.waiting(
                reason::ARTIFACT_FAILED,
                format!(
                    "Source is not ready, artifact not found: GitRepository/{key}: {}",
                    ready.message
                ),
            ),
            None => Verdict::Progressing {
                reason: reason::PROGRESSING,
                message: format!("Waiting for GitRepository/{key} to be fetched"),
            },
        })
    }

    /// The failure to read the source's files.
    fn unreadable(&self, error: &SourceError) -> Verdict {
        let ready = conditions::get(&self.status.conditions, names::READY);
        let again = ready.is_some_and(|ready| ready.reason == reason::ARTIFACT_FAILED);
        // Once only: a disk that loses what is fetched is not to be fetched to without a pause.
        if error.is_of_mirror() && !again {
            let source = moves::source_key(self.object);
            self.context.triggers.git_repositories.wake(&source);
        }
        Verdict::Failed {
            reason: reason::ARTIFACT_FAILED,
            message: error.to_string(),
            retry: Retry::After(match error.is_outage() {
                true => self.soon(),
                false => retry_interval(self.object),
            }),
        }
    }

    /// When to try again what no commit, but a moment may mend.
    fn soon(&self) -> Duration {
        retry_interval(self.object).min(self.context.args.dependency_retry())
    }

    /// The objects, and what was read to build them.
    async fn build(&mut self, source: &Source) -> Result<(Vec<Object>, Option<Inputs>), Verdict> {
        let spec = &self.object.spec;
        self.step(Step::Fetch);
        let (files, inputs) = inputs::read(source, spec, self.generation(), self.context)
            .await
            .map_err(|error| self.unreadable(&error))?;
        // Read with the operator's own rights; a change of one wakes the Kustomization.
        let (namespace, client) = (&self.key.namespace, &self.context.client);
        let variables = variables::substitute_from(spec, namespace, client)
            .await
            .map_err(|error| {
                let message = format!("post build failed: {error}");
                self.failed(reason::BUILD_FAILED, message)
            })?
            .into_iter()
            .map(|(source, values)| Variables { source, values })
            .collect::<Vec<_>>();
        let options = BuildOptions {
            kustomize: self.context.args.kustomize.clone(),
            remote_bases: self.context.args.fetches_remote_bases(),
            timeout: timeout(self.object),
            substitute_from: variables.clone(),
            unset: self.context.args.unset(),
            decryption: self.decryption().await?,
        };
        let path = spec.path.as_deref().unwrap_or("./");
        self.step(Step::Build);
        let objects = flux_build::build(&files, path, spec, &self.key.namespace, &options)
            .await
            .map_err(|error| self.failed(error.reason(), error.to_string()))?;
        self.redaction = redaction::of(&variables, &objects);
        Ok((objects, inputs))
    }

    async fn apply(&mut self, objects: Vec<Object>) -> Result<Applied, Verdict> {
        let digest = self.digest.as_deref().unwrap_or_default();
        let proven = proves(self.object, digest);
        let full = self.is_full_due() || (self.past().is_none() && !proven);
        let full_at = match full {
            true => Some(Instant::now()),
            false => self.past().map(|past| past.full),
        };
        let options = Options {
            owner: self.owner(),
            full: self.is_full_due(),
            proven,
            ignore: Rules::parse(&self.object.spec.ignore).map_err(|error| Verdict::Stalled {
                reason: "InvalidIgnore",
                message: error.to_string(),
            })?,
            force: self.object.spec.force,
            default_namespace: self
                .object
                .spec
                .target_namespace
                .clone()
                .unwrap_or_else(|| self.key.namespace.clone()),
            early: self.context.args.custom_apply_stage_kinds.as_slice().into(),
            concurrency: self.context.args.concurrent_ssa,
            definition_timeout: DEFINITION_TIMEOUT,
        };
        self.step(Step::Apply);
        let origins = Origins::of(&objects);
        let values = objects.into_iter().map(|o| o.value).collect();
        let applier = self.applier().await?;
        let plan = applier.plan(values, &options).await;
        let before = inventory::entries(&self.status);
        let intended = inventory::union(&plan.inventory(), &before);
        self.write_intended(intended).await?;
        self.begin();
        let after = plan.inventory();
        let context = self.context;
        let shared = |id: &ObjectId, owner: &Owner| context.known.claims.has(id, owner, context);
        let mut outcome = applier.apply(plan, &options, &shared).await;
        redaction::hide_in(&self.redaction, &mut outcome);
        self.note_changes(&outcome.changes);
        let skipped = outcome.changes.iter();
        let skipped = skipped.filter(|(_, action)| matches!(action, Action::Skipped(_)));
        self.skipped = skipped.map(|(id, _)| id.clone()).collect();
        self.note_drifts(&outcome.drifts);
        let (lines, fresh) =
            warnings::merge(&self.status.conditions, &outcome, |id| origins.of_id(id));
        let generation = self.generation();
        warnings::set(&mut self.status.conditions, &lines, generation);
        if let Some(fresh) = fresh {
            self.record(Event::warning(warnings::EVENT, fresh));
        }
        self.disclaim(&outcome.refused, &before);
        if !outcome.failures.is_empty() {
            let wait = match outcome.awaits_others {
                true => self.soon(),
                false => retry_interval(self.object),
            };
            return Err(Verdict::Failed {
                reason: reason::RECONCILIATION_FAILED,
                message: describe_failures(&outcome.failures, outcome.changes.len(), &origins),
                retry: Retry::After(wait),
            });
        }
        Ok(Applied {
            full: full_at,
            before,
            after,
        })
    }

    /// Where others can see what this one applies of the revision.
    pub(super) fn looked(&self) {
        if let Some(revision) = &self.revision {
            self.context.known.looked(&self.key, revision);
        }
    }

    pub(super) fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    /// Whether the last run was over the spec as it is now.
    fn is_observed(&self) -> bool {
        self.status.observed_generation == self.object.metadata.generation
    }

    /// Turns the verdict into status and events.
    pub(super) fn finish(mut self, verdict: Verdict) -> Pass<KustomizationStatus> {
        self.end();
        // One that waits may apply something of it yet.
        let waits = matches!(
            verdict,
            Verdict::Failed {
                retry: Retry::OnChange(_),
                ..
            }
        );
        if !waits {
            self.looked();
        }
        let interval = self.object.spec.interval.as_std();
        let was_ready = conditions::is_true(&self.status.conditions, names::READY);
        let asked = self.status.is_asked(self.object);
        if verdict.is_ready() {
            self.status.last_applied_revision = self.revision.clone();
            self.tell_success(self.changed || !was_ready || asked, interval);
        }
        self.tell_failure(&verdict);
        if matches!(verdict, Verdict::Failed { .. } | Verdict::Stalled { .. }) {
            self.context.health.give_up(&self.key);
        }
        // The history is one of builds: a run that ended before its build leaves it as it is.
        if let (Some(digest), Some(revision)) = (&self.digest, &self.revision)
            && !matches!(verdict, Verdict::Progressing { .. })
        {
            let news = self.status.history.first().map(|entry| &entry.digest) != Some(digest);
            let steady = was_ready && verdict.is_ready();
            if self.changed || asked || news || !steady {
                let (word, _) = verdict.words();
                let took = self.started.elapsed();
                history::add(&mut self.status.history, digest, word, revision, took);
            }
        }
        Pass {
            status: self.status,
            verdict,
            events: self.events,
            interval: self.later.unwrap_or(interval),
        }
    }
}

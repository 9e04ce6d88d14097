//! ImageUpdateAutomation: writes selected images into Git.
//!
//! The steps of a run: what is asked for ([`plan`]), the policies of the namespace ([`policies`]),
//! edit, commit and push ([`update`]). The edit is repeated on a fresh commit when somebody else
//! pushed in between, so that automations of one branch do not get in each other's way.

use std::sync::Arc;
use std::time::Instant;

use flux_api::names::{self, reason};
use flux_api::{GitRepository, ImageUpdateAutomation, ImageUpdateAutomationStatus, Time};
use flux_git::{GitError, Pushed, Reference};
use flux_image::update::Scope;
use kube_runtime::reflector::Store;

use crate::conclusion::Verdict;
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::driver::{Controlled, Finalized, Pass};
use crate::events::Event;
use crate::key::Key;
use crate::source;
use crate::status::Status as _;

pub mod markers;
pub mod plan;
pub mod policies;
pub mod update;

/// Message of the Ready condition; scripts match on it.
const UP_TO_DATE: &str = "repository up-to-date";

impl Controlled for ImageUpdateAutomation {
    const KIND: &'static str = "ImageUpdateAutomation";
    const CONTROLLER: ControllerName = ControllerName::ImageAutomation;
    const MANAGER: &'static str = names::IMAGE_AUTOMATION_FIELD_MANAGER;
    const WAITS_FOR_SERVERS: bool = true;

    fn cache(stores: &Stores) -> &Store<Self> {
        &stores.image_update_automations
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn server(&self, context: &Context) -> Option<String> {
        let source = plan::source(self, context).ok()?;
        source::remote::server(&source)
    }

    fn secrets(&self) -> Vec<&str> {
        let signing = self
            .spec
            .git
            .as_ref()
            .and_then(|git| git.commit.signing_key.as_ref());
        signing
            .map(|key| key.secret_ref.name.as_str())
            .into_iter()
            .collect()
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run {
            object: self,
            context,
            status: self.status.clone().unwrap_or_default(),
            events: Vec::new(),
        };
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        let interval = self.spec.interval.as_std();
        Pass {
            status: run.status,
            verdict,
            events: run.events,
            interval,
        }
    }

    fn changed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        plan::wake_neighbours(before, after, context);
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        context.judged.remove(&Key::of(self));
        Finalized::Done
    }
}

/// What the outcome for each marker follows from, beside the files. It is not part of the status:
/// after a restart every automation judges its markers once more.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    scope: Scope,
    policies: policies::Policies,
}

struct Run<'a> {
    object: &'a ImageUpdateAutomation,
    context: &'a Arc<Context>,
    status: ImageUpdateAutomationStatus,
    events: Vec<Event>,
}

impl Run<'_> {
    async fn steps(&mut self) -> Result<Verdict, Verdict> {
        let started = Instant::now();
        let plan = plan::Plan::of(self.object, self.context).await?;
        let policies = policies::of(self.object, self.context).await?;
        let asked = self.status.is_asked(self.object);
        let key = Key::of(self.object);
        let judge = |policies: &policies::Policies| {
            Arc::new(Judged {
                scope: plan.scope.clone(),
                policies: policies.clone(),
            })
        };
        let is_known =
            !asked && self.observes(&policies) && self.is_current(&plan, started).await?;
        if is_known
            && self.context.judged.get(&key).as_ref() == Some(&judge(&policies))
            && self.has_branch(&plan).await?
        {
            return Ok(up_to_date());
        }
        if !is_known {
            self.status.last_automation_run_time = Some(now());
        }
        let turn = self.context.git.turn(&plan.remote, &plan.branch).await;
        // What was selected while others had their turn goes along.
        let policies = policies::of(self.object, self.context).await?;
        let generation = self.object.metadata.generation.unwrap_or_default();
        let turn = (turn, started);
        let (updated, took) = {
            let begun = Instant::now();
            let updated = update::run(&plan, &policies, self.object, turn, self.context).await;
            (updated, begun.elapsed())
        };
        markers::set(&mut self.status.conditions, &updated.problems, generation);
        let pushed = updated.result?;
        self.context.judged.set(&key, judge(&policies));
        self.status.observed_policies = policies.observed();
        self.status.observed_source_revision = Some(pushed.base.revision.clone());
        if let Some(commit) = &pushed.commit {
            let (took, waited) = (took.as_millis(), pushed.waited.as_millis());
            tracing::info!(
                object = %key,
                commit,
                milliseconds = took,
                waiting = waited,
                "pushed"
            );
            self.note_push(commit, &pushed, &plan);
        }
        Ok(up_to_date())
    }

    /// Whether the last run saw this spec and these policies.
    fn observes(&self, policies: &policies::Policies) -> bool {
        self.object.status.as_ref().is_some_and(|status| {
            status.observed_generation == self.object.metadata.generation
                && status.observed_policies == policies.observed()
        })
    }

    /// Whether the last run saw the commit that is there now. Asks the server, unless somebody has
    /// since this run began; not needed where the edit is to be made anyway.
    async fn is_current(&self, plan: &plan::Plan, started: Instant) -> Result<bool, Verdict> {
        let git = &self.context.git;
        let revision = match git.known(&plan.remote, &plan.base, started).await {
            Some(commit) => commit.revision,
            None => {
                let head = git.resolve(&plan.remote, &plan.base).await;
                head.map_err(source::failed)?.revision
            }
        };
        Ok(self.status.observed_source_revision.as_ref() == Some(&revision))
    }

    /// Whether the branch of its own is there, if the automation has one: as in Flux, one that
    /// somebody deletes comes back as long as there is something to update.
    async fn has_branch(&self, plan: &plan::Plan) -> Result<bool, Verdict> {
        if plan.base_branch() == Some(&plan.branch) {
            return Ok(true);
        }
        let branch = Reference::Branch(plan.branch.clone());
        match self.context.git.resolve(&plan.remote, &branch).await {
            Ok(_) => Ok(true),
            Err(GitError::RefNotFound { .. }) => Ok(false),
            Err(error) => Err(source::failed(error)),
        }
    }

    fn note_push(&mut self, commit: &str, pushed: &Pushed, plan: &plan::Plan) {
        let short: String = commit.chars().take(7).collect();
        let refspec = match &plan.refspec {
            Some(refspec) => format!(" and refspecs '{refspec}'"),
            None => String::new(),
        };
        self.events.push(Event::normal(
            reason::SUCCEEDED,
            format!(
                "pushed commit '{short}' to branch '{}'{refspec}\n{}",
                pushed.branch, pushed.message
            ),
        ));
        self.status.last_push_commit = Some(commit.to_owned());
        self.status.last_push_time = Some(now());
        self.status.last_automation_run_time = Some(now());
        if plan.base_branch() == Some(&pushed.branch) {
            // What was pushed is what the next run finds: it has nothing to do then.
            self.status.observed_source_revision =
                Some(format!("{}@sha1:{}", pushed.branch, commit));
        }
        wake_sources(plan, pushed.since, self.context);
    }
}

fn now() -> Time {
    Time(k8s_openapi::jiff::Timestamp::now())
}

fn up_to_date() -> Verdict {
    Verdict::Ready {
        reason: reason::SUCCEEDED,
        message: UP_TO_DATE.to_owned(),
    }
}

/// Wakes every GitRepository that reads the repository that was pushed to, and says from when on the
/// mirror is as new as the server.
fn wake_sources(plan: &plan::Plan, since: Option<Instant>, context: &Context) {
    for object in context.stores.git_repositories.state() {
        if same_repository(&object, &plan.source) {
            let key = Key::of(&*object);
            if let Some(since) = since {
                context.pushed.set(&key, since);
            }
            context.triggers.git_repositories.wake(&key);
        }
    }
}

fn same_repository(a: &GitRepository, b: &GitRepository) -> bool {
    let plain = |url: &str| {
        url.trim_end_matches('/')
            .trim_end_matches(".git")
            .to_owned()
    };
    plain(&a.spec.url) == plain(&b.spec.url)
}

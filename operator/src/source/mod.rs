//! GitRepository: from a remote to a commit and its artifact.
//!
//! The steps of a run: what cannot be done yet, the remote and its credentials ([`remote`]), the
//! commit and its signatures, the artifact for readers outside ([`artifact`]). Readers inside the
//! process take the files straight from the mirror ([`Source::files`]). After a restart what is
//! there already is taken first ([`restore`]).

use std::sync::Arc;

use flux_api::names;
use flux_api::{GitRepository, conditions};
use flux_git::{GitError, Reference, Remote};
use kube::ResourceExt;
use kube_runtime::reflector::Store;

use crate::conclusion::{Retry, Verdict};
use crate::context::{Context, Stores};
use crate::controllers::ControllerName;
use crate::driver::{Controlled, Finalized, Pass};
use crate::key::Key;

pub mod artifact;
mod content;
mod download;
mod failure;
pub mod garbage;
mod origin;
pub mod remote;
pub mod restore;
mod rules;
mod run;
mod verify;

pub use content::{Mirrored, Source, SourceError};
use run::Run;

/// The reference that a `ref` block asks for.
pub fn reference(block: Option<&flux_api::GitRepositoryRef>) -> Reference {
    match block {
        Some(r) => Reference::from_parts(
            r.branch.as_deref(),
            r.tag.as_deref(),
            r.semver.as_deref(),
            r.name.as_deref(),
            r.commit.as_deref(),
        ),
        None => Reference::default(),
    }
}

impl Controlled for GitRepository {
    const KIND: &'static str = "GitRepository";
    const CONTROLLER: ControllerName = ControllerName::Source;
    const MANAGER: &'static str = names::SOURCE_FIELD_MANAGER;
    const WAITS_FOR_SERVERS: bool = true;

    const READERS: &'static [ControllerName] =
        &[ControllerName::Kustomize, ControllerName::ImageAutomation];

    fn cache(stores: &Stores) -> &Store<Self> {
        &stores.git_repositories
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn server(&self, _context: &Context) -> Option<String> {
        remote::server(self)
    }

    fn secrets(&self) -> Vec<&str> {
        let verify = self
            .spec
            .verify
            .as_ref()
            .and_then(|v| v.secret_ref.as_ref());
        [
            self.spec.secret_ref.as_ref(),
            self.spec.proxy_secret_ref.as_ref(),
            verify,
        ]
        .into_iter()
        .flatten()
        .map(|r| r.name.as_str())
        .collect()
    }

    fn progress(&self, _context: &Context) -> String {
        let before = self.status.as_ref().and_then(|s| s.observed_generation);
        match self.metadata.generation {
            Some(now) if before != Some(now) => format!(
                "processing object: new generation {} -> {now}",
                before.unwrap_or(-1)
            ),
            _ => "reconciliation in progress".to_owned(),
        }
    }

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run {
            object: self,
            key: Key::of(self),
            context,
            status: self.status.clone().unwrap_or_default(),
            events: Vec::new(),
            lost: false,
        };
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        run.note_failure(&verdict);
        context.unserved.served(&run.key);
        let interval = self.spec.interval.as_std();
        Pass {
            status: run.status,
            verdict,
            events: run.events,
            interval,
        }
    }

    fn concluded(&self, verdict: &Verdict, context: &Context) {
        let key = Key::of(self);
        // Those who wait for a first commit say why there is none.
        if !verdict.is_ready() && context.sources.get(&key).is_none() {
            wake_readers(&key, context);
        }
    }

    fn observed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        let Some(object) = after.or(before) else {
            return;
        };
        let key = Key::of(object);
        if after.is_none() {
            context.sources.remove(&key);
        }
        // Polls that found nothing new are no news for readers.
        let news = |object: Option<&Self>| {
            let status = object?.status.as_ref()?;
            let ready = conditions::get(&status.conditions, names::READY);
            let artifact = status.artifact.as_ref();
            Some((
                artifact.map(|a| (a.revision.clone(), a.digest.clone(), a.url.clone())),
                ready.map(|ready| (ready.status.clone(), ready.message.clone())),
            ))
        };
        if news(before) != news(after) {
            wake_readers(&key, context);
        }
    }

    fn changed(before: Option<&Self>, after: Option<&Self>, context: &Context) {
        let generation = |object: Option<&Self>| object?.metadata.generation;
        if let Some(object) = after.or(before)
            && generation(before) != generation(after)
        {
            crate::automation::plan::wake_readers(&Key::of(object), false, context);
        }
    }

    async fn rest(&self, context: &Arc<Context>) {
        restore::suspended(self, context).await;
        context.unserved.served(&Key::of(self));
    }

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        let key = Key::of(self);
        context.sources.remove(&key);
        context.pushed.remove(&key);
        context.unserved.served(&key);
        match artifact::remove_all(&key, context).await {
            Ok(()) => Finalized::Done,
            Err(error) => Finalized::Retry(format!("artifacts cannot be removed: {error}")),
        }
    }
}

/// The verdict on a failure of Git, with the field to change where that would mend it.
pub(crate) fn failed(error: GitError) -> Verdict {
    let remedy = match &error {
        GitError::RefNotFound {
            default_branch: Some(branch),
            ..
        } => {
            format!("; set spec.ref.branch: {branch} on the GitRepository, or push the missing ref")
        }
        _ => String::new(),
    };
    Verdict::Failed {
        reason: error.reason(),
        message: format!("{error}{remedy}"),
        retry: Retry::Backoff,
    }
}

/// The verdict on a commit that could not be had. Scripts and alerts match on how it begins.
fn not_checked_out(remote: &Remote, error: GitError) -> Verdict {
    // These are not about the server, or have words of their own.
    let other = matches!(
        error,
        GitError::EmptyRepository { .. } | GitError::Auth(_) | GitError::Cancelled
    );
    match failed(error) {
        Verdict::Failed {
            reason,
            message,
            retry,
        } if !other => Verdict::Failed {
            reason,
            message: format!(
                "failed to checkout and determine revision: unable to clone '{}': {message}",
                remote.url
            ),
            retry,
        },
        verdict => verdict,
    }
}

/// Wakes those who read a GitRepository.
fn wake_readers(key: &Key, context: &Context) {
    crate::automation::plan::wake_readers(key, true, context);
    for object in context.stores.kustomizations.state() {
        let reference = &object.spec.source_ref;
        let namespace = reference.namespace.clone().or_else(|| object.namespace());
        if reference.kind.as_str() == GitRepository::KIND
            && reference.name == key.name
            && namespace.as_deref() == Some(&key.namespace)
        {
            context.triggers.kustomizations.wake(&Key::of(&*object));
        }
    }
}

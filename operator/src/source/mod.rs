//! GitRepository: from a remote to a commit and its artifact.
//!
//! The steps of a run: what cannot be done yet, the remote and its credentials ([`remote`]), the
//! commit, the artifact for readers outside ([`artifact`]). Readers inside the process take the
//! files straight from the mirror ([`Source::files`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flux_api::names::{self, reason};
use flux_api::{GitRepository, GitRepositoryStatus, conditions};
use flux_git::{Commit, GitError, Reference, Remote};
use flux_lang::gitignore::IgnoreList;
use kube::ResourceExt;

use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::driver::{Controlled, Finalized, Pass};
use crate::events::Event;
use crate::key::Key;
use crate::status::common_fields;

pub mod artifact;
pub mod remote;

/// What was fetched for a GitRepository.
pub struct Source {
    /// Where it came from.
    pub remote: Remote,
    /// The commit.
    pub commit: Commit,
    /// What `spec.ignore` leaves out.
    pub ignore: IgnoreList,
    /// Generation of the object for which this holds.
    pub generation: i64,
}

impl Source {
    /// Flux's form: `main@sha1:…`.
    pub fn revision(&self) -> &str {
        &self.commit.revision
    }

    /// All files after ignore rules.
    ///
    /// # Errors
    /// When the mirror was damaged or lost; the next fetch rebuilds it.
    pub async fn files(&self, context: &Context) -> Result<BTreeMap<String, Bytes>, GitError> {
        context
            .git
            .files(&self.remote, &self.commit.id, &self.ignore, None)
            .await
    }
}

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
    type Status = GitRepositoryStatus;

    const KIND: &'static str = "GitRepository";
    const CONTROLLER: &'static str = "source-controller";
    const MANAGER: &'static str = names::SOURCE_FIELD_MANAGER;

    common_fields!();

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

    async fn reconcile(&self, context: &Arc<Context>) -> Pass<Self::Status> {
        let mut run = Run {
            object: self,
            key: Key::of(self),
            context,
            status: self.status.clone().unwrap_or_default(),
            events: Vec::new(),
        };
        let verdict = match run.steps().await {
            Ok(verdict) | Err(verdict) => verdict,
        };
        run.note_failure(&verdict);
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

    async fn finalize(&self, context: &Arc<Context>) -> Finalized {
        let key = Key::of(self);
        context.sources.remove(&key);
        match artifact::remove_all(&key, context).await {
            Ok(()) => Finalized::Done,
            Err(error) => Finalized::Retry(format!("artifacts cannot be removed: {error}")),
        }
    }
}

struct Run<'a> {
    object: &'a GitRepository,
    key: Key,
    context: &'a Arc<Context>,
    status: GitRepositoryStatus,
    events: Vec<Event>,
}

impl Run<'_> {
    async fn steps(&mut self) -> Result<Verdict, Verdict> {
        remote::check_supported(&self.object.spec)?;
        let remote = remote::of(self.object, self.context).await?;
        let reference = reference(self.object.spec.reference.as_ref());
        self.mention_default_branch();
        let generation = self.object.metadata.generation.unwrap_or_default();
        if let Some(verdict) = self.unchanged(&remote, &reference, generation).await? {
            return Ok(verdict);
        }
        let commit = self
            .context
            .git
            .fetch(&remote, &reference)
            .await
            .map_err(failed)?;
        let ignore = IgnoreList::parse(self.object.spec.ignore.as_deref().unwrap_or_default(), &[]);
        let source = Arc::new(Source {
            remote,
            commit,
            ignore,
            generation,
        });
        self.store(&source).await?;
        let before = self.context.sources.set(&self.key, source.clone());
        let same = before
            .is_some_and(|b| b.commit.id == source.commit.id && b.generation == source.generation);
        if !same {
            wake_readers(&self.key, self.context);
        }
        Ok(stored(source.revision()))
    }

    /// The verdict when the remote still shows the commit that is stored: one short question, no
    /// fetch, no write.
    async fn unchanged(
        &self,
        remote: &Remote,
        reference: &Reference,
        generation: i64,
    ) -> Result<Option<Verdict>, Verdict> {
        let Some(source) = self.context.sources.get(&self.key) else {
            return Ok(None);
        };
        if source.generation != generation || !artifact::exists(&self.status, self.context).await {
            return Ok(None);
        }
        let head = self
            .context
            .git
            .resolve(remote, reference)
            .await
            .map_err(failed)?;
        let same = head.id == source.commit.id && head.revision == source.commit.revision;
        Ok(same.then(|| stored(source.revision())))
    }

    async fn store(&mut self, source: &Source) -> Result<(), Verdict> {
        let artifact = artifact::store(&self.key, source, self.context)
            .await
            .map_err(|error| Verdict::Failed {
                reason: reason::ARCHIVE_OPERATION_FAILED,
                message: error.to_string(),
                retry: Retry::Backoff,
            })?;
        let old = self.status.artifact.as_ref();
        if old.is_none_or(|old| old.digest != artifact.digest) {
            let event = Event::normal(
                reason::NEW_ARTIFACT,
                format!("stored artifact for commit '{}'", subject(&source.commit)),
            )
            .with(names::SOURCE_EVENT_REVISION, &artifact.revision)
            .with(names::SOURCE_EVENT_DIGEST, &artifact.digest);
            self.events.push(event);
        }
        // The time says when this content was stored first, not when it was looked at last.
        let kept =
            old.filter(|old| old.digest == artifact.digest && old.revision == artifact.revision);
        let last_update_time = kept.map_or_else(
            || artifact.last_update_time.clone(),
            |old| old.last_update_time.clone(),
        );
        self.status.artifact = Some(flux_api::Artifact {
            last_update_time,
            ..artifact
        });
        self.status.observed_ignore = self.object.spec.ignore.clone();
        let generation = self.object.metadata.generation.unwrap_or_default();
        let Verdict::Ready { reason, message } = stored(source.revision()) else {
            return Ok(());
        };
        let list = &mut self.status.conditions;
        conditions::set(
            list,
            names::ARTIFACT_IN_STORAGE,
            true,
            reason,
            &message,
            generation,
        );
        Ok(())
    }

    /// Conditions that exist only while something is wrong.
    fn note_failure(&mut self, verdict: &Verdict) {
        let generation = self.object.metadata.generation.unwrap_or_default();
        let list = &mut self.status.conditions;
        match verdict {
            Verdict::Failed {
                reason: reason::ARCHIVE_OPERATION_FAILED,
                message,
                ..
            } => {
                let reason = reason::ARCHIVE_OPERATION_FAILED;
                conditions::set(
                    list,
                    names::STORAGE_OPERATION_FAILED,
                    true,
                    reason,
                    message,
                    generation,
                );
            }
            Verdict::Failed {
                reason, message, ..
            }
            | Verdict::Stalled { reason, message } => {
                conditions::set(list, names::FETCH_FAILED, true, reason, message, generation);
            }
            Verdict::Ready { .. } | Verdict::Progressing { .. } | Verdict::Unchanged => {
                conditions::remove(list, names::FETCH_FAILED);
                conditions::remove(list, names::STORAGE_OPERATION_FAILED);
            }
        }
    }

    /// Flux follows `master` where nothing is set, while most new repositories have `main`.
    fn mention_default_branch(&mut self) {
        let observed = self.status.observed_generation == self.object.metadata.generation;
        if self.object.spec.reference.is_none() && !observed {
            self.events.push(Event::warning(
                "DefaultBranch",
                "spec.ref is not set: following branch \"master\"; set spec.ref.branch to follow another",
            ));
        }
    }
}

fn stored(revision: &str) -> Verdict {
    Verdict::Ready {
        reason: reason::SUCCEEDED,
        message: format!("stored artifact for revision '{revision}'"),
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

/// The first line of the commit message, at most 50 characters of it.
fn subject(commit: &Commit) -> String {
    commit.subject.chars().take(50).collect()
}

/// Wakes the Kustomizations that read a GitRepository.
fn wake_readers(key: &Key, context: &Context) {
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

//! The steps of a run.

use std::sync::Arc;
use std::time::Duration;

use flux_api::names::{self, reason};
use flux_api::{GitRepository, GitRepositoryStatus, conditions};
use flux_git::{Commit, Filter, GitError, Reference, Remote};

use super::artifact::{ArtifactError, State};
use super::verify::Check;
use super::{
    Mirrored, Source, artifact, failed, failure, not_checked_out, reference, remote, rules,
    wake_readers,
};
use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::events::Event;
use crate::key::Key;
use crate::status::Status as _;

/// How long a push is news. A run that comes later was held up, and others may have pushed since.
const MOMENT: Duration = Duration::from_secs(5);

/// One run over one object.
pub(super) struct Run<'a> {
    pub(super) object: &'a GitRepository,
    pub(super) key: Key,
    pub(super) context: &'a Arc<Context>,
    pub(super) status: GitRepositoryStatus,
    pub(super) events: Vec<Event>,
    /// The artifact of the status is not in the storage.
    pub(super) lost: bool,
}

impl Run<'_> {
    pub(super) async fn steps(&mut self) -> Result<Verdict, Verdict> {
        let reference = reference(self.object.spec.reference.as_ref());
        self.renew_url();
        self.keep_artifact(&reference).await?;
        remote::check_supported(&self.object.spec)?;
        let remote = remote::of(self.object, self.context).await?;
        let check = match Check::of(self.object, self.context).await {
            Ok(check) => check,
            Err(verdict) => {
                self.note_verified(false, &verdict);
                return Err(verdict);
            }
        };
        self.mention_default_branch();
        let pushed = self.pushed(&remote, &reference).await;
        if let Some(commit) = self.unchanged(&remote, &reference, pushed.as_ref()).await? {
            // Keys may have been taken back since.
            self.verify(&remote, &commit, check.as_ref()).await?;
            self.note_stored(&commit);
            self.mention_recovery(&commit);
            return Ok(stored(&commit.revision));
        }
        let git = &self.context.git;
        let commit = match pushed {
            Some(commit) => commit,
            None => {
                let fetched = git.fetch(&remote, &reference).await;
                fetched.map_err(|error| not_checked_out(&remote, error))?
            }
        };
        self.verify(&remote, &commit, check.as_ref()).await?;
        self.note_outdated(&commit);
        let asked = rules::asked(&self.object.spec);
        let generation = self.object.metadata.generation.unwrap_or_default();
        let mirrored = mirrored(remote, commit, asked, generation, self.context).await?;
        self.store(&mirrored).await.map_err(not_stored)?;
        let source = Arc::new(Source::of_commit(mirrored));
        self.context.sources.set(&self.key, source.clone());
        // Also when it is the same commit: some may not have been able to read it. The others see
        // that nothing is new.
        wake_readers(&self.key, self.context);
        if let Some(mirrored) = source.mirrored() {
            self.mention_recovery(&mirrored.commit);
        }
        Ok(stored(source.revision()))
    }

    /// The commit that this process has just pushed, when it is for that reason that the run was
    /// made: the server need not be asked what it was told a moment ago.
    async fn pushed(&self, remote: &Remote, reference: &Reference) -> Option<Commit> {
        let since = self.context.pushed.remove(&self.key)?;
        if self.status.is_asked(self.object) || since.elapsed() > MOMENT {
            return None;
        }
        self.context.git.known(remote, reference, since).await
    }

    /// The commit, when the remote still shows the one that is stored: one short question, no
    /// fetch, no write. `pushed` is the answer, if it is known. None also with new credentials, of
    /// which a fetch makes a mirror.
    async fn unchanged(
        &self,
        remote: &Remote,
        reference: &Reference,
        pushed: Option<&Commit>,
    ) -> Result<Option<Commit>, Verdict> {
        let known = self.context.sources.get(&self.key);
        let Some(source) = known.as_deref().and_then(Source::mirrored) else {
            return Ok(None);
        };
        let artifact = self.status.artifact.as_ref();
        let Some(artifact) = artifact.filter(|artifact| self.is_current(source, artifact)) else {
            return Ok(None);
        };
        let mirror = |remote: &Remote| self.context.git.mirror_name(remote);
        if self.lost
            || mirror(&source.remote) != mirror(remote)
            || !self.is_mirrored(source, reference).await
        {
            return Ok(None);
        }
        artifact::tidy(&self.key, artifact, self.context).await;
        let known = &source.commit;
        let same = match pushed {
            Some(commit) => commit == known,
            None => {
                let head = self.context.git.resolve(remote, reference).await;
                let head = head.map_err(|error| not_checked_out(remote, error))?;
                // A tag may have been made anew for the same commit, by somebody else.
                head.revision == known.revision && head.object == known.object
            }
        };
        Ok(same.then(|| known.clone()))
    }

    /// Whether the mirror has the commit, and nobody found anything missing in it.
    async fn is_mirrored(&self, source: &Mirrored, reference: &Reference) -> bool {
        let (git, revision) = (&self.context.git, &source.commit.revision);
        // An error says that the commit cannot be looked up by this reference, not that it is lost.
        !matches!(
            git.load(&source.remote, reference, revision).await,
            Ok(None)
        )
    }

    /// Makes an artifact that is lost or damaged again from the mirror, before the remote is asked:
    /// it may be away for long.
    async fn keep_artifact(&mut self, reference: &Reference) -> Result<(), Verdict> {
        let Some(artifact) = self.status.artifact.clone() else {
            return Ok(());
        };
        if !self.is_intact(&artifact).await {
            self.lost = true;
            let known = self.context.sources.get(&self.key);
            let source = known.as_deref().and_then(Source::mirrored);
            // Another spec does not change what the artifact is of, as long as nothing else is there.
            let rules = rules::observed(&self.status);
            let is_its = |source: &&Mirrored| {
                self.is_current(source, &artifact)
                    || source.commit.revision == artifact.revision && source.filter == rules
            };
            // Without it, a fetch may bring the artifact back.
            let Some(source) = source.filter(is_its) else {
                return Ok(());
            };
            if !self.is_mirrored(source, reference).await {
                return Ok(());
            }
            tracing::info!(source = %self.key, "artifact is rebuilt from the mirror");
            match self.store(source).await {
                Err(ArtifactError::Pack(GitError::Damaged { .. })) => return Ok(()),
                result => result.map_err(not_stored)?,
            }
        }
        self.context.unserved.served(&self.key);
        Ok(())
    }

    /// Whether an artifact is what the spec asks for of a source. It is of another revision when the
    /// one that was fetched last could not be written into the status.
    fn is_current(&self, source: &Mirrored, artifact: &flux_api::Artifact) -> bool {
        Some(source.generation) == self.object.metadata.generation
            && source.commit.revision == artifact.revision
    }

    /// Whether the tarball is there and what it should be. A file that is something else is said and
    /// deleted.
    async fn is_intact(&mut self, artifact: &flux_api::Artifact) -> bool {
        let state = artifact::state(&self.key, artifact, self.context).await;
        if state == State::Damaged {
            self.events.push(Event::warning(
                reason::ARTIFACT_VERIFICATION_FAILED,
                format!(
                    "failed to verify integrity of artifact: {} does not have the digest {}; it is made again",
                    artifact.path, artifact.digest
                ),
            ));
            artifact::discard(&self.key, artifact, self.context).await;
        }
        state == State::Intact
    }

    /// Where others fetch the artifact may be another address than when it was stored.
    fn renew_url(&mut self) {
        if let Some(artifact) = &mut self.status.artifact {
            artifact.url = artifact::url(&artifact.path, self.context);
        }
    }

    /// Verifies what the spec demands, and says so in the condition SourceVerified.
    async fn verify(
        &mut self,
        remote: &Remote,
        commit: &Commit,
        check: Option<&Check>,
    ) -> Result<(), Verdict> {
        let Some(check) = check else {
            conditions::remove(&mut self.status.conditions, names::SOURCE_VERIFIED);
            self.status.source_verification_mode = None;
            return Ok(());
        };
        match check.verify(remote, commit, self.context).await {
            Ok(message) => {
                let reason = reason::SUCCEEDED;
                self.note_verified(true, &Verdict::Ready { reason, message });
                self.status.source_verification_mode = Some(check.mode_name().to_owned());
                Ok(())
            }
            Err(verdict) => {
                self.note_verified(false, &verdict);
                Err(verdict)
            }
        }
    }

    fn note_verified(&mut self, verified: bool, verdict: &Verdict) {
        let generation = self.object.metadata.generation.unwrap_or_default();
        let (reason, message) = verdict.words();
        let list = &mut self.status.conditions;
        let name = names::SOURCE_VERIFIED;
        conditions::set(list, name, verified, reason, message, generation);
    }

    async fn store(&mut self, source: &Mirrored) -> Result<(), ArtifactError> {
        let known = self.context.sources.get(&self.key);
        let before = known.as_deref().and_then(Source::mirrored);
        // Its rules are not those of the tarball when the status could not be written after it.
        let before = before.filter(|before| before.filter == rules::observed(&self.status));
        let before = before.zip(self.status.artifact.as_ref());
        let artifact = artifact::store(&self.key, source, before, self.context).await?;
        let old = self.status.artifact.as_ref();
        if old.is_none_or(|old| old.digest != artifact.digest) {
            let event = about(reason::NEW_ARTIFACT, &source.commit, &artifact);
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
        if Some(source.generation) == self.object.metadata.generation {
            self.status.observed_ignore = self.object.spec.ignore.clone();
            self.status.observed_sparse_checkout = self.object.spec.sparse_checkout.clone();
        }
        // What Flux's controller may have left; a spec that asks for it does not come here.
        self.status.observed_include.clear();
        self.status.included_artifacts.clear();
        self.status.observed_recurse_submodules = false;
        self.note_stored(&source.commit);
        Ok(())
    }

    fn note_stored(&mut self, commit: &Commit) {
        self.lost = false;
        let generation = self.object.metadata.generation.unwrap_or_default();
        let verdict = stored(&commit.revision);
        let (reason, message) = verdict.words();
        let (list, name) = (&mut self.status.conditions, names::ARTIFACT_IN_STORAGE);
        conditions::set(list, name, true, reason, message, generation);
    }

    /// Conditions that exist only while something is wrong.
    pub(super) fn note_failure(&mut self, verdict: &Verdict) {
        let generation = self.object.metadata.generation.unwrap_or_default();
        let list = &mut self.status.conditions;
        // At the end alone: what is made again at once was there all the time.
        if self.lost {
            conditions::remove(list, names::ARTIFACT_IN_STORAGE);
        }
        failure::note(list, verdict, generation);
    }

    /// Until the new commit is stored, the artifact is of an old one.
    fn note_outdated(&mut self, commit: &Commit) {
        let old = self.status.artifact.as_ref();
        if old.is_some_and(|old| old.revision != commit.revision) {
            let generation = self.object.metadata.generation.unwrap_or_default();
            let message = format!("new upstream revision '{}'", commit.revision);
            let (list, name) = (&mut self.status.conditions, names::ARTIFACT_OUTDATED);
            conditions::set(list, name, true, reason::NEW_REVISION, &message, generation);
        }
    }

    /// Tells that a failure is over, where no new artifact tells it.
    fn mention_recovery(&mut self, commit: &Commit) {
        let before = self.object.status.as_ref();
        let ready = before.and_then(|before| conditions::get(&before.conditions, names::READY));
        let told = self.events.iter().any(|e| e.reason == reason::NEW_ARTIFACT);
        if let Some(artifact) = &self.status.artifact
            && ready.is_some_and(|ready| ready.status == "False")
            && !told
        {
            self.events.push(about(reason::SUCCEEDED, commit, artifact));
        }
    }

    /// Flux follows `master` where nothing is set, while most new repositories have `main`.
    fn mention_default_branch(&mut self) {
        let observed = self.status.observed_generation == self.object.metadata.generation;
        let unset = self.object.spec.reference.as_ref().is_none_or(|r| {
            [&r.branch, &r.tag, &r.semver, &r.name, &r.commit]
                .iter()
                .all(|field| field.as_deref().unwrap_or_default().is_empty())
        });
        if unset && !observed {
            self.events.push(Event::warning(
                "DefaultBranch",
                "spec.ref is not set: following branch \"master\"; set spec.ref.branch to follow another",
            ));
        }
    }
}

/// What counts of a commit by these rules, for a generation of an object.
///
/// # Errors
/// The verdict to conclude with.
pub(super) async fn mirrored(
    remote: Remote,
    commit: Commit,
    filter: Filter,
    generation: i64,
    context: &Context,
) -> Result<Mirrored, Verdict> {
    let content = context
        .git
        .content_digest(&remote, &commit.id, &filter, None)
        .await
        .map_err(|error| match error {
            GitError::PathNotFound { path, commit } => Verdict::Failed {
                reason: reason::GIT_OPERATION_FAILED,
                message: format!("spec.sparseCheckout: commit {commit} has no path '{path}'"),
                retry: Retry::Backoff,
            },
            error => failed(error),
        })?;
    Ok(Mirrored {
        remote,
        commit,
        filter,
        generation,
        content,
    })
}

fn not_stored(error: ArtifactError) -> Verdict {
    Verdict::Failed {
        reason: reason::ARCHIVE_OPERATION_FAILED,
        message: error.to_string(),
        retry: Retry::Backoff,
    }
}

fn stored(revision: &str) -> Verdict {
    Verdict::Ready {
        reason: reason::SUCCEEDED,
        message: format!("stored artifact for revision '{revision}'"),
    }
}

/// Good news of a commit whose artifact is stored.
fn about(reason: &str, commit: &Commit, artifact: &flux_api::Artifact) -> Event {
    let message = format!(
        "stored artifact for commit '{}'",
        shortened(&commit.subject)
    );
    Event::normal(reason, message)
        .with(names::SOURCE_EVENT_REVISION, &artifact.revision)
        .with(names::SOURCE_EVENT_DIGEST, &artifact.digest)
}

/// At most 50 characters, and dots where that is not all.
fn shortened(subject: &str) -> String {
    match subject.char_indices().nth(50) {
        Some((end, _)) => format!("{}...", subject.get(..end).unwrap_or_default()),
        None => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_shortened_as_flux_does_it() {
        let fifty = "é".repeat(50);
        for (subject, expected) in [
            ("Fix it", "Fix it".to_owned()),
            (&fifty, fifty.clone()),
            (&format!("{fifty}x"), format!("{fifty}...")),
        ] {
            assert_eq!(shortened(subject), expected);
        }
    }
}

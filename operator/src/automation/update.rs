//! Editing, committing and pushing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use flux_api::ImageUpdateAutomation;
use flux_api::names::reason;
use flux_git::{BoxError, CommitContent, Files, Index, Push, Pushed, Turn};
use flux_image::marker::Problem;
use flux_image::message;
use flux_image::update::{self, Content, Scope};
use kube::ResourceExt;

use super::plan::Plan;
use super::policies::Policies;
use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::source;
use crate::words::chain;

/// What an update found and did.
pub struct Updated {
    /// Markers that could not be applied.
    pub problems: Vec<Problem>,
    /// What came of it.
    pub result: Result<Pushed, Verdict>,
}

/// Applies all markers to the base as it was at `since` or later, commits and pushes.
pub async fn run(
    plan: &Plan,
    policies: &Policies,
    object: &ImageUpdateAutomation,
    (turn, since): (Turn, Instant),
    context: &Context,
) -> Updated {
    let problems: Arc<Mutex<Vec<Problem>>> = Arc::default();
    let commit = object.spec.git.as_ref().map(|git| &git.commit);
    let mut editor = Editor {
        markers: context.markers.clone(),
        scope: plan.scope.clone(),
        policies: policies.clone(),
        automation: (object.namespace().unwrap_or_default(), object.name_any()),
        template: commit.and_then(|c| c.message_template.clone()),
        values: commit
            .map(|c| c.message_template_values.clone())
            .unwrap_or_default(),
        problems: problems.clone(),
    };
    let push = Push {
        base: plan.base.clone(),
        branch: plan.branch.clone(),
        refspec: plan.refspec.clone(),
        author: plan.author.clone(),
        signing: plan.signing.clone(),
        options: plan.options.clone(),
        since: Some(since),
        edit: Box::new(move |files| editor.edit(files)),
    };
    let pushed = turn.commit_and_push(push).await;
    let problems = std::mem::take(&mut *problems.lock().unwrap_or_else(PoisonError::into_inner));
    let result = pushed.map_err(|error| {
        if error.kind() == flux_git::ErrorKind::Edit {
            return Verdict::Failed {
                reason: reason::UPDATE_FAILED,
                message: chain(&error),
                retry: Retry::Backoff,
            };
        }
        source::failed(error)
    });
    Updated { problems, result }
}

/// Applies the markers of a commit's files; needs nothing but the files.
pub struct Editor {
    /// Where markers are, as far as known.
    pub markers: Arc<Index<Content>>,
    /// Where they count.
    pub scope: Scope,
    /// What they are to become.
    pub policies: Policies,
    /// Namespace and name of the automation, for the message.
    pub automation: (String, String),
    /// Template of the message.
    pub template: Option<String>,
    /// Its `.Values`.
    pub values: BTreeMap<String, String>,
    /// Receives the markers that could not be applied.
    pub problems: Arc<Mutex<Vec<Problem>>>,
}

impl Editor {
    /// What to commit; none if all markers are current.
    ///
    /// # Errors
    /// When the files cannot be read, or the template makes no message.
    pub fn edit(&mut self, files: &Files<'_>) -> Result<Option<CommitContent>, BoxError> {
        if !self.scope.path.is_empty() {
            files.check_path(&self.scope.path)?;
        }
        let found = files.find(&self.markers)?;
        let lookup = |namespace: &str, name: &str| self.policies.lookup(namespace, name);
        let marked = found.iter().map(|file| (&*file.path, &*file.value));
        let update = update::plan(marked, &self.scope, &lookup);
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = update.problems;
        if update.files.is_empty() {
            return Ok(None);
        }
        let mut edits = Vec::new();
        // Both are in the same order.
        let mut rest = found.iter();
        for (path, plan) in &update.files {
            let Some(file) = rest.find(|file| *file.path == **path) else {
                continue;
            };
            let bytes = files.read(file)?;
            let text = std::str::from_utf8(&bytes)?;
            edits.push((path.clone(), Bytes::from(plan.rewrite(text))));
        }
        let (namespace, name) = &self.automation;
        let message = message::render(
            self.template.as_deref(),
            (namespace, name),
            &update.changes,
            &self.values,
        )
        .map_err(|error| format!("spec.git.commit.messageTemplate: {}", chain(&error)))?;
        // Git takes a commit without a message; nobody wants to find one.
        let message = match message.trim() {
            "" => message::DEFAULT_MESSAGE.to_owned(),
            _ => message,
        };
        Ok(Some(CommitContent { edits, message }))
    }
}

//! Editing, committing and pushing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flux_api::ImageUpdateAutomation;
use flux_api::names::reason;
use flux_git::{BoxError, CommitContent, Push, Pushed};
use flux_image::marker::{self, Change, Problem};
use flux_image::message;
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

/// Fetches the base, applies all markers, commits and pushes.
pub async fn run(
    plan: &Plan,
    policies: &Policies,
    object: &ImageUpdateAutomation,
    context: &Context,
) -> Updated {
    let problems: Arc<Mutex<Vec<Problem>>> = Arc::default();
    let edit = {
        let (problems, policies) = (problems.clone(), policies.clone());
        let namespace = object.namespace().unwrap_or_default();
        let name = object.name_any();
        let commit = object.spec.git.as_ref().map(|git| &git.commit);
        let template = commit.and_then(|c| c.message_template.clone());
        let values = commit
            .map(|c| c.message_template_values.clone())
            .unwrap_or_default();
        move |files: &BTreeMap<String, Bytes>| -> Result<Option<CommitContent>, BoxError> {
            let edited = edit(files, &policies);
            *problems.lock().unwrap_or_else(PoisonError::into_inner) = edited.problems;
            if edited.files.is_empty() {
                return Ok(None);
            }
            let message = message::render(
                template.as_deref(),
                (&namespace, &name),
                &edited.changes,
                &values,
            )
            .map_err(|error| format!("spec.git.commit.messageTemplate: {}", chain(&error)))?;
            // Git takes a commit without a message; nobody wants to find one.
            let message = match message.trim() {
                "" => message::DEFAULT_MESSAGE.to_owned(),
                _ => message,
            };
            Ok(Some(CommitContent {
                edits: edited.files,
                message,
            }))
        }
    };
    let push = Push {
        base: plan.base.clone(),
        branch: plan.branch.clone(),
        refspec: plan.refspec.clone(),
        author: plan.author.clone(),
        signing: plan.signing.clone(),
        options: plan.options.clone(),
        path: (!plan.path.is_empty()).then(|| plan.path.clone()),
        select: marker::is_candidate,
        edit: Box::new(edit),
    };
    let pushed = context.git.commit_and_push(&plan.remote, push).await;
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

#[derive(Default)]
struct Edited {
    files: Vec<(String, Bytes)>,
    changes: Vec<Change>,
    problems: Vec<Problem>,
}

fn edit(files: &BTreeMap<String, Bytes>, policies: &Policies) -> Edited {
    let lookup = |namespace: &str, name: &str| policies.lookup(namespace, name);
    let mut edited = Edited::default();
    for (path, bytes) in files {
        let Ok(text) = std::str::from_utf8(bytes) else {
            edited
                .problems
                .push(Problem::of_file(path, "the file is not UTF-8 text"));
            continue;
        };
        match marker::apply(path, text, &lookup) {
            Ok(edit) => {
                edited.problems.extend(edit.problems);
                if let Some(text) = edit.bytes {
                    edited.files.push((path.clone(), Bytes::from(text)));
                    edited.changes.extend(edit.changes);
                }
            }
            // One file that does not parse keeps no other from being updated.
            Err(error) => edited
                .problems
                .push(Problem::of_file(path, error.to_string())),
        }
    }
    edited
}

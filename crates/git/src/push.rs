//! Edit, commit, push: with a fresh look at the branch each time somebody else was faster.
//!
//! New objects live in memory until the server has them, so that a push that is refused leaves
//! nothing behind on disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use git2::{ErrorCode, Oid, PushOptions, Repository};

use crate::commit::{self, Author, CommitContent, SigningKey};
use crate::error::{BoxError, GitError};
use crate::fetch::{self, Commit};
use crate::mirror::Mirror;
use crate::reference::{Reference, full_id};
use crate::said::{Purpose, suffix, tidy};
use crate::session::Session;
use crate::transport::with_session;
use crate::tree::Snapshot;

/// Priority of the memory backend; libgit2's own have 1 and 2.
const IN_MEMORY: i32 = 1000;

/// Looks at files and says what to change; none if there is nothing to do. It is called again
/// with newer files when others push in between.
pub type Edit = Box<
    dyn FnMut(&BTreeMap<String, Bytes>) -> Result<Option<CommitContent>, BoxError> + Send + 'static,
>;

/// What to change and where to push it.
pub struct Push {
    /// What the edit starts from, normally the branch that is checked out.
    pub base: Reference,
    /// The branch to push to. When it is not the base's branch, it always holds the base plus
    /// one commit: it is overwritten by force, as Flux does it.
    pub branch: String,
    /// A second destination, for example `refs/heads/main:refs/heads/review`; its left side is
    /// always the new commit.
    pub refspec: Option<String>,
    /// The directory whose files the edit gets; the whole tree if none.
    pub path: Option<String>,
    /// Which files the edit gets, by path from the root; others are not read.
    pub select: fn(&str) -> bool,
    /// Author and committer.
    pub author: Author,
    /// Signs the commit.
    pub signing: Option<SigningKey>,
    /// Push options (`git push -o`).
    pub options: Vec<String>,
    /// The change.
    pub edit: Edit,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("base", &self.base)
            .field("branch", &self.branch)
            .field("refspec", &self.refspec)
            .finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Id of the new commit; none when there was nothing to do.
    pub commit: Option<String>,
    /// The commit that the edit saw.
    pub base: Commit,
    /// The branch pushed to.
    pub branch: String,
    /// The message of the new commit; empty when there is none.
    pub message: String,
}

/// Fetches, edits, commits and pushes once. None when others pushed first. Blocking; call with the
/// mirror's writer lock held.
pub(crate) fn attempt(
    mirror: &Mirror,
    session: &Arc<Session>,
    push: &mut Push,
) -> Result<Option<Pushed>, GitError> {
    let base = fetch::fetch(mirror, session, &push.base)?;
    let nothing = |base: &Commit, branch: &str| {
        Some(Pushed {
            commit: None,
            base: base.clone(),
            branch: branch.to_owned(),
            message: String::new(),
        })
    };
    let remote = &session.remote;
    let files = {
        let snapshot = Snapshot::open(mirror, remote, &base.id)?;
        snapshot.select(push.path.as_deref(), push.select)?
    };
    let Some(content) = (push.edit)(&files).map_err(GitError::Edit)? else {
        return Ok(nothing(&base, &push.branch));
    };
    drop(files);

    // On a branch of its own the last push may already say the same.
    let own_branch = base.refname != format!("refs/heads/{}", push.branch);
    let there = if own_branch {
        let branch = Reference::Branch(push.branch.clone());
        match fetch::fetch(mirror, session, &branch) {
            Ok(tip) => Some(tip),
            Err(GitError::RefNotFound { .. }) => None,
            Err(error) => return Err(error),
        }
    } else {
        None
    };

    let repository = mirror.open(remote)?;
    let damaged = |error: git2::Error| mirror.damage(remote, &error);
    let odb = repository.odb().map_err(damaged)?;
    let _memory = odb.add_new_mempack_backend(IN_MEMORY).map_err(damaged)?;
    let parent = repository
        .find_commit(fetch::parse_id(&base.id)?)
        .map_err(damaged)?;
    let tree = parent.tree().map_err(damaged)?;
    let Some(tree) = commit::edit_tree(&repository, &tree, &content.edits)? else {
        return Ok(nothing(&base, &push.branch));
    };
    if there.is_some_and(|tip| tip.tree == tree.to_string() && is_child(&repository, &tip, &base)) {
        return Ok(nothing(&base, &push.branch));
    }
    let signing = push.signing.as_ref();
    let id = commit::create(
        &repository,
        tree,
        &parent,
        &push.author,
        &content.message,
        signing,
    )?;
    let specs = refspecs(push, id, own_branch);
    match send(&repository, session, &specs, push)? {
        false => Ok(None),
        true => Ok(Some(Pushed {
            commit: Some(id.to_string()),
            base,
            branch: push.branch.clone(),
            message: content.message,
        })),
    }
}

/// Whether `tip` was made on top of `base`. The header is read as text: for a shallow commit
/// libgit2 hides the parents.
fn is_child(repository: &Repository, tip: &Commit, base: &Commit) -> bool {
    let line = format!("parent {}", base.id);
    full_id(&tip.id)
        .and_then(|id| repository.find_commit(id).ok())
        .is_some_and(|commit| {
            commit
                .raw_header()
                .is_ok_and(|h| h.lines().any(|l| l == line))
        })
}

fn refspecs(push: &Push, id: Oid, force: bool) -> Vec<String> {
    let plus = if force { "+" } else { "" };
    let mut specs = vec![format!("{plus}{id}:refs/heads/{}", push.branch)];
    if let Some(refspec) = push.refspec.as_deref().filter(|spec| !spec.is_empty()) {
        let plus = if refspec.starts_with('+') { "+" } else { "" };
        let dest = refspec
            .rsplit(':')
            .next()
            .unwrap_or(refspec)
            .trim_start_matches('+');
        let dest = if dest.starts_with("refs/") {
            dest.to_owned()
        } else {
            format!("refs/heads/{dest}")
        };
        specs.push(format!("{plus}{id}:{dest}"));
    }
    specs
}

/// Statuses of a server that mean: the branch is not what we thought.
const OVERTAKEN: &[&str] = &[
    "non-fast-forward",
    "fetch first",
    "stale info",
    "cannot lock ref",
    "failed to lock",
    "failed to update ref",
    "incorrect old value",
    "reference already exists",
];

/// Pushes. False when others were faster.
fn send(
    repository: &Repository,
    session: &Arc<Session>,
    specs: &[String],
    push: &Push,
) -> Result<bool, GitError> {
    let refused = Rc::new(RefCell::new(None));
    let mut callbacks = fetch::callbacks(session);
    let note = refused.clone();
    callbacks.push_update_reference(move |_, status| {
        if let Some(status) = status {
            note.borrow_mut().get_or_insert_with(|| status.to_owned());
        }
        Ok(())
    });
    let heard = session.clone();
    callbacks.sideband_progress(move |text| {
        heard.hear(text);
        heard.overdue().is_none()
    });
    let mut options = PushOptions::new();
    options.remote_callbacks(callbacks);
    let extra: Vec<&str> = push.options.iter().map(String::as_str).collect();
    if !extra.is_empty() {
        options.remote_push_options(&extra);
    }
    let url = session.remote.url.without_user();
    let result = with_session(session, || {
        repository
            .remote_anonymous(&url)?
            .push(specs, Some(&mut options))
    });
    match result {
        Ok(()) => {}
        Err(error) if error.code() == ErrorCode::NotFastForward => return Ok(false),
        Err(error) => return Err(session.explain(Purpose::Write, &error)),
    }
    let Some(status) = refused.borrow_mut().take() else {
        return Ok(true);
    };
    let lower = status.to_lowercase();
    if OVERTAKEN.iter().any(|text| lower.contains(text)) {
        return Ok(false);
    }
    Err(GitError::PushRejected {
        branch: push.branch.clone(),
        url: session.remote.url.to_string(),
        problem: tidy(&status),
        said: suffix(&session.said()),
    })
}

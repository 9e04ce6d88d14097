//! Edit, commit, push: with a fresh look at the branch each time somebody else was faster.
//!
//! New objects live in memory until the server has them, so that a push that is refused leaves
//! nothing behind on disk.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use git2::Repository;

use crate::commit::{self, Author, CommitContent};
use crate::destination::{self, Action, Change};
use crate::error::{BoxError, GitError};
use crate::fetch::{self, Commit};
use crate::history;
use crate::index::Files;
use crate::mirror::Mirror;
use crate::pack;
use crate::receive::{Update, Verdict};
use crate::reference::{Reference, full_id};
use crate::said::{suffix, tidy};
use crate::sendpack::ReceivePack;
use crate::session::Session;
use crate::signing::SigningKey;
use crate::tree::Snapshot;

/// Priority of the memory backend; libgit2's own have 1 and 2.
pub(crate) const IN_MEMORY: i32 = 1000;

/// The longest push option: well within a frame.
const MAX_OPTION: usize = 32 << 10;

/// Why a destination of a refspec is left alone.
const DIVERGED: &str =
    "it has commits that the new one does not contain; begin the refspec with '+' to overwrite it";

/// Why options cannot be pushed.
const NO_OPTIONS: &str = "the server does not take push options; remove them, or enable them there";

/// Looks at files and says what to change; none if there is nothing to do. It is called again
/// with newer files when others push in between.
pub type Edit =
    Box<dyn FnMut(&Files<'_>) -> Result<Option<CommitContent>, BoxError> + Send + 'static>;

/// What to change and where to push it.
pub struct Push {
    /// What the edit starts from, normally the branch that is checked out.
    pub base: Reference,
    /// The branch to push to. When it is not the base's branch, it always holds the base plus
    /// one commit, and is overwritten by force. Flux stacks commits on the branch's old head
    /// instead, which then lags behind the base, conflicts with it, and repeats commits that were
    /// merged long ago.
    pub branch: String,
    /// A second destination, for example `refs/heads/main:refs/heads/review`; its left side is
    /// always the new commit.
    pub refspec: Option<String>,
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
    /// How much of the time went by in waiting for the server.
    pub waited: Duration,
}

/// Fetches, edits, commits and pushes once. None when it has to be done again: others pushed
/// first, or only now there is the history to tell whether they did. Blocking; call with the
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
            waited: Duration::ZERO,
        })
    };
    let remote = &session.remote;
    let edited = {
        let snapshot = Snapshot::open(mirror, remote, &base.id)?;
        (push.edit)(&Files::new(&snapshot)).map_err(edit_error)?
    };
    let Some(content) = edited else {
        return Ok(nothing(&base, &push.branch));
    };

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

    let destinations = destination::all(&push.branch, push.refspec.as_deref(), own_branch)?;
    check_options(&push.options)?;
    let repository = mirror.open(remote)?;
    let damaged = |error: git2::Error| mirror.damage(remote, &error);
    let odb = repository.odb().map_err(damaged)?;
    let _memory = odb.add_new_mempack_backend(IN_MEMORY).map_err(damaged)?;
    let parent = repository
        .find_commit(fetch::parse_id(&base.id)?)
        .map_err(damaged)?;
    let tree = parent.tree().map_err(damaged)?;
    let Some(edited) = commit::edit_tree(&repository, &tree, &content.edits)? else {
        return Ok(nothing(&base, &push.branch));
    };
    let on_base = |tip: &Commit| {
        full_id(&tip.id)
            .is_some_and(|tip| history::parents(&repository, tip).contains(&parent.id()))
    };
    if there.is_some_and(|tip| tip.tree == edited.to_string() && on_base(&tip)) {
        return Ok(nothing(&base, &push.branch));
    }
    let signing = push.signing.as_ref();
    let id = commit::create(
        &repository,
        edited,
        Some(&parent),
        &push.author,
        &content.message,
        signing,
    )?;
    let pack = pack::build(&repository, id, Some(&parent)).map_err(damaged)?;
    let change = Change {
        base: parent.id(),
        refname: &base.refname,
        id,
        destinations: &destinations,
    };
    match send(
        &repository,
        session,
        (&push.branch, &push.options),
        &change,
        &pack,
    )? {
        Sent::Done => Ok(Some(Pushed {
            commit: Some(id.to_string()),
            base,
            branch: push.branch.clone(),
            message: content.message,
            waited: Duration::ZERO,
        })),
        Sent::Overtaken => Ok(None),
        Sent::Undecided => fetch::history(mirror, session, &base.refname).map(|()| None),
    }
}

/// What the edit met while it read is an error of ours, not one of the edit.
fn edit_error(error: BoxError) -> GitError {
    match error.downcast::<GitError>() {
        Ok(ours) => *ours,
        Err(error) => GitError::Edit(error),
    }
}

/// Options are lines to the server.
fn check_options(options: &[String]) -> Result<(), GitError> {
    let bad = |option: &&String| option.len() > MAX_OPTION || option.contains(['\n', '\0']);
    match options.iter().find(bad) {
        Some(option) => Err(GitError::Reference(format!(
            "push option '{}' is not one line of at most {MAX_OPTION} bytes",
            tidy(option)
        ))),
        None => Ok(()),
    }
}

/// What came of sending.
pub(crate) enum Sent {
    Done,
    /// Others were faster.
    Overtaken,
    /// Only more history can tell whether commits of others would be lost.
    Undecided,
}

/// Pushes, if the server's refs are as we think. The branch is for messages.
pub(crate) fn send(
    repository: &Repository,
    session: &Session,
    (branch, options): (&str, &[String]),
    change: &Change<'_>,
    pack: &[u8],
) -> Result<Sent, GitError> {
    let rejected = |branch: &str, problem: &str| GitError::PushRejected {
        branch: branch.to_owned(),
        url: session.remote.url.to_string(),
        problem: tidy(problem),
        said: suffix(&session.said()),
    };
    let names: Vec<String> = change
        .destinations
        .iter()
        .map(|destination| destination.name.clone())
        .collect();
    let server = ReceivePack::connect(session, &names)?;
    let mut updates = Vec::new();
    for destination in change.destinations {
        let name = &destination.name;
        let tip = server.tip(name);
        let contains = |tip| history::contains(repository, change.base, tip);
        match change.action(destination, tip, contains) {
            Action::Nothing => {}
            Action::Update => updates.push(Update {
                name: name.clone(),
                old: tip,
                new: change.id,
            }),
            Action::Overtaken => {
                server.leave();
                return Ok(Sent::Overtaken);
            }
            Action::Diverged if repository.is_shallow() && !change.refname.is_empty() => {
                server.leave();
                return Ok(Sent::Undecided);
            }
            Action::Diverged => {
                server.leave();
                let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
                return Err(rejected(branch, DIVERGED));
            }
        }
    }
    if updates.is_empty() {
        server.leave();
        return Ok(Sent::Done);
    }
    if !options.is_empty() && !server.takes_options() {
        server.leave();
        return Err(rejected(branch, NO_OPTIONS));
    }
    let report = server.send(&updates, options, pack)?;
    match report.verdict(&updates, &session.said()) {
        Verdict::Done => Ok(Sent::Done),
        Verdict::Overtaken => Ok(Sent::Overtaken),
        Verdict::Refused(status) => Err(rejected(branch, &status)),
    }
}

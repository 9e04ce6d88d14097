//! Edit, commit, push: with a fresh look at the branch each time somebody else was faster.
//!
//! The first look is at the mirror: it has the branch as it was seen or pushed last, and the server
//! says when a push begins whether that is still so. Only then is anything fetched before a push.
//!
//! New objects live in memory until the server has them, so that a push that is refused leaves
//! nothing behind on disk; then they go into the mirror, and nobody has to fetch them.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use git2::Oid;

use crate::commit::{self, Author, CommitContent};
use crate::compact::compact;
use crate::deliver::{self, Sent};
use crate::destination::{self, Change, Destination};
use crate::error::{BoxError, GitError};
use crate::fetch::{self, Commit};
use crate::history;
use crate::index::Files;
use crate::mirror::{Mirror, local_ref};
use crate::pack;
use crate::reference::{Reference, full_id};
use crate::said::tidy;
use crate::session::Session;
use crate::signing::SigningKey;
use crate::tree::Snapshot;

/// Priority of the memory backend; libgit2's own have 1 and 2.
pub(crate) const IN_MEMORY: i32 = 1000;

/// The longest push option: well within a frame.
const MAX_OPTION: usize = 32 << 10;

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
    /// The server is not asked whether there is something new where the base was seen, by
    /// whomever in this process, at this time or later. Without it the server is always asked.
    pub since: Option<Instant>,
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
    /// From when on the server may have had the new commit, which the mirror has, too.
    pub since: Option<Instant>,
    /// How much of the time went by in waiting for the server.
    pub waited: Duration,
}

impl Pushed {
    fn nothing(base: Commit, branch: &str) -> Self {
        Self {
            commit: None,
            base,
            branch: branch.to_owned(),
            message: String::new(),
            since: None,
            waited: Duration::ZERO,
        }
    }
}

/// Edits, commits and pushes once, at `first` on what the mirror has, if that is enough, else on what
/// is fetched. None when it has to be done again: others pushed first, or only now there is the
/// history to tell whether they did. Blocking; call with the mirror's writer lock held.
pub(crate) fn attempt(
    mirror: &Mirror,
    session: &Arc<Session>,
    push: &mut Push,
    first: bool,
) -> Result<Option<Pushed>, GitError> {
    let known = match first {
        true => on_what_is_known(mirror, session, push)?,
        false => Known::Useless,
    };
    if let Known::Enough(pushed) = known {
        return Ok(Some(*pushed));
    }
    let base = fetch::fetch(mirror, session, &push.base)?;
    if matches!(&known, Known::Nothing(before) if *before == base.id) {
        return Ok(Some(Pushed::nothing(base, &push.branch)));
    }
    let Some(new) = New::make(mirror, session, push, &base)? else {
        return Ok(Some(Pushed::nothing(base, &push.branch)));
    };
    if new.creates && fetch::fetch(mirror, session, &push.base)?.id != base.id {
        return Ok(None);
    }
    match new.send(mirror, session, push, &base)? {
        (Sent::Done, pushed) => Ok(Some(pushed)),
        (Sent::Overtaken, _) => Ok(None),
        (Sent::Undecided, _) => fetch::history(mirror, session, &base.refname).map(|()| None),
    }
}

/// What an attempt without a fetch has come to.
enum Known {
    /// All is done.
    Enough(Box<Pushed>),
    /// There is nothing to do, if this commit is still the base.
    Nothing(String),
    /// It could not be made, or the server has something newer.
    Useless,
}

/// The attempt without a fetch.
fn on_what_is_known(
    mirror: &Mirror,
    session: &Arc<Session>,
    push: &mut Push,
) -> Result<Known, GitError> {
    let Some((base, seen)) = fetch::known(mirror, &push.base) else {
        return Ok(Known::Useless);
    };
    let is_new = push.since.is_some_and(|since| seen >= Some(since));
    // Of a base that is not pushed to, the server would not tell that it has moved.
    if !is_new && is_apart(push, &base) {
        return Ok(Known::Useless);
    }
    let new = match New::make(mirror, session, push, &base) {
        Ok(Some(new)) if new.creates => return Ok(Known::Useless),
        Ok(Some(new)) => new,
        Ok(None) if is_new => {
            return Ok(Known::Enough(Box::new(Pushed::nothing(base, &push.branch))));
        }
        Ok(None) => return Ok(Known::Nothing(base.id)),
        Err(error) if is_new && !matches!(error, GitError::Damaged { .. }) => return Err(error),
        // What is wrong may have been mended since.
        Err(_) => return Ok(Known::Useless),
    };
    Ok(match new.send(mirror, session, push, &base)? {
        (Sent::Done, pushed) => Known::Enough(Box::new(pushed)),
        (Sent::Overtaken | Sent::Undecided, _) => Known::Useless,
    })
}

/// Whether the branch is one beside the base.
fn is_apart(push: &Push, base: &Commit) -> bool {
    base.refname != format!("refs/heads/{}", push.branch)
}

/// A commit that only we have.
struct New {
    id: Oid,
    parent: Oid,
    pack: Bytes,
    message: String,
    destinations: Vec<Destination>,
    /// The branch beside the base was not there, after the base was seen: it may have been merged
    /// into the base and removed in between.
    creates: bool,
}

impl New {
    /// What the edit makes of a base; none when there is nothing to push.
    fn make(
        mirror: &Mirror,
        session: &Arc<Session>,
        push: &mut Push,
        base: &Commit,
    ) -> Result<Option<Self>, GitError> {
        let remote = &session.remote;
        let edited = {
            let snapshot = Snapshot::open(mirror, remote, &base.id)?;
            (push.edit)(&Files::new(&snapshot)).map_err(edit_error)?
        };
        let Some(content) = edited else {
            return Ok(None);
        };
        // On a branch of its own the last push may already say the same.
        let is_apart = is_apart(push, base);
        let branch = Reference::Branch(push.branch.clone());
        let there = match is_apart.then(|| fetch::fetch(mirror, session, &branch)) {
            Some(Ok(tip)) => Some(tip),
            Some(Err(GitError::RefNotFound { .. })) | None => None,
            Some(Err(error)) => return Err(error),
        };
        let creates = is_apart && there.is_none();
        let refspec = push.refspec.as_deref();
        let destinations = destination::all(&push.branch, refspec, is_apart)?;
        check_options(&push.options)?;
        let repository = mirror.open(remote)?;
        let damaged = |error: git2::Error| mirror.damage(remote, &error);
        let odb = repository.odb().map_err(damaged)?;
        let _memory = odb.add_new_mempack_backend(IN_MEMORY).map_err(damaged)?;
        let parent = fetch::parse_id(&base.id)?;
        let parent = repository.find_commit(parent).map_err(damaged)?;
        let tree = parent.tree().map_err(damaged)?;
        let Some(edited) = commit::edit_tree(&repository, &tree, &content.edits)? else {
            return Ok(None);
        };
        let on_base = |tip: &Commit| {
            full_id(&tip.id)
                .and_then(|tip| history::parents(&repository, tip))
                .is_some_and(|parents| parents.contains(&parent.id()))
        };
        if there.is_some_and(|tip| tip.tree == edited.to_string() && on_base(&tip)) {
            return Ok(None);
        }
        let id = commit::create(
            &repository,
            edited,
            Some(&parent),
            &push.author,
            &content.message,
            push.signing.as_ref(),
        )?;
        Ok(Some(Self {
            id,
            parent: parent.id(),
            pack: pack::build(&repository, id, Some(&parent)).map_err(damaged)?,
            message: content.message,
            destinations,
            creates,
        }))
    }

    /// Pushes it, and takes it into the mirror.
    fn send(
        self,
        mirror: &Mirror,
        session: &Session,
        push: &Push,
        base: &Commit,
    ) -> Result<(Sent, Pushed), GitError> {
        let repository = mirror.open(&session.remote)?;
        let change = Change {
            base: self.parent,
            refname: &base.refname,
            id: self.id,
            destinations: &self.destinations,
        };
        let since = Instant::now();
        let target = (push.branch.as_str(), push.options.as_slice());
        let sent = deliver::send(&repository, session, target, &change, &self.pack)?;
        if matches!(sent, Sent::Done)
            && let Err(problem) = self.keep(mirror, &repository, since)
        {
            // It will be fetched, then.
            tracing::warn!(url = %session.remote.url, problem, "mirror cannot take what was pushed");
        }
        let pushed = Pushed {
            commit: Some(self.id.to_string()),
            base: base.clone(),
            branch: push.branch.clone(),
            message: self.message,
            since: Some(since),
            waited: Duration::ZERO,
        };
        Ok((sent, pushed))
    }

    fn keep(
        &self,
        mirror: &Mirror,
        repository: &git2::Repository,
        since: Instant,
    ) -> Result<(), String> {
        let failed = |error: git2::Error| tidy(error.message());
        let odb = repository.odb().map_err(failed)?;
        let mut writer = odb.packwriter().map_err(failed)?;
        writer
            .write_all(&self.pack)
            .map_err(|error| error.to_string())?;
        writer.commit().map_err(failed)?;
        for Destination { name, .. } in &self.destinations {
            repository
                .reference(&local_ref(name), self.id, true, "push")
                .map_err(failed)?;
            mirror.saw(name, since);
        }
        compact(repository).map_err(|error| error.to_string())
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

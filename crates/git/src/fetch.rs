//! Bringing one ref into a mirror. Blocking: everything here runs on a thread for that.

use std::sync::Arc;
use std::time::Instant;

use git2::{AutotagOption, Direction, FetchOptions, Oid, RemoteCallbacks, Repository};

use crate::compact::compact;
use crate::error::GitError;
use crate::fsck;
use crate::listing::Listing;
use crate::mirror::{Mirror, local_ref};
use crate::pinned::{self, Search};
use crate::reference::{Picked, Picks, Reference};
use crate::said::tidy;
use crate::session::Session;
use crate::shallow;
use crate::transport::with_session;

/// Depth that means "everything" also for a mirror that is shallow so far
/// (`GIT_FETCH_DEPTH_UNSHALLOW`).
const UNSHALLOW: i32 = i32::MAX;

/// A commit in the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Full id.
    pub id: String,
    /// What the ref points to: for annotated tags the tag object.
    pub object: String,
    /// Id of its root tree.
    pub tree: String,
    /// Flux's form: `main@sha1:…`.
    pub revision: String,
    /// First line of the message.
    pub subject: String,
    /// The whole message.
    pub message: String,
    /// `Name <email>`.
    pub author: String,
    /// Seconds since 1970.
    pub committer_time: i64,
    /// Full name of the ref; empty for a commit without branch.
    pub refname: String,
}

/// Fetches a ref, incrementally. Call with the mirror's writer lock held.
///
/// A mirror is shared, so that it is only given up for what is certainly its own damage.
pub(crate) fn fetch(
    mirror: &Mirror,
    session: &Arc<Session>,
    reference: &Reference,
) -> Result<Commit, GitError> {
    let error = match attempt(mirror, session, reference) {
        Ok(commit) => return Ok(commit),
        Err(error) => error,
    };
    let damaged = match &error {
        GitError::Damaged { .. } => true,
        GitError::Protocol { .. } if session.suspects_mirror() => !mirror
            .open_quietly()
            .is_some_and(|it| fsck::is_sound(&it, || session.overdue().is_some())),
        _ => false,
    };
    if !damaged {
        return Err(error);
    }
    let url = session.remote.url.to_string();
    tracing::warn!(url, problem = %error, "mirror is damaged, fetching it again");
    mirror.wipe()?;
    attempt(mirror, session, reference)
}

fn attempt(
    mirror: &Mirror,
    session: &Arc<Session>,
    reference: &Reference,
) -> Result<Commit, GitError> {
    let repository = mirror.open_or_create()?;
    let asked = Instant::now();
    let picked = match pinned::settled(&repository, reference) {
        Some(present) => present,
        None => with_session(session, || download(&repository, session, reference))?,
    };
    let explain = |error: git2::Error| session.explain(&error);
    // Refs keep what was fetched reachable, and tell the server next time what we have.
    let copy = pinned::copy_of(reference).unwrap_or_else(|| local_ref(&picked.refname));
    if repository.refname_to_id(&copy).ok() != Some(picked.object) {
        shallow::mark(&repository, picked.commit)?;
    }
    repository
        .reference(&copy, picked.object, true, "fetch")
        .map_err(explain)?;
    if reference.pinned().is_none() {
        mirror.saw(&picked.refname, asked);
    }
    if let Err(error) = compact(&repository).and_then(|()| shallow::prune(&repository)) {
        // The fetch itself is good.
        tracing::warn!(url = %session.remote.url, %error, "mirror cannot be compacted");
    }
    describe(&repository, &picked).map_err(explain)
}

/// The commit as a fetch by this ref would return it, if the mirror has it.
pub(crate) fn load(mirror: &Mirror, reference: &Reference, mut picked: Picked) -> Option<Commit> {
    let repository = mirror.open_quietly()?;
    if reference.pinned().is_some() {
        let settled = pinned::settled(&repository, reference)?;
        return describe(&repository, &settled).ok();
    }
    // The copy is of another commit when somebody else has fetched since.
    if let Ok(known) = repository.find_reference(&local_ref(&picked.refname))
        && let Some(object) = known.target()
        && let Ok(commit) = known.peel_to_commit()
        && commit.id() == picked.commit
    {
        picked.object = object;
    }
    has(&repository, &picked)
        .then(|| describe(&repository, &picked).ok())
        .flatten()
}

/// The tip of a branch as the mirror has it, and when it was known to be the remote's.
pub(crate) fn known(mirror: &Mirror, reference: &Reference) -> Option<(Commit, Option<Instant>)> {
    let Reference::Branch(label) = reference else {
        return None;
    };
    let refname = reference.refname()?;
    // First, since the copy may become newer in between.
    let seen = mirror.seen(&refname);
    let repository = mirror.open_quietly()?;
    let copy = repository.find_reference(&local_ref(&refname)).ok()?;
    let tip = copy.target()?;
    let picked = Picked {
        object: tip,
        commit: tip,
        refname,
        label: label.clone(),
    };
    let commit = describe(&repository, &picked).ok()?;
    Some((commit, seen))
}

/// The one of several tags with equal versions that counts, as far as the mirror knows.
pub(crate) fn choose(mirror: &Mirror, picks: Picks) -> Picked {
    if picks.ties.is_empty() {
        return picks.best;
    }
    let Some(repository) = mirror.open_quietly() else {
        return picks.best;
    };
    let unknown = picks.all().find(|pick| !has(&repository, pick)).cloned();
    unknown
        .or_else(|| newest(&repository, &picks))
        .unwrap_or(picks.best)
}

/// The pick with the newest commit, of those that are in the mirror.
fn newest(repository: &Repository, picks: &Picks) -> Option<Picked> {
    let time = |pick: &&Picked| {
        let commit = repository.find_commit(pick.commit).ok();
        commit.map(|commit| commit.committer().when().seconds())
    };
    // The last of equals is taken, which shall be the best.
    let all = picks.ties.iter().rev().chain([&picks.best]);
    let here = all.filter(|pick| has(repository, pick));
    here.max_by_key(time).cloned()
}

/// Notes that the remote has what the mirror has, if it is so.
pub(crate) fn confirm(mirror: &Mirror, picked: &Picked, since: Instant) {
    let Some(repository) = mirror.open_quietly() else {
        return;
    };
    if repository
        .find_reference(&local_ref(&picked.refname))
        .is_ok_and(|copy| copy.target() == Some(picked.object))
    {
        mirror.saw(&picked.refname, since);
    }
}

pub(crate) fn has(repository: &Repository, picked: &Picked) -> bool {
    repository.find_commit(picked.commit).is_ok()
        && repository.odb().is_ok_and(|odb| odb.exists(picked.object))
}

/// Connects, looks the ref up and downloads what is missing, all on one connection if possible.
fn download(
    repository: &Repository,
    session: &Arc<Session>,
    reference: &Reference,
) -> Result<Picked, GitError> {
    let explain = |error: git2::Error| session.explain(&error);
    let url = session.remote.url.to_string();
    let mut remote = repository
        .remote_anonymous(&session.remote.url.without_user())
        .map_err(explain)?;
    let mut connection = remote
        .connect_auth(Direction::Fetch, Some(callbacks(session)), None)
        .map_err(explain)?;
    let listing = listing(connection.list().map_err(explain)?);
    let picks = reference.pick(&listing, &url)?;
    if let Reference::Commit { branch, .. } = reference {
        let mut search = Search {
            repository,
            remote: connection.remote(),
            session,
            picked: picks.best,
            used: false,
        };
        return match branch {
            Some(branch) => search.on_branch(branch, &listing),
            None => search.anywhere(&listing),
        };
    }
    let missing: Vec<_> = picks.all().filter(|pick| !has(repository, pick)).collect();
    if missing.is_empty() {
        return Ok(newest(repository, &picks).unwrap_or(picks.best));
    }
    let specs: Vec<_> = missing
        .iter()
        .map(|pick| format!("+{}:{}", pick.refname, local_ref(&pick.refname)))
        .collect();
    let shallow = connection
        .remote()
        .download(&specs, Some(&mut options(session, 1)));
    match shallow {
        // Then with all its history.
        Err(error) if is_never_shallow(&error) => {
            drop(connection);
            let options = &mut options(session, full_depth(repository));
            remote.download(&specs, Some(options)).map_err(explain)?;
        }
        result => result.map_err(explain)?,
    }
    newest(repository, &picks).ok_or_else(|| {
        let refname = &picks.best.refname;
        GitError::Reference(format!("{refname} in {url} does not point to a commit"))
    })
}

/// Fetches a ref with all its history. Call with the mirror's writer lock held.
pub(crate) fn history(
    mirror: &Mirror,
    session: &Arc<Session>,
    refname: &str,
) -> Result<(), GitError> {
    let repository = mirror.open_or_create()?;
    let spec = format!("+{refname}:{}", local_ref(refname));
    with_session(session, || {
        repository
            .remote_anonymous(&session.remote.url.without_user())?
            .download(
                &[&spec],
                Some(&mut options(session, full_depth(&repository))),
            )
    })
    .map_err(|error| session.explain(&error))
}

/// Whether the server cannot leave history out ("server doesn't support shallow").
pub(crate) fn is_never_shallow(error: &git2::Error) -> bool {
    error.message().contains("support shallow")
}

/// A depth that gives complete history.
pub(crate) fn full_depth(repository: &Repository) -> i32 {
    if repository.is_shallow() {
        UNSHALLOW
    } else {
        0
    }
}

pub(crate) fn options(session: &Arc<Session>, depth: i32) -> FetchOptions<'static> {
    let mut options = FetchOptions::new();
    options
        .depth(depth)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .remote_callbacks(callbacks(session));
    options
}

/// Stops between two reads when the operation is over, and notes that a pack arrives.
fn callbacks(session: &Arc<Session>) -> RemoteCallbacks<'static> {
    let mut callbacks = RemoteCallbacks::new();
    let watched = session.clone();
    callbacks.transfer_progress(move |progress| {
        if progress.total_objects() > 0 {
            watched.receives();
        }
        watched.overdue().is_none()
    });
    callbacks
}

/// libgit2's list of refs as ours.
pub(crate) fn listing(heads: &[git2::RemoteHead<'_>]) -> Listing {
    let mut listing = Listing::default();
    for head in heads {
        if head.name() == "HEAD" {
            listing.head = head.symref_target().map(str::to_owned);
        }
        listing.add_v0(head.oid(), head.name());
    }
    listing
}

fn describe(repository: &Repository, picked: &Picked) -> Result<Commit, git2::Error> {
    let commit = repository.find_commit(picked.commit)?;
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    let author = commit.author();
    Ok(Commit {
        id: commit.id().to_string(),
        object: picked.object.to_string(),
        tree: commit.tree_id().to_string(),
        revision: picked.revision(),
        subject: tidy(message.lines().next().unwrap_or_default()),
        author: format!(
            "{} <{}>",
            String::from_utf8_lossy(author.name_bytes()),
            String::from_utf8_lossy(author.email_bytes())
        ),
        committer_time: commit.time().seconds(),
        refname: picked.refname.clone(),
        message,
    })
}

/// The commit with this id in a mirror.
pub(crate) fn parse_id(text: &str) -> Result<Oid, GitError> {
    crate::reference::full_id(text)
        .ok_or_else(|| GitError::Reference(format!("'{}' is not a full commit id", tidy(text))))
}

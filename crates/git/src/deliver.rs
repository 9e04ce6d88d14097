//! Sending a new commit to the refs where it is to go, if they are as we think they are. Blocking.

use git2::Repository;

use crate::destination::{Action, Change};
use crate::error::GitError;
use crate::history;
use crate::receive::{Update, Verdict};
use crate::said::{suffix, tidy};
use crate::sendpack::ReceivePack;
use crate::session::Session;

/// Why a destination of a refspec is left alone.
const DIVERGED: &str =
    "it has commits that the new one does not contain; begin the refspec with '+' to overwrite it";

/// Why options cannot be pushed.
const NO_OPTIONS: &str = "the server does not take push options; remove them, or enable them there";

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

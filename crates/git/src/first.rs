//! The first commit of an empty repository, which no other kind of push can make: there is nothing
//! to start from.

use std::sync::Arc;

use git2::Oid;

use crate::commit::{self, Author, CommitContent};
use crate::deliver::{self, Sent};
use crate::destination::{self, Change};
use crate::error::GitError;
use crate::mirror::Mirror;
use crate::pack;
use crate::push;
use crate::session::Session;
use crate::signing::SigningKey;

/// What the first commit is.
#[derive(Clone, Debug)]
pub struct FirstCommit {
    /// The branch to create.
    pub branch: String,
    /// Author and committer.
    pub author: Author,
    /// Signs the commit.
    pub signing: Option<SigningKey>,
    /// The files and the message.
    pub content: CommitContent,
}

/// Commits and pushes; the id of the commit. Blocking; call with the mirror's writer lock held.
pub(crate) fn push(
    mirror: &Mirror,
    session: &Arc<Session>,
    first: &FirstCommit,
) -> Result<String, GitError> {
    let repository = mirror.open_or_create()?;
    let damaged = |error: git2::Error| mirror.damage(&session.remote, &error);
    let odb = repository.odb().map_err(damaged)?;
    let _memory = odb
        .add_new_mempack_backend(push::IN_MEMORY)
        .map_err(damaged)?;
    let empty = repository
        .treebuilder(None)
        .and_then(|builder| builder.write())
        .and_then(|id| repository.find_tree(id))
        .map_err(damaged)?;
    let tree =
        commit::edit_tree(&repository, &empty, &first.content.edits)?.unwrap_or_else(|| empty.id());
    let id = commit::create(
        &repository,
        tree,
        None,
        &first.author,
        &first.content.message,
        first.signing.as_ref(),
    )?;
    let pack = pack::build(&repository, id, None).map_err(damaged)?;
    let destinations = destination::all(&first.branch, None, false)?;
    let change = Change {
        base: Oid::ZERO_SHA1,
        refname: "",
        id,
        destinations: &destinations,
    };
    match deliver::send(&repository, session, (&first.branch, &[]), &change, &pack)? {
        Sent::Done => Ok(id.to_string()),
        Sent::Overtaken | Sent::Undecided => Err(GitError::Conflict {
            branch: first.branch.clone(),
            url: session.remote.url.to_string(),
            attempts: 1,
        }),
    }
}

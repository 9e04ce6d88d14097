//! A commit by its id.
//!
//! Servers give more by id than what is on their branches: on many forges a commit of any fork can
//! be had through the repository that was forked. Whoever names a branch next to a commit guards
//! against that, so the commit must be the tip of that branch or one of its ancestors, and it is
//! looked for there alone.
//!
//! What was seen on the branch once is noted in the mirror and stays good, even when the branch is
//! rewritten afterwards: those who may write the branch had accepted the commit, and what is pinned
//! should not fail because others tidy up. Who wants it gone changes the commit in the
//! specification. A poll therefore asks nothing.

use std::sync::Arc;

use git2::{Oid, Remote as GitRemote, Repository};

use crate::error::GitError;
use crate::fetch::{full_depth, has, is_never_shallow, listing, options};
use crate::history::{Lineage, lineage};
use crate::listing::Listing;
use crate::mirror::local_ref;
use crate::reference::{Picked, Reference};
use crate::session::Session;

/// How many commits of a branch are fetched, one step after the other; None for all.
const DEPTHS: [Option<i32>; 4] = [Some(64), Some(1024), Some(16384), None];

/// The ref in the mirror that keeps a pinned commit. With a branch it says that the commit was
/// seen there.
pub(crate) fn copy_of(reference: &Reference) -> Option<String> {
    let picked = reference.pinned()?;
    Some(match picked.refname.as_str() {
        "" => local_ref(""),
        branch => local_ref(&format!("{} on {branch}", picked.commit)),
    })
}

/// A pinned commit about which the server need not be asked: it is in the mirror and, where a branch
/// is named, was seen on it.
pub(crate) fn settled(repository: &Repository, reference: &Reference) -> Option<Picked> {
    let picked = reference.pinned().filter(|it| has(repository, it))?;
    let seen = || repository.find_reference(&copy_of(reference)?).ok();
    (picked.refname.is_empty() || seen()?.target() == Some(picked.commit)).then_some(picked)
}

/// The search for a commit that is not in the mirror, or not known to be on its branch.
pub(crate) struct Search<'a, 'r> {
    pub(crate) repository: &'r Repository,
    pub(crate) remote: &'a mut GitRemote<'r>,
    pub(crate) session: &'a Arc<Session>,
    pub(crate) picked: Picked,
    /// The connection was downloaded on, which it is good for once.
    pub(crate) used: bool,
}

impl Search<'_, '_> {
    /// On a branch, as far back as need be.
    pub(crate) fn on_branch(
        &mut self,
        branch: &str,
        listing: &Listing,
    ) -> Result<Picked, GitError> {
        let wanted = self.picked.commit;
        let mut tip = self.tip(branch, listing)?;
        if tip == wanted && !has(self.repository, &self.picked) {
            tip = self.deepen(branch, Some(1))?;
        }
        let mut depths = DEPTHS.into_iter();
        loop {
            match lineage(self.repository, tip, wanted) {
                Lineage::Within if has(self.repository, &self.picked) => {
                    return Ok(self.picked.clone());
                }
                Lineage::Without => return Err(self.not_on(branch)),
                Lineage::Within | Lineage::Unknown => {}
            }
            // After all of them: a server whose own history is cut off.
            let depth = depths.next().ok_or_else(|| self.not_on(branch))?;
            tip = self.deepen(branch, depth)?;
        }
    }

    /// Anywhere: by a ref that has it as its tip, by its id if the server allows that, else in the
    /// history of all branches and tags.
    pub(crate) fn anywhere(&mut self, listing: &Listing) -> Result<Picked, GitError> {
        let picked = self.picked.clone();
        let tip = listing
            .refs
            .iter()
            .find(|found| found.id == picked.commit || found.peeled == Some(picked.commit));
        let source = tip.map_or_else(|| picked.commit.to_string(), |found| found.name.clone());
        let spec = format!("+{source}:{}", local_ref(&picked.refname));
        let direct = self.download(&[spec], 1);
        if direct.is_ok() && has(self.repository, &picked) {
            return Ok(picked);
        }
        if let Some(overdue) = self.session.overdue() {
            return Err(overdue);
        }
        // The server may have hung up on the id it did not know.
        self.session.forget();
        let specs = ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:refs/mirror/{kind}/*"));
        self.download(&specs, full_depth(self.repository))
            .map_err(|error| self.session.explain(&error))?;
        if has(self.repository, &picked) {
            return Ok(picked);
        }
        Err(self.not_found(", in the history of its branches and tags".to_owned()))
    }

    /// Fetches so many commits of a branch; returns its tip.
    fn deepen(&mut self, branch: &str, depth: Option<i32>) -> Result<Oid, GitError> {
        let name = format!("refs/heads/{branch}");
        let copy = local_ref(&name);
        let specs = [format!("+{name}:{copy}")];
        let all = full_depth(self.repository);
        let result = match self.download(&specs, depth.unwrap_or(all)) {
            Err(error) if is_never_shallow(&error) => self.download(&specs, all),
            result => result,
        };
        let explain = |error: git2::Error| self.session.explain(&error);
        result.map_err(explain)?;
        // The branch may have moved since it was listed first.
        let listing = listing(self.remote.list().map_err(explain)?);
        let tip = self.tip(branch, &listing)?;
        // Tells the server at the next step what is here.
        self.repository
            .reference(&copy, tip, true, "fetch")
            .map_err(explain)?;
        Ok(tip)
    }

    fn download(&mut self, specs: &[String], depth: i32) -> Result<(), git2::Error> {
        if self.used {
            self.remote.disconnect().ok();
        }
        self.used = true;
        self.remote
            .download(specs, Some(&mut options(self.session, depth)))
    }

    fn tip(&self, branch: &str, listing: &Listing) -> Result<Oid, GitError> {
        let found = listing.find(&format!("refs/heads/{branch}"));
        found
            .map(|found| found.id)
            .ok_or_else(|| self.not_found(format!(", which has no branch '{branch}'")))
    }

    fn not_on(&self, branch: &str) -> GitError {
        GitError::NotOnBranch {
            sha: self.picked.commit.to_string(),
            branch: branch.to_owned(),
            url: self.session.remote.url.to_string(),
        }
    }

    fn not_found(&self, scope: String) -> GitError {
        GitError::CommitNotFound {
            sha: self.picked.commit.to_string(),
            url: self.session.remote.url.to_string(),
            scope,
        }
    }
}

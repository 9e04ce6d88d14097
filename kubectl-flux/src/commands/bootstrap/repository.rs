//! The repository as the person who bootstraps reaches it: a fetch, and commits on top.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use flux_git::{
    Author, BoxError, CommitContent, ErrorKind, Files, FirstCommit, Git, GitError, Push, Reference,
    Remote, SigningKey,
};

use super::files::{self, Layout, Writer};
use crate::error::Error;
use crate::output;

/// A repository with what commits to it need.
pub(super) struct Repository {
    git: Git,
    remote: Remote,
    /// The address without secrets, for messages.
    pub(super) url: String,
    /// The branch to commit to.
    pub(super) branch: String,
    author: Author,
    signing: Option<SigningKey>,
    appendix: Option<String>,
    /// Mirrors; deleted with this value.
    _folder: tempfile::TempDir,
}

/// How commits are made.
pub(super) struct Commits {
    pub(super) branch: String,
    pub(super) author: Author,
    pub(super) signing: Option<SigningKey>,
    pub(super) appendix: Option<String>,
}

/// Files to write: always, or only where there is none yet.
pub(super) struct Change {
    /// What the messages call it: `component manifests`.
    pub(super) what: &'static str,
    /// Subject of the commit.
    pub(super) subject: String,
    /// Files that are written in any case.
    pub(super) files: Vec<(String, String)>,
    /// Files that belong to the user once they exist.
    pub(super) once: Vec<(String, String)>,
}

impl Repository {
    /// Does not connect yet.
    ///
    /// # Errors
    /// If there is no place for temporary files.
    pub(super) fn new(remote: Remote, commits: Commits) -> Result<Self, Error> {
        let folder = tempfile::tempdir()
            .map_err(|error| Error::input(format!("cannot make a temporary folder: {error}")))?;
        let git = Git::new(folder.path().join("mirrors")).map_err(explain)?;
        Ok(Self {
            git,
            url: remote.url.to_string(),
            remote,
            branch: commits.branch,
            author: commits.author,
            signing: commits.signing,
            appendix: commits.appendix.filter(|text| !text.is_empty()),
            _folder: folder,
        })
    }

    fn reference(&self) -> Reference {
        Reference::Branch(self.branch.clone())
    }

    /// Fetches the branch and reads those files that concern a bootstrap. An empty repository has
    /// none.
    ///
    /// # Errors
    /// If it cannot be reached, or has commits but not this branch.
    pub(super) async fn clone(&self, layout: &Layout) -> Result<BTreeMap<String, String>, Error> {
        output::action(format!(
            "cloning branch {:?} from Git repository {:?}",
            self.branch, self.url
        ));
        let mut files = BTreeMap::new();
        match self.git.fetch(&self.remote, &self.reference()).await {
            Err(error) if error.kind() == ErrorKind::Empty => {}
            Err(error) => return Err(explain(error)),
            Ok(commit) => {
                let ignore = flux_git::Filter::default();
                let all = self.git.files(&self.remote, &commit.id, &ignore, None);
                let all = all.await.map_err(explain)?;
                for path in [layout.components(), layout.sync(), layout.kustomization()] {
                    if let Some(bytes) = all.get(&path) {
                        files.insert(path, String::from_utf8_lossy(bytes).into_owned());
                    }
                }
            }
        }
        output::success("cloned repository");
        Ok(files)
    }

    /// Commits and pushes what differs, and says what came of it.
    ///
    /// # Errors
    /// If the server refuses.
    pub(super) async fn write(&self, change: Change) -> Result<(), Error> {
        let what = change.what;
        let Some(commit) = self.push(change).await? else {
            output::success(format!("{what} are up to date"));
            return Ok(());
        };
        output::success(format!(
            "committed {what} to {:?} ({commit:?})",
            self.branch
        ));
        output::action(format!("pushing {what} to {:?}", self.url));
        Ok(())
    }

    async fn push(&self, change: Change) -> Result<Option<String>, Error> {
        let message = match &self.appendix {
            Some(text) => format!("{}\n\n{text}\n", change.subject),
            None => format!("{}\n", change.subject),
        };
        let bytes = |files: &[(String, String)]| -> Vec<(String, Bytes)> {
            let one = |(path, text): &(String, String)| (path.clone(), Bytes::from(text.clone()));
            files.iter().map(one).collect()
        };
        let (always, once) = (bytes(&change.files), bytes(&change.once));
        let first = CommitContent {
            edits: always.iter().chain(&once).cloned().collect(),
            message: message.clone(),
        };
        let edit = move |found: &Files<'_>| -> Result<_, BoxError> {
            let mut edits = always.clone();
            for file in &once {
                if !found.contains(&file.0)? {
                    edits.push(file.clone());
                }
            }
            Ok(Some(CommitContent {
                edits,
                message: message.clone(),
            }))
        };
        let push = Push {
            base: self.reference(),
            branch: self.branch.clone(),
            refspec: None,
            author: self.author.clone(),
            signing: self.signing.clone(),
            since: None,
            options: Vec::new(),
            edit: Box::new(edit),
        };
        match self.git.commit_and_push(&self.remote, push).await {
            Ok(pushed) => Ok(pushed.commit),
            Err(error) if error.kind() == ErrorKind::Empty => {
                let first = FirstCommit {
                    branch: self.branch.clone(),
                    author: self.author.clone(),
                    signing: self.signing.clone(),
                    content: first,
                };
                let commit = self.git.commit_first(&self.remote, first).await;
                commit.map(Some).map_err(explain)
            }
            Err(error) => Err(explain(error)),
        }
    }
}

/// Refuses the repository of a real Flux.
///
/// # Errors
/// Unless it may be taken over.
pub(super) fn check_writer(
    files: &BTreeMap<String, String>,
    layout: &Layout,
    take_over: bool,
) -> Result<(), Error> {
    let path = layout.components();
    let Some(Writer::Flux(version)) = files.get(&path).map(|text| files::writer(text)) else {
        return Ok(());
    };
    if take_over {
        output::warning(format!(
            "{path} was written by Flux {version} and is replaced; the one before stays in Git's \
             history"
        ));
        return Ok(());
    }
    Err(Error::input(format!(
        "{path} in the repository was written by Flux {version}, and nothing was changed; to let \
         kubectl flux replace it: --take-over; to leave it to Flux, choose another --path"
    )))
}

/// The error of a Git server, with what is particular here.
fn explain(error: GitError) -> Error {
    let hint = match error.kind() {
        ErrorKind::Permission => {
            "; bootstrap commits to the repository and needs the right to write"
        }
        _ => "",
    };
    Error::input(format!("{error}{hint}"))
}

/// Limit of one Git operation.
pub(super) fn limit(timeout: Duration) -> Duration {
    timeout.min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_of_flux_is_refused() {
        let layout = Layout::new("./", "flux-system");
        let theirs = "---\n# Flux Version: v2.9.0\n".to_owned();
        let files = BTreeMap::from([(layout.components(), theirs)]);
        let error = check_writer(&files, &layout, false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("written by Flux v2.9.0"), "{error}");
        assert!(error.contains("--take-over"), "{error}");
        assert!(check_writer(&files, &layout, true).is_ok());
        assert!(check_writer(&BTreeMap::new(), &layout, false).is_ok());
    }
}

//! What to follow in a repository, and how it is found in a listing of refs.

mod version;

use flux_lang::semver::Constraint;
use git2::Oid;

use crate::error::GitError;
use crate::listing::{Listing, RemoteRef};

/// Where tags are.
pub(crate) const TAGS: &str = "refs/tags/";

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The tip of a branch.
    Branch(String),
    /// A tag; annotated ones are peeled to their commit.
    Tag(String),
    /// The highest version among the tags that a Masterminds range admits.
    Semver(String),
    /// Any ref by its full name, for example `refs/pull/7/head`; a suffix `^{}` is accepted.
    Name(String),
    /// One commit by its full id.
    Commit {
        /// 40 hexadecimal digits.
        sha: String,
        /// Where to look for it, and what the revision is called by.
        branch: Option<String>,
    },
}

/// What a ref of the remote says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Commit id.
    pub id: String,
    /// What the ref points to: for annotated tags the tag object.
    pub object: String,
    /// Full name of the ref; empty for a commit without branch.
    pub refname: String,
    /// Flux's form: `main@sha1:…`.
    pub revision: String,
}

/// A found ref, before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picked {
    /// What the ref points to: for annotated tags the tag object.
    pub(crate) object: Oid,
    /// The commit.
    pub(crate) commit: Oid,
    pub(crate) refname: String,
    pub(crate) label: String,
}

/// What a listing has for a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picks {
    pub(crate) best: Picked,
    /// Tags of a version that equals that of `best`. Of these the one with the newest commit counts.
    pub(crate) ties: Vec<Picked>,
}

impl Picks {
    /// The best and those that equal it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Picked> {
        [&self.best].into_iter().chain(&self.ties)
    }
}

impl From<Picked> for Picks {
    fn from(best: Picked) -> Self {
        let ties = Vec::new();
        Self { best, ties }
    }
}

impl Default for Reference {
    /// Flux's default branch is `master`.
    fn default() -> Self {
        Self::Branch("master".to_owned())
    }
}

impl Reference {
    /// From the fields of `spec.ref`, with Flux's real precedence: commit, name, tag, semver,
    /// branch (its API documentation says otherwise). Empty fields count as unset.
    pub fn from_parts(
        branch: Option<&str>,
        tag: Option<&str>,
        semver: Option<&str>,
        name: Option<&str>,
        commit: Option<&str>,
    ) -> Self {
        let set = |field: Option<&str>| field.filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(sha) = set(commit) {
            Self::Commit {
                sha,
                branch: set(branch),
            }
        } else if let Some(name) = set(name) {
            Self::Name(name)
        } else if let Some(tag) = set(tag) {
            Self::Tag(tag)
        } else if let Some(range) = set(semver) {
            Self::Semver(range)
        } else {
            set(branch).map_or_else(Self::default, Self::Branch)
        }
    }

    /// Whether it is a tag that is followed, under whatever name.
    pub fn is_tag(&self) -> bool {
        match self {
            Self::Tag(_) | Self::Semver(_) => true,
            Self::Name(_) => self.refname().is_some_and(|name| name.starts_with(TAGS)),
            Self::Branch(_) | Self::Commit { .. } => false,
        }
    }

    /// Checks what can be checked without the remote.
    pub(crate) fn validate(&self) -> Result<(), GitError> {
        let problem = match self {
            Self::Semver(range) => Constraint::parse(range)
                .err()
                .map(|e| format!("semver range '{range}' is not valid: {e}")),
            Self::Name(name) if name.starts_with('/') || name.ends_with('/') => Some(format!(
                "ref name '{name}' must not start or end with a slash"
            )),
            Self::Commit { sha, .. } if full_id(sha).is_none() => Some(format!(
                "commit '{sha}' is not a full commit id: write all 40 hexadecimal digits"
            )),
            _ => None,
        };
        let unusable = || {
            let name = self.refname()?;
            (!git2::Reference::is_valid_name(&name))
                .then(|| format!("'{name}' is not a valid ref name"))
        };
        match problem.or_else(unusable) {
            Some(problem) => Err(GitError::Reference(problem)),
            None => Ok(()),
        }
    }

    /// Full name of the one ref that decides, if there is one.
    pub(crate) fn refname(&self) -> Option<String> {
        match self {
            Self::Branch(branch) => Some(format!("refs/heads/{branch}")),
            Self::Tag(tag) => Some(format!("{TAGS}{tag}")),
            Self::Name(name) => Some(name.strip_suffix("^{}").unwrap_or(name).to_owned()),
            Self::Commit { branch, .. } => branch.as_ref().map(|b| format!("refs/heads/{b}")),
            Self::Semver(_) => None,
        }
    }

    /// Prefixes of the refs that are needed to decide. `HEAD` names the default branch in errors.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        let wanted = self.refname().unwrap_or_else(|| TAGS.to_owned());
        vec![wanted, "HEAD".to_owned()]
    }

    /// For a commit: what is known without asking.
    pub(crate) fn pinned(&self) -> Option<Picked> {
        let Self::Commit { sha, branch } = self else {
            return None;
        };
        let id = full_id(sha)?;
        Some(Picked {
            object: id,
            commit: id,
            refname: self.refname().unwrap_or_default(),
            label: branch.clone().unwrap_or_default(),
        })
    }

    /// What a revision in Flux's form (`main@sha1:…`, `sha1:…`, once `main/…` and `HEAD/…`) was found
    /// by.
    pub(crate) fn picked_by(&self, revision: &str) -> Result<Picked, GitError> {
        let foreign = || {
            GitError::Reference(format!(
                "revision '{revision}' is not of what is followed now"
            ))
        };
        let (label, id) = match revision.rsplit_once("sha1:") {
            Some((label, id)) => (label.strip_suffix('@').unwrap_or(label), id),
            None => match revision.rsplit_once('/') {
                Some(("HEAD", id)) => ("", id),
                Some(parts) => parts,
                None => ("", revision),
            },
        };
        let id = full_id(id).ok_or_else(foreign)?;
        let fits = match self {
            Self::Branch(name) | Self::Tag(name) | Self::Name(name) => name == label,
            Self::Semver(_) => !label.is_empty(),
            Self::Commit { sha, branch } => {
                full_id(sha) == Some(id) && branch.as_deref().unwrap_or_default() == label
            }
        };
        if !fits {
            return Err(foreign());
        }
        let refname = self.refname().unwrap_or_else(|| match self {
            Self::Semver(_) => format!("{TAGS}{label}"),
            _ => String::new(),
        });
        Ok(Picked {
            object: id,
            commit: id,
            refname,
            label: label.to_owned(),
        })
    }

    /// Finds the ref in a listing. `url` is for messages.
    pub(crate) fn pick(&self, listing: &Listing, url: &str) -> Result<Picks, GitError> {
        if listing.refs.is_empty() {
            return Err(GitError::EmptyRepository {
                url: url.to_owned(),
            });
        }
        let (what, label) = match self {
            Self::Branch(branch) => (format!("branch '{branch}'"), branch),
            Self::Tag(tag) => (format!("tag '{tag}'"), tag),
            Self::Name(name) => (format!("ref '{name}'"), name),
            Self::Commit { sha, .. } => (format!("commit '{sha}'"), sha),
            Self::Semver(range) => return version::highest(listing, range, url),
        };
        if let Some(pinned) = self.pinned() {
            return Ok(pinned.into());
        }
        let name = self.refname().unwrap_or_default();
        match listing.find(&name) {
            Some(found) => Ok(picked(found, label).into()),
            None => Err(not_found(what, listing, url)),
        }
    }
}

impl Picked {
    pub(crate) fn revision(&self) -> String {
        if self.label.is_empty() {
            format!("sha1:{}", self.commit)
        } else {
            format!("{}@sha1:{}", self.label, self.commit)
        }
    }

    pub(crate) fn head(&self) -> Head {
        Head {
            id: self.commit.to_string(),
            object: self.object.to_string(),
            refname: self.refname.clone(),
            revision: self.revision(),
        }
    }
}

/// A full object id.
pub(crate) fn full_id(text: &str) -> Option<Oid> {
    (text.len() == 40)
        .then(|| Oid::from_str(text).ok())
        .flatten()
}

fn picked(found: &RemoteRef, label: &str) -> Picked {
    Picked {
        object: found.id,
        commit: found.peeled.unwrap_or(found.id),
        refname: found.name.clone(),
        label: label.to_owned(),
    }
}

fn not_found(what: String, listing: &Listing, url: &str) -> GitError {
    let default_branch = listing.default_branch().map(str::to_owned);
    let hint = match &default_branch {
        Some(branch) => format!("; the default branch of the repository is '{branch}'"),
        None => String::new(),
    };
    GitError::RefNotFound {
        what,
        url: url.to_owned(),
        default_branch,
        hint,
    }
}

#[cfg(test)]
mod tests;

//! What to follow in a repository, and how it is found in a listing of refs.

use flux_lang::semver::{Constraint, Version};
use git2::Oid;

use crate::error::GitError;
use crate::listing::{Listing, RemoteRef};

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
            Self::Tag(tag) => Some(format!("refs/tags/{tag}")),
            Self::Name(name) => Some(name.strip_suffix("^{}").unwrap_or(name).to_owned()),
            Self::Commit { branch, .. } => branch.as_ref().map(|b| format!("refs/heads/{b}")),
            Self::Semver(_) => None,
        }
    }

    /// Prefixes of the refs that are needed to decide. `HEAD` names the default branch in errors.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        let wanted = self.refname().unwrap_or_else(|| "refs/tags/".to_owned());
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

    /// What a revision in Flux's form (`main@sha1:…`, `sha1:…`) was found by.
    pub(crate) fn picked_by(&self, revision: &str) -> Result<Picked, GitError> {
        let foreign = || {
            GitError::Reference(format!(
                "revision '{revision}' is not of what is followed now"
            ))
        };
        let (label, id) = revision.rsplit_once("sha1:").ok_or_else(foreign)?;
        let id = full_id(id).ok_or_else(foreign)?;
        let label = label.strip_suffix('@').unwrap_or(label);
        let fits = match self {
            Self::Branch(name) | Self::Tag(name) | Self::Name(name) => name == label,
            Self::Semver(_) => !label.is_empty(),
            Self::Commit { sha, branch } => {
                *sha == id.to_string() && branch.as_deref().unwrap_or_default() == label
            }
        };
        if !fits {
            return Err(foreign());
        }
        let refname = self.refname().unwrap_or_else(|| match self {
            Self::Semver(_) => format!("refs/tags/{label}"),
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
    pub(crate) fn pick(&self, listing: &Listing, url: &str) -> Result<Picked, GitError> {
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
            Self::Semver(range) => return pick_version(listing, range, url),
        };
        if let Some(pinned) = self.pinned() {
            return Ok(pinned);
        }
        let name = self.refname().unwrap_or_default();
        match listing.find(&name) {
            Some(found) => Ok(picked(found, label)),
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

fn pick_version(listing: &Listing, range: &str, url: &str) -> Result<Picked, GitError> {
    let constraint = Constraint::parse(range)
        .map_err(|e| GitError::Reference(format!("semver range '{range}' is not valid: {e}")))?;
    let mut versions: Vec<(Version, &str, &RemoteRef)> = listing
        .refs
        .iter()
        .filter_map(|found| {
            let tag = found.name.strip_prefix("refs/tags/")?;
            Some((Version::parse_tag(tag).ok()?, tag, found))
        })
        .collect();
    // Versions that differ in build metadata only are equal: the name decides, so that the choice
    // is the same each time.
    versions.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    match versions
        .iter()
        .rev()
        .find(|(version, ..)| constraint.matches(version))
    {
        Some((_, tag, found)) => Ok(picked(found, tag)),
        None => Err(GitError::NoVersion {
            constraint: range.to_owned(),
            url: url.to_owned(),
            versions: versions.len(),
            newest: versions
                .last()
                .map(|(_, tag, _)| format!(", the highest is {tag}"))
                .unwrap_or_default(),
        }),
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
mod tests {
    use super::*;

    fn listing() -> Listing {
        let id = |digit: char| Oid::from_str(&digit.to_string().repeat(40)).unwrap();
        let entry = |name: &str, of: char, peeled: Option<char>| RemoteRef {
            name: name.to_owned(),
            id: id(of),
            peeled: peeled.map(id),
        };
        Listing {
            refs: vec![
                entry("HEAD", 'a', None),
                entry("refs/heads/main", 'a', None),
                entry("refs/pull/7/head", 'b', None),
                entry("refs/tags/v1.2.3", 'c', Some('d')),
                entry("refs/tags/v1.10.0", 'e', None),
                entry("refs/tags/v2.0.0-rc.1", 'f', None),
                entry("refs/tags/latest", 'a', None),
            ],
            head: Some("refs/heads/main".to_owned()),
        }
    }

    #[test]
    fn picks() {
        let sha = "9".repeat(40);
        let cases = [
            (Reference::Branch("main".into()), "main@sha1:aaaa"),
            (Reference::Tag("v1.2.3".into()), "v1.2.3@sha1:dddd"),
            (Reference::Semver("1.x".into()), "v1.10.0@sha1:eeee"),
            (
                Reference::Semver(">=1.0.0-0".into()),
                "v2.0.0-rc.1@sha1:ffff",
            ),
            (
                Reference::Name("refs/pull/7/head".into()),
                "refs/pull/7/head@sha1:bbbb",
            ),
            (
                Reference::Name("refs/tags/v1.2.3^{}".into()),
                "refs/tags/v1.2.3^{}@sha1:dddd",
            ),
            (
                Reference::Commit {
                    sha: sha.clone(),
                    branch: None,
                },
                "sha1:9999",
            ),
            (
                Reference::Commit {
                    sha,
                    branch: Some("main".into()),
                },
                "main@sha1:9999",
            ),
        ];
        for (reference, revision) in cases {
            reference.validate().unwrap();
            let got = reference.pick(&listing(), "u").unwrap().revision();
            assert!(got.starts_with(revision), "{reference:?}: {got}");
        }
    }

    #[test]
    fn misses() {
        let empty = Listing::default();
        let cases = [
            (
                Reference::default(),
                listing(),
                "branch 'master' not found in u; the default branch of the repository is 'main'",
            ),
            (
                Reference::Tag("v9".into()),
                listing(),
                "tag 'v9' not found in u",
            ),
            (
                Reference::Semver(">=3".into()),
                listing(),
                "no match found for semver: >=3 (of 3 version tags in u, the highest is v2.0.0-rc.1)",
            ),
            (Reference::default(), empty, "repository u is empty"),
        ];
        for (reference, listing, part) in cases {
            let error = reference.pick(&listing, "u").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn revisions_lead_back_to_refs() {
        let sha = "9".repeat(40);
        let commit = |branch: Option<&str>| Reference::Commit {
            sha: sha.clone(),
            branch: branch.map(str::to_owned),
        };
        for (reference, label, refname) in [
            (
                Reference::Branch("a/b".into()),
                "a/b@",
                Some("refs/heads/a/b"),
            ),
            (Reference::Tag("v1".into()), "v1@", Some("refs/tags/v1")),
            (
                Reference::Semver("*".into()),
                "1.2.3@",
                Some("refs/tags/1.2.3"),
            ),
            (
                Reference::Name("refs/pull/7/head".into()),
                "refs/pull/7/head@",
                Some("refs/pull/7/head"),
            ),
            (commit(None), "", Some("")),
            (commit(Some("main")), "main@", Some("refs/heads/main")),
            (Reference::Branch("main".into()), "master@", None),
            (commit(Some("main")), "", None),
        ] {
            let revision = format!("{label}sha1:{sha}");
            let picked = reference.picked_by(&revision).ok();
            assert_eq!(
                picked.as_ref().map(|p| p.refname.as_str()),
                refname,
                "{revision}"
            );
            if let Some(picked) = picked {
                assert_eq!(picked.revision(), revision);
            }
        }
        for revision in ["", "main@sha1:123", "main/abc"] {
            assert!(
                Reference::Branch("main".into())
                    .picked_by(revision)
                    .is_err(),
                "{revision}"
            );
        }
    }

    #[test]
    fn invalid_without_asking() {
        for (reference, part) in [
            (Reference::Semver("not a range".into()), "semver range"),
            (Reference::Name("/refs/x".into()), "slash"),
            (Reference::Name("refs/a..b".into()), "not a valid ref name"),
            (Reference::Branch("a b".into()), "not a valid ref name"),
            (
                Reference::Commit {
                    sha: "abc".into(),
                    branch: None,
                },
                "40 hexadecimal digits",
            ),
        ] {
            let error = reference.validate().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn precedence() {
        let all = |commit, name, tag, semver, branch| {
            Reference::from_parts(branch, tag, semver, name, commit)
        };
        let s = Some("x");
        assert!(matches!(
            all(s, s, s, s, s),
            Reference::Commit {
                branch: Some(_),
                ..
            }
        ));
        assert!(matches!(all(None, s, s, s, s), Reference::Name(_)));
        assert!(matches!(all(None, None, s, s, s), Reference::Tag(_)));
        assert!(matches!(
            all(Some(""), None, None, s, s),
            Reference::Semver(_)
        ));
        assert_eq!(
            all(None, None, None, None, s),
            Reference::Branch("x".into())
        );
        assert_eq!(
            all(None, None, None, None, None),
            Reference::Branch("master".into())
        );
    }
}

//! Which refs a push changes, and whether it may: decided from what the server says they are.
//!
//! Servers take what is not a fast-forward unless told otherwise; it is up to us not to lose what
//! others pushed.

use git2::Oid;

use crate::error::GitError;
use crate::said::tidy;

/// The longest name of a ref that we send: more than any server takes, and well within a frame.
const MAX_NAME: usize = 4096;

/// A ref to push to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Full name.
    pub(crate) name: String,
    /// Whether it is overwritten, whatever it is.
    pub(crate) force: bool,
}

/// The branch, and where the refspec points if that is another one.
pub(crate) fn all(
    branch: &str,
    refspec: Option<&str>,
    own_branch: bool,
) -> Result<Vec<Destination>, GitError> {
    let branch = Destination {
        name: format!("refs/heads/{branch}"),
        force: own_branch,
    };
    let Some(refspec) = refspec.filter(|spec| !spec.is_empty()) else {
        return Ok(vec![branch]);
    };
    let dest = refspec.rsplit(':').next().unwrap_or(refspec);
    let dest = dest.trim_start_matches('+');
    let name = if dest.starts_with("refs/") {
        dest.to_owned()
    } else {
        format!("refs/heads/{dest}")
    };
    if name.len() > MAX_NAME || !git2::Reference::is_valid_name(&name) {
        return Err(GitError::Reference(format!(
            "refspec '{}' does not end in the name of a branch",
            tidy(refspec)
        )));
    }
    if name == branch.name {
        return Ok(vec![branch]);
    }
    let force = refspec.starts_with('+');
    Ok(vec![branch, Destination { name, force }])
}

/// A new commit and where it goes.
pub(crate) struct Change<'a> {
    pub(crate) base: Oid,
    /// The ref that the base came from; empty for a commit without branch.
    pub(crate) refname: &'a str,
    pub(crate) id: Oid,
    pub(crate) destinations: &'a [Destination],
}

/// What is to be done about one destination.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It has the commit already.
    Nothing,
    Update,
    /// Others pushed to the base's branch first.
    Overtaken,
    /// Others may have pushed commits that would be lost.
    Diverged,
}

impl Change<'_> {
    /// Looks at what a destination is now. `contains` tells whether a commit is part of the
    /// history of the base.
    pub(crate) fn action(
        &self,
        destination: &Destination,
        tip: Option<Oid>,
        contains: impl FnOnce(Oid) -> bool,
    ) -> Action {
        let is_base = destination.name == self.refname;
        match tip {
            Some(tip) if tip == self.id => Action::Nothing,
            Some(tip) if destination.force || tip == self.base => Action::Update,
            None if !is_base => Action::Update,
            _ if is_base => Action::Overtaken,
            Some(tip) if !contains(tip) => Action::Diverged,
            _ => Action::Update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refspecs() {
        let dest = |name: &str, force| Destination {
            name: name.to_owned(),
            force,
        };
        let auto = || dest("refs/heads/auto", true);
        // refspec, second destination
        let cases = [
            (None, None),
            (Some(""), None),
            (Some("main:refs/heads/auto"), None),
            (Some("+main:auto"), None),
            (Some("review"), Some(dest("refs/heads/review", false))),
            (Some("main:review"), Some(dest("refs/heads/review", false))),
            (Some("+main:review"), Some(dest("refs/heads/review", true))),
            (Some("a:refs/for/main"), Some(dest("refs/for/main", false))),
        ];
        for (refspec, second) in cases {
            let expected: Vec<_> = [auto()].into_iter().chain(second).collect();
            assert_eq!(all("auto", refspec, true).unwrap(), expected, "{refspec:?}");
        }
        for bad in ["main:", "a:b c", "a:b\nc", "a:..", "a:*", &"x".repeat(5000)] {
            assert!(all("auto", Some(bad), true).is_err(), "{bad}");
        }
    }

    #[test]
    fn actions() {
        let id = |digit: &str| Oid::from_str(&digit.repeat(40)).unwrap();
        let (base, new, old, other) = (id("a"), id("b"), id("c"), id("d"));
        let change = Change {
            base,
            refname: "refs/heads/main",
            id: new,
            destinations: &[],
        };
        // name, force, tip, action
        let cases = [
            ("refs/heads/main", false, Some(base), Action::Update),
            ("refs/heads/main", false, Some(new), Action::Nothing),
            ("refs/heads/main", false, Some(old), Action::Overtaken),
            ("refs/heads/main", false, Some(other), Action::Overtaken),
            ("refs/heads/main", false, None, Action::Overtaken),
            ("refs/heads/main", true, Some(other), Action::Update),
            ("refs/heads/x", false, None, Action::Update),
            ("refs/heads/x", false, Some(base), Action::Update),
            ("refs/heads/x", false, Some(old), Action::Update),
            ("refs/heads/x", false, Some(other), Action::Diverged),
            ("refs/heads/x", true, Some(other), Action::Update),
            ("refs/heads/x", true, Some(new), Action::Nothing),
        ];
        for (name, force, tip, expected) in cases {
            let destination = Destination {
                name: name.to_owned(),
                force,
            };
            let action = change.action(&destination, tip, |tip| tip == old);
            assert_eq!(action, expected, "{destination:?} {tip:?}");
        }
    }
}

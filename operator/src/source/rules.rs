//! Which files of a commit count: what the specification asks for, and what the artifact was made by.
//! The two differ while an object is suspended, or while what it asks for cannot be had.

use flux_api::{GitRepositorySpec, GitRepositoryStatus};
use flux_git::Filter;
use flux_lang::gitignore::IgnoreList;

/// The rules of the specification.
pub(super) fn asked(spec: &GitRepositorySpec) -> Filter {
    filter(spec.ignore.as_deref(), &spec.sparse_checkout)
}

/// The rules by which the artifact of the status was made.
pub(super) fn observed(status: &GitRepositoryStatus) -> Filter {
    let ignore = status.observed_ignore.as_deref();
    filter(ignore, &status.observed_sparse_checkout)
}

fn filter(ignore: Option<&str>, dirs: &[String]) -> Filter {
    Filter {
        ignore: IgnoreList::parse(ignore.unwrap_or_default(), &[]),
        dirs: dirs.to_vec(),
    }
}

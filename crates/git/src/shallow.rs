//! Where the history in a mirror is cut off: commits whose parents are not there on purpose. Git
//! keeps their ids in the file `shallow`, one a line.

use std::collections::HashSet;
use std::fs;

use git2::{Oid, Repository};

use crate::reference::full_id;

/// Name of the file, in the repository.
const FILE: &str = "shallow";

/// The commits whose parents are not there.
pub(crate) fn boundaries(repository: &Repository) -> HashSet<Oid> {
    let text = fs::read_to_string(repository.path().join(FILE)).unwrap_or_default();
    text.lines().filter_map(full_id).collect()
}

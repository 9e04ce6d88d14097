//! The tags that a range of versions means.

use flux_lang::semver::{Constraint, Version};

use super::{Picks, TAGS, picked};
use crate::error::GitError;
use crate::listing::{Listing, RemoteRef};

/// The highest version within a range. Versions that differ in build metadata only are equal; which
/// of their commits is the newest, a listing does not say.
pub(super) fn highest(listing: &Listing, range: &str, url: &str) -> Result<Picks, GitError> {
    let constraint = Constraint::parse(range)
        .map_err(|e| GitError::Reference(format!("semver range '{range}' is not valid: {e}")))?;
    let mut versions: Vec<(Version, &str, &RemoteRef)> = listing
        .refs
        .iter()
        .filter_map(|found| {
            let tag = found.name.strip_prefix(TAGS)?;
            Some((Version::parse_tag(tag).ok()?, tag, found))
        })
        .collect();
    versions.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.cmp(a.1)));
    let mut within = versions
        .iter()
        .filter(|(version, ..)| constraint.matches(version));
    let Some((version, tag, found)) = within.next() else {
        return Err(GitError::NoVersion {
            constraint: range.to_owned(),
            url: url.to_owned(),
            versions: versions.len(),
            newest: versions
                .first()
                .map(|(_, tag, _)| format!(", the highest is {tag}"))
                .unwrap_or_default(),
        });
    };
    let ties = within.take_while(|(other, ..)| other == version);
    Ok(Picks {
        best: picked(found, tag),
        ties: ties.map(|(_, tag, found)| picked(found, tag)).collect(),
    })
}

//! Image policy markers in YAML files: finding them, and writing what the policies selected.
//!
//! A marker is the comment of a scalar value: `image: app:1.0 # {"$imagepolicy": "ns:policy"}`,
//! with `:tag`, `:name` or `:digest` after the policy for a part of the image. Only the bytes of
//! marked scalars change; comments, blank lines, indentation and line ends are never touched.

mod comment;
mod edit;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

use std::fmt;

use flux_api::ImageRef;
use flux_lang::yaml::YamlError;

pub use crate::change::{Change, ObjectIdentifier};
pub use edit::{Markers, Plan, apply, find};

/// What every marker contains, with its quotes.
const KEY: &[u8] = b"\"$imagepolicy\"";

/// What a policy has to say to a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The selected image.
    Ref(ImageRef),
    /// There is no such policy, or the automation's selector does not admit it.
    Unknown,
    /// The policy has not selected anything yet.
    NoValueYet,
    /// The policy's namespace is not one that the automation may read.
    OtherNamespace,
    /// The policy may not be used, for this reason.
    Denied(String),
}

/// A marker, or a whole file, that nothing could be done for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the file, as given to [`apply`].
    pub file: String,
    /// Line of the marker, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What the marker names; empty for the file as a whole and for markers without a name.
    pub policy: String,
    /// Why, and what to do.
    pub reason: String,
}

impl Problem {
    /// A file that could not be looked at.
    pub fn of_file(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            policy: String::new(),
            reason: reason.into(),
        }
    }
}

/// `file:line policy reason`, without the parts that are not there.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.line {
            0 => f.write_str(":")?,
            line => write!(f, ":{line}")?,
        }
        if !self.policy.is_empty() {
            write!(f, " {}", self.policy)?;
        }
        write!(f, " {}", self.reason)
    }
}

/// What applying the markers of a file gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The new content; `None` when nothing changes.
    pub bytes: Option<String>,
    /// The scalars that change. Markers that are current are not among them.
    pub changes: Vec<Change>,
    /// The markers that could not be applied.
    pub problems: Vec<Problem>,
}

/// Why the markers of a file cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid YAML, left as it is: {0}")]
pub struct MarkerError(#[from] YamlError);

/// Whether markers are looked for in a file of this path: `*.yaml`, `*.yml`, `Kustomization`.
#[must_use]
pub fn is_candidate(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "Kustomization" || name.ends_with(".yaml") || name.ends_with(".yml")
}

/// Whether the content can have a marker at all: a quick test before [`apply`].
#[must_use]
pub fn may_have_markers(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Dollar signs are rare in manifests; nothing else is compared.
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        let quoted = at.checked_sub(1).and_then(|start| rest.get(start..));
        if quoted.is_some_and(|text| text.starts_with(KEY)) {
            return true;
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    false
}

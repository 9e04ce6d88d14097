//! Versions and version ranges as Masterminds/semver 3.5 for Go reads them: the library behind
//! semver image policies and `GitRepository.spec.ref.semver`.
//!
//! Its grammar is looser than semver.org (`v1`, `1.2`, leading zeros) and its ranges differ from
//! those of Cargo and npm, above all in when a pre-release counts. This is not a general semver
//! library.

mod constraint;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

pub use constraint::{Constraint, ConstraintError};

/// Longest text that [`Version::parse`] looks at, in bytes (`MaxVersionLen` of the Go library).
const MAX_LENGTH: usize = 256;

/// A version. Equality, order and hash follow precedence: build metadata and spelling do not
/// count, so `v1.2.0+a` equals `1.2.0`.
#[derive(Clone, Debug)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number; 0 when the text has none.
    pub minor: u64,
    /// Third number; 0 when the text has none.
    pub patch: u64,
    pre: String,
    original: String,
}

/// Why a text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// More than 256 bytes.
    #[error("version string is too long (max {MAX_LENGTH} bytes)")]
    TooLong,
    /// Not of the form `[v]N[.N[.N]][-pre][+build]`.
    #[error("invalid semantic version")]
    Invalid,
    /// A number above 2^64-1.
    #[error("a number of the version is above 18446744073709551615")]
    NumberTooLarge,
    /// A purely numeric pre-release part such as `-01`.
    #[error("a numeric pre-release part starts with 0")]
    LeadingZero,
}

impl Version {
    /// Reads `[v]N[.N[.N]][-pre][+build]`; missing numbers are 0, leading zeros are fine.
    ///
    /// # Errors
    /// [`VersionError`] when the text has another form.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong);
        }
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, build) = split_off(rest, '+');
        // A '-' inside the build metadata is no pre-release: the metadata is already gone here.
        let (numbers, pre) = split_off(rest, '-');
        if let Some(build) = build {
            identifiers(build)?;
        }
        if let Some(pre) = pre {
            for part in identifiers(pre)? {
                let numeric = part.bytes().all(|b| b.is_ascii_digit());
                if numeric && part.len() > 1 && part.starts_with('0') {
                    return Err(VersionError::LeadingZero);
                }
            }
        }
        let mut parts = [0_u64; 3];
        let mut slots = parts.iter_mut();
        for part in numbers.split('.') {
            let slot = slots.next().ok_or(VersionError::Invalid)?;
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(VersionError::Invalid);
            }
            *slot = part.parse().map_err(|_| VersionError::NumberTooLarge)?;
        }
        let [major, minor, patch] = parts;
        Ok(Self {
            major,
            minor,
            patch,
            pre: pre.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// Reads a version as Flux reads an image or Git tag: like [`Version::parse`], but three
    /// numbers are required (`fluxcd/pkg/version.ParseVersion`).
    ///
    /// # Errors
    /// [`VersionError`] when the text has another form.
    pub fn parse_tag(text: &str) -> Result<Self, VersionError> {
        // As in Flux, dots are counted before anything else: "1-a.b.c" passes this test.
        if text.split('.').nth(2).is_none() {
            return Err(VersionError::Invalid);
        }
        Self::parse(text)
    }

    /// The pre-release without its dash; empty for a release.
    #[must_use]
    pub fn pre_release(&self) -> &str {
        &self.pre
    }
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((head, tail)) => (head, Some(tail)),
        None => (text, None),
    }
}

fn identifiers(text: &str) -> Result<std::str::Split<'_, char>, VersionError> {
    let valid = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.split('.').all(valid) {
        Ok(text.split('.'))
    } else {
        Err(VersionError::Invalid)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

/// A release comes after its pre-releases; those compare part by part, a longer one wins.
fn compare_pre(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut lefts, mut rights) = (left.split('.'), right.split('.'));
    loop {
        let order = match (lefts.next(), rights.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(l), Some(r)) => compare_part(l, r),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Numbers come before words. What does not fit 64 bits is a word, as in Go.
fn compare_part(left: &str, right: &str) -> Ordering {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(l), Ok(r)) => l.cmp(&r),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.major, self.minor, self.patch, &self.pre).hash(state);
    }
}

/// The text as it was written.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.original)
    }
}

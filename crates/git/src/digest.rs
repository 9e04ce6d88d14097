//! Digests of tarballs: `sha256:` and hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::mirror::hex;

/// An algorithm by which a tarball is digested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// As it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The one that a digest was made by.
    pub fn of(digest: &str) -> Option<Self> {
        digest.split_once(':')?.0.parse().ok()
    }

    /// Begins a digest.
    pub fn begin(self) -> Digest {
        let state = match self {
            Self::Sha256 => State::Sha256(Sha256::new()),
            Self::Sha384 => State::Sha384(Sha384::new()),
            Self::Sha512 => State::Sha512(Sha512::new()),
        };
        Digest {
            algorithm: self,
            state,
        }
    }
}

impl FromStr for DigestAlgorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| format!("'{name}' is none of sha256, sha384 and sha512"))
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Digest {
    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha384(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest over all.
    pub fn finish(self) -> String {
        let digits = match self.state {
            State::Sha256(hash) => hex(&hash.finalize(), 32),
            State::Sha384(hash) => hex(&hash.finalize(), 48),
            State::Sha512(hash) => hex(&hash.finalize(), 64),
        };
        format!("{}:{digits}", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_name_their_algorithm() {
        for (algorithm, begins, length) in [
            (DigestAlgorithm::Sha256, "sha256:ba7816bf", 71),
            (DigestAlgorithm::Sha384, "sha384:cb00753f", 103),
            (DigestAlgorithm::Sha512, "sha512:ddaf35a1", 135),
        ] {
            let mut digest = algorithm.begin();
            digest.update(b"a");
            digest.update(b"bc");
            let text = digest.finish();
            assert!(text.starts_with(begins) && text.len() == length, "{text}");
            assert_eq!(DigestAlgorithm::of(&text), Some(algorithm));
        }
        for other in ["sha256", "sha1:ba78", "blake3:ba78", ""] {
            assert_eq!(DigestAlgorithm::of(other), None, "{other}");
        }
    }
}

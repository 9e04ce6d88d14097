//! Signatures of commits and tags, checked against the keys of a Secret.
//!
//! SSH signatures are verified by the library that also reads ssh keys, OpenPGP in
//! [`openpgp`](crate::openpgp). Which of the two it is, the signature says.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository};
use pgp::composed::SignedPublicKey;
use pgp::types::Timestamp;
use russh::keys::ssh_key::{AuthorizedKeys, SshSig};
use russh::keys::{HashAlg, PublicKey};

use crate::error::GitError;
use crate::openpgp;
use crate::said::tidy;

/// What git puts into the signature so that it is good for nothing else.
const NAMESPACE: &str = "git";

const SSH: &str = "-----BEGIN SSH SIGNATURE-----";
const PGP: &str = "-----BEGIN PGP SIGNATURE-----";

/// What must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifyMode {
    /// The commit.
    Head,
    /// The tag.
    Tag,
    /// Both.
    TagAndHead,
}

/// Why something does not count as verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The Secret has no usable key.
    #[error("{0}")]
    Keys(String),
    /// There is no tag, or one that cannot carry a signature.
    #[error("cannot verify tag '{tag}': {problem}")]
    NoTag {
        /// Its name.
        tag: String,
        /// Why.
        problem: &'static str,
    },
    /// The signature of a commit is missing or bad.
    #[error("signature verification of commit '{id}' failed: {problem}")]
    Commit {
        /// Full id.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The signature of a tag is missing or bad.
    #[error("signature verification of tag '{tag}' failed: {problem}")]
    Tag {
        /// `name@id`.
        tag: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The mirror cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Public keys of those who may sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    ssh: Vec<PublicKey>,
    openpgp: Vec<SignedPublicKey>,
    /// What is wrong with entries that hold no key, for when one is missed.
    problems: Vec<String>,
}

impl TrustedKeys {
    /// Reads a Secret's data: entries whose name ends in `.sshpub` hold lines of an
    /// `authorized_keys` file, all others OpenPGP public keys, armored or binary.
    ///
    /// # Errors
    /// When there is no key, with what is wrong with each entry.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, VerifyError> {
        let mut keys = Self::default();
        for (name, content) in data {
            let read = if name.ends_with(".sshpub") {
                read_ssh(content).map(|found| keys.ssh.extend(found))
            } else {
                openpgp::read_keys(content).map(|found| keys.openpgp.extend(found))
            };
            if let Err(problem) = read {
                keys.problems.push(format!("'{name}' {problem}"));
            }
        }
        if !keys.ssh.is_empty() || !keys.openpgp.is_empty() {
            return Ok(keys);
        }
        Err(VerifyError::Keys(if keys.problems.is_empty() {
            "there are no public keys; add those of the authors: ssh keys in an entry that ends in '.sshpub', OpenPGP keys in one that ends in '.asc'".to_owned()
        } else {
            keys.problems.join("; ")
        }))
    }

    /// The name of the key that made a signature over a text: the fingerprint of an ssh key, the
    /// key id of an OpenPGP key.
    fn check(&self, signature: &str, text: &[u8]) -> Result<String, String> {
        let signature = signature.trim();
        let answer = if signature.starts_with(PGP) {
            openpgp::check(&self.openpgp, signature, text, Timestamp::now())
        } else if signature.starts_with(SSH) {
            self.check_ssh(signature, text)
        } else {
            return Err(
                "the kind of its signature is not supported; sign with an OpenPGP or ssh key"
                    .to_owned(),
            );
        };
        answer.map_err(|mut problem| {
            for entry in &self.problems {
                problem = format!("{problem}; {entry}");
            }
            problem
        })
    }

    fn check_ssh(&self, signature: &str, text: &[u8]) -> Result<String, String> {
        let signature = SshSig::from_pem(signature)
            .map_err(|error| format!("its signature cannot be read: {error}"))?;
        let signer = PublicKey::from(signature.public_key().clone());
        let id = signer.fingerprint(HashAlg::Sha256).to_string();
        let known = |key: &&PublicKey| key.key_data() == signature.public_key();
        match self.ssh.iter().find(known) {
            None => Err(format!(
                "it is signed with the key {id}, which is not in the Secret"
            )),
            Some(key) => key
                .verify(NAMESPACE, text, &signature)
                .map(|()| id.clone())
                .map_err(|_| format!("the signature with the key {id} does not fit its content")),
        }
    }
}

fn read_ssh(content: &[u8]) -> Result<Vec<PublicKey>, String> {
    AuthorizedKeys::new(&String::from_utf8_lossy(content))
        .map(|entry| {
            entry
                .map(|entry| entry.public_key().clone())
                .map_err(|error| format!("is not a list of ssh public keys: {error}"))
        })
        .collect()
}

/// Verifies a commit, and the tag by which it was found. `tag` is the short name and what the ref
/// points to. Returns what was verified, in words.
pub(crate) fn verify(
    repository: &Repository,
    commit: Oid,
    tag: Option<(&str, Oid)>,
    mode: VerifyMode,
    keys: &TrustedKeys,
) -> Result<String, VerifyError> {
    let mut lines = vec!["verified signature of".to_owned()];
    if mode != VerifyMode::Head {
        let (name, id) = tag.ok_or(VerifyError::NoTag {
            tag: String::new(),
            problem: "spec.ref does not name a tag; set spec.ref.tag or spec.ref.semver, or spec.verify.mode: HEAD",
        })?;
        let key = verify_tag(repository, name, id, commit, keys)?;
        lines.push(format!("\t- tag '{name}@{id}' with key '{key}'"));
    }
    if mode != VerifyMode::Tag {
        let key = verify_commit(repository, commit, keys)?;
        lines.push(format!("\t- commit '{commit}' with key '{key}'"));
    }
    Ok(lines.join("\n"))
}

fn verify_commit(
    repository: &Repository,
    id: Oid,
    keys: &TrustedKeys,
) -> Result<String, VerifyError> {
    let failed = |problem| VerifyError::Commit {
        id: id.to_string(),
        problem,
    };
    let (signature, text) = repository
        .extract_signature(&id, None)
        .map_err(|error| match error.code() {
            git2::ErrorCode::NotFound => {
                failed("it is not signed; sign it (git commit -S)".to_owned())
            }
            _ => failed(tidy(error.message())),
        })?;
    keys.check(&String::from_utf8_lossy(&signature), &text)
        .map_err(failed)
}

fn verify_tag(
    repository: &Repository,
    name: &str,
    id: Oid,
    commit: Oid,
    keys: &TrustedKeys,
) -> Result<String, VerifyError> {
    let failed = |problem| VerifyError::Tag {
        tag: format!("{name}@{id}"),
        problem,
    };
    let unreadable = |error: git2::Error| failed(tidy(error.message()));
    let odb = repository.odb().map_err(unreadable)?;
    let object = odb.read(id).map_err(unreadable)?;
    if object.kind() != ObjectType::Tag {
        return Err(VerifyError::NoTag {
            tag: name.to_owned(),
            problem: "it is a lightweight tag, which carries no signature; make a signed one (git tag -s)",
        });
    }
    // Which commit it was found by is the server's word; which one it is about is the author's.
    let target = repository
        .find_object(id, None)
        .and_then(|tag| tag.peel(ObjectType::Commit))
        .map_err(unreadable)?;
    if target.id() != commit {
        let target = target.id();
        return Err(failed(format!(
            "it is about commit {target}, the server gives {commit} for it"
        )));
    }
    let (text, signature) = split(object.data()).ok_or_else(|| VerifyError::NoTag {
        tag: name.to_owned(),
        problem: "it is not signed; sign it (git tag -s)",
    })?;
    keys.check(&String::from_utf8_lossy(signature), text)
        .map_err(failed)
}

/// A tag's signature is appended to its text; what looks like one before belongs to the text.
fn split(tag: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = |marker: &str| {
        let marker = marker.as_bytes();
        (0..tag.len()).rev().find(|at| {
            tag.get(*at..).is_some_and(|rest| rest.starts_with(marker))
                && (*at == 0 || tag.get(at - 1) == Some(&b'\n'))
        })
    };
    tag.split_at_checked(start(SSH).max(start(PGP))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn secrets_without_a_usable_key_say_so() {
        let key = crate::keys::generate(crate::keys::Algorithm::Ed25519).unwrap();
        let line = format!("# authors\n{} somebody\n\n", key.public_openssh);
        let keys =
            TrustedKeys::from_secret(&secret(&[("a.sshpub", &line), ("b.asc", "")])).unwrap();
        assert_eq!((keys.ssh.len(), keys.openpgp.len()), (1, 0));
        let missed = keys.check(&format!("{PGP}\nx"), b"").unwrap_err();
        assert!(missed.contains("'b.asc' holds no"), "{missed}");
        let private = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n";
        for (data, part) in [
            (secret(&[]), "there are no public keys"),
            (
                secret(&[("author.asc", "x")]),
                "'author.asc' is not an OpenPGP public key",
            ),
            (
                secret(&[("author.asc", "")]),
                "'author.asc' holds no OpenPGP public key",
            ),
            (
                secret(&[("author.asc", private)]),
                "'author.asc' holds a private key",
            ),
            (secret(&[("a.sshpub", "x y")]), "'a.sshpub' is not a list"),
        ] {
            let error = TrustedKeys::from_secret(&data).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_signature_of_a_tag_is_at_its_end() {
        let text = format!("object x\n\nnot {SSH} here\n");
        assert!(split(text.as_bytes()).is_none());
        let quotes = format!("{text}{SSH}\nquoted\n");
        for (text, marker) in [(&text, SSH), (&text, PGP), (&quotes, PGP)] {
            let signed = format!("{text}{marker}\nabc\n");
            let (before, after) = split(signed.as_bytes()).unwrap();
            assert_eq!(before, text.as_bytes());
            assert!(after.starts_with(marker.as_bytes()));
        }
    }
}

//! Keys that sign commits: ssh and OpenPGP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pgp::composed::{ArmorOptions, Deserializable as _, DetachedSignature, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::types::{KeyDetails as _, Password};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PrivateKey};

use crate::auth::AuthError;
use crate::error::GitError;
use crate::keys;

/// A key that signs commits. `Debug` shows its fingerprint only.
#[derive(Clone)]
pub struct SigningKey(Arc<Kind>);

enum Kind {
    Ssh(Box<PrivateKey>),
    OpenPgp {
        key: Box<SignedSecretKey>,
        /// The subkey that signs; the primary key if none.
        subkey: Option<usize>,
        pass_phrase: Password,
    },
}

impl SigningKey {
    /// Reads a signing Secret with an ssh key: `identity` and `password` (its pass phrase).
    ///
    /// # Errors
    /// When there is no usable ssh key.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthError> {
        let Some(identity) = text(data, "identity") else {
            return Err(AuthError::Signing(if data.contains_key("git.asc") {
                "'identity' with a private ssh key is required; for the OpenPGP key in 'git.asc' \
                 set spec.git.commit.signingKey.type: gpg"
                    .to_owned()
            } else {
                "'identity' with a private ssh key is required".to_owned()
            }));
        };
        let pass_phrase = text(data, "password").filter(|p| !p.is_empty());
        keys::decode(&identity, pass_phrase.as_deref())
            .map(|key| Self(Arc::new(Kind::Ssh(Box::new(key)))))
            .map_err(|error| AuthError::Signing(error.to_string()))
    }

    /// Reads a signing Secret with an OpenPGP key (RFC 9580, armored): `git.asc` with exactly one
    /// secret key and `passphrase`. The newest subkey that may sign does, else the primary key.
    ///
    /// # Errors
    /// When there is none, or more than one, or it cannot be unlocked.
    pub fn from_openpgp_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, AuthError> {
        let wrong = |problem: String| AuthError::Signing(problem);
        let Some(armored) = data.get("git.asc") else {
            return Err(wrong(
                "'git.asc' with an armored OpenPGP private key is required; \
                 `gpg --export-secret-keys --armor KEY` writes it"
                    .to_owned(),
            ));
        };
        let malformed = |error: pgp::errors::Error| {
            wrong(format!(
                "'git.asc' is not an armored OpenPGP private key: {error}; \
                 `gpg --export-secret-keys --armor KEY` writes one"
            ))
        };
        let (keys, _) = SignedSecretKey::from_armor_many(armored.as_slice()).map_err(malformed)?;
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(malformed)?;
        let count = keys.len();
        let [key] = <[SignedSecretKey; 1]>::try_from(keys).map_err(|_| {
            wrong(match count {
                0 => "'git.asc' is not an armored OpenPGP private key: it holds none".to_owned(),
                _ => format!("'git.asc' must hold exactly one key, not {count}"),
            })
        })?;
        let pass_phrase = text(data, "passphrase").filter(|p| !p.is_empty());
        Self::openpgp(key, pass_phrase)
            .map_err(|problem| wrong(problem.replace("pass phrase", "pass phrase in 'passphrase'")))
    }

    /// Reads a file with OpenPGP private keys, armored or not. Where there are several, `id` names
    /// one by its id or fingerprint, which may be shortened from the front.
    ///
    /// # Errors
    /// When there is no such key, or it cannot be unlocked.
    pub fn from_openpgp_ring(
        ring: &[u8],
        id: Option<&str>,
        pass_phrase: Option<&str>,
    ) -> Result<Self, AuthError> {
        let wrong = |problem: String| AuthError::Signing(problem);
        let malformed =
            |error: pgp::errors::Error| wrong(format!("it holds no OpenPGP private key: {error}"));
        let (keys, _) = SignedSecretKey::from_reader_many(ring).map_err(malformed)?;
        let mut keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(malformed)?;
        if let Some(id) = id {
            let id = id.trim_start_matches("0x").to_ascii_lowercase();
            let is_meant = |fingerprint: String| fingerprint.to_ascii_lowercase().ends_with(&id);
            keys.retain(|key| {
                let subkeys = key.secret_subkeys.iter();
                let mut all = subkeys.map(|subkey| subkey.key.fingerprint().to_string());
                is_meant(key.primary_key.fingerprint().to_string()) || all.any(is_meant)
            });
        }
        let count = keys.len();
        let [key] = <[SignedSecretKey; 1]>::try_from(keys).map_err(|_| {
            wrong(match (count, id) {
                (0, Some(id)) => format!("no OpenPGP private key has the id {id}"),
                (0, None) => "it holds no OpenPGP private key".to_owned(),
                _ => format!("it holds {count} OpenPGP private keys: name one by its id"),
            })
        })?;
        let pass_phrase = pass_phrase.filter(|p| !p.is_empty()).map(str::to_owned);
        Self::openpgp(key, pass_phrase).map_err(wrong)
    }

    /// The newest subkey that may sign does, else the primary key.
    fn openpgp(key: SignedSecretKey, pass_phrase: Option<String>) -> Result<Self, String> {
        let signing = key.secret_subkeys.iter().enumerate().filter(|(_, subkey)| {
            subkey
                .signatures
                .iter()
                .any(|signature| signature.key_flags().sign())
        });
        let subkey = signing
            .max_by_key(|(_, subkey)| subkey.key.created_at())
            .map(|(at, _)| at);
        let is_given = pass_phrase.is_some();
        let key = Self(Arc::new(Kind::OpenPgp {
            key: Box::new(key),
            subkey,
            pass_phrase: pass_phrase.map_or_else(Password::empty, Password::from),
        }));
        // Found out now, not when there is something to commit.
        match key.sign("") {
            Ok(_) => Ok(key),
            Err(error) if is_given => Err(format!(
                "the OpenPGP key cannot be used: the pass phrase is wrong, or the key does not \
                 sign ({error})"
            )),
            Err(error) => Err(format!(
                "the OpenPGP key cannot be used: it needs a pass phrase, or does not sign \
                 ({error})"
            )),
        }
    }

    /// `SHA256:…` of an ssh key, the hexadecimal fingerprint of an OpenPGP key.
    pub fn fingerprint(&self) -> String {
        match &*self.0 {
            Kind::Ssh(key) => key.fingerprint(HashAlg::Sha256).to_string(),
            Kind::OpenPgp { key, .. } => key.primary_key.fingerprint().to_string(),
        }
    }

    /// An armored signature, as `git verify-commit` expects it.
    pub(crate) fn sign(&self, text: &str) -> Result<String, GitError> {
        let failed = |error: &dyn fmt::Display| {
            GitError::Commit(format!("the signing key does not sign: {error}"))
        };
        match &*self.0 {
            // In the namespace that Git uses.
            Kind::Ssh(key) => key
                .sign("git", HashAlg::Sha512, text.as_bytes())
                .and_then(|signature| signature.to_pem(LineEnding::LF))
                .map_err(|error| failed(&error)),
            Kind::OpenPgp {
                key,
                subkey,
                pass_phrase,
            } => {
                let (rng, hash) = (rand::thread_rng(), HashAlgorithm::Sha512);
                let subkey = subkey.and_then(|at| key.secret_subkeys.get(at));
                let signature = match subkey {
                    Some(subkey) => DetachedSignature::sign_binary_data(
                        rng,
                        &subkey.key,
                        pass_phrase,
                        hash,
                        text.as_bytes(),
                    ),
                    None => DetachedSignature::sign_binary_data(
                        rng,
                        &key.primary_key,
                        pass_phrase,
                        hash,
                        text.as_bytes(),
                    ),
                };
                signature
                    .and_then(|signature| signature.to_armored_string(ArmorOptions::default()))
                    .map_err(|error| failed(&error))
            }
        }
    }
}

fn text(data: &BTreeMap<String, Vec<u8>>, key: &str) -> Option<String> {
    data.get(key)
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use pgp::composed::{KeyType, SecretKeyParamsBuilder, SubkeyParamsBuilder};

    use super::*;
    use crate::keys::Algorithm;

    const TEXT: &str = "tree 1\n\nmessage\n";

    fn openpgp(subkey: bool, pass_phrase: Option<&str>) -> SignedSecretKey {
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(!subkey)
            .primary_user_id("flux <flux@example.com>".into())
            .passphrase(pass_phrase.map(str::to_owned));
        if subkey {
            let subkey = SubkeyParamsBuilder::default()
                .key_type(KeyType::Ed25519Legacy)
                .can_sign(true)
                .passphrase(pass_phrase.map(str::to_owned))
                .build()
                .unwrap();
            params.subkey(subkey);
        }
        let rng = rand::thread_rng();
        params.build().unwrap().generate(rng).unwrap()
    }

    fn secret(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        entries
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn openpgp_signatures_verify() {
        for (subkey, pass_phrase) in [(false, None), (true, None), (true, Some("secret"))] {
            let key = openpgp(subkey, pass_phrase);
            let armored = key.to_armored_string(ArmorOptions::default()).unwrap();
            let phrase = pass_phrase.unwrap_or_default();
            let data = secret(&[("git.asc", &armored), ("passphrase", phrase)]);
            let signing = SigningKey::from_openpgp_secret(&data).unwrap();
            let signature = signing.sign(TEXT).unwrap();
            let (signature, _) = DetachedSignature::from_string(&signature).unwrap();
            let public = key.to_public_key();
            let verified = match public.public_subkeys.first() {
                Some(subkey) => signature.verify(&subkey.key, TEXT.as_bytes()),
                None => signature.verify(&public.primary_key, TEXT.as_bytes()),
            };
            verified.unwrap();
            assert!(!format!("{signing:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn unusable_keys_are_named() {
        let armored =
            |key: &SignedSecretKey| key.to_armored_string(ArmorOptions::default()).unwrap();
        let locked = armored(&openpgp(false, Some("secret")));
        let public = openpgp(false, None).to_public_key();
        let public = public.to_armored_string(ArmorOptions::default()).unwrap();
        for (entries, part) in [
            (
                vec![],
                "'git.asc' with an armored OpenPGP private key is required",
            ),
            (vec![("git.asc", "nonsense")], "not an armored OpenPGP"),
            (vec![("git.asc", &*public)], "not an armored OpenPGP"),
            (vec![("git.asc", &*locked)], "needs a pass phrase"),
            (
                vec![("git.asc", &*locked), ("passphrase", "x")],
                "'passphrase' is wrong",
            ),
        ] {
            let error = SigningKey::from_openpgp_secret(&secret(&entries)).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = SigningKey::from_secret(&secret(&[("git.asc", &locked)])).unwrap_err();
        assert!(error.to_string().contains("type: gpg"), "{error}");
    }

    #[test]
    fn ssh_signatures_verify() {
        let pair = keys::generate(Algorithm::Ed25519).unwrap();
        let key = SigningKey::from_secret(&secret(&[("identity", &pair.private_pem)])).unwrap();
        let signature = key.sign(TEXT).unwrap();
        let signature = russh::keys::ssh_key::SshSig::from_pem(&*signature).unwrap();
        let Kind::Ssh(private) = &*key.0 else {
            panic!("an ssh key")
        };
        private
            .public_key()
            .verify("git", TEXT.as_bytes(), &signature)
            .unwrap();
        assert!(key.fingerprint().starts_with("SHA256:"));
    }
}

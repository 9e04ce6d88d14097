//! OpenPGP signatures (RFC 9580), and the public keys that they are checked against.
//!
//! A key counts as its newest self-signature says. One that is revoked, or expired by now, verifies
//! nothing, whenever the signature claims to be from: whoever finds an old key can date back what
//! it signs. Certifications by others and trust play no part, the Secret is what is trusted.

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureType, SubpacketData};
use pgp::types::{Duration, KeyDetails, Tag, Timestamp};

const PUBLIC: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const PRIVATE: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// Reads the keys of an entry: any number of armored blocks, or binary.
///
/// # Errors
/// In words that go on after the name of the entry.
pub(crate) fn read_keys(entry: &[u8]) -> Result<Vec<SignedPublicKey>, String> {
    let malformed = |error: pgp::errors::Error| {
        format!(
            "is not an OpenPGP public key: {error}; `gpg --export --armor KEY` writes one, and an ssh key belongs into an entry that ends in '.sshpub'"
        )
    };
    let text = String::from_utf8_lossy(entry);
    if text.contains(PRIVATE) {
        return Err("holds a private key, which nobody needs to verify with; `gpg --export --armor KEY` writes the public one".to_owned());
    }
    let mut keys = Vec::new();
    let mut starts: Vec<_> = text.match_indices(PUBLIC).map(|(at, _)| at).collect();
    if starts.is_empty() {
        for key in SignedPublicKey::from_bytes_many(entry).map_err(malformed)? {
            keys.push(key.map_err(malformed)?);
        }
    }
    starts.push(text.len());
    for range in starts.windows(2) {
        let block = text.get(range[0]..range[1]).unwrap_or_default();
        let (found, _) = SignedPublicKey::from_string_many(block).map_err(malformed)?;
        for key in found {
            keys.push(key.map_err(malformed)?);
        }
    }
    if keys.is_empty() {
        return Err("holds no OpenPGP public key".to_owned());
    }
    Ok(keys)
}

/// Why a signature verifies nothing.
enum Problem {
    /// Made by one of the keys, which has been taken back.
    Revoked(String),
    /// Anything else.
    Other(String),
}

/// The key id of the one who made an armored signature over a text; in words why there is none.
pub(crate) fn check(
    keys: &[SignedPublicKey],
    signature: &str,
    text: &[u8],
    now: Timestamp,
) -> Result<String, String> {
    let (signature, _) = DetachedSignature::from_string(signature)
        .map_err(|error| format!("its signature cannot be read: {error}"))?;
    let signature = &signature.signature;
    check_form(signature)?;
    let mut answer: Option<Result<String, Problem>> = None;
    for key in keys {
        match check_with(key, signature, text, now) {
            None => {}
            // An older copy of the same key may still lack the revocation, or the extension.
            Some(Err(Problem::Revoked(why))) => return Err(why),
            Some(Ok(id)) => answer = Some(Ok(id)),
            Some(error) => answer = answer.filter(Result::is_ok).or(Some(error)),
        }
    }
    match answer {
        Some(Ok(id)) => Ok(id),
        Some(Err(Problem::Revoked(why) | Problem::Other(why))) => Err(why),
        None => Err(format!(
            "it is signed with the OpenPGP key {}, which is not in the Secret",
            issuer(signature)
        )),
    }
}

/// What can be said of a signature without any key.
fn check_form(signature: &Signature) -> Result<(), String> {
    let config = signature
        .config()
        .ok_or("its OpenPGP signature is of an unknown version")?;
    if !matches!(config.typ(), SignatureType::Binary | SignatureType::Text) {
        return Err("its OpenPGP signature is about a key, not about a text".to_owned());
    }
    if is_weak(config.hash_alg) || config.hash_alg == HashAlgorithm::Sha1 {
        return Err(format!(
            "its OpenPGP signature is made over {}, which can be forged; sign with SHA-256 or better (personal-digest-preferences SHA512 in gpg.conf)",
            config.hash_alg
        ));
    }
    let is_unknown = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Other(..) | SubpacketData::Experimental(..)
        )
    };
    if config
        .hashed_subpackets()
        .any(|part| part.is_critical && is_unknown(&part.data))
    {
        return Err("its OpenPGP signature demands something that is not known here".to_owned());
    }
    Ok(())
}

/// The answer of one key; none when it is not the one that signed.
fn check_with(
    key: &SignedPublicKey,
    signature: &Signature,
    text: &[u8],
    now: Timestamp,
) -> Option<Result<String, Problem>> {
    let primary = &key.primary_key;
    let id = key_id(primary);
    let mut candidates = vec![(
        is_issuer(primary, signature),
        signature.verify(primary, text).is_ok(),
        None,
    )];
    candidates.extend(key.public_subkeys.iter().map(|subkey| {
        (
            is_issuer(&subkey.key, signature),
            signature.verify(&subkey.key, text).is_ok(),
            Some(subkey),
        )
    }));
    if let Some((_, _, subkey)) = candidates.iter().find(|(_, verified, _)| *verified) {
        return Some(may_sign(key, *subkey, signature, now).map(|()| id));
    }
    let is_named = candidates.iter().any(|(is_issuer, _, _)| *is_issuer);
    is_named.then(|| {
        Err(Problem::Other(format!(
            "the signature with the OpenPGP key {id} does not fit its content"
        )))
    })
}

/// Whether a key, or its subkey, may have made this signature.
fn may_sign(
    key: &SignedPublicKey,
    subkey: Option<&SignedPublicSubKey>,
    signature: &Signature,
    now: Timestamp,
) -> Result<(), Problem> {
    let primary = &key.primary_key;
    let id = key_id(primary);
    let other =
        |what: &str| Problem::Other(format!("it is signed with the OpenPGP key {id}, {what}"));
    let revoked = |what: &str| {
        Problem::Revoked(format!(
            "it is signed with {what} {id}, which is revoked; sign with a key that is not, and take this one out of the Secret"
        ))
    };
    let is_revoked = |revocation: &Signature| revocation.verify_key(primary).is_ok();
    if key.details.revocation_signatures.iter().any(is_revoked) {
        return Err(revoked("the OpenPGP key"));
    }
    let own = self_signature(key, now)
        .ok_or_else(|| other("which carries no valid self-signature: its user ids are missing, expired or revoked; export it anew (gpg --export --armor)"))?;
    let expired = |created: Timestamp, after: Option<Duration>| {
        ended(created, after, now).map(|days| {
            other(&format!(
                "which expired {days} days ago; extend it (gpg --quick-set-expire) and put it into the Secret anew"
            ))
        })
    };
    if let Some(problem) = expired(primary.created_at(), own.key_expiration_time()) {
        return Err(problem);
    }
    let mut flags = flags(own);
    if let Some(subkey) = subkey {
        let is_bound = |s: &&Signature, typ| {
            s.typ() == Some(typ)
                && is_usable(s)
                && s.verify_subkey_binding(primary, &subkey.key).is_ok()
        };
        let signatures = subkey.signatures.iter();
        if signatures
            .clone()
            .any(|s| is_bound(&s, SignatureType::SubkeyRevocation))
        {
            return Err(revoked("a subkey of the OpenPGP key"));
        }
        let binding = signatures
            .filter(|s| is_bound(s, SignatureType::SubkeyBinding) && is_live(s, now))
            .max_by_key(|s| s.created())
            .ok_or_else(|| other("but by a subkey that does not belong to it"))?;
        if let Some(problem) = expired(subkey.key.created_at(), binding.key_expiration_time()) {
            return Err(problem);
        }
        // Without its own consent a subkey could be claimed by anybody's key.
        let consents = binding.embedded_signature().is_some_and(|back| {
            is_usable(back)
                && back
                    .verify_primary_key_binding(&subkey.key, primary)
                    .is_ok()
        });
        if !consents {
            return Err(other(
                "but by a subkey that does not say that it belongs to it",
            ));
        }
        flags = self::flags(binding);
    }
    if flags.is_some_and(|flags| !flags.sign()) {
        return Err(other("but with a part of it that is not meant to sign"));
    }
    if !is_live(signature, now) {
        return Err(other("with a signature that has expired"));
    }
    let made_by = subkey.map_or(primary.created_at(), |subkey| subkey.key.created_at());
    if signature.created().is_none_or(|created| created < made_by) {
        return Err(other("with a signature that is older than the key"));
    }
    Ok(())
}

/// The newest of what a key says about itself, directly or with one of its user ids.
fn self_signature(key: &SignedPublicKey, now: Timestamp) -> Option<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|s| s.verify_key(primary).is_ok());
    let of_users = key.details.users.iter().filter_map(|user| {
        let valid = user.signatures.iter().filter(|s| {
            s.verify_certification(primary, Tag::UserId, &user.id)
                .is_ok()
        });
        let newest = valid.max_by_key(|s| {
            // A revocation of the same second is meant to come after.
            (s.created(), s.typ() == Some(SignatureType::CertRevocation))
        })?;
        (newest.typ() != Some(SignatureType::CertRevocation)).then_some(newest)
    });
    direct
        .chain(of_users)
        .filter(|s| is_usable(s) && is_live(s, now))
        .max_by_key(|s| s.created())
}

/// What a signature says that a key is for; none if it says nothing.
fn flags(signature: &Signature) -> Option<KeyFlags> {
    let mut parts = signature.config()?.hashed_subpackets();
    parts.find_map(|part| match &part.data {
        SubpacketData::KeyFlags(flags) => Some(flags.clone()),
        _ => None,
    })
}

/// Whether the hash of a signature about a key can be relied on. SHA-1 stands in many old keys and
/// would take a collision that their owner prepared.
fn is_usable(signature: &Signature) -> bool {
    signature.hash_alg().is_some_and(|hash| !is_weak(hash))
}

fn is_weak(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::None | HashAlgorithm::Md5 | HashAlgorithm::Ripemd160
    )
}

/// Whether a signature has not run out.
fn is_live(signature: &Signature, now: Timestamp) -> bool {
    let created = signature.created().unwrap_or_default();
    ended(created, signature.signature_expiration_time(), now).is_none()
}

/// The days since something ended that lasts so long; none while it lasts. Zero is for ever.
fn ended(created: Timestamp, lasts: Option<Duration>, now: Timestamp) -> Option<u64> {
    let lasts = u64::from(lasts?.as_secs());
    let end = u64::from(created.as_secs()) + lasts;
    let since = u64::from(now.as_secs()).checked_sub(end)?;
    (lasts > 0).then_some(since / 86_400)
}

/// The 16 digits by which people know a key.
fn key_id(key: &impl KeyDetails) -> String {
    key.legacy_key_id().to_string().to_uppercase()
}

fn is_issuer(key: &impl KeyDetails, signature: &Signature) -> bool {
    let (id, fingerprint) = (key.legacy_key_id(), key.fingerprint());
    signature.issuer_key_id().into_iter().any(|i| *i == id)
        || signature
            .issuer_fingerprint()
            .into_iter()
            .any(|f| *f == fingerprint)
}

/// Who claims to have made a signature.
fn issuer(signature: &Signature) -> String {
    let ids = signature
        .issuer_key_id()
        .into_iter()
        .map(ToString::to_string);
    let fingerprints = signature.issuer_fingerprint().into_iter();
    ids.chain(fingerprints.map(ToString::to_string))
        .next()
        .unwrap_or_else(|| "of an unnamed owner".to_owned())
        .to_uppercase()
}

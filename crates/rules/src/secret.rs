//! What rules may know of a Secret: which keys it has, and what of it is public. Values of keys
//! are looked at here and nowhere kept.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::subject::Subject;

/// A Secret without its secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Its type; empty if nobody looked.
    pub type_: String,
    /// The names of its keys; `None` if nobody looked inside.
    pub keys: Option<BTreeSet<String>>,
    /// The content of `known_hosts`, which is public.
    pub known_hosts: Option<String>,
    /// The registries that `.dockerconfigjson` has entries for.
    pub registries: Option<Vec<String>>,
    /// Whether `identity` is protected by a passphrase.
    pub encrypted_identity: bool,
}

impl Secret {
    /// Whether it certainly lacks a key.
    #[must_use]
    pub fn lacks(&self, key: &str) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.contains(key))
    }

    /// Whether it certainly has a key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.contains(key))
    }

    /// Reads a Secret as the API server gives it, or as a manifest has it. Without `data` and
    /// `stringData` only its existence is known.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let field = |name: &str| object.get(name).and_then(Value::as_object);
        let (data, texts) = (field("data"), field("stringData"));
        let keys = (data.is_some() || texts.is_some()).then(|| {
            let names = [data, texts].into_iter().flatten();
            names.flat_map(|map| map.keys().cloned()).collect()
        });
        let value = |key: &str| -> Option<String> {
            if let Some(text) = texts.and_then(|map| map.get(key)?.as_str()) {
                return (!is_encrypted(text)).then(|| text.to_owned());
            }
            let text = data.and_then(|map| map.get(key)?.as_str())?;
            let bytes = STANDARD.decode(text.trim()).ok()?;
            String::from_utf8(bytes).ok()
        };
        Self {
            type_: Subject::new(object)
                .get("/type")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            keys,
            known_hosts: value("known_hosts"),
            registries: value(".dockerconfigjson").and_then(|text| registries(&text)),
            encrypted_identity: value("identity").is_some_and(|key| is_protected(&key)),
        }
    }
}

/// SOPS keeps the keys and encrypts the values.
fn is_encrypted(text: &str) -> bool {
    text.starts_with("ENC[")
}

fn registries(text: &str) -> Option<Vec<String>> {
    let config: Value = serde_json::from_str(text).ok()?;
    Some(config.get("auths")?.as_object()?.keys().cloned().collect())
}

/// Whether a private key cannot be read without a passphrase: PKCS #1 and #8 say so in words,
/// OpenSSH in the name of the cipher that follows its magic.
fn is_protected(key: &str) -> bool {
    if key.contains("ENCRYPTED") {
        return true;
    }
    const MAGIC: &[u8] = b"openssh-key-v1\0";
    let body: String = key
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    if !key.contains("OPENSSH PRIVATE KEY") {
        return false;
    }
    let Ok(bytes) = STANDARD.decode(body) else {
        return false;
    };
    bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.get(4..8))
        .is_some_and(|cipher| cipher != b"none")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_known_and_values_are_not_kept() {
        let secret = Secret::read(&json!({
            "type": "Opaque",
            "data": {"password": STANDARD.encode("hunter2"), "known_hosts": STANDARD.encode("a ssh-ed25519 AAAA")},
            "stringData": {"username": "me"},
        }));
        assert!(secret.has("password") && secret.has("username") && secret.lacks("identity"));
        assert_eq!(secret.known_hosts.as_deref(), Some("a ssh-ed25519 AAAA"));
        assert!(!format!("{secret:?}").contains("hunter2"));
        let nothing = Secret::read(&json!({"kind": "Secret"}));
        assert!(!nothing.lacks("identity") && !nothing.has("identity"));
    }

    #[test]
    fn protected_keys_and_registries_are_recognized() {
        let mut body = b"openssh-key-v1\0".to_vec();
        body.extend(b"\0\0\0\x0aaes256-ctr");
        let protected = format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
            STANDARD.encode(&body)
        );
        assert!(is_protected(&protected));
        let mut body = b"openssh-key-v1\0".to_vec();
        body.extend(b"\0\0\0\x04none");
        let open = format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n",
            STANDARD.encode(&body)
        );
        assert!(!is_protected(&open));
        assert!(is_protected("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let text = r#"{"auths": {"ghcr.io": {"auth": "x"}}}"#;
        assert_eq!(registries(text), Some(vec!["ghcr.io".to_owned()]));
    }
}

//! Files encrypted with age for X25519 recipients: the form in which SOPS keeps its data keys.
//!
//! The format is that of <https://age-encryption.org/v1>. Only what a data key needs is read: one
//! chunk of payload. The `age` crate would bring a second generation of every crate below; the
//! cryptography here is that of ring and curve25519-dalek.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use zeroize::Zeroizing;

use super::bech32;

/// Prefix of a private key, in the upper case of its files.
const PRIVATE: &str = "age-secret-key-";
/// Prefix of a public key.
const PUBLIC: &str = "age";
/// Largest encrypted data key that is read: an armoured one has some 400 bytes.
const MAX_SIZE: usize = 64 << 10;
/// Recipients in a header.
const MAX_STANZAS: usize = 64;

/// A private key.
pub(super) struct Identity {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Identity {
    /// Reads `AGE-SECRET-KEY-1…`; the error says what is wrong without the key.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        if lower.starts_with("age-secret-key-pq-") {
            return Err("post-quantum keys are not supported yet; use an X25519 key");
        }
        if lower.starts_with("age-plugin-") {
            return Err("keys of age plugins are not supported; use an X25519 key");
        }
        if text != text.to_ascii_uppercase() {
            return Err("not an age private key: AGE-SECRET-KEY-1… in upper case is expected");
        }
        let bytes = bech32::decode(PRIVATE, &lower)
            .map(Zeroizing::new)
            .ok_or("not an age private key, or it was damaged: AGE-SECRET-KEY-1… is expected")?;
        let private: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| "an age private key has 32 bytes")?;
        Ok(Self {
            public: MontgomeryPoint::mul_base_clamped(private).0,
            private: Zeroizing::new(private),
        })
    }

    /// The public key, `age1…`.
    pub(super) fn recipient(&self) -> String {
        bech32::encode(PUBLIC, &self.public)
    }

    /// The file key of a stanza that is meant for this identity.
    fn unwrap(&self, share: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let share: [u8; 32] = share.try_into().ok()?;
        let shared = Zeroizing::new(MontgomeryPoint(share).mul_clamped(*self.private).0);
        // RFC 7748: a share of low order gives nothing away and nothing to agree on.
        if shared.iter().all(|byte| *byte == 0) {
            return None;
        }
        let salt = [share, self.public].concat();
        let key = derive(&salt, &*shared, b"age-encryption.org/v1/X25519")?;
        open(&key, [0; 12], body).filter(|file_key| file_key.len() == 16)
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-256 (RFC 5869).
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    let pseudo_random = Salt::new(HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let expanded = pseudo_random.expand(&info, Length).ok()?;
    expanded.fill(&mut *key).ok()?;
    Some(key)
}

/// ChaCha20-Poly1305 (RFC 8439).
fn open(key: &[u8; 32], nonce: [u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut content = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key
        .open_in_place(nonce, Aad::empty(), &mut content)
        .ok()?
        .len();
    content.truncate(length);
    Some(content)
}

/// Decrypts a file with the first identity that fits.
pub(super) fn decrypt(file: &str, identities: &[Identity]) -> Option<Zeroizing<Vec<u8>>> {
    if file.len() > MAX_SIZE {
        return None;
    }
    let content = unarmor(file)?;
    let header = Header::parse(&content)?;
    let file_key = header.stanzas.iter().find_map(|(share, body)| {
        identities
            .iter()
            .find_map(|identity| identity.unwrap(share, body))
    })?;
    let key = derive(&[], &file_key, b"header")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*key);
    hmac::verify(&key, header.signed, &header.mac).ok()?;

    let (nonce, sealed) = header.payload.split_at_checked(16)?;
    let key = derive(nonce, &file_key, b"payload")?;
    // The nonce of the first chunk, marked as the last.
    open(&key, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], sealed)
}

fn unarmor(file: &str) -> Option<Vec<u8>> {
    let inner = file
        .trim()
        .strip_prefix("-----BEGIN AGE ENCRYPTED FILE-----")?
        .strip_suffix("-----END AGE ENCRYPTED FILE-----")?;
    let text: String = inner.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

struct Header<'f> {
    /// Shares and bodies of X25519 stanzas; others are passed over.
    stanzas: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the MAC is over.
    signed: &'f [u8],
    mac: Vec<u8>,
    payload: &'f [u8],
}

impl<'f> Header<'f> {
    fn parse(content: &'f [u8]) -> Option<Self> {
        let mut at = 0;
        let mut line = || -> Option<(&'f str, usize)> {
            let rest = content.get(at..)?;
            let length = rest.iter().position(|byte| *byte == b'\n')?;
            let start = at;
            at += length + 1;
            Some((std::str::from_utf8(rest.get(..length)?).ok()?, start))
        };
        if line()?.0 != "age-encryption.org/v1" {
            return None;
        }
        let mut stanzas = Vec::new();
        loop {
            let (text, start) = line()?;
            if let Some(mac) = text.strip_prefix("--- ") {
                let mac = STANDARD_NO_PAD.decode(mac).ok()?;
                let signed = content.get(..start + "---".len())?;
                let payload = content.get(at..)?;
                return Some(Self {
                    stanzas,
                    signed,
                    mac,
                    payload,
                });
            }
            let arguments: Vec<&str> = text.strip_prefix("-> ")?.split(' ').collect();
            let mut body = String::new();
            loop {
                let (text, _) = line()?;
                body.push_str(text);
                if text.len() < 64 {
                    break;
                }
            }
            if let ["X25519", share] = arguments.as_slice() {
                let share = STANDARD_NO_PAD.decode(share).ok()?;
                stanzas.push((share, STANDARD_NO_PAD.decode(&body).ok()?));
            }
            if stanzas.len() > MAX_STANZAS {
                return None;
            }
        }
    }
}

//! Single values: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};
use zeroize::Zeroizing;

/// SOPS takes 32 bytes for a nonce, which GCM hashes down; ring knows only the usual 12.
type Cipher = AesGcm<Aes256, U32>;

/// How an encrypted value begins.
pub(super) const BEGIN: &str = "ENC[AES256_GCM,";

/// The key of a file.
pub(super) struct DataKey(Cipher);

impl DataKey {
    /// `None` unless it has 32 bytes.
    pub(super) fn new(bytes: &Zeroizing<Vec<u8>>) -> Option<Self> {
        Cipher::new_from_slice(bytes).ok().map(Self)
    }

    /// Decrypts a value; `context` is what it was encrypted for: its path, or the time of the last
    /// change for the MAC. The error says what is wrong with it.
    pub(super) fn open(&self, text: &str, context: &str) -> Result<Plain, &'static str> {
        const FORM: &str = "it is not a value of SOPS, though it should be encrypted";
        let inner = text
            .strip_prefix(BEGIN)
            .and_then(|text| text.strip_suffix(']'))
            .ok_or(FORM)?;
        let mut fields = inner.splitn(4, ',');
        let mut field = |name: &str| {
            let value = fields.next().and_then(|field| field.strip_prefix(name));
            value.ok_or(FORM)
        };
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| FORM);
        let mut sealed = bytes(field("data:")?)?;
        let nonce: [u8; 32] = bytes(field("iv:")?)?
            .try_into()
            .map_err(|_| "its nonce has not 32 bytes")?;
        sealed.append(&mut bytes(field("tag:")?)?);
        let kind = field("type:")?.to_owned();
        let payload = Payload {
            msg: &sealed,
            aad: context.as_bytes(),
        };
        let content = self
            .0
            .decrypt(&nonce.into(), payload)
            .map_err(|_| "it was changed, moved, or encrypted with another key")?;
        Ok(Plain { content, kind })
    }
}

/// A decrypted value.
pub(super) struct Plain {
    /// What the MAC is over.
    pub(super) content: Vec<u8>,
    kind: String,
}

impl Plain {
    /// Whether it is a comment, which is not part of the content.
    pub(super) fn is_comment(&self) -> bool {
        self.kind == "comment"
    }

    /// The value by its type.
    pub(super) fn value(&self) -> Result<Value, &'static str> {
        let text = std::str::from_utf8(&self.content).map_err(|_| "it is not a UTF-8 text")?;
        let number = |number: Option<Number>| {
            number
                .map(Value::Number)
                .ok_or("it is not the number that it says to be")
        };
        match self.kind.as_str() {
            "int" => number(text.parse::<i64>().ok().map(Number::from)),
            "float" => number(text.parse().ok().and_then(flux_lang::gonumber::json)),
            "bool" => Ok(Value::Bool(text.eq_ignore_ascii_case("true"))),
            _ => Ok(Value::from(text)),
        }
    }
}

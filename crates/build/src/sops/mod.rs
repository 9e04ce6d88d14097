//! Files encrypted with [SOPS](https://getsops.io) for age recipients.
//!
//! Whole files are decrypted, before the build: only in its file does a value stand in the order
//! that the checksum (MAC) is over. Flux decrypts built objects, where that order is lost, and
//! verifies no checksum.
//!
//! | form | recognised by |
//! |---|---|
//! | YAML and JSON, documents of which some are encrypted | a mapping `sops` with a `mac` |
//! | `KEY=value` lines | a line `sops_mac=…` |
//! | anything else, whole | JSON of `data` and `sops` |
//!
//! Data keys are encrypted with age; OpenPGP, key services and Vault are named in the error.

mod age;
mod bech32;
mod cipher;
mod edited;
mod lines;
mod mac;
mod metadata;
mod structured;
#[cfg(test)]
mod tests;
mod written;

use std::fmt;

use serde_json::Value;

use age::Identity;
use metadata::Metadata;
use structured::Opened;

pub(crate) use structured::is_switched_off;

/// Largest encrypted file that is read, in MiB, as in Flux.
const MAX_MIB: usize = 5;

/// Private keys.
#[derive(Default)]
pub struct Keys {
    identities: Vec<Identity>,
}

/// Without the keys themselves.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipients: Vec<String> = self.identities.iter().map(Identity::recipient).collect();
        write!(formatter, "Keys({recipients:?})")
    }
}

impl Keys {
    /// Adds the keys of a file of age identities: one a line, `#` begins a comment.
    ///
    /// # Errors
    /// The line, counted from 1, and what is wrong with it; never the key.
    pub fn add(&mut self, file: &str) -> Result<(), String> {
        for (number, line) in (1..).zip(file.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity = Identity::parse(line).map_err(|why| format!("line {number}: {why}"))?;
            self.identities.push(identity);
        }
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }
}

/// Why a file was not decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SopsError {
    /// None of the keys fits.
    #[error(
        "no key for it: it is encrypted for {}, and {}", list(.recipients, "nobody"),
        say_held(.held)
    )]
    NoKey {
        /// Public keys that the file is encrypted for.
        recipients: Vec<String>,
        /// Public keys of the private keys at hand.
        held: Vec<String>,
    },
    /// It is encrypted in ways that are not known here.
    #[error(
        "it is encrypted with {}, which is not supported yet: add an age recipient by \
         sops updatekeys", list(.others, "an unknown kind of key")
    )]
    NotSupported {
        /// What they are called.
        others: Vec<&'static str>,
    },
    /// The notes of SOPS are damaged.
    #[error("the notes of SOPS are damaged: sops.{field}")]
    Metadata {
        /// The field below `sops`.
        field: &'static str,
    },
    /// A value cannot be decrypted.
    #[error("{path}: {problem}")]
    Value {
        /// Keys from the root of the document, joined by dots.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The checksum is not that of the content.
    #[error(
        "its checksum (sops.mac) does not fit: a value was changed, moved, added or removed \
         without sops; edit it with sops, or restore it"
    )]
    Mac,
    /// The file is not what its form says.
    #[error("line {line}: {problem}")]
    Text {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file is too large.
    #[error("it is larger than {MAX_MIB} MiB, the most that is decrypted")]
    TooLarge,
    /// INI files, which Kubernetes has no use for.
    #[error("INI files are not supported; encrypt it as a whole: sops encrypt --input-type binary")]
    Ini,
}

fn list(names: &[impl AsRef<str>], none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}

fn say_held(keys: &[String]) -> String {
    if keys.is_empty() {
        "there are no age keys".to_owned()
    } else {
        format!("the keys at hand are those of {}", keys.join(", "))
    }
}

/// Whether a content may be encrypted: a quick look that spares reading it.
pub(crate) fn may_be_encrypted(content: &[u8]) -> bool {
    let has = |wanted: &[u8]| content.windows(wanted.len()).any(|window| window == wanted);
    has(cipher::BEGIN.as_bytes()) && has(b"sops")
}

/// A file of manifests, decrypted: each document stays on its line. `None` when nothing in it is
/// encrypted.
///
/// # Errors
/// [`SopsError`].
pub(crate) fn manifests(content: &[u8], keys: &Keys) -> Result<Option<Vec<u8>>, SopsError> {
    let text = text_of(content)?;
    let is_json = text.trim_start().starts_with('{');
    let Some(Opened { documents, .. }) = structured::decrypt(text, is_json, keys)? else {
        return Ok(None);
    };
    let mut result = String::new();
    let mut line = 1;
    for document in documents {
        while line + 1 < document.line {
            result.push('\n');
            line += 1;
        }
        if line > 1 || document.line > 1 {
            result.push_str("---\n");
            line += 1;
        }
        result.push_str(&one_line(&document.value));
        result.push('\n');
        line += 1;
    }
    Ok(Some(result.into_bytes()))
}

/// A value as YAML on one line: JSON without what YAML takes for a line break or refuses.
fn one_line(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text
}

/// A file of any form, decrypted. `name` is what it will be called: a file `x.json` is JSON even
/// where it looks like an encrypted whole. `None` when it is not encrypted.
///
/// # Errors
/// [`SopsError`].
pub(crate) fn file(content: &[u8], name: &str, keys: &Keys) -> Result<Option<Vec<u8>>, SopsError> {
    if !may_be_encrypted(content) {
        return Ok(None);
    }
    let text = text_of(content)?;
    if text.lines().any(|line| line.starts_with("sops_mac=")) {
        return lines::decrypt(text, keys).map(Some);
    }
    if text.lines().any(|line| line.trim() == "[sops]") {
        return Err(SopsError::Ini);
    }
    let is_json = text.trim_start().starts_with('{');
    let named_json = name.ends_with(".json") || name.ends_with(".dockerconfigjson");
    if is_json
        && !named_json
        && let Some(whole) = whole(text, keys)?
    {
        return Ok(Some(whole));
    }
    let Some(Opened { documents, edits }) = structured::decrypt(text, is_json, keys)? else {
        return Ok(None);
    };
    if !is_json && let Some(text) = edits.and_then(|edits| edited::yaml(text, &edits)) {
        return Ok(Some(text.into_bytes()));
    }
    let mut result = String::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            result.push_str("---\n");
        }
        if is_json {
            let written = written::json(text, &document.value);
            result.push_str(&written.unwrap_or_else(|| format!("{:#}\n", document.value)));
        } else {
            result.push_str(&flux_lang::yaml::to_string(&document.value));
        }
    }
    Ok(Some(result.into_bytes()))
}

/// A file that was encrypted as one value.
fn whole(text: &str, keys: &Keys) -> Result<Option<Vec<u8>>, SopsError> {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else {
        return Ok(None);
    };
    let (Some(data), 2) = (map.get("data").and_then(Value::as_str), map.len()) else {
        return Ok(None);
    };
    let data = data.to_owned();
    let Some(metadata) = Metadata::of(&Value::Object(map))? else {
        return Ok(None);
    };
    let key = metadata.data_key(keys)?;
    let mut sum = mac::Mac::new(&metadata);
    let content = if data.is_empty() {
        Vec::new()
    } else {
        let plain = key
            .open(&data, "data:")
            .map_err(|problem| SopsError::Value {
                path: "data".to_owned(),
                problem,
            })?;
        plain.content
    };
    sum.add(&content, true);
    sum.verify(&metadata, &key)?;
    Ok(Some(content))
}

fn text_of(content: &[u8]) -> Result<&str, SopsError> {
    if content.len() > MAX_MIB << 20 {
        return Err(SopsError::TooLarge);
    }
    std::str::from_utf8(content).map_err(|_| SopsError::Text {
        line: 1,
        problem: "it is not UTF-8".to_owned(),
    })
}

//! What SOPS notes about a file below its key `sops`.

use flux_lang::goregex::GoRegex;
use serde_json::{Map, Value, json};

use super::age::{self, Identity};
use super::cipher::DataKey;
use super::{Keys, SopsError};

/// The ways to encrypt data keys that are not read here, and what people call them.
const OTHERS: [(&str, &str); 7] = [
    ("pgp", "OpenPGP"),
    ("kms", "AWS KMS"),
    ("gcp_kms", "Google Cloud KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hckms", "Huawei Cloud KMS"),
    ("hc_vault", "HashiCorp Vault"),
    ("key_groups", "several key groups"),
];

/// Notes about a file.
pub(super) struct Metadata {
    /// Recipients and their encrypted data keys.
    age: Vec<(String, String)>,
    /// Other ways that lead to the data key.
    others: Vec<&'static str>,
    /// The encrypted MAC.
    pub(super) mac: String,
    /// When the file was changed last, as it is written.
    pub(super) last_modified: String,
    rule: Rule,
    /// Whether the MAC is over encrypted values only.
    pub(super) mac_only_encrypted: bool,
}

/// Which values are encrypted.
enum Rule {
    UnencryptedSuffix(String),
    EncryptedSuffix(String),
    UnencryptedRegex(GoRegex),
    EncryptedRegex(GoRegex),
    /// By comments, which are not kept: what looks encrypted is.
    Looks,
}

impl Metadata {
    /// Reads the notes; nothing if there are none.
    pub(super) fn of(value: &Value) -> Result<Option<Self>, SopsError> {
        let Some(notes) = value.get("sops").filter(|notes| notes.get("mac").is_some()) else {
            return Ok(None);
        };
        let text = |field: &str| {
            let found = notes.get(field).and_then(Value::as_str);
            found.map(str::to_owned).filter(|text| !text.is_empty())
        };
        let required = |field: &'static str| text(field).ok_or(SopsError::Metadata { field });
        let list = |field: &str| notes.get(field).and_then(Value::as_array);
        let age = list("age").into_iter().flatten().map(|entry| {
            let field = |name: &str| entry.get(name).and_then(Value::as_str);
            let (recipient, file) = (field("recipient"), field("enc"));
            Some((recipient?.to_owned(), file?.to_owned()))
        });
        let others = OTHERS
            .iter()
            .filter(|(field, _)| list(field).is_some_and(|list| !list.is_empty()));
        let regex = |field: &'static str| -> Result<Option<GoRegex>, SopsError> {
            text(field)
                .map(|pattern| {
                    GoRegex::compile(&pattern).map_err(|_| SopsError::Metadata { field })
                })
                .transpose()
        };
        let rule = if let Some(regex) = regex("encrypted_regex")? {
            Rule::EncryptedRegex(regex)
        } else if let Some(regex) = regex("unencrypted_regex")? {
            Rule::UnencryptedRegex(regex)
        } else if let Some(suffix) = text("encrypted_suffix") {
            Rule::EncryptedSuffix(suffix)
        } else if text("encrypted_comment_regex").is_some()
            || text("unencrypted_comment_regex").is_some()
        {
            Rule::Looks
        } else {
            let suffix = text("unencrypted_suffix");
            Rule::UnencryptedSuffix(suffix.unwrap_or_else(|| "_unencrypted".to_owned()))
        };
        Ok(Some(Self {
            age: age
                .collect::<Option<_>>()
                .ok_or(SopsError::Metadata { field: "age" })?,
            others: others.map(|(_, name)| *name).collect(),
            mac: required("mac")?,
            last_modified: required("lastmodified")?,
            rule,
            mac_only_encrypted: notes.get("mac_only_encrypted") == Some(&Value::Bool(true)),
        }))
    }

    /// The notes of a file of `KEY=value` lines, where they are flat: `sops_age__list_0__map_enc`.
    pub(super) fn of_flat(notes: &[(String, String)]) -> Result<Option<Self>, SopsError> {
        const MOST: usize = 1_000;
        let mut found = Map::new();
        for (name, value) in notes.iter().take(MOST) {
            let value = value.replace("\\n", "\n");
            let Some((list, rest)) = name.split_once("__list_") else {
                let value = if value == "true" {
                    json!(true)
                } else {
                    json!(value)
                };
                found.insert(name.clone(), value);
                continue;
            };
            let Some((index, field)) = rest.split_once("__map_") else {
                continue;
            };
            let Some(index) = index.parse::<usize>().ok().filter(|index| *index < MOST) else {
                continue;
            };
            let entry = found.entry(list).or_insert_with(|| json!([]));
            if let Some(list) = entry.as_array_mut() {
                while list.len() <= index {
                    list.push(json!({}));
                }
                if let Some(Value::Object(map)) = list.get_mut(index) {
                    map.insert(field.to_owned(), json!(value));
                }
            }
        }
        Self::of(&json!({ "sops": found }))
    }

    /// The key of the file.
    pub(super) fn data_key(&self, keys: &Keys) -> Result<DataKey, SopsError> {
        let mut found = self
            .age
            .iter()
            .filter_map(|(_, file)| age::decrypt(file, &keys.identities));
        if let Some(bytes) = found.next() {
            return DataKey::new(&bytes).ok_or(SopsError::Metadata { field: "age" });
        }
        if self.age.is_empty() {
            return Err(SopsError::NotSupported {
                others: self.others.clone(),
            });
        }
        Err(SopsError::NoKey {
            recipients: self.age.iter().map(|(name, _)| name.clone()).collect(),
            held: keys.identities.iter().map(Identity::recipient).collect(),
        })
    }

    /// Whether the value at a path of keys is encrypted.
    pub(super) fn encrypts(&self, path: &[&str], text: &str) -> bool {
        let any = |test: &dyn Fn(&str) -> bool| path.iter().any(|key| test(key));
        match &self.rule {
            Rule::UnencryptedSuffix(suffix) => !any(&|key| key.ends_with(suffix)),
            Rule::EncryptedSuffix(suffix) => any(&|key| key.ends_with(suffix)),
            Rule::UnencryptedRegex(regex) => !any(&|key| regex.is_match(key)),
            Rule::EncryptedRegex(regex) => any(&|key| regex.is_match(key)),
            Rule::Looks => text.starts_with(super::cipher::BEGIN),
        }
    }
}

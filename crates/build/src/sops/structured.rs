//! YAML and JSON files: values are encrypted one by one, where they stand.

use flux_lang::yaml::{self, Leaf, Step};
use serde_json::Value;

use super::cipher::DataKey;
use super::mac::Mac;
use super::metadata::Metadata;
use super::{Keys, SopsError};

/// An object with this annotation is left encrypted.
const SWITCH: &str = "/metadata/annotations/kustomize.toolkit.fluxcd.io~1decrypt";

/// A document, and where it began.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// The documents of a text, decrypted; nothing when none was encrypted.
pub(super) fn decrypt(
    text: &str,
    json: bool,
    keys: &Keys,
) -> Result<Option<Vec<Document>>, SopsError> {
    // JSON may be indented by tabs; within its strings there are none.
    let spaced = if json {
        Some(text.replace('\t', " "))
    } else {
        None
    };
    let text = spaced.as_deref().unwrap_or(text);
    let invalid = |error: yaml::YamlError| SopsError::Text {
        line: error.line,
        problem: error.message,
    };
    let read = yaml::read(text).map_err(invalid)?;
    let mut documents: Vec<Document> = read
        .into_iter()
        .map(|document| Document {
            value: document.value,
            line: document.line,
        })
        .collect();
    if !documents
        .iter()
        .any(|document| is_encrypted(&document.value))
    {
        return Ok(None);
    }
    let leaves = yaml::leaves(text).map_err(invalid)?;
    let mut work: Vec<(&mut Document, &[Leaf])> = documents
        .iter_mut()
        .zip(leaves.iter().map(Vec::as_slice))
        .collect();
    // SOPS encrypts a file as a whole, with the same notes in each of its documents; files that
    // were put together have several.
    for group in work.chunk_by_mut(|(left, _), (right, _)| mac(&left.value) == mac(&right.value)) {
        open(group, json, keys)?;
    }
    Ok(Some(documents))
}

fn is_encrypted(value: &Value) -> bool {
    mac(value).is_some() && !is_switched_off(value)
}

/// Whether an object asks to be left as it is.
pub(crate) fn is_switched_off(value: &Value) -> bool {
    value.pointer(SWITCH).and_then(Value::as_str) == Some("disabled")
}

fn mac(value: &Value) -> Option<&str> {
    value.get("sops")?.get("mac")?.as_str()
}

fn open(group: &mut [(&mut Document, &[Leaf])], json: bool, keys: &Keys) -> Result<(), SopsError> {
    let Some((first, _)) = group.first() else {
        return Ok(());
    };
    if group
        .iter()
        .any(|(document, _)| !is_encrypted(&document.value))
    {
        return Ok(());
    }
    let Some(metadata) = Metadata::of(&first.value)? else {
        return Ok(());
    };
    let key = metadata.data_key(keys)?;
    let mut sum = Mac::new(&metadata);
    for (document, leaves) in group.iter_mut() {
        if let Some(map) = document.value.as_object_mut() {
            map.remove("sops");
        }
        values(document, leaves, json, &metadata, &key, &mut sum)?;
    }
    sum.verify(&metadata, &key)
}

fn values(
    document: &mut Document,
    leaves: &[Leaf],
    json: bool,
    metadata: &Metadata,
    key: &DataKey,
    sum: &mut Mac,
) -> Result<(), SopsError> {
    let mut comments: Vec<&[Step]> = Vec::new();
    for leaf in leaves {
        let path: Vec<&str> = leaf
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Key(key) => Some(key.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        if path.first() == Some(&"sops") {
            continue;
        }
        let is_text = leaf.value.is_string() || !leaf.plain;
        let is_comment = leaf.text.ends_with(",type:comment]");
        if leaf.value.is_null() && leaf.plain {
            continue;
        }
        let encrypted = metadata.encrypts(&path, &leaf.text);
        if !encrypted || leaf.text.is_empty() {
            sum.add(&unencrypted(leaf, json), encrypted);
            if is_word(leaf) {
                set(
                    &mut document.value,
                    &leaf.path,
                    Value::from(leaf.text.as_str()),
                );
            }
            continue;
        }
        let wrong = |problem: &'static str| SopsError::Value {
            path: path.join("."),
            problem,
        };
        if !is_text {
            return Err(wrong("it is not encrypted, though it should be"));
        }
        let context = format!("{}:", path.join(":"));
        let plain = key.open(&leaf.text, &context).map_err(wrong)?;
        if is_comment && plain.is_comment() {
            comments.push(&leaf.path);
            continue;
        }
        sum.add(&plain.content, true);
        set(
            &mut document.value,
            &leaf.path,
            plain.value().map_err(wrong)?,
        );
    }
    // From behind, so that places before stay what they are.
    for path in comments.into_iter().rev() {
        remove(&mut document.value, path);
    }
    Ok(())
}

/// Words that are booleans to kubectl and texts to SOPS and kustomize.
fn is_word(leaf: &Leaf) -> bool {
    leaf.plain && leaf.value.is_boolean() && !is_boolean(&leaf.text)
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// What the checksum is over for a value that is not encrypted: Go's way to write it.
fn unencrypted(leaf: &Leaf, json: bool) -> Vec<u8> {
    let text = match &leaf.value {
        _ if !leaf.plain => leaf.text.clone(),
        Value::Bool(value) if is_boolean(&leaf.text) => {
            let word = if *value { "True" } else { "False" };
            word.to_owned()
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) if !json => integer.to_string(),
            (_, Some(float)) => float.to_string(),
            _ => leaf.text.clone(),
        },
        // A date is a time to SOPS.
        Value::String(text) if is_date(text) => format!("{text}T00:00:00Z"),
        _ => leaf.text.clone(),
    };
    text.into_bytes()
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn at<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(index) => value.get_mut(*index),
    })
}

fn set(value: &mut Value, path: &[Step], new: Value) {
    if let Some(place) = at(value, path) {
        *place = new;
    }
}

fn remove(value: &mut Value, path: &[Step]) {
    if let Some((Step::Index(index), parents)) = path.split_last()
        && let Some(Value::Array(list)) = at(value, parents)
        && *index < list.len()
    {
        list.remove(*index);
    }
}

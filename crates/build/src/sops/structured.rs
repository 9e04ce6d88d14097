//! YAML and JSON files: values are encrypted one by one, where they stand.

use std::collections::BTreeSet;

use flux_lang::yaml::{self, Leaf, Step};
use serde_json::Value;

use super::cipher::DataKey;
use super::edited::{Content, Edit};
use super::mac::Mac;
use super::metadata::Metadata;
use super::{Keys, SopsError};

/// An object with this annotation is left encrypted.
const SWITCH: &str = "/metadata/annotations/kustomize.toolkit.fluxcd.io~1decrypt";

/// How an encrypted comment begins.
const COMMENT: &str = "#ENC[AES256_GCM,";

/// A document, and where it began.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// A decrypted text.
pub(super) struct Opened {
    pub(super) documents: Vec<Document>,
    /// What stands in it instead of what is encrypted, in its order; `None` where more changed.
    pub(super) edits: Option<Vec<Edit>>,
}

/// A text, decrypted; nothing when nothing in it was encrypted.
pub(super) fn decrypt(text: &str, json: bool, keys: &Keys) -> Result<Option<Opened>, SopsError> {
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
    let mut edits = Some(Vec::new());
    for group in work.chunk_by_mut(|(left, _), (right, _)| mac(&left.value) == mac(&right.value)) {
        let Some(key) = open(group, json, keys, &mut edits)? else {
            continue;
        };
        if let Some(edits) = &mut edits {
            edits.extend(comments(text, group, &key));
        }
    }
    if let Some(edits) = &mut edits {
        edits.sort_by_key(|edit| edit.range.start);
    }
    Ok(Some(Opened { documents, edits }))
}

/// The comments of a text that are encrypted with this key, for one of the mappings of the group.
fn comments(text: &str, group: &[(&mut Document, &[Leaf])], key: &DataKey) -> Vec<Edit> {
    const END: &str = ",type:comment]";
    if !text.contains(END) {
        return Vec::new();
    }
    let mut contexts = BTreeSet::from([":".to_owned()]);
    for leaf in group.iter().flat_map(|(_, leaves)| *leaves) {
        let path = keys_of(leaf);
        contexts.extend((1..=path.len()).filter_map(|end| Some(path.get(..end)?.join(":") + ":")));
    }
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begin = line.find(COMMENT);
        let end = line.find(END).map(|at| at + END.len());
        if let (Some(begin), Some(end)) = (begin, end)
            && let Some(cipher) = line.get(begin + 1..end)
            && let Some(plain) = contexts.iter().find_map(|c| key.open(cipher, c).ok())
        {
            let comment = format!("#{}", String::from_utf8_lossy(&plain.content));
            found.push(Edit {
                range: start + begin..start + end,
                content: Content::Comment(comment),
            });
        }
        start += line.len();
    }
    found
}

/// The keys on the way to a leaf.
fn keys_of(leaf: &Leaf) -> Vec<&str> {
    leaf.path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect()
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

/// Decrypts documents that were encrypted together; their key, if they were.
fn open(
    group: &mut [(&mut Document, &[Leaf])],
    json: bool,
    keys: &Keys,
    edits: &mut Option<Vec<Edit>>,
) -> Result<Option<DataKey>, SopsError> {
    let Some((first, _)) = group.first() else {
        return Ok(None);
    };
    if group
        .iter()
        .any(|(document, _)| !is_encrypted(&document.value))
    {
        return Ok(None);
    }
    let Some(metadata) = Metadata::of(&first.value)? else {
        return Ok(None);
    };
    let key = metadata.data_key(keys)?;
    let mut sum = Mac::new(&metadata);
    for (document, leaves) in group.iter_mut() {
        if let Some(map) = document.value.as_object_mut() {
            map.remove("sops");
        }
        values(document, leaves, json, &metadata, &key, &mut sum, edits)?;
    }
    sum.verify(&metadata, &key)?;
    Ok(Some(key))
}

fn values(
    document: &mut Document,
    leaves: &[Leaf],
    json: bool,
    metadata: &Metadata,
    key: &DataKey,
    sum: &mut Mac,
    edits: &mut Option<Vec<Edit>>,
) -> Result<(), SopsError> {
    let mut comments: Vec<&[Step]> = Vec::new();
    for leaf in leaves {
        let path = keys_of(leaf);
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
        let value = plain.value().map_err(wrong)?;
        if let Some(edits) = edits {
            edits.push(Edit {
                range: leaf.range.clone(),
                content: Content::Value(value.clone()),
            });
        }
        set(&mut document.value, &leaf.path, value);
    }
    if !comments.is_empty() {
        // Items that are none: the text has lines for them.
        *edits = None;
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

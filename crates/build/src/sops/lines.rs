//! Files of `KEY=value` lines.

use super::mac::Mac;
use super::metadata::Metadata;
use super::{Keys, SopsError};

/// What the names of SOPS's own lines begin with.
const PREFIX: &str = "sops_";

/// A line of the file.
enum Line<'t> {
    Comment(&'t str),
    Value(&'t str, String),
}

/// Decrypts values and comments, and writes the file as SOPS does: without empty lines and its own.
pub(super) fn decrypt(text: &str, keys: &Keys) -> Result<Vec<u8>, SopsError> {
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            lines.push(Line::Comment(comment));
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(SopsError::Text {
                line: number,
                problem: "KEY=value is expected".to_owned(),
            });
        };
        match name.strip_prefix(PREFIX) {
            Some(note) => notes.push((note.to_owned(), value.to_owned())),
            None => lines.push(Line::Value(name, value.replace("\\n", "\n"))),
        }
    }
    let metadata = Metadata::of_flat(&notes)?.ok_or(SopsError::Metadata { field: "mac" })?;
    let key = metadata.data_key(keys)?;
    let mut sum = Mac::new(&metadata);
    let mut result = Vec::new();
    for line in lines {
        let (name, value) = match line {
            Line::Value(name, value) => (name, value),
            // One that cannot be opened never was encrypted. Comments are no part of the checksum.
            Line::Comment(comment) => {
                let opened = key.open(comment, ":").map(|plain| plain.content);
                let content = opened.unwrap_or_else(|_| comment.as_bytes().to_vec());
                result.push(b'#');
                result.extend(content);
                result.push(b'\n');
                continue;
            }
        };
        let encrypted = metadata.encrypts(&[name], &value);
        let content = if encrypted && !value.is_empty() {
            let wrong = |problem| SopsError::Value {
                path: name.to_owned(),
                problem,
            };
            key.open(&value, &format!("{name}:"))
                .map_err(wrong)?
                .content
        } else {
            value.into_bytes()
        };
        sum.add(&content, encrypted);
        let content = String::from_utf8_lossy(&content).replace('\n', "\\n");
        result.extend_from_slice(format!("{name}={content}\n").as_bytes());
    }
    sum.verify(&metadata, &key)?;
    Ok(result)
}

//! YAML as SOPS writes it: the file as it is, with the values in place of what encrypts them.
//!
//! SOPS writes the decrypted file with the same writer (go-yaml 3, indented by four) that wrote the
//! encrypted one, so all that stands between the values is the same already, comments included.

use std::ops::Range;

use flux_lang::yaml;
use serde_json::{Value, json};

/// How SOPS indents.
const INDENT: usize = 4;

/// What is put in the place of some bytes of a text.
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) content: Content,
}

pub(super) enum Content {
    Value(Value),
    Comment(String),
}

/// The text with edits, which must be in its order, and without the notes of SOPS. `None` where it is
/// not of the form that SOPS writes.
pub(super) fn yaml(text: &str, edits: &[Edit]) -> Option<String> {
    let mut edited = String::with_capacity(text.len());
    let mut at = 0;
    for Edit { range, content } in edits {
        edited.push_str(text.get(at..range.start)?);
        let line = text.get(..range.start)?.rsplit('\n').next()?;
        match content {
            Content::Value(value) => edited.push_str(&scalar(value, line)?),
            Content::Comment(comment) => edited.push_str(comment),
        }
        at = range.end;
    }
    edited.push_str(text.get(at..)?);
    let mut result = String::with_capacity(edited.len());
    let mut in_notes = false;
    for line in edited.split_inclusive('\n') {
        match line.trim_end() {
            "sops:" => in_notes = true,
            "---" => in_notes = false,
            // What follows the notes was not written by SOPS.
            _ if in_notes && !line.starts_with([' ', '\n']) => return None,
            _ => {}
        }
        if !in_notes {
            result.push_str(line);
        }
    }
    Some(result)
}

/// A scalar as it stands behind `before` in its line.
fn scalar(value: &Value, before: &str) -> Option<String> {
    if before.contains(['{', '[']) {
        return None;
    }
    let written = yaml::to_string(&json!({"k": value}));
    let written = written.strip_prefix("k: ")?.strip_suffix('\n')?;
    let Some((head, body)) = written.split_once('\n') else {
        return Some(written.to_owned());
    };
    if head.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut result = head.to_owned();
    let indent = " ".repeat(indent(before));
    for line in body.split('\n') {
        result.push('\n');
        if !line.is_empty() {
            result.push_str(&indent);
            result.push_str(line.strip_prefix("  ")?);
        }
    }
    Some(result)
}

/// How far go-yaml 3 indents the lines of a block that begins behind `before`.
fn indent(before: &str) -> usize {
    let blanks = before.len() - before.trim_start().len();
    let dashes = |text: &str| text.chars().take_while(|c| *c == '-' || *c == ' ').count();
    let key = blanks + dashes(before.get(blanks..).unwrap_or_default());
    match before.trim_end().ends_with('-') && key >= before.trim_end().len() {
        // Behind the dash of an item.
        true => before.trim_end().len() - 1 + 2,
        false => INDENT * ((key + INDENT) / INDENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_their_ciphers_stood() {
        let text = "# why\na: E1\nb:\n    #C\n    c: E2\n    list:\n        - E3\n        - d: E4\n          \
                    e: 1 # here\nsops:\n    mac: x\n---\nf: E5\nsops:\n    mac: x\n";
        let edit = |mark: &str, content: Content| {
            let start = text.find(mark).unwrap();
            Edit {
                range: start..start + mark.len(),
                content,
            }
        };
        let value = |mark: &str, value: Value| edit(mark, Content::Value(value));
        let edits = [
            value("E1", json!("yes")),
            edit("#C", Content::Comment("# was hidden".to_owned())),
            value("E2", json!("two\n\nlines")),
            value("E3", json!("x\ny\n")),
            value("E4", json!("x\ny\n")),
            value("E5", json!(5)),
        ];
        let expected = "# why\na: \"yes\"\nb:\n    # was hidden\n    c: |-\n        two\n\n        lines\n    \
                        list:\n        - |\n          x\n          y\n        - d: |\n            x\n            \
                        y\n          e: 1 # here\n---\nf: 5\n";
        assert_eq!(yaml(text, &edits).as_deref(), Some(expected));
    }
}

//! The scalar values of a text in the order in which they are written: what a checksum over a file
//! is made of. A JSON object has no order.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

use super::resolve::{self, Resolved};
use super::{Step, YamlError};
use crate::gonumber;

/// A scalar value.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Way from the root of the document.
    pub path: Vec<Step>,
    /// Bytes of the token in the text.
    pub range: Range<usize>,
    /// Its text, unescaped.
    pub text: String,
    /// Whether it has neither quotes nor a tag nor is a block.
    pub plain: bool,
    /// What it is by the rules of [`super::read`], tags aside.
    pub value: Value,
}

/// The scalar values of each document that has content, as [`super::read`] returns documents.
///
/// # Errors
/// [`YamlError`] for text that is not YAML, and for aliases: what refers to another place has none
/// of its own.
pub fn leaves(text: &str) -> Result<Vec<Vec<Leaf>>, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    let mut walker = Walker::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        walker.event(event, span)?;
    }
    Ok(walker.documents)
}

enum Frame {
    Sequence { next: usize },
    Mapping { key: Option<String> },
}

#[derive(Default)]
struct Walker {
    documents: Vec<Vec<Leaf>>,
    frames: Vec<Frame>,
}

impl Walker {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                if let Some(Frame::Mapping { key: key @ None }) = self.frames.last_mut() {
                    *key = Some(text.into_owned());
                    return Ok(());
                }
                let value = if plain {
                    value(&text)
                } else {
                    Value::from(&*text)
                };
                if self.frames.is_empty() {
                    // A document that is one scalar; one that is nothing has no content.
                    if value.is_null() {
                        return Ok(());
                    }
                    self.documents.push(Vec::new());
                }
                let leaf = Leaf {
                    path: self.path(),
                    range: span.byte_range().unwrap_or_default(),
                    text: text.into_owned(),
                    plain,
                    value,
                };
                if let Some(document) = self.documents.last_mut() {
                    document.push(leaf);
                }
                self.complete();
            }
            Event::SequenceStart(..) => self.open(Frame::Sequence { next: 0 }),
            Event::MappingStart(..) => self.open(Frame::Mapping { key: None }),
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                self.complete();
            }
            Event::Alias(_) => {
                return Err(YamlError::new(span.start, "aliases are not expected here"));
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame) {
        if self.frames.is_empty() {
            self.documents.push(Vec::new());
        }
        self.frames.push(frame);
    }

    /// A value has ended.
    fn complete(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Sequence { next }) => *next += 1,
            Some(Frame::Mapping { key }) => *key = None,
            None => {}
        }
    }

    fn path(&self) -> Vec<Step> {
        let step = |frame: &Frame| match frame {
            Frame::Sequence { next } => Step::Index(*next),
            Frame::Mapping { key } => Step::Key(key.clone().unwrap_or_default()),
        };
        self.frames.iter().map(step).collect()
    }
}

fn value(text: &str) -> Value {
    match resolve::implicit(text) {
        Resolved::Null => Value::Null,
        Resolved::Bool(value) => Value::Bool(value),
        Resolved::Int(value) => Value::from(value),
        Resolved::Uint(value) => Value::from(value),
        Resolved::Float(value) => {
            gonumber::json(value).map_or_else(|| Value::from(text), Value::Number)
        }
        Resolved::String | Resolved::Timestamp => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_in_their_order() {
        let text = "z: 1\na: [x, {y: 'no'}]\nn:\n---\n# nothing\n---\nb: yes\n";
        let found: Vec<String> = leaves(text)
            .unwrap()
            .iter()
            .flatten()
            .map(|leaf| {
                let path: String = leaf.path.iter().map(ToString::to_string).collect();
                let token = text.get(leaf.range.clone()).unwrap();
                format!("{path} {token} {}", leaf.value)
            })
            .collect();
        assert_eq!(
            found,
            [
                ".z 1 1",
                ".a[0] x \"x\"",
                ".a[1].y 'no' \"no\"",
                ".n  null",
                ".b yes true"
            ]
        );
        assert_eq!(
            leaves(text).unwrap().len(),
            super::super::read(text).unwrap().len()
        );
        assert!(leaves("a: &x 1\nb: *x\n").is_err());
    }
}

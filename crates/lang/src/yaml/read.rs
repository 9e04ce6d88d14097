//! Text to JSON values. The nesting depth is bounded by the parser (255 levels) and nothing here
//! recurses; aliases are bounded as in kubectl.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use super::resolve::{self, Resolved};
use super::{Document, Otherwise, Repeated, YamlError};
use crate::gonumber;

/// Reads all documents of a text, by the rules of `sigs.k8s.io/yaml` (kubectl, Flux): YAML 1.1
/// types, merge keys, the last of equal keys wins, keys become strings, whole floats become
/// integers. Documents without content are left out.
///
/// # Errors
/// [`YamlError`] with the place, for text that is not YAML, for what JSON cannot express (`.nan`,
/// a mapping as key) and for aliases that would blow up memory.
pub fn read(text: &str) -> Result<Vec<Document>, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

/// A node and how many nodes it stands for, its aliases expanded.
#[derive(Clone)]
struct Node {
    value: Value,
    size: u64,
}

enum Frame {
    Sequence {
        items: Vec<Value>,
        anchor: usize,
        size: u64,
    },
    Mapping {
        map: Map<String, Value>,
        key: Option<Key>,
        anchor: usize,
        size: u64,
        /// Whether `<<` brought keys, which may be written again.
        merged: bool,
    },
}

/// A key whose value is still to come.
enum Key {
    Name(String),
    Merge,
}

/// What a node is besides its value, where that matters: as a key, and as the value of `<<`.
enum Role {
    /// A plain `<<`.
    MergeMark,
    Alias,
    Node,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    /// Line of the current document's first node.
    line: usize,
    repeated: Vec<Repeated>,
    otherwise: Option<Otherwise>,
    /// Nodes so far in this document, and those among them that aliases brought.
    decoded: u64,
    from_aliases: u64,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let at = span.start;
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.line = 0;
                self.repeated.clear();
                self.otherwise = None;
                self.decoded = 0;
                self.from_aliases = 0;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.begin(at);
                if let Some(what) = peculiarity(&text, style) {
                    self.note_otherwise(what, at);
                }
                let merge = text == "<<"
                    && match &tag {
                        None => style == ScalarStyle::Plain,
                        Some(tag) => long_name(tag) == "tag:yaml.org,2002:merge",
                    };
                let value = if merge {
                    Value::String("<<".to_owned())
                } else {
                    self.scalar(&text, style, tag.as_deref(), at)?
                };
                let node = Node { value, size: 1 };
                self.keep(anchor, &node);
                self.place(node, if merge { Role::MergeMark } else { Role::Node }, at)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(at);
                self.frames.push(Frame::Sequence {
                    items: Vec::new(),
                    anchor,
                    size: 1,
                });
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(at);
                let map = Map::new();
                self.frames.push(Frame::Mapping {
                    map,
                    key: None,
                    anchor,
                    size: 1,
                    merged: false,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (value, anchor, size) = match self.frames.pop() {
                    Some(Frame::Sequence {
                        items,
                        anchor,
                        size,
                    }) => (Value::Array(items), anchor, size),
                    Some(Frame::Mapping {
                        map, anchor, size, ..
                    }) => (Value::Object(map), anchor, size),
                    None => return Err(YamlError::new(at, "unbalanced collection")),
                };
                let node = Node { value, size };
                self.keep(anchor, &node);
                self.place(node, Role::Node, at)?;
            }
            Event::Alias(anchor) => {
                self.begin(at);
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(YamlError::new(at, "an anchored value contains itself"));
                };
                self.decoded += node.size;
                self.from_aliases += node.size;
                self.check_aliasing(at)?;
                let node = Node {
                    value: node.value.clone(),
                    size: node.size + 1,
                };
                self.place(node, Role::Alias, at)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: Marker) {
        self.decoded += 1;
        if self.line == 0 {
            self.line = at.line();
        }
    }

    fn keep(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn note_otherwise(&mut self, what: &'static str, at: Marker) {
        let line = at.line().max(1);
        self.otherwise.get_or_insert(Otherwise { what, line });
    }

    /// The limit of go-yaml: in small documents 99 % of the nodes may come from aliases, from
    /// 4,000,000 nodes on 10 %.
    fn check_aliasing(&self, at: Marker) -> Result<(), YamlError> {
        const LOW: f64 = 400_000.0;
        const HIGH: f64 = 4_000_000.0;
        #[expect(clippy::cast_precision_loss, reason = "a ratio is all that is wanted")]
        let (decoded, aliases) = (self.decoded as f64, self.from_aliases as f64);
        let share = 0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        if aliases > 100.0 && decoded > 1000.0 && aliases / decoded > share {
            return Err(YamlError::new(at, "document contains excessive aliasing"));
        }
        Ok(())
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Marker,
    ) -> Result<Value, YamlError> {
        let (resolved, replaced) = match tag.map(long_name) {
            None if style == ScalarStyle::Plain => (resolve::implicit(text), None),
            None => (Resolved::String, None),
            Some(name) => {
                resolve::tagged(&name, text).map_err(|message| YamlError::new(at, message))?
            }
        };
        let number = match resolved {
            Resolved::Null => return Ok(Value::Null),
            Resolved::Bool(value) => return Ok(Value::Bool(value)),
            Resolved::String | Resolved::Timestamp => {
                return Ok(Value::String(replaced.unwrap_or_else(|| text.to_owned())));
            }
            Resolved::Int(value) => Number::from(value),
            Resolved::Uint(value) => Number::from(value),
            // As a key this is fine, but no manifest has such a key.
            Resolved::Float(value) => gonumber::json(value).ok_or_else(|| {
                YamlError::new(
                    at,
                    format!("`{text}` has no JSON form; quote it to have a string"),
                )
            })?,
        };
        Ok(Value::Number(number))
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, node: Node, role: Role, at: Marker) -> Result<(), YamlError> {
        let Node { value, size: nodes } = node;
        match self.frames.last_mut() {
            None => {
                if !value.is_null() {
                    self.documents.push(Document {
                        value,
                        line: self.line,
                        repeated: std::mem::take(&mut self.repeated),
                        otherwise: self.otherwise.take(),
                    });
                }
            }
            Some(Frame::Sequence { items, size, .. }) => {
                items.push(value);
                *size += nodes;
            }
            Some(Frame::Mapping {
                map,
                key,
                size,
                merged,
                ..
            }) => {
                *size += nodes;
                match key.take() {
                    None => {
                        *key = Some(match role {
                            Role::MergeMark => Key::Merge,
                            Role::Alias | Role::Node => Key::Name(key_name(value, at)?),
                        });
                    }
                    Some(Key::Name(name)) => {
                        if !*merged && map.contains_key(&name) {
                            self.repeated.push(Repeated {
                                key: name.clone(),
                                line: at.line(),
                                column: at.col() + 1,
                            });
                        }
                        map.insert(name, value);
                    }
                    Some(Key::Merge) => {
                        *merged = true;
                        if merge(map, value, &role, at)? {
                            const WHAT: &str = "a \"<<\" after keys that it brings, too";
                            self.note_otherwise(WHAT, at);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// What kustomize makes something else of in a scalar: it doubles line breaks before lines that are
/// indented in a folded one, and escapes line breaks of Unicode.
fn peculiarity(text: &str, style: ScalarStyle) -> Option<&'static str> {
    let is_indented = || {
        let mut lines = text.split('\n');
        lines.any(|line| line.starts_with([' ', '\t']))
    };
    if style == ScalarStyle::Folded && is_indented() {
        return Some("a folded text (>) with indented lines");
    }
    let breaks = ['\u{85}', '\u{2028}', '\u{2029}'];
    text.contains(breaks)
        .then_some("a text with line breaks of Unicode")
}

/// The value of `<<`: a mapping, or a sequence of mappings of which earlier ones win. As in
/// go-yaml 2, merged keys override those that stand before the `<<`; whether some do.
fn merge(
    map: &mut Map<String, Value>,
    value: Value,
    role: &Role,
    at: Marker,
) -> Result<bool, YamlError> {
    let refused = || {
        YamlError::new(
            at,
            "map merge requires map or sequence of maps as the value",
        )
    };
    let merged = match (value, role) {
        (Value::Object(merged), _) => merged,
        (Value::Array(items), Role::Node) => {
            let mut all = Map::new();
            for item in items.into_iter().rev() {
                let Value::Object(merged) = item else {
                    return Err(refused());
                };
                all.extend(merged);
            }
            all
        }
        _ => return Err(refused()),
    };
    let overrides = merged
        .iter()
        .any(|(key, value)| map.get(key).is_some_and(|own| own != value));
    map.extend(merged);
    Ok(overrides)
}

/// JSON keys are strings: numbers and booleans are written out.
fn key_name(value: Value, at: Marker) -> Result<String, YamlError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(integer.to_string()),
            (None, Some(float)) if number.is_f64() => Ok(gonumber::format_g32(float)),
            _ => Err(YamlError::new(
                at,
                format!("unsupported map key {number}: quote it"),
            )),
        },
        Value::Null => Err(YamlError::new(at, "unsupported map key null: quote it")),
        Value::Array(_) | Value::Object(_) => Err(YamlError::new(
            at,
            "invalid map key: a key must be a single word or text",
        )),
    }
}

fn long_name(tag: &Tag) -> String {
    let (handle, suffix) = tag.parts();
    format!("{handle}{suffix}")
}

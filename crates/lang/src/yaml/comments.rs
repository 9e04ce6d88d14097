//! Which comment belongs to which node, and where scalar values stand in the text.
//!
//! The rule is that of Flux's YAML library: a comment belongs to the node that ends before it on
//! the same line; a comment on a line of its own belongs to a scalar item of a sequence
//! directly below it, and to nothing else.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::{Annotations, Comment, Head, Scalar, Step, Style, Target, YamlError};

/// Finds all comments that belong to nodes.
///
/// # Errors
/// [`YamlError`] with the place, for text that is not YAML.
pub fn annotations(text: &str) -> Result<Annotations, YamlError> {
    let options = granit_parser::options! { max_buffered_comment_events: usize::MAX };
    let mut walker = Walker {
        text,
        ..Walker::default()
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        walker.event(event, span);
    }
    Ok(walker.found)
}

/// Finds all scalar values that a comment belongs to.
///
/// # Errors
/// [`YamlError`] with the place, for text that is not YAML.
pub fn scalars(text: &str) -> Result<Vec<Scalar>, YamlError> {
    let found = annotations(text)?.comments;
    Ok(found
        .into_iter()
        .filter_map(|comment| match comment.target {
            Target::Scalar(scalar) => Some(*scalar),
            Target::Collection | Target::Key => None,
        })
        .collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mapping,
    Sequence,
}

/// A collection that is open.
struct Frame {
    kind: Kind,
    /// In a sequence: items that are complete.
    count: usize,
    /// In a mapping: the key whose value comes next, or is open above this frame.
    key: Option<String>,
    /// Where it begins.
    column: usize,
}

/// A comment for what may follow.
struct Pending {
    text: String,
    line: usize,
    column: usize,
}

/// The node, or part of one, that ended last.
enum Last {
    Scalar(Box<Scalar>),
    Collection,
    Key,
    /// A block scalar; the comment on its first line comes after it.
    Block,
}

#[derive(Default)]
struct Walker<'t> {
    text: &'t str,
    frames: Vec<Frame>,
    /// With the byte where it ended.
    last: Option<(Last, usize)>,
    /// A comment that belongs to the scalar item that may follow.
    pending: Option<Pending>,
    found: Annotations,
}

impl Walker<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        // Always there for a parser over a string slice.
        let Some(range) = span.byte_range() else {
            return;
        };
        let (line, column, end) = (span.start.line(), span.start.col(), range.end);
        match event {
            Event::DocumentStart(..) => {
                self.found.documents.push(Head::default());
                self.last = None;
            }
            Event::Comment(comment, _) => self.comment(&comment, range.start, line, column),
            Event::Scalar(value, style, ..) => self.scalar(&value, style, range, line),
            Event::Alias(_) => {
                self.pending = None;
                let last = if self.expects_key() {
                    Last::Key
                } else {
                    Last::Collection
                };
                self.last = Some((last, end));
                self.complete("?");
            }
            // A comment above the first dash is above the first item.
            Event::SequenceStart(StructureStyle::Block, ..) => self.open(Kind::Sequence, column),
            Event::SequenceStart(StructureStyle::Flow, ..) => {
                self.pending = None;
                self.last = Some((Last::Collection, end));
                self.open(Kind::Sequence, column);
            }
            Event::MappingStart(style, ..) => {
                self.pending = None;
                if style == StructureStyle::Flow {
                    self.last = Some((Last::Collection, end));
                }
                self.open(Kind::Mapping, column);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let inner = self.frames.pop().map_or(0, |frame| frame.column);
                if range.is_empty() {
                    // What is indented like the content of the collection belongs to it.
                    self.pending.take_if(|pending| pending.column >= inner);
                } else {
                    // Only a bracket is a token; a block collection ends with its last node.
                    self.pending = None;
                    self.last = Some((Last::Collection, end));
                }
                self.complete("?");
            }
            _ => {}
        }
    }

    fn open(&mut self, kind: Kind, column: usize) {
        self.frames.push(Frame {
            kind,
            count: 0,
            key: None,
            column,
        });
    }

    fn expects_key(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|f| f.kind == Kind::Mapping && f.key.is_none())
    }

    /// A node of the innermost collection is complete; `text` is its name should it be a key.
    fn complete(&mut self, text: &str) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        match frame.kind {
            Kind::Mapping if frame.key.is_none() => frame.key = Some(text.to_owned()),
            Kind::Mapping => frame.key = None,
            Kind::Sequence => frame.count += 1,
        }
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, range: Range<usize>, line: usize) {
        let end = range.end;
        // The parser says `~` for what is not there.
        let absent = range.is_empty();
        let value = if absent { "" } else { value };
        let pending = self.pending.take();
        if self.expects_key() {
            self.last = Some((Last::Key, end));
            self.complete(value);
            return;
        }
        let path: Vec<Step> = self.frames.iter().map(Frame::step).collect();
        self.name_object(&path, value);
        let mut scalar = Scalar {
            style: super::places::named(style),
            value: value.to_owned(),
            comment: String::new(),
            line,
            document: self.document(),
            path,
            range,
        };
        let item = self.frames.last().is_some_and(|f| f.kind == Kind::Sequence);
        if let (Some(Pending { text, line, .. }), true) = (pending, item) {
            scalar.comment.clone_from(&text);
            let target = if absent {
                Target::Key
            } else {
                Target::Scalar(Box::new(scalar.clone()))
            };
            self.push(text, line, target);
        }
        self.last = match scalar.style {
            Style::Block => Some((Last::Block, end)),
            // A value that is not there: what stands on the line is the key.
            _ if absent => Some((Last::Key, end)),
            _ => Some((Last::Scalar(Box::new(scalar)), end)),
        };
        self.complete("");
    }

    fn document(&self) -> usize {
        self.found.documents.len().saturating_sub(1)
    }

    fn name_object(&mut self, path: &[Step], value: &str) {
        let Some(head) = self.found.documents.last_mut() else {
            return;
        };
        let field = match path {
            [Step::Key(key)] if key == "apiVersion" => &mut head.api_version,
            [Step::Key(key)] if key == "kind" => &mut head.kind,
            [Step::Key(outer), Step::Key(key)] if outer == "metadata" && key == "name" => {
                &mut head.name
            }
            [Step::Key(outer), Step::Key(key)] if outer == "metadata" && key == "namespace" => {
                &mut head.namespace
            }
            _ => return,
        };
        value.clone_into(field);
    }

    fn comment(&mut self, comment: &str, start: usize, line: usize, column: usize) {
        let line_start = self.text.get(..start).and_then(|t| t.rfind(['\n', '\r']));
        let line_start = line_start.map_or(0, |at| at + 1);
        let target = match &self.last {
            Some((Last::Block, end)) if start < *end => Target::Key,
            Some((last, end)) if *end > line_start && !matches!(last, Last::Block) => match last {
                Last::Scalar(scalar) => {
                    let comment = comment.to_owned();
                    Target::Scalar(Box::new(Scalar {
                        comment,
                        ..(**scalar).clone()
                    }))
                }
                Last::Collection => Target::Collection,
                Last::Key | Last::Block => Target::Key,
            },
            _ => {
                // Consecutive lines are one comment.
                match &mut self.pending {
                    Some(pending) => {
                        pending.text.push_str("\n#");
                        pending.text.push_str(comment);
                    }
                    None => {
                        let text = comment.to_owned();
                        self.pending = Some(Pending { text, line, column });
                    }
                }
                return;
            }
        };
        self.pending = None;
        self.push(comment.to_owned(), line, target);
    }

    fn push(&mut self, text: String, line: usize, target: Target) {
        let document = self.document();
        self.found.comments.push(Comment {
            text,
            line,
            document,
            target,
        });
    }
}

impl Frame {
    fn step(&self) -> Step {
        match self.kind {
            Kind::Mapping => Step::Key(self.key.clone().unwrap_or_default()),
            Kind::Sequence => Step::Index(self.count),
        }
    }
}

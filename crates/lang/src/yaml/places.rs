//! Where the nodes of a document stand in its text: for messages that point at them, and for
//! edits that change nothing else.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::resolve::{self, Resolved};
use super::{Style, YamlError};

/// A node and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the key; none for items of sequences and for the root.
    pub key: Option<Range<usize>>,
    /// Bytes of a scalar with its quotes; of anything else the first token.
    pub value: Range<usize>,
    /// How the scalar is written; none for collections and aliases.
    pub style: Option<Style>,
}

/// The places of one document, by RFC 6901 pointer. An alias is a place, what it stands for is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    nodes: HashMap<String, Place>,
}

impl Places {
    /// The node at a pointer.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&Place> {
        self.nodes.get(pointer)
    }

    /// The node at a pointer, or the nearest one above it that is written.
    #[must_use]
    pub fn nearest(&self, pointer: &str) -> Option<(&Place, bool)> {
        let mut above = pointer;
        loop {
            if let Some(place) = self.nodes.get(above) {
                return Some((place, above == pointer));
            }
            above = above.rsplit_once('/')?.0;
        }
    }
}

/// The places of all documents of a text that have content, in the order of [`super::read`].
///
/// # Errors
/// [`YamlError`] with the place, for text that is not YAML.
pub fn places(text: &str) -> Result<Vec<Places>, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    let mut walker = Walker {
        text,
        ..Walker::default()
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        walker.event(event, span);
    }
    Ok(walker.documents)
}

/// A collection that is open.
struct Frame {
    pointer: String,
    mapping: bool,
    count: usize,
    key: Option<(String, Range<usize>)>,
}

#[derive(Default)]
struct Walker<'t> {
    text: &'t str,
    documents: Vec<Places>,
    current: Places,
    frames: Vec<Frame>,
    /// Open collections that are keys themselves: nothing in them has a pointer.
    complex: usize,
}

impl Walker<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        // Always there for a parser over a string slice.
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(..) => {
                self.current = Places::default();
                self.frames.clear();
                self.complex = 0;
            }
            Event::Scalar(text, style, ..) => {
                if self.complex == 0 && self.frames.is_empty() {
                    let null = style == ScalarStyle::Plain
                        && matches!(resolve::implicit(&text), Resolved::Null);
                    self.node(range, Some(named(style)));
                    if !null {
                        self.finish();
                    }
                    return;
                }
                if self.complex == 0
                    && let Some(frame) = self.frames.last_mut()
                    && frame.mapping
                    && frame.key.is_none()
                {
                    frame.key = Some((text.into_owned(), range));
                    return;
                }
                self.node(range, Some(named(style)));
                self.complete();
            }
            Event::Alias(_) => {
                self.node(range, None);
                self.complete();
            }
            Event::SequenceStart(..) => self.open(range, false),
            Event::MappingStart(..) => self.open(range, true),
            Event::SequenceEnd | Event::MappingEnd => {
                if self.complex > 0 {
                    self.complex -= 1;
                    if self.complex > 0 {
                        return;
                    }
                } else {
                    self.frames.pop();
                }
                if self.frames.is_empty() {
                    self.finish();
                } else {
                    self.complete();
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.documents.push(std::mem::take(&mut self.current));
    }

    fn open(&mut self, range: Range<usize>, mapping: bool) {
        let key = |frame: &Frame| frame.mapping && frame.key.is_none();
        if self.complex > 0 || self.frames.last().is_some_and(key) {
            self.complex += 1;
            return;
        }
        let pointer = self.pointer();
        // The first word of the collection is enough to point at.
        let rest = self.text.get(range.start..).unwrap_or_default();
        let word = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
        self.node(range.start..range.start + word, None);
        self.frames.push(Frame {
            pointer,
            mapping,
            count: 0,
            key: None,
        });
    }

    /// The pointer of the node that comes next.
    fn pointer(&self) -> String {
        match self.frames.last() {
            None => String::new(),
            Some(frame) => match &frame.key {
                Some((key, _)) => {
                    format!(
                        "{}/{}",
                        frame.pointer,
                        key.replace('~', "~0").replace('/', "~1")
                    )
                }
                None => format!("{}/{}", frame.pointer, frame.count),
            },
        }
    }

    fn node(&mut self, value: Range<usize>, style: Option<Style>) {
        if self.complex > 0 {
            return;
        }
        let key = self
            .frames
            .last()
            .and_then(|frame| frame.key.as_ref())
            .map(|(_, range)| range.clone());
        let place = Place { key, value, style };
        self.current.nodes.insert(self.pointer(), place);
    }

    fn complete(&mut self) {
        if self.complex > 0 {
            return;
        }
        if let Some(frame) = self.frames.last_mut() {
            if frame.mapping && frame.key.is_none() {
                // An alias or a collection as a key.
                frame.key = Some((String::new(), 0..0));
                return;
            }
            frame.key = None;
            frame.count += 1;
        }
    }
}

pub(super) fn named(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        _ => Style::Block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'t>(text: &'t str, pointer: &str) -> &'t str {
        let places = places(text).expect("YAML");
        let place = places[0].get(pointer).expect(pointer);
        &text[place.value.clone()]
    }

    #[test]
    fn nodes_are_found_by_their_pointers() {
        let text = "# c\nmetadata:\n  annotations:\n    a.b/c: \"x y\" # d\nspec:\n  rules:\n  - host: a\n  - {host: b, list: [1, 'two']}\n";
        for (pointer, token) in [
            ("/metadata/annotations/a.b~1c", "\"x y\""),
            ("/spec/rules/0/host", "a"),
            ("/spec/rules/1/host", "b"),
            ("/spec/rules/1/list/1", "'two'"),
        ] {
            assert_eq!(at(text, pointer), token, "{pointer}");
        }
        let places = places(text).expect("YAML");
        let key = places[0].get("/spec").expect("spec").key.clone();
        assert_eq!(&text[key.expect("a key")], "spec");
        let (nearest, exact) = places[0].nearest("/spec/interval").expect("spec");
        assert!(!exact);
        assert_eq!(&text[nearest.key.clone().expect("a key")], "spec");
    }

    #[test]
    fn documents_are_counted_as_by_the_reader() {
        let text = "---\n---\na: 1\n---\n# nothing\n---\n~\n---\nx\n---\nb: {c: 2}\n";
        let read = super::super::read(text).expect("YAML");
        let places = places(text).expect("YAML");
        assert_eq!(read.len(), places.len());
        assert!(places[2].get("/b/c").is_some());
    }

    #[test]
    fn collections_as_keys_and_aliases_do_not_confuse() {
        let text = "a: &x {b: 1}\nc: *x\n? [1, 2]\n: 3\nd: 4\n";
        assert_eq!(at(text, "/d"), "4");
        assert_eq!(at(text, "/c"), "*x");
    }
}

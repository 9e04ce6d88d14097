//! Random YAML: an edit changes the bytes of marked scalars, and nothing else.
//!
//! A random tree is written twice, with the values before and with those to come, so that the second
//! text is what the edit must give, byte for byte.

use std::fmt::Write as _;

use flux_lang::yaml;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::tests::run;

/// Scalars as they are written, with their value.
const TOKENS: [(&str, &str); 14] = [
    ("x", "x"),
    ("a b", "a b"),
    ("app:1.0", "app:1.0"),
    ("1.0", "1.0"),
    ("v1", "v1"),
    ("~", "~"),
    ("h\u{e9}", "h\u{e9}"),
    ("http://x/y#z", "http://x/y#z"),
    ("'it''s'", "it's"),
    ("''", ""),
    ("'a # b'", "a # b"),
    (r#""\u00e9""#, "\u{e9}"),
    (r#""a\tb""#, "a\tb"),
    // Over two lines; `@` is the indentation.
    ("\"x\n@y\"", "x y"),
];

/// What markers name, with the value it stands for.
const MARKERS: [(&str, &str); 6] = [
    ("foo:app", "reg.io:5000/app:2.51"),
    ("foo:app:tag", "2.51"),
    ("foo:app:name", "reg.io:5000/app"),
    ("foo:pinned", "app:v1@sha256:abc"),
    ("foo:pinned:tag", "v1"),
    ("foo:pinned:digest", "sha256:abc"),
];

/// Between entries: nothing that belongs to a value.
const GAPS: [&str; 6] = [
    "",
    "\n",
    "   \n\n",
    "@# a comment\twith a tab\t\n",
    "#\tat the margin\n",
    "@# \u{e9}: [ \"not yaml\n",
];

/// A marker on a line of its own, above a field: it is none.
const ABOVE: &str = "@# {\"$imagepolicy\": \"foo:app:tag\"}\n";

const KEYS: [&str; 5] = ["k#", "\"k #\"", "'k''#'", "k # :", "\u{e9}#"];

const SPACES: [&str; 3] = [" ", "  ", "\t"];

/// Scalars over many lines, with what looks like a marker inside; `@` is the indentation.
const BLOCKS: [&str; 4] = [
    "|\n@one # {\"$imagepolicy\": \"foo:app:tag\"}\n\n@  two\n",
    ">-\n@folded\n@text\n\n@more\n",
    "|+\n@kept\n\n",
    ">2- # a comment\n@a: x # {\"$imagepolicy\": \"foo:app\"}\n",
];

#[derive(Clone, Debug)]
struct Scalar {
    token: usize,
    marker: Option<usize>,
    space: usize,
    /// 0: none; 1: an anchor; 2: a tag.
    property: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Scalar(Scalar),
    Alias(Index),
    Block(usize),
    Map(Vec<(usize, usize, bool, Node)>),
    List(Vec<(usize, Node)>),
    FlowMap(Vec<Scalar>),
    FlowList(Vec<Scalar>),
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let marker = prop::option::of(0..MARKERS.len());
    let property = select(vec![0, 0, 0, 1, 2]);
    (0..TOKENS.len(), marker, 0..SPACES.len(), property).prop_map(
        |(token, marker, space, property)| Scalar {
            token,
            marker,
            space,
            property,
        },
    )
}

fn node() -> impl Strategy<Value = Node> {
    let flow = || prop::collection::vec(scalar(), 0..4);
    let leaf = prop_oneof![
        6 => scalar().prop_map(Node::Scalar),
        1 => any::<Index>().prop_map(Node::Alias),
        1 => (0..BLOCKS.len()).prop_map(Node::Block),
        1 => flow().prop_map(Node::FlowMap),
        1 => flow().prop_map(Node::FlowList),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let entry = (
            0..KEYS.len(),
            0..GAPS.len(),
            prop::bool::weighted(0.1),
            inner.clone(),
        );
        prop_oneof![
            prop::collection::vec(entry, 1..5).prop_map(Node::Map),
            prop::collection::vec((0..GAPS.len(), inner), 1..5).prop_map(Node::List),
        ]
    })
}

/// A text in the making.
struct Writer {
    text: String,
    /// Whether marked values are written as they will be.
    edited: bool,
    anchors: usize,
    marked: usize,
}

fn pad(indent: usize) -> String {
    " ".repeat(indent)
}

impl Writer {
    fn push(&mut self, text: &str, indent: usize) {
        self.text.push_str(&text.replace('@', &pad(indent)));
    }

    /// A scalar, whatever `after` it belongs to it (a comma), and the rest of its line.
    fn scalar(&mut self, scalar: &Scalar, after: &str, indent: usize) {
        let (token, value) = TOKENS[scalar.token];
        match scalar.property {
            1 => {
                self.anchors += 1;
                let _ = write!(self.text, "&a{} ", self.anchors);
            }
            2 => self.text.push_str("!!str "),
            _ => {}
        }
        let marker = scalar.marker.map(|at| MARKERS[at]);
        match marker {
            Some((_, new)) if self.edited && new != value => {
                self.text.push_str(&written(token, new));
            }
            _ => self.push(token, indent + 2),
        }
        self.text.push_str(after);
        let space = SPACES[scalar.space];
        match marker {
            Some((setter, _)) => {
                self.marked += 1;
                let _ = write!(
                    self.text,
                    "{space}# {{\"$imagepolicy\":{space}\"{setter}\"}}{space}"
                );
            }
            None if scalar.space == 1 => self.text.push_str("  # {\"$other\": 1}"),
            None => {}
        }
        self.text.push('\n');
    }

    /// A value behind a colon or a dash, up to the end of its line.
    fn value(&mut self, node: &Node, indent: usize) {
        match node {
            Node::Scalar(scalar) => {
                self.text.push(' ');
                self.scalar(scalar, "", indent);
            }
            Node::Alias(_) if self.anchors == 0 => self.text.push_str(" none\n"),
            Node::Alias(index) => {
                let anchor = index.index(self.anchors) + 1;
                let _ = writeln!(self.text, " *a{anchor}");
            }
            Node::Block(at) => {
                self.text.push(' ');
                self.push(BLOCKS[*at], indent + 2);
            }
            Node::FlowMap(items) => self.flow(('{', '}'), items, indent),
            Node::FlowList(items) => self.flow(('[', ']'), items, indent),
            Node::Map(entries)
                if self.text.ends_with('-')
                    && entries
                        .first()
                        .is_some_and(|(_, gap, above, _)| *gap == 0 && !above) =>
            {
                // The first key stands beside the dash.
                let start = self.text.len();
                self.collection(node, indent + 2);
                self.text.replace_range(start..start + indent + 2, " ");
            }
            Node::List(items) if self.text.ends_with(':') && items.len() % 2 == 0 => {
                self.text.push('\n');
                self.collection(node, indent);
            }
            Node::Map(_) | Node::List(_) => {
                self.text.push_str("  # of what follows\n");
                self.collection(node, indent + 2);
            }
        }
    }

    fn flow(&mut self, (open, close): (char, char), items: &[Scalar], indent: usize) {
        let _ = writeln!(self.text, " {open}");
        for (at, item) in items.iter().enumerate() {
            self.text.push_str(&pad(indent + 3));
            if open == '{' {
                let _ = write!(self.text, "f{at}: ");
            }
            let comma = if at + 1 < items.len() { "," } else { "" };
            self.scalar(item, comma, indent + 3);
        }
        let _ = writeln!(self.text, "{}{close}", pad(indent + 1));
    }

    /// A map or list, on lines of its own.
    fn collection(&mut self, node: &Node, indent: usize) {
        match node {
            Node::Map(entries) => {
                for (at, (key, gap, above, value)) in entries.iter().enumerate() {
                    self.push(GAPS[*gap], indent);
                    self.push(if *above { ABOVE } else { "" }, indent);
                    let key = KEYS[*key].replace('#', &at.to_string());
                    let key = key.strip_suffix(':').unwrap_or(&key);
                    let _ = write!(self.text, "{}{key}:", pad(indent));
                    self.value(value, indent);
                }
            }
            Node::List(items) => {
                for (gap, item) in items {
                    self.push(GAPS[*gap], indent);
                    let _ = write!(self.text, "{}-", pad(indent));
                    self.value(item, indent);
                }
            }
            node => {
                let _ = write!(self.text, "{}only:", pad(indent));
                self.value(node, indent);
            }
        }
    }
}

/// The new value in the notation that was there.
fn written(token: &str, new: &str) -> String {
    match token.chars().next() {
        Some('\'') => format!("'{new}'"),
        Some('"') => format!("\"{new}\""),
        _ if new == "2.51" => format!("\"{new}\""),
        _ => new.to_owned(),
    }
}

/// The whole text, and how many scalars are marked.
fn text(documents: &[(usize, Node)], layout: Layout, edited: bool) -> (String, usize) {
    let mut writer = Writer {
        text: String::new(),
        edited,
        anchors: 0,
        marked: 0,
    };
    for (at, (mark, document)) in documents.iter().enumerate() {
        // Only the first document may be without a line before it.
        let marks = ["", "---\n", "--- # a document\t\n", "...\n---\n\n"];
        let mark = if at == 0 { *mark % 3 } else { 1 + *mark % 3 };
        writer.text.push_str(marks[mark]);
        writer.anchors = 0;
        writer.collection(document, 0);
    }
    let mut text = writer.text;
    if !layout.final_newline {
        text.truncate(text.trim_end_matches('\n').len());
    }
    if layout.crlf {
        text = text.replace('\n', "\r\n");
    }
    if layout.bom {
        text.insert(0, '\u{feff}');
    }
    (text, writer.marked)
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    crlf: bool,
    bom: bool,
    final_newline: bool,
}

/// Leaves that differ, old and new; `None` when the shapes do.
fn differences(old: &Value, new: &Value, found: &mut Vec<(Value, Value)>) -> Option<()> {
    match (old, new) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .try_for_each(|(a, b)| differences(a, b, found)),
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .values()
            .zip(b.values())
            .try_for_each(|(a, b)| differences(a, b, found)),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => None,
        (old, new) => {
            if old != new {
                found.push((old.clone(), new.clone()));
            }
            Some(())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn only_marked_values_change(
        documents in prop::collection::vec((0..4_usize, node()), 1..4),
        (crlf, bom, final_newline) in any::<(bool, bool, bool)>(),
    ) {
        let layout = Layout { crlf, bom, final_newline };
        let (before, marked) = text(&documents, layout, false);
        let (expected, _) = text(&documents, layout, true);
        let edit = run(&before);
        prop_assert_eq!(&edit.problems, &[], "{}", before);
        prop_assert!(edit.changes.len() <= marked);
        let after = edit.bytes.unwrap_or_else(|| before.clone());
        prop_assert_eq!(&after, &expected);
        prop_assert_eq!(run(&after).bytes, None, "a second run has nothing to do");

        let read = |text: &str| -> Value {
            yaml::read(text).unwrap().into_iter().map(|document| document.value).collect()
        };
        let mut found = Vec::new();
        prop_assert!(differences(&read(&before), &read(&after), &mut found).is_some());
        for (_, new) in found {
            let is_selected = MARKERS.iter().any(|(_, value)| new == *value);
            prop_assert!(is_selected, "{new}");
        }
    }
}

//! YAML as kubectl and Flux read and write it: YAML 1.1 in the dialect of `sigs.k8s.io/yaml`
//! (`yes` is a boolean, `0777` is 511, the last of two equal keys wins), and in byte-exact form
//! where files of people are edited.
//!
//! - [`read`]: text to JSON values;
//! - [`to_string`]: a JSON value to the bytes that `sigs.k8s.io/yaml` writes;
//! - [`leaves`]: scalar values in the order of the text;
//! - [`annotations`] and [`scalars`]: where values stand in a text and which comment is theirs;
//! - [`places`]: where every node stands, by its pointer.
//!
//! This is the only module that knows a YAML parser. Typed files of our own may use serde.

mod comments;
mod emit;
mod leaves;
mod places;
mod read;
mod resolve;
mod scalar_style;
#[cfg(test)]
mod tests;
mod timestamp;

use std::fmt;
use std::ops::Range;

pub use comments::{annotations, scalars};
pub use emit::to_string;
pub use leaves::{Leaf, leaves};
pub use places::{Place, Places, places};
pub use read::read;

/// One document of a YAML stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The content; never null, documents without content are left out.
    pub value: serde_json::Value,
    /// Line of the first content, counted from 1.
    pub line: usize,
    /// Keys that stand in one mapping more than once; the last one counts.
    pub repeated: Vec<Repeated>,
    /// The first thing in it that kustomize reads otherwise.
    pub otherwise: Option<Otherwise>,
}

/// What kustomize, whose parser is another (go-yaml 3 by way of kyaml), reads otherwise than kubectl,
/// apart from scalars that resolve to another type there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Otherwise {
    /// What it is, in words.
    pub what: &'static str,
    /// Its line, counted from 1.
    pub line: usize,
}

/// A key that stands in a mapping again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The key.
    pub key: String,
    /// Line of its later value, counted from 1.
    pub line: usize,
    /// Column of its later value in characters, counted from 1.
    pub column: usize,
}

/// Why a text is not YAML, or not YAML that JSON can express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// Line of the problem, counted from 1.
    pub line: usize,
    /// Column of the problem in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl YamlError {
    fn new(at: granit_parser::Marker, message: impl Into<String>) -> Self {
        // The parser counts lines from 1 and columns from 0.
        Self {
            line: at.line().max(1),
            column: at.col() + 1,
            message: message.into(),
        }
    }
}

impl From<granit_parser::ScanError> for YamlError {
    fn from(error: granit_parser::ScanError) -> Self {
        Self::new(*error.marker(), error.info())
    }
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'single quotes'`.
    SingleQuoted,
    /// `"double quotes"`.
    DoubleQuoted,
    /// `|` or `>`.
    Block,
}

/// One step from the root of a document to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// This item of a sequence, counted from 0.
    Index(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A scalar that is a value (not a key), and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Bytes of the token in the text: with quotes, without anchor and tag.
    pub range: Range<usize>,
    /// How it is written.
    pub style: Style,
    /// Its text, unescaped.
    pub value: String,
    /// The comment that belongs to it, without `#`.
    pub comment: String,
    /// Line where the token begins, counted from 1.
    pub line: usize,
    /// Which document of the stream, counted from 0, empty ones included.
    pub document: usize,
    /// Way from the root of the document.
    pub path: Vec<Step>,
}

/// What a comment belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A scalar value that ends on the comment's line, or an item of a sequence below it.
    Scalar(Box<Scalar>),
    /// A mapping, a sequence or an alias.
    Collection,
    /// A key whose value begins on a later line, or an item or value that is not there.
    Key,
}

/// A comment that belongs to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text after `#`, up to the end of the line.
    pub text: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Which document of the stream, counted from 0, empty ones included.
    pub document: usize,
    /// What it belongs to.
    pub target: Target,
}

/// What names a Kubernetes object; empty where the document does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
}

/// The comments of a text that belong to nodes, and what its documents are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// In the order of the text.
    pub comments: Vec<Comment>,
    /// One per document, empty ones included.
    pub documents: Vec<Head>,
}

/// Whether a plain scalar of this text would be read as something else than this very string:
/// a number, a boolean, null, or no plain scalar at all (be it only inside of brackets).
///
/// Dates count as strings, as in kubectl and Flux.
#[must_use]
pub fn needs_quotes(text: &str) -> bool {
    let string = matches!(
        resolve::implicit(text),
        resolve::Resolved::String | resolve::Resolved::Timestamp
    );
    let shape = scalar_style::Shape::of(text);
    !string || !shape.block_plain_allowed || text.contains([',', '[', ']', '{', '}'])
}

/// The token that carries a text in this notation. Quotes are added only where it would otherwise
/// be read as something else than a string; a block becomes a quoted text.
#[must_use]
pub fn token(value: &str, style: Style) -> String {
    match style {
        Style::SingleQuoted if !value.contains(char::is_control) => {
            format!("'{}'", value.replace('\'', "''"))
        }
        Style::Plain if !needs_quotes(value) => value.to_owned(),
        // JSON is YAML.
        _ => serde_json::Value::from(value).to_string(),
    }
}

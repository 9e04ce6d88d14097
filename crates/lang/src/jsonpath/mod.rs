//! kubectl's JSONPath templates: `{.items[*].metadata.name}`.
//!
//! The language is that of `k8s.io/client-go/util/jsonpath`: text outside of braces is copied, text
//! in quotes within braces too, `{range PATH}...{end}` repeats. What is not there prints nothing.

mod eval;
mod parse;

use serde_json::Value;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

/// Why a template cannot be read, with the place in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {at}")]
pub struct JsonPathError {
    /// What is wrong.
    problem: String,
    /// Which character, counted from 1.
    at: usize,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Path(Path),
    Range(Path, Vec<Node>),
}

/// Steps from an object to values.
#[derive(Clone, Debug, Default, PartialEq)]
struct Path {
    /// Whether it begins with `$`: at the whole object, also within a range.
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `.name` or `['name']`.
    Field(String),
    /// `.*` or `[*]`.
    All,
    /// `..`: the value and everything in it.
    Descend,
    /// `[1]`, `[-1]`, `[1:3]`, `[::2]`.
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: Option<i64>,
    },
    /// `[0,2]` or `['a','b']`.
    Union(Vec<Step>),
    /// `[?(@.type=="Ready")]`.
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// None asks whether the left side exists.
    right: Option<(Comparison, Operand)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Path),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// Reads a template as `-o jsonpath=` takes it.
    ///
    /// # Errors
    /// [`JsonPathError`] with the place.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        parse::template(text).map(|nodes| Self { nodes })
    }

    /// Reads a single path as `-o custom-columns=` takes it: braces and the first dot may be left
    /// out.
    ///
    /// # Errors
    /// [`JsonPathError`] with the place.
    pub fn parse_relaxed(text: &str) -> Result<Self, JsonPathError> {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let dot = match inner.starts_with(['.', '[', '$', '@']) {
            true => "",
            false => ".",
        };
        Self::parse(&format!("{{{dot}{inner}}}"))
    }

    /// The text for an object; values that a path finds are separated by spaces.
    #[must_use]
    pub fn render(&self, object: &Value) -> String {
        let mut text = String::new();
        eval::nodes(&self.nodes, object, object, &mut text);
        text
    }

    /// The values that the paths of the template find, as text.
    #[must_use]
    pub fn values(&self, object: &Value) -> Vec<String> {
        let paths = self.nodes.iter().filter_map(|node| match node {
            Node::Path(path) => Some(path),
            _ => None,
        });
        paths
            .flat_map(|path| eval::path(path, object, object))
            .map(eval::text)
            .collect()
    }
}

#[cfg(test)]
mod tests;

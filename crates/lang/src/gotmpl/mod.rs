//! Go's `text/template`, for the commit messages of image updates.
//!
//! Templates come from tenants and run inside a controller that serves everybody, so everything
//! here is bounded: see [`limits`]. What a template prints follows Go 1.26 byte for byte where
//! that is visible (`map[a:1]`, `<no value>`, sorted keys, `%!d(string=x)`), and so do the
//! functions of [sprig](https://masterminds.github.io/sprig/) that are here. Not here: `call`
//! (no value is a function), complex numbers, and sprig's functions that read the clock, the
//! environment, the network or a random source.
//!
//! Strings are Unicode: where Go would cut one inside a character, the rest of that character
//! becomes U+FFFD.

mod ast;
mod eval;
mod exec;
mod format;
mod functions;
mod lex;
pub mod limits;
mod literal;
mod parse;
mod parse_pipeline;
mod printf;
mod quote;
mod roots;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use ast::Node;
pub use value::{List, Map, Struct, Value};

/// A parsed template with the templates that it defines.
#[derive(Clone, Debug)]
pub struct Template {
    /// What is outside of `{{define}}`.
    main: Vec<Node>,
    /// Bodies of `{{define}}` and `{{block}}`, by name.
    definitions: BTreeMap<String, Vec<Node>>,
}

/// Why a template cannot be parsed, or what stopped it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    /// Line of the template, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl TemplateError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`TemplateError`] for what Go refuses when it parses, for functions that are not here, and
    /// for templates longer or more deeply nested than [`limits`] allow.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::template(text)
    }

    /// Runs the template with `data` as `.` and `$`.
    ///
    /// # Errors
    /// [`TemplateError`] for what Go refuses when it executes (a field that a struct does not
    /// have, a wrong type, an index out of range) and when a limit of [`limits`] is reached.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        exec::run(self, data)
    }

    /// Chains of fields that the template reads from its data, such as `.Updated.Images`, sorted.
    ///
    /// Followed through `with`, variables and `template`; what `range` iterates over is the end of
    /// a chain, because its elements are not fields of the data.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        roots::of(self)
    }
}

/// Gives a message its line.
trait At<T> {
    fn at(self, line: usize) -> Result<T, TemplateError>;
}

impl<T> At<T> for Result<T, String> {
    fn at(self, line: usize) -> Result<T, TemplateError> {
        self.map_err(|message| TemplateError::new(line, message))
    }
}

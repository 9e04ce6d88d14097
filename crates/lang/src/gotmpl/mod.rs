//! Go's `text/template`, for the commit messages of image updates.
//!
//! Templates come from tenants and run inside a controller that serves everybody, so everything
//! here is bounded: see [`limits`]. What a template prints follows Go 1.26 byte for byte where
//! that is visible (`map[a:1]`, `<no value>`, sorted keys, `%!d(string=x)`).
//!
//! # Functions
//! Go's own: `and or not eq ne lt le gt ge len index slice print printf println html js urlquery`.
//! `call` is refused, as no value is a function.
//!
//! Of [sprig](https://masterminds.github.io/sprig/) 3.3, what Flux has of it (its hermetic set) as
//! far as it depends on nothing but its arguments:
//! - texts: `upper lower title untitle trim trimAll trimSuffix trimPrefix replace contains
//!   hasPrefix hasSuffix quote squote cat join split splitList toString toStrings trunc abbrev
//!   abbrevboth substr indent nindent nospace repeat plural initials swapcase camelcase snakecase
//!   kebabcase splitn wrap wrapWith base dir ext clean isAbs osBase osDir osExt osClean osIsAbs
//!   regexMatch regexFind regexFindAll regexSplit regexReplaceAll regexReplaceAllLiteral
//!   regexQuoteMeta urlParse urlJoin hello`
//! - lists: `list tuple first last rest initial append push prepend concat reverse uniq compact
//!   without has sortAlpha until untilStep seq chunk all any`
//! - dictionaries: `dict get hasKey keys values pick omit pluck merge mergeOverwrite dig deepCopy`
//! - numbers: `add add1 sub mul div mod max biggest min int int64 atoi float64 toDecimal addf add1f
//!   subf mulf divf maxf minf ceil floor round duration durationRound`
//! - types and versions: `typeOf typeIs typeIsLike kindOf kindIs deepEqual semver semverCompare`
//! - defaults and encodings: `default empty coalesce ternary fail b64enc b64dec b32enc b32dec sha1sum
//!   sha256sum sha512sum adler32sum toJson toPrettyJson toRawJson fromJson`
//! - and those whose names begin with `must`.
//!
//! Left out on purpose, [`LEFT_OUT`] says why: `set unset`, what depends on chance, passwords,
//! certificates and ciphers, and times.
//!
//! # Differences
//! - Values do not change: there is no `set`, and `sortAlpha` leaves its argument alone. A version
//!   has no `Compare`: no method takes arguments; `semverCompare` does.
//! - `keys` and `values` are in the order of the keys, not in a random one.
//! - Strings are Unicode: what is left of a character that Go would cut becomes U+FFFD.
//! - What sprig hides is an error: text that is not base64, a map that JSON cannot have.
//! - There are no complex numbers, and `%x` is not for floats. `duration` takes any integer.
//! - Types of elements are not known: `typeOf` says `[]interface {}` of every list.

mod ast;
#[cfg(test)]
mod bombs;
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
pub use functions::LEFT_OUT;
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
        exec::run(self, data).0
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

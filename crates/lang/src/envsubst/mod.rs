//! Variables in a text, in the dialect of Flux's post-build substitution: `${name}`,
//! `${name:=default}` and the other expansions of a POSIX shell that
//! [fluxcd/pkg/envsubst](https://github.com/fluxcd/pkg/tree/main/envsubst) knows. `$name` is left
//! alone, `$$` stands for `$`, so that `$${name}` is the text `${name}`.
//!
//! | expansion | value |
//! |---|---|
//! | `${v}` | the value |
//! | `${v:=d}` `${v:-d}` `${v=d}` | `d` if the value is empty or not set; `d` may hold expansions |
//! | `${v:?d}` `${v:+d}` | the same: Flux takes them for a default, too |
//! | `${#v}` | length in bytes |
//! | `${v^}` `${v^^}` `${v,}` `${v,,}` | first or all letters upper or lower case |
//! | `${v:from}` `${v:from:length}` | a part, in bytes; negative numbers count from the end |
//! | `${v#p}` `${v##p}` `${v%p}` `${v%%p}` | without the shortest or longest match at the beginning or end |
//! | `${v/p/r}` `${v//p/r}` `${v/#p/r}` `${v/%p/r}` | with one, all, a leading or a trailing `p` replaced |
//!
//! All that is wrong in a text is found in one go: every variable that is not set, not only the
//! first. Results are bounded, whatever the text and the values are.

mod expand;
mod glob;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use expand::MAX_RESULT;
use parse::Part;

/// What happens to a variable that is not set and has no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// It is an error (`--strict`; Flux 2.9 and newer).
    Error,
    /// It is the empty text.
    Empty,
}

/// A variable that is not set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where it is first used; lines are counted from 1.
    pub line: usize,
}

impl fmt::Display for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.name)
    }
}

/// Why a text cannot be expanded. The first words are those of Flux.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An expansion is not written as the dialect has it.
    #[error("{problem} in '{excerpt}' (line {line}): write $${{ where ${{ is meant as text")]
    Syntax {
        /// What is wrong with it.
        problem: Problem,
        /// Where it begins, counted from 1.
        line: usize,
        /// Its beginning.
        excerpt: String,
    },
    /// Variables are not set and have no default; each once, in the order of the text.
    #[error("variable not set (strict mode): {}", list(.0))]
    NotSet(Vec<Variable>),
    /// The result would be larger than [`MAX_RESULT`], or matching a pattern would take too long.
    #[error("the expansion of \"{name}\" (line {line}) is too large: {what}")]
    TooLarge {
        /// The variable.
        name: String,
        /// Where it is used, counted from 1.
        line: usize,
        /// What is too large.
        what: &'static str,
    },
    /// A part of a value begins or ends inside of a character.
    #[error("the part of \"{name}\" (line {line}) begins or ends inside of a character")]
    NotText {
        /// The variable.
        name: String,
        /// Where it is used, counted from 1.
        line: usize,
    },
}

/// What is wrong with an expansion, in Flux's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// After `${` there is no name.
    #[error("unable to parse variable name")]
    Name,
    /// After the name there is neither an operator nor `}`.
    #[error("missing closing brace")]
    Brace,
    /// An operator lacks its operand.
    #[error("unable to parse substitution within function")]
    Operand,
    /// A colon is followed by something else than a default or a position.
    #[error("unable to parse default function")]
    Default,
    /// Anything else.
    #[error("bad substitution")]
    Bad,
    /// Expansions within expansions, more than anybody can read.
    #[error("expansions are nested too deeply")]
    Depth,
}

fn list(variables: &[Variable]) -> String {
    let names: Vec<String> = variables.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A text whose expansions were found.
#[derive(Clone, Debug)]
pub struct Template<'t> {
    text: &'t str,
    parts: Vec<Part>,
}

impl<'t> Template<'t> {
    /// Finds the expansions of a text.
    ///
    /// # Errors
    /// [`Error::Syntax`].
    pub fn parse(text: &'t str) -> Result<Self, Error> {
        let parts = parse::parse(text).map_err(|(problem, at)| Error::Syntax {
            problem,
            line: line(text, at),
            excerpt: excerpt(text, at),
        })?;
        Ok(Self { text, parts })
    }

    /// The text with the values that `lookup` gives for names.
    ///
    /// # Errors
    /// [`Error::NotSet`], [`Error::TooLarge`] and [`Error::NotText`].
    pub fn expand<'v>(
        &self,
        unset: Unset,
        lookup: &dyn Fn(&str) -> Option<&'v str>,
    ) -> Result<String, Error> {
        expand::expand(self.text, &self.parts, unset, lookup)
    }
}

/// Expands a text: [`Template::parse`] and [`Template::expand`].
///
/// # Errors
/// Those of the two.
pub fn expand<'v>(
    text: &str,
    unset: Unset,
    lookup: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<String, Error> {
    // Most texts have nothing to expand.
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    Template::parse(text)?.expand(unset, lookup)
}

/// Whether this can be the name of a variable: `^[_[:alpha:]][_[:alpha:][:digit:]]*$`, ASCII.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The line of a byte, counted from 1.
fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The beginning of an expansion, up to its brace or the end of its line.
fn excerpt(text: &str, at: usize) -> String {
    const LENGTH: usize = 40;
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find(['}', '\n']).map_or(rest.len(), |end| {
        end + usize::from(rest.as_bytes().get(end) == Some(&b'}'))
    });
    let whole = rest.get(..end).unwrap_or(rest);
    let mut short: String = whole.chars().take(LENGTH).collect();
    if short.len() < whole.len() {
        short.push('…');
    }
    short
}

//! Regular expressions in Go's syntax (RE2), as image policies and exclusion lists use them.
//!
//! A pattern is translated to the syntax of the `regex` crate, which matches with the same
//! leftmost-first rule; what Go refuses is refused, what only Go knows (`\Q..\E`, group names
//! that repeat, a literal `a{`) works. This is not an engine of its own.

mod class;
mod escape;
#[cfg(test)]
mod tests;
mod translate;

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct GoRegex {
    regex: Regex,
    /// Name of each group, by number; group 0 is the whole match.
    names: Vec<Option<String>>,
}

/// What is said about patterns that Go takes and this engine does not.
const TOO_LARGE: &str = "expression too large";
const TOO_DEEP: &str = "expression nests too deeply or cannot be compiled here";

/// Why a pattern is not a Go regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoRegexError {
    /// What is wrong, in Go's words.
    pub message: String,
    /// The part of the pattern that is wrong; all of it where Go quotes all of it.
    pub fragment: String,
    /// Where in the pattern that was noticed, in bytes.
    pub position: usize,
    /// What to write instead, where that is known.
    pub hint: Option<&'static str>,
}

impl GoRegexError {
    /// Whether the pattern exceeds a limit of this engine: Go may well take it.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        [TOO_LARGE, TOO_DEEP].contains(&self.message.as_str())
    }
}

impl fmt::Display for GoRegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            message,
            fragment,
            position,
            hint,
        } = self;
        write!(
            f,
            "error parsing regexp: {message}: `{fragment}` at position {position}"
        )?;
        hint.map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for GoRegexError {}

impl GoRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`GoRegexError`] for what Go's `regexp.Compile` refuses, and for patterns that need more
    /// than the size limit of the `regex` crate (10 MiB) or nest deeper than 250 groups.
    pub fn compile(pattern: &str) -> Result<Self, GoRegexError> {
        Self::compile_within(pattern, 10 * 1024 * 1024)
    }

    /// [`GoRegex::compile`] for patterns of strangers: the compiled expression may take `limit`
    /// bytes, which bounds the steps that a search takes for each byte of text.
    ///
    /// # Errors
    /// As [`GoRegex::compile`].
    pub fn compile_within(pattern: &str, limit: usize) -> Result<Self, GoRegexError> {
        let translated = translate::translate(pattern)?;
        let built = RegexBuilder::new(&translated.pattern)
            .size_limit(limit)
            .build();
        let regex = built.map_err(|error| GoRegexError {
            message: match error {
                regex::Error::CompiledTooBig(_) => TOO_LARGE.to_owned(),
                _ => TOO_DEEP.to_owned(),
            },
            fragment: pattern.to_owned(),
            position: 0,
            hint: None,
        })?;
        Ok(Self {
            regex,
            names: translated.names,
        })
    }

    /// Whether the pattern is found anywhere in `text` (Go's `MatchString`).
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Finds the first match and fills `template` with its groups: Go's
    /// `FindStringSubmatchIndex` and `ExpandString`. `None` when nothing matches.
    ///
    /// `$name`, `${name}`, `$1` and `$$` are replaced; the longest run of letters, digits and
    /// underscores after `$` is the name, so `$1x` is the group `1x`. An unknown group gives an
    /// empty text.
    #[must_use]
    pub fn expand_first(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.regex.captures(text)?;
        let mut out = String::new();
        self.expand(&captures, template, usize::MAX, &mut out)?;
        Some(out)
    }

    /// The first match (Go's `FindString`).
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.regex.find(text).map(|found| found.as_str())
    }

    /// The first `limit` matches (Go's `FindAllString`).
    #[must_use]
    pub fn find_all<'t>(&self, text: &'t str, limit: usize) -> Vec<&'t str> {
        let all = self.regex.find_iter(text).take(limit);
        all.map(|found| found.as_str()).collect()
    }

    /// What is between the matches, in at most `limit` parts (Go's `Split`).
    #[must_use]
    pub fn split<'t>(&self, text: &'t str, limit: usize) -> Vec<&'t str> {
        self.regex.splitn(text, limit).collect()
    }

    /// Replaces every match by `template`, filled as by [`GoRegex::expand_first`] (Go's
    /// `ReplaceAllString`). `None` if the result would be longer than `limit` bytes.
    #[must_use]
    pub fn replace_all(&self, text: &str, template: &str, limit: usize) -> Option<String> {
        let mut out = String::new();
        let mut end = 0;
        for captures in self.regex.captures_iter(text) {
            let found = captures.get_match();
            out.push_str(text.get(end..found.start()).unwrap_or_default());
            self.expand(&captures, template, limit, &mut out)?;
            end = found.end();
        }
        out.push_str(text.get(end..).unwrap_or_default());
        (out.len() <= limit).then_some(out)
    }

    /// Appends `template`, filled. `None` once `out` is longer than `limit`: a template that names
    /// a group many times grows by the product of both.
    fn expand(
        &self,
        captures: &Captures<'_>,
        template: &str,
        limit: usize,
        out: &mut String,
    ) -> Option<()> {
        for part in Parts(template) {
            if out.len() > limit {
                return None;
            }
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(name) => {
                    let found = match group_number(name) {
                        Some(number) => captures.get(number),
                        None => self
                            .names
                            .iter()
                            .enumerate()
                            .filter(|(_, known)| known.as_deref() == Some(name))
                            .find_map(|(number, _)| captures.get(number)),
                    };
                    out.push_str(found.map_or("", |found| found.as_str()));
                }
            }
        }
        (out.len() <= limit).then_some(())
    }

    /// The pattern in the syntax of the `regex` crate.
    #[must_use]
    pub fn translated(&self) -> &str {
        self.regex.as_str()
    }

    /// Name of each group, by number; `None` where it has none. Group 0 is the whole match.
    #[must_use]
    pub fn group_names(&self) -> &[Option<String>] {
        &self.names
    }

    /// Groups that a template names and the pattern does not have: each gives an empty text.
    #[must_use]
    pub fn unknown_groups<'t>(&self, template: &'t str) -> Vec<&'t str> {
        Parts(template)
            .filter_map(|part| match part {
                Part::Group(name) => Some(name),
                Part::Text(_) => None,
            })
            .filter(|name| match group_number(name) {
                Some(number) => number >= self.names.len(),
                None => !self
                    .names
                    .iter()
                    .any(|known| known.as_deref() == Some(name)),
            })
            .collect()
    }
}

/// Go reads digits without a leading zero as a number, anything else as a name.
fn group_number(name: &str) -> Option<usize> {
    let leading_zero = name.len() > 1 && name.starts_with('0');
    let number = name.bytes().all(|b| b.is_ascii_digit()) && !leading_zero && name.len() <= 8;
    number.then(|| name.parse().ok()).flatten()
}

enum Part<'t> {
    Text(&'t str),
    Group(&'t str),
}

/// Splits an `Expand` template.
struct Parts<'t>(&'t str);

impl<'t> Iterator for Parts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        let Some(after) = rest.strip_prefix('$') else {
            let (text, rest) = rest.split_at(rest.find('$').unwrap_or(rest.len()));
            self.0 = rest;
            return Some(Part::Text(text));
        };
        if let Some(rest) = after.strip_prefix('$') {
            self.0 = rest;
            return Some(Part::Text("$"));
        }
        let (braced, body) = match after.strip_prefix('{') {
            Some(body) => (true, body),
            None => (false, after),
        };
        let word = |c: char| c.is_alphabetic() || c.is_numeric() || c == '_';
        let (name, tail) = body.split_at(body.find(|c| !word(c)).unwrap_or(body.len()));
        let tail = if braced {
            tail.strip_prefix('}')
        } else {
            Some(tail)
        };
        match tail {
            Some(tail) if !name.is_empty() => {
                self.0 = tail;
                Some(Part::Group(name))
            }
            // Malformed: the dollar stands for itself.
            _ => {
                self.0 = after;
                Some(Part::Text("$"))
            }
        }
    }
}

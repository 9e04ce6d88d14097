//! Splits a template into text and the tokens of its actions.

use super::{At, TemplateError};

/// A token and the line it stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) line: usize,
}

/// Literals are still as written, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'t> {
    /// Text outside of actions, trimmed as the actions beside it ask.
    Text(&'t str),
    /// `{{`
    Open,
    /// `}}`
    Close,
    Space,
    /// A keyword, a function, `true`, `false` or `nil`.
    Word(&'t str),
    /// `.Name`, without the dot.
    Field(&'t str),
    /// `$name`, with the dollar.
    Variable(&'t str),
    Dot,
    Pipe,
    Assign,
    Declare,
    Comma,
    LeftParen,
    RightParen,
    Number(&'t str),
    Char(&'t str),
    Quoted(&'t str),
    Raw(&'t str),
    Eof,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// All tokens of a template; an `Eof` is at the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, TemplateError> {
    let mut lexer = Lexer {
        rest: text,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.text()? {}
    Ok(lexer.tokens)
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    /// Text and the action after it; false at the end.
    fn text(&mut self) -> Result<bool, TemplateError> {
        let Some((text, after)) = self.rest.split_once("{{") else {
            if !self.rest.is_empty() {
                self.push(Kind::Text(self.rest));
            }
            self.skip(self.rest.len());
            self.push(Kind::Eof);
            return Ok(false);
        };
        let trims = after
            .strip_prefix('-')
            .is_some_and(|a| a.starts_with(SPACES));
        let kept = if trims {
            text.trim_end_matches(SPACES)
        } else {
            text
        };
        if !kept.is_empty() {
            self.push(Kind::Text(kept));
        }
        self.skip(text.len());
        let opened = self.line;
        self.skip("{{".len() + if trims { "- ".len() } else { 0 });
        if self.rest.starts_with("/*") {
            self.comment().map_err(|m| TemplateError::new(opened, m))?;
            return Ok(true);
        }
        self.push(Kind::Open);
        self.action(opened)?;
        Ok(true)
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        let end = self.rest.find("*/").ok_or("the comment is never closed")?;
        self.skip(end + "*/".len());
        if !self.close() {
            return Err("a comment must be alone in its action: `{{/* text */}}`");
        }
        Ok(())
    }

    /// Takes `}}` or ` -}}` with the space that the latter trims.
    fn close(&mut self) -> bool {
        if self.rest.starts_with("}}") {
            self.skip("}}".len());
            return true;
        }
        let trims = self
            .rest
            .strip_prefix(SPACES)
            .is_some_and(|a| a.starts_with("-}}"));
        if trims {
            self.skip(" -}}".len());
            let trimmed = self.rest.trim_start_matches(SPACES);
            self.skip(self.rest.len() - trimmed.len());
        }
        trims
    }

    /// Tokens up to and including the right delimiter.
    fn action(&mut self, opened: usize) -> Result<(), TemplateError> {
        let mut open_parens = 0_usize;
        loop {
            let line = self.line;
            if self.close() {
                if open_parens > 0 {
                    return Err(TemplateError::new(line, "a `(` is not closed"));
                }
                self.tokens.push(Token {
                    kind: Kind::Close,
                    line,
                });
                return Ok(());
            }
            let Some(first) = self.rest.chars().next() else {
                let message = "the action that begins here is not closed by `}}`";
                return Err(TemplateError::new(opened, message));
            };
            match first {
                '(' => open_parens += 1,
                ')' => {
                    open_parens = open_parens
                        .checked_sub(1)
                        .ok_or_else(|| TemplateError::new(line, "unexpected `)`"))?;
                }
                _ => {}
            }
            let (kind, length) = token(self.rest, first).at(line)?;
            self.push(kind);
            self.skip(length);
        }
    }

    fn push(&mut self, kind: Kind<'t>) {
        let line = self.line;
        self.tokens.push(Token { kind, line });
    }

    fn skip(&mut self, bytes: usize) {
        if let Some((skipped, rest)) = self.rest.split_at_checked(bytes) {
            self.line += skipped.matches('\n').count();
            self.rest = rest;
        }
    }
}

/// The token that `rest`, which begins with `first`, begins with, and its length in bytes.
fn token(rest: &str, first: char) -> Result<(Kind<'_>, usize), String> {
    let after = rest.get(first.len_utf8()..).unwrap_or_default();
    let one = |kind| Ok((kind, 1));
    match first {
        ' ' | '\t' | '\r' | '\n' => Ok((Kind::Space, space(rest))),
        '=' => one(Kind::Assign),
        ':' if after.starts_with('=') => Ok((Kind::Declare, 2)),
        ':' => Err("expected `:=`".to_owned()),
        '|' => one(Kind::Pipe),
        ',' => one(Kind::Comma),
        '(' => one(Kind::LeftParen),
        ')' => one(Kind::RightParen),
        '"' => quoted(rest, '"').map(|text| (Kind::Quoted(text), text.len())),
        '\'' => quoted(rest, '\'').map(|text| (Kind::Char(text), text.len())),
        '`' => {
            let end = after.find('`').ok_or("the raw string is never closed")?;
            let length = end + 2;
            Ok((Kind::Raw(rest.get(..length).unwrap_or_default()), length))
        }
        '$' => {
            let name = name(rest, 1)?;
            Ok((Kind::Variable(name), name.len()))
        }
        '.' if !after.starts_with(|c: char| c.is_ascii_digit()) => {
            let name = name(rest, 1)?;
            let kind = match name.get(1..) {
                Some(field) if !field.is_empty() => Kind::Field(field),
                _ => Kind::Dot,
            };
            Ok((kind, name.len()))
        }
        '.' | '+' | '-' | '0'..='9' => number(rest).map(|text| (Kind::Number(text), text.len())),
        c if is_name(c) => {
            let word = name(rest, 0)?;
            Ok((Kind::Word(word), word.len()))
        }
        c => Err(format!("unexpected {c:?} in an action")),
    }
}

/// Length of the run of spaces, less the one that belongs to a ` -}}` behind it.
fn space(rest: &str) -> usize {
    let length = rest.len() - rest.trim_start_matches(SPACES).len();
    let trims = rest.get(length..).is_some_and(|a| a.starts_with("-}}"));
    if trims { length - 1 } else { length }
}

const fn is_name_ascii(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn is_name(c: char) -> bool {
    is_name_ascii(c) || c.is_alphanumeric()
}

/// The name at the start of `rest`, of which the first `sigil` bytes are `.` or `$`.
fn name(rest: &str, sigil: usize) -> Result<&str, String> {
    let tail = rest.get(sigil..).unwrap_or_default();
    let length = tail.find(|c| !is_name(c)).unwrap_or(tail.len());
    let (name, after) = rest.split_at_checked(sigil + length).unwrap_or((rest, ""));
    let ends = after.is_empty()
        || after.starts_with("}}")
        || after.starts_with([' ', '\t', '\r', '\n', '.', ',', '|', ':', ')', '(']);
    if !ends {
        let c = after.chars().next().unwrap_or_default();
        return Err(format!("unexpected {c:?} after {name:?}: write a space"));
    }
    Ok(name)
}

/// A literal in quotes, escapes not yet looked at.
fn quoted(rest: &str, quote: char) -> Result<&str, String> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if chars.next().is_some_and(|(_, c)| c != '\n') => {}
            '\\' | '\n' => break,
            c if c == quote => return Ok(rest.get(..=at).unwrap_or_default()),
            _ => {}
        }
    }
    Err(format!("the {quote} is never closed on its line"))
}

/// A number; its syntax is checked when it is converted.
fn number(rest: &str) -> Result<&str, String> {
    let mut at = 0;
    let accept = |at: &mut usize, set: &str, many: bool| {
        let tail = rest.get(*at..).unwrap_or_default();
        let taken = tail
            .find(|c| !set.contains(c))
            .unwrap_or(tail.len())
            .min(if many { usize::MAX } else { 1 });
        *at += taken;
        taken > 0
    };
    accept(&mut at, "+-", false);
    let mut digits = "0123456789_";
    if accept(&mut at, "0", false) {
        if accept(&mut at, "xX", false) {
            digits = "0123456789abcdefABCDEF_";
        } else if accept(&mut at, "oO", false) {
            digits = "01234567_";
        } else if accept(&mut at, "bB", false) {
            digits = "01_";
        }
    }
    accept(&mut at, digits, true);
    if accept(&mut at, ".", false) {
        accept(&mut at, digits, true);
    }
    let exponent = match digits.len() {
        11 => "eE",
        23 => "pP",
        _ => "",
    };
    if accept(&mut at, exponent, false) {
        accept(&mut at, "+-", false);
        accept(&mut at, "0123456789_", true);
    }
    let (text, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
    match after.chars().next() {
        Some(c) if is_name(c) || c == '+' || c == '-' => {
            Err(format!("unexpected {c:?} after the number {text}"))
        }
        _ => Ok(text),
    }
}

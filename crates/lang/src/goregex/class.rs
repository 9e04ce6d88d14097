//! Character classes: `[...]`, `\d`, `\pL`.

use std::fmt::Write as _;

use super::{GoRegexError, escape};

/// The classes of Perl, which are ASCII in Go: inside of brackets.
pub(super) fn perl(letter: char) -> Option<(&'static str, bool)> {
    match letter {
        'd' => Some(("0-9", false)),
        'D' => Some(("0-9", true)),
        's' => Some((r"\t\n\f\r\x20", false)),
        'S' => Some((r"\t\n\f\r\x20", true)),
        'w' => Some(("0-9A-Za-z_", false)),
        'W' => Some(("0-9A-Za-z_", true)),
        _ => None,
    }
}

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

fn error(message: &str, fragment: &str, position: usize) -> GoRegexError {
    GoRegexError {
        message: message.to_owned(),
        fragment: fragment.to_owned(),
        position,
        hint: None,
    }
}

/// Translates the bracket class at the start of `text`: its translation and length in bytes.
pub(super) fn bracket(text: &str, position: usize) -> Result<(String, usize), GoRegexError> {
    let mut out = String::from("[");
    let mut at = 1;
    if text[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    loop {
        let rest = &text[at..];
        if rest.starts_with(']') && !first {
            out.push(']');
            return Ok((out, at + 1));
        }
        first = false;
        if let Some(length) = named(rest, position + at, &mut out)? {
            at += length;
        } else if let Some((translated, length)) = unicode(rest, position + at)? {
            out.push_str(&translated);
            at += length;
        } else if let Some((set, negated)) = rest
            .strip_prefix('\\')
            .and_then(|rest| rest.chars().next())
            .and_then(perl)
        {
            out.push_str(if negated { "[^" } else { "" });
            out.push_str(set);
            out.push_str(if negated { "]" } else { "" });
            at += 2;
        } else {
            at += range(text, at, position, &mut out)?;
        }
    }
}

/// A single character or `a-z`; appended to `out`, length returned.
fn range(
    text: &str,
    start: usize,
    position: usize,
    out: &mut String,
) -> Result<usize, GoRegexError> {
    let character = |at: usize| -> Result<(char, usize), GoRegexError> {
        let rest = &text[at..];
        match rest.chars().next() {
            None => Err(error("missing closing ]", text, position)),
            Some('\\') => escape::parse(rest, position + at),
            Some(c) => Ok((c, c.len_utf8())),
        }
    };
    let (low, mut length) = character(start)?;
    let mut high = low;
    let mut after = text[start + length..].chars();
    // A dash before the closing bracket stands for itself.
    if after.next() == Some('-') && after.next().is_some_and(|c| c != ']') {
        let (c, high_length) = character(start + length + 1)?;
        high = c;
        length += 1 + high_length;
        if high < low {
            let fragment = &text[start..start + length];
            return Err(error(
                "invalid character class range",
                fragment,
                position + start,
            ));
        }
    }
    // Escaped, because `&&`, `--`, `~~` and `[` mean something in the regex crate.
    let (low, high) = (u32::from(low), u32::from(high));
    let written = if low == high {
        write!(out, r"\x{{{low:X}}}")
    } else {
        write!(out, r"\x{{{low:X}}}-\x{{{high:X}}}")
    };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    Ok(length)
}

/// `[:alpha:]` inside brackets.
fn named(text: &str, position: usize, out: &mut String) -> Result<Option<usize>, GoRegexError> {
    let Some(end) = text.strip_prefix("[:").and_then(|rest| rest.find(":]")) else {
        return Ok(None);
    };
    let whole = &text[..2 + end + 2];
    let name = &whole[2..2 + end];
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(error("invalid character class range", whole, position));
    }
    out.push_str(whole);
    Ok(Some(whole.len()))
}

/// `\pN`, `\p{Greek}`, `\P{^L}` at the start of `text`: translation and length.
pub(super) fn unicode(
    text: &str,
    position: usize,
) -> Result<Option<(String, usize)>, GoRegexError> {
    let mut negated = match text.get(..2) {
        Some(r"\p") => false,
        Some(r"\P") => true,
        _ => return Ok(None),
    };
    let body = &text[2..];
    let (mut name, length) = match (body.strip_prefix('{'), body.chars().next()) {
        (Some(braced), _) => {
            let end = braced
                .find('}')
                .ok_or_else(|| error("invalid character class range", text, position))?;
            (&braced[..end], 2 + end + 2)
        }
        (None, Some(c)) => (&body[..c.len_utf8()], 2 + c.len_utf8()),
        (None, None) => return Err(error("invalid character class range", text, position)),
    };
    if let Some(rest) = name.strip_prefix('^') {
        negated = !negated;
        name = rest;
    }
    let letter = if negated { 'P' } else { 'p' };
    // Go knows general categories and scripts, not the other properties of Unicode.
    let query = if matches!(name, "Any" | "ASCII" | "Assigned") {
        Some(format!(r"\{letter}{{{name}}}"))
    } else if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        ["gc", "sc"]
            .iter()
            .map(|kind| format!(r"\{letter}{{{kind}={name}}}"))
            .find(|query| regex_syntax::parse(query).is_ok())
    } else {
        None
    };
    match query {
        Some(query) => Ok(Some((query, length))),
        None => Err(error(
            "invalid character class range",
            &text[..length],
            position,
        )),
    }
}

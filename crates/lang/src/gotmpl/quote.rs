//! Go's `strconv.Quote` and its relatives.

use std::fmt::{self, Write};

/// Writes `text` in double quotes; `ascii` escapes everything beyond ASCII.
pub(super) fn string(out: &mut impl Write, text: &str, ascii: bool) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        escaped(out, c, '"', ascii)?;
    }
    out.write_char('"')
}

/// Writes `c` in single quotes.
pub(super) fn char(out: &mut impl Write, c: char, ascii: bool) -> fmt::Result {
    out.write_char('\'')?;
    escaped(out, c, '\'', ascii)?;
    out.write_char('\'')
}

fn escaped(out: &mut impl Write, c: char, quote: char, ascii: bool) -> fmt::Result {
    match c {
        '\u{7}' => out.write_str("\\a"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{b}' => out.write_str("\\v"),
        '\\' => out.write_str("\\\\"),
        c if c == quote => write!(out, "\\{c}"),
        c if is_print(c) && (c.is_ascii() || !ascii) => out.write_char(c),
        c => {
            let code = u32::from(c);
            match code {
                0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
                0..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            }
        }
    }
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(super) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // The standard library escapes the same characters in a string, and combining marks only where
    // they come first.
    let text = String::from_iter(['a', c]);
    !text.escape_debug().skip(1).any(|c| c == '\\')
}

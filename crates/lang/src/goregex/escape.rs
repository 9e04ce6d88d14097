//! Backslash escapes that stand for one character, shared by patterns and bracket classes.

use super::GoRegexError;

/// Reads the escape at the start of `text` (which begins with a backslash): the character it
/// stands for and its length in bytes. `position` is that of `text` in the pattern.
pub(super) fn parse(text: &str, position: usize) -> Result<(char, usize), GoRegexError> {
    let mut chars = text.char_indices().skip(1);
    let Some((_, c)) = chars.next() else {
        return Err(GoRegexError {
            message: "trailing backslash at end of expression".to_owned(),
            fragment: String::new(),
            position,
            hint: None,
        });
    };
    let simple = |c| Ok((c, 2));
    match c {
        'a' => simple('\x07'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        'x' => hexadecimal(text, position),
        '0' => Ok(octal(text)),
        '1'..='7' if text[2..].starts_with(|c| matches!(c, '0'..='7')) => Ok(octal(text)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => simple(c),
        c => Err(invalid(text, 1 + c.len_utf8(), position, c)),
    }
}

fn invalid(text: &str, length: usize, position: usize, c: char) -> GoRegexError {
    let hint = match c {
        '1'..='9' => Some("RE2 has no back-references"),
        'Z' => Some(r"write \z or $ for the end of the text"),
        _ => None,
    };
    GoRegexError {
        message: "invalid escape sequence".to_owned(),
        fragment: text.get(..length).unwrap_or(text).to_owned(),
        position,
        hint,
    }
}

/// Up to three octal digits.
fn octal(text: &str) -> (char, usize) {
    let digits = text
        .bytes()
        .skip(1)
        .take(3)
        .take_while(|b| matches!(b, b'0'..=b'7'))
        .count();
    let value = u32::from_str_radix(&text[1..=digits], 8).unwrap_or(0);
    (char::from_u32(value).unwrap_or('\0'), 1 + digits)
}

/// `\xFF` or `\x{10FFFF}`.
fn hexadecimal(text: &str, position: usize) -> Result<(char, usize), GoRegexError> {
    let body = &text[2..];
    let (digits, length) = match body.strip_prefix('{') {
        Some(braced) => {
            let digits = braced.find('}').map_or(braced, |end| &braced[..end]);
            (digits, 2 + 1 + digits.len() + 1)
        }
        None => (body.get(..2).unwrap_or(body), 4),
    };
    let complete =
        length <= text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = complete
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten();
    // A surrogate has no character of its own in Rust, and never occurs in a text.
    match value.and_then(char::from_u32) {
        Some(c) => Ok((c, length)),
        // Go stops reading where the number leaves the range of Unicode.
        None if complete => Err(invalid(text, length - 1, position, 'x')),
        None => Err(invalid(text, length.min(text.len()), position, 'x')),
    }
}

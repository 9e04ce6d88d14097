//! Go's literals: quoted strings, characters and numbers.

use std::str::Chars;

use super::value::Value;
use crate::gonumber;

/// The text of a `"quoted"` string.
pub(super) fn string(literal: &str) -> Result<String, String> {
    let inner = strip(literal, '"');
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, '"', &mut bytes)
                .ok_or_else(|| format!("unknown escape in {literal}"))?,
            c => push(&mut bytes, c),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of a raw string; as in Go, carriage returns are dropped.
pub(super) fn raw(literal: &str) -> String {
    strip(literal, '`').replace('\r', "")
}

/// The code point of a `'c'`.
pub(super) fn char(literal: &str) -> Result<Value, String> {
    let bad = || format!("{literal} is not one character");
    let mut chars = strip(literal, '\'').chars();
    let value = match chars.next().ok_or_else(bad)? {
        '\\' => {
            let mut bytes = Vec::new();
            escape(&mut chars, '\'', &mut bytes).ok_or_else(bad)?;
            match *bytes {
                [byte] => u32::from(byte),
                _ => std::str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.chars().next())
                    .ok_or_else(bad)?
                    .into(),
            }
        }
        c => c.into(),
    };
    if chars.next().is_some() {
        return Err(bad());
    }
    Ok(Value::Int(value.into()))
}

/// An integer, or a float if the literal has a point or an exponent.
pub(super) fn number(literal: &str) -> Result<Value, String> {
    let syntax = || format!("{literal} is not a number");
    if literal.ends_with('i') {
        return Err(format!("{literal}: there are no complex numbers"));
    }
    let unsigned = literal.trim_start_matches(['+', '-']);
    let hex = unsigned
        .get(..2)
        .is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    let float = if hex {
        literal.contains(['p', 'P', '.'])
    } else {
        literal.contains(['.', 'e', 'E'])
    };
    if float {
        let value = gonumber::parse(literal).ok_or_else(syntax)?;
        return Ok(Value::Float(value));
    }
    match integer(literal) {
        Some(value) => Ok(Value::Int(value)),
        None if gonumber::parse(literal).is_some() => {
            Err(format!("{literal} does not fit into 64 bits"))
        }
        None => Err(syntax()),
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`: a sign, then a prefix `0x`, `0o`, `0b` or `0`, then
/// digits that underscores may separate.
pub(super) fn integer(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else {
        match lower.strip_prefix('0') {
            Some(digits) if !digits.is_empty() => (8, digits),
            _ => (10, &*lower),
        }
    };
    // An underscore may follow a prefix, nothing else but a digit.
    let digits = match digits.strip_prefix('_') {
        Some(rest) if radix != 10 => rest,
        _ => digits,
    };
    let separated = digits.split('_').all(|group| !group.is_empty());
    if !separated || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn strip(literal: &str, quote: char) -> &str {
    let inner = literal.strip_prefix(quote).unwrap_or(literal);
    inner.strip_suffix(quote).unwrap_or(inner)
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash, as bytes. `None` for what Go does not know.
fn escape(chars: &mut Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    match chars.next()? {
        'a' => out.push(0x07),
        'b' => out.push(0x08),
        'f' => out.push(0x0c),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'v' => out.push(0x0b),
        '\\' => out.push(b'\\'),
        c if c == quote => push(out, c),
        'x' => out.push(u8::try_from(code(chars, "", 2, 16)?).ok()?),
        'u' => push(out, char::from_u32(code(chars, "", 4, 16)?)?),
        'U' => push(out, char::from_u32(code(chars, "", 8, 16)?)?),
        c @ '0'..='7' => {
            let value = code(chars, c.encode_utf8(&mut [0; 4]), 2, 8)?;
            out.push(u8::try_from(value).ok()?);
        }
        _ => return None,
    }
    Some(())
}

fn code(chars: &mut Chars<'_>, first: &str, count: usize, radix: u32) -> Option<u32> {
    let digits: String = first.chars().chain(chars.by_ref().take(count)).collect();
    let complete = digits.chars().count() == first.len() + count;
    let valid = digits.chars().all(|c| c.is_digit(radix));
    if complete && valid {
        u32::from_str_radix(&digits, radix).ok()
    } else {
        None
    }
}

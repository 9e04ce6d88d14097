//! Sprig's strings.

use std::fmt::Write as _;

use super::super::quote;
use super::super::value::{Map, Value};
use super::core::cut;
use super::{Call, Function, Result, exact, list, variadic};

pub(super) static FUNCTIONS: [Function; 33] = [
    exact("upper", 1, |call| Ok(call.text(0)?.to_uppercase().into())),
    exact("lower", 1, |call| Ok(call.text(0)?.to_lowercase().into())),
    exact("title", 1, |call| Ok(title(call.text(0)?).into())),
    exact("untitle", 1, |call| Ok(untitle(call.text(0)?).into())),
    exact("trim", 1, |call| Ok(call.text(0)?.trim().into())),
    exact("trimAll", 2, trim_all),
    exact("trimall", 2, trim_all),
    exact("trimSuffix", 2, |call| {
        let (suffix, text) = (call.text(0)?, call.text(1)?);
        Ok(text.strip_suffix(suffix).unwrap_or(text).into())
    }),
    exact("trimPrefix", 2, |call| {
        let (prefix, text) = (call.text(0)?, call.text(1)?);
        Ok(text.strip_prefix(prefix).unwrap_or(text).into())
    }),
    exact("replace", 3, replace),
    exact("contains", 2, |call| {
        Ok(Value::Bool(call.text(1)?.contains(call.text(0)?)))
    }),
    exact("hasPrefix", 2, |call| {
        Ok(Value::Bool(call.text(1)?.starts_with(call.text(0)?)))
    }),
    exact("hasSuffix", 2, |call| {
        Ok(Value::Bool(call.text(1)?.ends_with(call.text(0)?)))
    }),
    variadic("quote", 0, |call| {
        joined(call, |out, text| quote::string(out, text, false))
    }),
    variadic("squote", 0, |call| {
        joined(call, |out, text| write!(out, "'{text}'"))
    }),
    variadic("cat", 0, |call| joined(call, std::fmt::Write::write_str)),
    exact("splitList", 2, |call| {
        Ok(list(split(call)?.into_iter().map(Value::from).collect()))
    }),
    exact("split", 2, |call| {
        let parts = split(call)?.into_iter().enumerate();
        let entries = parts.map(|(at, part)| (format!("_{at}").into(), part.into()));
        Ok(Map::new(entries).with_missing("").into())
    }),
    exact("toString", 1, |call| Ok(call.printed(0)?.into())),
    exact("trunc", 2, trunc),
    exact("abbrev", 2, abbrev),
    exact("abbrevboth", 3, abbrevboth),
    exact("substr", 3, substr),
    exact("indent", 2, |call| indent(call, "")),
    exact("nindent", 2, |call| indent(call, "\n")),
    exact("nospace", 1, |call| {
        let text = call.text(0)?;
        Ok(text.split_whitespace().collect::<String>().into())
    }),
    exact("repeat", 2, |call| {
        let (count, text) = (call.count(0)?, call.text(1)?);
        call.meter.room(count.saturating_mul(text.len()))?;
        Ok(if text.is_empty() {
            "".into()
        } else {
            text.repeat(count).into()
        })
    }),
    exact("plural", 3, |call| {
        let at = usize::from(call.int(2)? != 1);
        call.text(1 - at)?;
        Ok(call.text(at)?.into())
    }),
    exact("base", 1, |call| Ok(base(call.text(0)?).into())),
    exact("ext", 1, ext),
    exact("osExt", 1, ext),
    exact("osBase", 1, |call| Ok(base(call.text(0)?).into())),
    exact("fail", 1, |call| Err(call.text(0)?.to_owned())),
];

fn trim_all(call: &mut Call<'_>) -> Result {
    // Each character of the text is looked for in the whole set.
    let cost = call.text(0)?.len().saturating_mul(call.text(1)?.len());
    call.meter.bytes(cost)?;
    let (set, text) = (call.text(0)?, call.text(1)?);
    Ok(text.trim_matches(|c| set.contains(c)).into())
}

fn replace(call: &mut Call<'_>) -> Result {
    let (old, new, text) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let length = text.len() + text.matches(old).count().saturating_mul(new.len());
    call.meter.room(length)?;
    Ok(text.replace(old, new).into())
}

/// The arguments that are not nil, as text, with a space between them.
fn joined(
    call: &mut Call<'_>,
    write: fn(&mut super::super::limits::Bounded, &str) -> std::fmt::Result,
) -> Result {
    let mut joined = Vec::new();
    let mut length = 0;
    for arg in call.args.iter().filter(|arg| !matches!(arg, Value::Nil)) {
        let text = call.print(arg)?;
        let text = call.meter.write(|out| write(out, &text))?;
        length += text.len() + 1;
        call.meter.room(length)?;
        joined.push(text);
    }
    Ok(joined.join(" ").into())
}

fn split<'c>(call: &'c Call<'_>) -> Result<Vec<&'c str>> {
    let (separator, text) = (call.text(0)?, call.text(1)?);
    call.meter
        .room(text.len().saturating_mul(size_of::<Value>() + 16))?;
    if separator.is_empty() {
        let ends = text.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
        return Ok(ends.filter_map(|(from, to)| text.get(from..to)).collect());
    }
    Ok(text.split(separator).collect())
}

/// The first `n` bytes, or, for a negative `n`, the last.
fn trunc(call: &mut Call<'_>) -> Result {
    let (count, text) = (call.int(0)?, call.text(1)?);
    let length = text.len();
    let bytes = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if bytes >= length {
        text.into()
    } else if count < 0 {
        cut(text, length - bytes..length).into()
    } else {
        cut(text, 0..bytes).into()
    })
}

/// At most `width` bytes, the last three of which are dots if something is missing.
fn abbrev(call: &mut Call<'_>) -> Result {
    let (width, text) = (call.int(0)?, call.text(1)?);
    Ok(match usize::try_from(width) {
        Ok(width @ 4..) if text.len() > width => format!("{}...", cut(text, 0..width - 3)).into(),
        _ => text.into(),
    })
}

/// At most `right` bytes around the place `left`, with dots for what is missing on either side.
fn abbrevboth(call: &mut Call<'_>) -> Result {
    const DOTS: usize = 3;
    let (left, right, text) = (call.int(0)?, call.int(1)?, call.text(2)?);
    let length = text.len();
    let width = usize::try_from(right).unwrap_or(0);
    if width < 4 || left > 0 && width < 7 || length <= width {
        return Ok(text.into());
    }
    let kept = width - DOTS;
    let from = usize::try_from(left).unwrap_or(0).min(length - kept);
    Ok(if from <= 4 {
        format!("{}...", cut(text, 0..kept))
    } else if from + kept >= length {
        format!("...{}", cut(text, length - kept..length))
    } else {
        format!("...{}...", cut(text, from..from + kept - DOTS))
    }
    .into())
}

fn substr(call: &mut Call<'_>) -> Result {
    let (start, end, text) = (call.int(0)?, call.int(1)?, call.text(2)?);
    let length = text.len();
    let from = usize::try_from(start).unwrap_or(0);
    let to = match usize::try_from(end) {
        Ok(end) if end <= length => end,
        // With a negative start, the end is taken as it is.
        _ if start < 0 => return Err(format!("{end} is not a place in the text")),
        _ => length,
    };
    if from > to {
        return Err(format!("the start {from} is behind the end {to}"));
    }
    Ok(cut(text, from..to).into())
}

fn indent(call: &mut Call<'_>, before: &str) -> Result {
    let (count, text) = (call.count(0)?, call.text(1)?);
    let lines = 1 + text.matches('\n').count();
    call.meter
        .room(count.saturating_mul(lines).saturating_add(text.len()))?;
    let pad = " ".repeat(count);
    let indented = text.replace('\n', &format!("\n{pad}"));
    Ok(format!("{before}{pad}{indented}").into())
}

/// Go's `strings.Title`: upper case for every letter that begins a word.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if is_separator(before) {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        before = c;
    }
    titled
}

fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        !(c.is_ascii_alphanumeric() || c == '_')
    } else {
        c.is_whitespace()
    }
}

/// Lower case for every letter behind a space.
fn untitle(text: &str) -> String {
    let mut begins = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            begins = true;
            out.push(c);
        } else if std::mem::take(&mut begins) {
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn ext(call: &mut Call<'_>) -> Result {
    let name = call.text(0)?.rsplit('/').next().unwrap_or_default();
    let dot = name.rfind('.').unwrap_or(name.len());
    Ok(name.get(dot..).unwrap_or_default().into())
}

/// Go's `path.Base`: the last element of a path.
fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None if path.is_empty() => ".",
        Some("") | None => "/",
        Some(name) => name,
    }
}

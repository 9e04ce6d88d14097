//! More of sprig's texts: wrapping, letters, paths.

use super::super::value::{Map, Value};
use super::{Call, Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 11] = [
    exact("initials", 1, |call| {
        let words = call.text(0)?.split_whitespace();
        let initials: String = words.filter_map(|word| word.chars().next()).collect();
        Ok(initials.into())
    }),
    exact("swapcase", 1, |call| {
        let mut out = String::with_capacity(call.text(0)?.len());
        for c in call.text(0)?.chars() {
            if c.is_uppercase() {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
        }
        Ok(out.into())
    }),
    exact("splitn", 3, |call| {
        let (separator, count, text) = (call.text(0)?, call.int(1)?, call.text(2)?);
        let parts: Vec<&str> = match usize::try_from(count) {
            Ok(count) if !separator.is_empty() => text.splitn(count, separator).collect(),
            Ok(_) => return Err("the separator is empty".to_owned()),
            Err(_) => text.split(separator).collect(),
        };
        call.meter.room(parts.len() * 2 * size_of::<Value>())?;
        let entries = parts.into_iter().enumerate();
        let entries = entries.map(|(at, part)| (format!("_{at}").into(), part.into()));
        Ok(Map::new(entries).with_missing("").into())
    }),
    exact("wrap", 2, |call| {
        let (width, text) = (call.int(0)?, call.text(1)?);
        wrap(call, text, width, "\n", false)
    }),
    exact("wrapWith", 3, |call| {
        let (width, newline, text) = (call.int(0)?, call.text(1)?, call.text(2)?);
        wrap(call, text, width, newline, true)
    }),
    exact("isAbs", 1, is_abs),
    exact("osIsAbs", 1, is_abs),
    exact("clean", 1, |call| Ok(clean(call.text(0)?).into())),
    exact("osClean", 1, |call| Ok(clean(call.text(0)?).into())),
    exact("dir", 1, dir),
    exact("osDir", 1, dir),
];

fn is_abs(call: &mut Call<'_>) -> Result {
    Ok(Value::Bool(call.text(0)?.starts_with('/')))
}

fn dir(call: &mut Call<'_>) -> Result {
    let path = call.text(0)?;
    let end = path.rfind('/').map_or(0, |at| at + 1);
    Ok(clean(path.get(..end).unwrap_or_default()).into())
}

/// Breaks a text into lines of at most `width` characters, at spaces; longer words are broken only
/// if `hard`. Line ends that are there count as characters.
fn wrap(call: &Call<'_>, text: &str, width: i64, newline: &str, hard: bool) -> Result {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let text: Vec<char> = text.chars().collect();
    call.meter
        .room(text.len().saturating_mul(size_of::<char>()))?;
    let line = |from: usize, to: usize| -> String {
        text.get(from..to).unwrap_or_default().iter().collect()
    };
    let mut lines: Vec<String> = Vec::new();
    let (mut length, mut at) = (0_usize, 0);
    while text.len() - at > width {
        if text.get(at) == Some(&' ') {
            at += 1;
            continue;
        }
        let window = text.get(at..=at + width).unwrap_or_default();
        let space = window
            .iter()
            .rposition(|c| *c == ' ')
            .map(|space| at + space);
        let rest = text.get(at + width..).unwrap_or_default();
        let (end, next) = match space {
            Some(space) => (space, space + 1),
            None if hard => (at + width, at + width),
            None => match rest.iter().position(|c| *c == ' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => break,
            },
        };
        let whole = line(at, end);
        length += whole.len() + newline.len();
        call.meter.room(length)?;
        lines.push(whole);
        at = next;
    }
    lines.push(line(at, text.len()));
    Ok(lines.join(newline).into())
}

/// Go's `path.Clean`: the shortest name of the same place.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

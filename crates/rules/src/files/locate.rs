//! From what was found to lines, columns and bytes.

use std::ops::Range;

use flux_lang::yaml::{self, Places};

use super::{At, Fix, Found, Located};
use crate::finding::dotted;

/// Gives every finding its place. The text is read a second time for that, if there are any at
/// fields: most files have none.
pub(super) fn all(file: &str, text: &str, found: Vec<Found>) -> Vec<Located> {
    let fields = found
        .iter()
        .any(|found| matches!(found.at, At::Field { .. }));
    let places = if fields {
        yaml::places(text).unwrap_or_default()
    } else {
        Vec::new()
    };
    found
        .into_iter()
        .map(|found| one(file, text, &places, found))
        .collect()
}

fn one(file: &str, text: &str, places: &[Places], found: Found) -> Located {
    let (mut path, mut at) = (String::new(), String::new());
    let (span, style) = match &found.at {
        At::Bytes(span) => (span.clone(), None),
        At::Line(line, column) => (word(text, *line, *column), None),
        At::Field {
            document,
            pointer,
            key,
        } => {
            path = dotted(pointer);
            at.clone_from(pointer);
            let nearest = places
                .get(*document)
                .and_then(|places| places.nearest(pointer));
            match nearest {
                None => (0..0, None),
                // What is missing is shown at what it is missing in.
                Some((place, exact)) => {
                    match (&place.key, exact && !key && place.style.is_some()) {
                        (Some(name), false) => (name.clone(), None),
                        _ => (place.value.clone(), place.style.filter(|_| exact)),
                    }
                }
            }
        }
    };
    let raw = text.get(span.clone()).unwrap_or_default();
    let fix = match (found.fix, style) {
        (Fix::Verbatim(text), _) => Some(text),
        // A block scalar would change more than a token.
        (_, None | Some(yaml::Style::Block)) | (Fix::None, _) => None,
        (Fix::Quote, _) => Some(yaml::token(raw, yaml::Style::DoubleQuoted)),
        (Fix::Text(text), Some(style)) => Some(yaml::token(&text, style)),
    };
    let (line, column) = position(text, span.start);
    Located {
        rule: found.rule,
        severity: found.severity,
        file: file.to_owned(),
        line,
        column,
        object: found.object,
        path,
        message: found.message,
        fix,
        span,
        pointer: at,
    }
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The bytes.
    pub span: Range<usize>,
}

/// Where a field of an object of this kind and name is written in a text: for objects that were
/// built from it. The nearest field above where it came from elsewhere.
#[must_use]
pub fn spot(text: &str, kind: &str, name: &str, pointer: &str) -> Option<Spot> {
    let documents = yaml::read(text).ok()?;
    let field = |document: &yaml::Document, at: &str| {
        let value = document.value.pointer(at)?.as_str()?;
        Some(value.to_owned())
    };
    let index = documents.iter().position(|document| {
        field(document, "/kind").as_deref() == Some(kind)
            // A kustomization may put something before or after a name.
            && field(document, "/metadata/name").is_some_and(|own| name.contains(&own))
    })?;
    let places = yaml::places(text).ok()?;
    let (place, exact) = places.get(index)?.nearest(pointer)?;
    let span = match &place.key {
        Some(key) if !exact || place.style.is_none() => key.clone(),
        _ => place.value.clone(),
    };
    let (line, column) = position(text, span.start);
    Some(Spot { line, column, span })
}

/// Line and column of a byte.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The bytes from a column to the end of its word.
fn word(text: &str, line: usize, column: usize) -> Range<usize> {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let offset = content
                .char_indices()
                .nth(column.saturating_sub(1))
                .map_or(content.trim_end().len(), |(offset, _)| offset);
            let rest = content.get(offset..).unwrap_or_default();
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            return start + offset..start + offset + end;
        }
        start += content.len();
    }
    text.len()..text.len()
}

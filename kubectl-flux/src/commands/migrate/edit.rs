//! Edits of YAML that leave every other byte alone. Pure.

use std::ops::Range;

use flux_lang::yaml::Place;

/// A piece of text and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// The text after all edits, which must not overlap.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.range.start));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.range, &edit.text);
    }
    text
}

/// The place after the bracket that closes the one at `start`.
fn closing(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut before = ' ';
    let mut characters = text.get(start..)?.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some('"'), '\\') => {
                characters.next();
            }
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(character),
            (None, '#') if before.is_whitespace() => {
                while characters.peek().is_some_and(|(_, c)| *c != '\n') {
                    characters.next();
                }
            }
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(start + at + character.len_utf8());
                }
            }
            _ => {}
        }
        before = character;
    }
    None
}

/// Bytes of a value: in brackets up to the closing one, else to the end of the last line that is
/// indented as deep as belongs to it.
pub(super) fn block(text: &str, key: &Range<usize>, place: &Place) -> Option<Range<usize>> {
    let value = &place.value;
    if is_bracketed(text, place) {
        return Some(value.start..closing(text, value.start)?);
    }
    let line = line_start(text, key.start);
    let column = key.start - line;
    let mut end = line_end(text, value.start);
    let mut at = end + 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let stop = rest.find('\n').map_or(text.len(), |offset| at + offset);
        let content = text.get(at..stop)?;
        let indent = content.len() - content.trim_start().len();
        let is_list_item = content.trim_start().starts_with("- ") || content.trim() == "-";
        let is_inside = indent > column || (indent == column && is_list_item);
        let is_blank = content.trim().is_empty();
        if !is_blank {
            if !is_inside {
                break;
            }
            end = stop;
        }
        at = stop + 1;
    }
    Some(value.start..end.min(text.len()))
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |offset| at + offset)
}

/// Takes out a key with its value. Lines that hold nothing else go as a whole; of a mapping in
/// braces, the comma goes too.
pub(super) fn removal(text: &str, place: &Place) -> Option<Edit> {
    let key = place.key.as_ref()?;
    let end = block(text, key, place)?.end;
    let line = line_start(text, key.start);
    if text.get(line..key.start)?.trim().is_empty() {
        let stop = (line_end(text, end) + 1).min(text.len());
        return Some(Edit {
            range: line..stop,
            text: String::new(),
        });
    }
    // The value alone: the rest of the line belongs to the mapping around it.
    let end = match is_bracketed(text, place) {
        true => closing(text, place.value.start)?,
        false => place.value.end,
    };
    let after = text.get(end..)?;
    let blank = after.len() - after.trim_start_matches([' ', '\t']).len();
    let range = if after.trim_start().starts_with(',') {
        let comma = end + after.find(',')? + 1;
        let rest = text.get(comma..)?;
        key.start..comma + (rest.len() - rest.trim_start_matches(' ').len())
    } else {
        let before = text.get(..key.start)?.trim_end();
        match before.strip_suffix(',') {
            Some(kept) => kept.len()..end,
            None => key.start..end + blank,
        }
    };
    Some(Edit {
        range,
        text: String::new(),
    })
}

/// Whether a value is a collection in brackets; a text may begin with one, too.
fn is_bracketed(text: &str, place: &Place) -> bool {
    let rest = text.get(place.value.start..).unwrap_or_default();
    place.style.is_none() && rest.starts_with(['{', '['])
}

/// A piece of YAML at another depth: the first line begins at column 0, the others follow it.
pub(super) fn outdented(text: &str, range: &Range<usize>) -> Option<Vec<String>> {
    let column = range.start - line_start(text, range.start);
    let piece = text.get(range.clone())?;
    let mut lines = Vec::new();
    for (index, line) in piece.lines().enumerate() {
        let blank = line.len() - line.trim_start_matches(' ').len();
        let cut = if index == 0 { 0 } else { blank.min(column) };
        lines.push(line.get(cut..)?.trim_end().to_owned());
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use flux_lang::yaml::places;

    use super::*;

    fn without(text: &str, pointer: &str) -> String {
        let places = places(text).unwrap();
        let place = places[0].get(pointer).unwrap();
        let edit = removal(text, place).unwrap();
        apply(text, vec![edit])
    }

    #[test]
    fn fields_go_with_their_lines() {
        let text = "spec:\n  a: 1\n  # about b\n  b: # why\n  - x: 1\n    y: 2\n  # end\n  c: 3\n";
        assert_eq!(
            without(text, "/spec/b"),
            "spec:\n  a: 1\n  # about b\n  # end\n  c: 3\n"
        );
        assert_eq!(
            without(text, "/spec/a"),
            "spec:\n  # about b\n  b: # why\n  - x: 1\n    y: 2\n  # end\n  c: 3\n"
        );
        assert_eq!(
            without("spec:\n  a: 1\n  c: 3", "/spec/c"),
            "spec:\n  a: 1\n"
        );
        assert_eq!(without("a:\n- x\n\nb: 1\n", "/a"), "\nb: 1\n");
    }

    #[test]
    fn fields_in_braces_go_with_a_comma() {
        let text = "spec: {a: 1, b: [x, '}'], c: \"}\"} # end\n";
        assert_eq!(
            without(text, "/spec/a"),
            "spec: {b: [x, '}'], c: \"}\"} # end\n"
        );
        assert_eq!(without(text, "/spec/b"), "spec: {a: 1, c: \"}\"} # end\n");
        assert_eq!(
            without(text, "/spec/c"),
            "spec: {a: 1, b: [x, '}']} # end\n"
        );
        assert_eq!(without("spec: {a: 1}\n", "/spec/a"), "spec: {}\n");
    }

    #[test]
    fn pieces_change_their_depth() {
        let text = "a:\n  - b: 1\n    # c\n    d:\n      e: 2\n";
        let start = text.find("b: 1").unwrap();
        assert_eq!(
            outdented(text, &(start..text.len())).unwrap(),
            ["b: 1", "# c", "d:", "  e: 2"]
        );
    }
}

//! JSON values to the bytes of `sigs.k8s.io/yaml`, that is of go-yaml 2: keys sorted, two spaces
//! of indentation, dashes at the column of the parent key, lines folded after column 80.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::resolve::{self, Resolved};
use super::scalar_style::{Shape, is_break, is_printable};
use crate::gonumber;

/// A space after this column becomes a line break, where the notation allows one.
const WIDTH: usize = 80;
/// Longest key that is written without the `? ` form, in bytes.
const LONGEST_SIMPLE_KEY: usize = 128;

/// Writes a value as one YAML document, as `sigs.k8s.io/yaml` does for the same JSON. The text
/// ends with a newline and has no leading `---`.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        column: 0,
        after_space: true,
        indenting: true,
        indent: 0,
    };
    emitter.node(value, Place::Root);
    emitter.break_line_unless_fresh();
    emitter.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    /// A mapping's value, or a key too long for the simple form.
    Value,
    SimpleKey,
}

struct Emitter {
    out: String,
    /// Characters on the current line.
    column: usize,
    /// The last character separates, so that none is needed before a token.
    after_space: bool,
    /// Nothing but indentation and dashes on this line yet.
    indenting: bool,
    indent: usize,
}

/// How a scalar is written.
enum Notation {
    Plain,
    Single,
    Double,
    Literal,
}

impl Emitter {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn break_line_unless_fresh(&mut self) {
        let column = self.column;
        if !self.indenting || column > self.indent || (column == self.indent && !self.after_space) {
            self.line_break();
        }
    }

    fn write_indent(&mut self) {
        self.break_line_unless_fresh();
        while self.column < self.indent {
            self.put(' ');
        }
        self.after_space = true;
        self.indenting = true;
    }

    /// Writes punctuation; `structural` for what keeps a line "indentation only".
    fn indicator(&mut self, text: &str, needs_space: bool, structural: bool) {
        if needs_space && !self.after_space {
            self.put(' ');
        }
        text.chars().for_each(|c| self.put(c));
        self.after_space = false;
        self.indenting &= structural;
    }

    fn node(&mut self, value: &Value, place: Place) {
        match value {
            Value::Null => self.plain("null", place),
            Value::Bool(true) => self.plain("true", place),
            Value::Bool(false) => self.plain("false", place),
            Value::Number(number) => self.plain(&number_text(number), place),
            Value::String(text) => self.string(text, place),
            Value::Array(items) if items.is_empty() => self.indicator("[]", true, false),
            Value::Object(map) if map.is_empty() => self.indicator("{}", true, false),
            Value::Array(items) => self.sequence(items, place),
            Value::Object(map) => self.mapping(map, place),
        }
    }

    fn sequence(&mut self, items: &[Value], place: Place) {
        let outer = self.indent;
        // Below a key the dashes stand at the key's own column.
        if place == Place::Item || (place == Place::Value && self.indenting) {
            self.indent += 2;
        }
        for item in items {
            self.write_indent();
            self.indicator("-", true, true);
            self.node(item, Place::Item);
        }
        self.indent = outer;
    }

    fn mapping(&mut self, map: &Map<String, Value>, place: Place) {
        let outer = self.indent;
        if place != Place::Root {
            self.indent += 2;
        }
        for (key, value) in sort_keys(map.iter().collect()) {
            self.write_indent();
            if key.len() <= LONGEST_SIMPLE_KEY && !key.contains(is_break) {
                self.string(key, Place::SimpleKey);
                self.indicator(":", false, false);
            } else {
                self.indicator("?", true, true);
                self.string(key, Place::Value);
                self.write_indent();
                self.indicator(":", true, true);
            }
            self.node(value, Place::Value);
        }
        self.indent = outer;
    }

    fn plain(&mut self, text: &str, place: Place) {
        self.scalar(text, place, &Notation::Plain);
    }

    fn string(&mut self, text: &str, place: Place) {
        self.scalar(text, place, &notation(text, place));
    }

    fn scalar(&mut self, text: &str, place: Place, notation: &Notation) {
        let may_break = place != Place::SimpleKey;
        self.indent += 2;
        match notation {
            Notation::Plain => {
                self.indicator("", true, false);
                self.folded(text, may_break);
            }
            Notation::Single => {
                self.indicator("'", true, false);
                self.folded(&text.replace('\'', "''"), may_break);
                self.indicator("'", false, false);
            }
            Notation::Double => {
                self.indicator("\"", true, false);
                self.double(text, may_break);
                self.indicator("\"", false, false);
            }
            Notation::Literal => self.literal(text),
        }
        self.indent -= 2;
        if !matches!(notation, Notation::Literal) {
            self.after_space = false;
            self.indenting = false;
        }
    }

    /// Writes text of one line whose spaces may become line breaks once the line is long enough:
    /// not at the ends of the text, and not in a run of spaces.
    fn folded(&mut self, text: &str, may_break: bool) {
        let mut in_spaces = false;
        for (at, c) in text.char_indices() {
            if c == ' ' {
                let run = in_spaces || text[at + 1..].starts_with(' ');
                let inside = at > 0 && at + 1 < text.len();
                if may_break && !run && self.column > WIDTH && inside {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                in_spaces = true;
            } else {
                self.put(c);
                self.indenting = false;
                in_spaces = false;
            }
        }
    }

    fn double(&mut self, text: &str, may_break: bool) {
        let mut after_space = false;
        // libyaml looks for a byte order mark at the start of the text, whatever the position.
        let marked = text.starts_with('\u{feff}');
        for (at, c) in text.char_indices() {
            if !is_printable(c) || is_break(c) || marked || matches!(c, '"' | '\\') {
                escape(c).chars().for_each(|c| self.put(c));
                after_space = false;
            } else if c == ' ' {
                let inside = at > 0 && at + 1 < text.len();
                if may_break && !after_space && self.column > WIDTH && inside {
                    self.write_indent();
                    if text[at + 1..].starts_with(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false);
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false, false);
        }
        let mut from_end = text.chars().rev();
        match (from_end.next(), from_end.next()) {
            (Some(last), before) if is_break(last) => {
                if before.is_none_or(is_break) {
                    self.indicator("+", false, false);
                }
            }
            _ => self.indicator("-", false, false),
        }
        self.line_break();
        self.indenting = true;
        self.after_space = true;
        let mut at_start = true;
        for c in text.chars() {
            if is_break(c) {
                // A break of another kind than `\n` is kept as it is.
                self.out.push(c);
                self.column = 0;
                self.indenting = true;
                at_start = true;
            } else {
                if at_start {
                    self.write_indent();
                }
                self.put(c);
                self.indenting = false;
                at_start = false;
            }
        }
    }
}

fn notation(text: &str, place: Place) -> Notation {
    let shape = Shape::of(text);
    if text.contains('\n') {
        let literal = shape.block_allowed && place != Place::SimpleKey;
        return if literal {
            Notation::Literal
        } else {
            Notation::Double
        };
    }
    if resolve::implicit(text) != Resolved::String || is_base_60(text) {
        return Notation::Double;
    }
    // Line separators other than `\n` would be written raw otherwise: legal, and unreadable.
    if shape.multiline {
        return Notation::Double;
    }
    match (shape.block_plain_allowed, shape.single_quoted_allowed) {
        (true, _) => Notation::Plain,
        (false, true) => Notation::Single,
        (false, false) => Notation::Double,
    }
}

/// Numbers such as `12:30:45` that other YAML 1.1 readers take for base 60:
/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digit_or_underscore = |b: u8| b.is_ascii_digit() || b == b'_';
    let body = match unsigned.split_once('.') {
        Some((body, fraction)) if fraction.bytes().all(digit_or_underscore) => body,
        Some(_) => return false,
        None => unsigned,
    };
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(digit_or_underscore)
        && rest.peek().is_some()
        && rest.all(|part| match part.as_bytes() {
            [unit] => unit.is_ascii_digit(),
            [ten, unit] => matches!(ten, b'0'..=b'5') && unit.is_ascii_digit(),
            _ => false,
        })
}

fn escape(c: char) -> String {
    match c {
        '\0' => r"\0".to_owned(),
        '\x07' => r"\a".to_owned(),
        '\x08' => r"\b".to_owned(),
        '\t' => r"\t".to_owned(),
        '\n' => r"\n".to_owned(),
        '\x0b' => r"\v".to_owned(),
        '\x0c' => r"\f".to_owned(),
        '\r' => r"\r".to_owned(),
        '\x1b' => r"\e".to_owned(),
        '"' => r#"\""#.to_owned(),
        '\\' => r"\\".to_owned(),
        '\u{85}' => r"\N".to_owned(),
        '\u{a0}' => r"\_".to_owned(),
        '\u{2028}' => r"\L".to_owned(),
        '\u{2029}' => r"\P".to_owned(),
        c => match u32::from(c) {
            code @ ..=0xff => format!(r"\x{code:02X}"),
            code @ 0x100..=0xffff => format!(r"\u{code:04X}"),
            code => format!(r"\U{code:08X}"),
        },
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => match gonumber::json(float) {
            Some(whole) if !whole.is_f64() => whole.to_string(),
            _ => gonumber::format_g(float),
        },
        _ => number.to_string(),
    }
}

/// Merge sort. The order of go-yaml has cycles (`08 < 0b < 1e < 08`), which the standard library
/// answers with a panic.
fn sort_keys<T>(mut entries: Vec<(&String, T)>) -> Vec<(&String, T)> {
    if entries.len() < 2 {
        return entries;
    }
    let right = sort_keys(entries.split_off(entries.len() / 2));
    let left = sort_keys(entries);
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    for entry in right {
        while let Some(smaller) = left.next_if(|l| compare_keys(l.0, entry.0) != Ordering::Greater)
        {
            sorted.push(smaller);
        }
        sorted.push(entry);
    }
    sorted.extend(left);
    sorted
}

/// go-yaml's order of keys: letters after everything else, runs of digits by their value.
fn compare_keys(left: &str, right: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let Some(at) = (0..a.len().min(b.len())).find(|i| a.get(*i) != b.get(*i)) else {
        return a.len().cmp(&b.len());
    };
    let (ours, theirs) = (
        a.get(at..).unwrap_or_default(),
        b.get(at..).unwrap_or_default(),
    );
    let first = |chars: &[char]| chars.first().copied().unwrap_or_default();
    match (first(ours).is_alphabetic(), first(theirs).is_alphabetic()) {
        (true, true) => return first(ours).cmp(&first(theirs)),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Zeros after a significant digit count: 100 comes after 10, 01 beside 1.
    let mut before = a.get(..at).unwrap_or_default().iter().rev();
    let significant = (first(ours) == '0' || first(theirs) == '0')
        && before
            .by_ref()
            .take_while(|c| c.is_numeric())
            .any(|c| *c != '0');
    let run = |chars: &[char]| {
        let digits: Vec<char> = chars
            .iter()
            .copied()
            .take_while(|c| c.is_numeric())
            .collect();
        let value = digits.iter().fold(i64::from(significant), |value, digit| {
            let digit = i64::from(u32::from(*digit)) - i64::from(u32::from('0'));
            value.saturating_mul(10).saturating_add(digit)
        });
        (value, digits.len())
    };
    run(ours)
        .cmp(&run(theirs))
        .then_with(|| first(ours).cmp(&first(theirs)))
}

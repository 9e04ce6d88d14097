//! Sprig's JSON, in the notation of Go's encoder.

use std::fmt::{self, Write};

use super::super::format::float;
use super::super::value::Value;
use super::{Call, Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 4] = [
    exact("toJson", 1, |call| encode(call, Form::Compact)),
    exact("toPrettyJson", 1, |call| encode(call, Form::Pretty)),
    exact("toRawJson", 1, |call| encode(call, Form::Raw)),
    exact("fromJson", 1, |call| {
        // A value takes more than its text: at most this many, one for each byte of it.
        let text = call.text(0)?;
        let room = text.len().saturating_mul(size_of::<Value>());
        call.meter.memory(room)?;
        let parsed = serde_json::from_str(call.text(0)?).map_err(|error| error.to_string())?;
        Ok(from_json(parsed))
    }),
];

/// Numbers are floats, as Go reads them.
fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(from_json)),
        serde_json::Value::Object(entries) => Value::map(
            entries
                .into_iter()
                .map(|(key, value)| (key, from_json(value))),
        ),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Compact,
    /// A line for each element, two spaces for each level.
    Pretty,
    /// Compact, and `<`, `>` and `&` stand for themselves.
    Raw,
}

fn encode(call: &mut Call<'_>, form: Form) -> Result {
    let mut unsupported = None;
    let text = call.meter.write(|out| {
        let mut encoder = Encoder {
            out,
            form,
            level: 0,
            unsupported: &mut unsupported,
        };
        encoder.value(call.value(0))
    })?;
    match unsupported {
        Some(what) => Err(format!("JSON has no {what}")),
        None => Ok(text.into()),
    }
}

struct Encoder<'e, W> {
    out: &'e mut W,
    form: Form,
    level: usize,
    /// What the value has and JSON has not.
    unsupported: &'e mut Option<&'static str>,
}

impl<W: Write> Encoder<'_, W> {
    fn value(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Nil => self.out.write_str("null"),
            Value::Bool(value) => write!(self.out, "{value}"),
            Value::Int(value) => write!(self.out, "{value}"),
            Value::Float(value) if value.is_finite() => number(self.out, *value),
            Value::Float(_) => {
                *self.unsupported = Some("infinity");
                Ok(())
            }
            Value::String(text) => self.string(text),
            Value::List(list) => {
                let items = list.items().iter().map(|item| (None, item));
                self.elements('[', items.collect(), ']')
            }
            Value::Map(map) => {
                // Keys are sorted as texts, numbers too.
                let mut entries = Vec::with_capacity(map.entries().len());
                for (key, item) in map.entries() {
                    match key {
                        Value::String(key) => entries.push((Some(key.to_string()), item)),
                        Value::Int(key) => entries.push((Some(key.to_string()), item)),
                        _ => *self.unsupported = Some("keys other than strings"),
                    }
                }
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                self.elements('{', entries, '}')
            }
            Value::Struct(record) if record.fields().is_empty() => {
                self.string(record.text().unwrap_or_default())
            }
            Value::Struct(record) => {
                let fields = record.fields().iter();
                let fields = fields.map(|(name, item)| (Some((*name).to_owned()), item));
                self.elements('{', fields.collect(), '}')
            }
        }
    }

    fn elements(
        &mut self,
        open: char,
        elements: Vec<(Option<String>, &Value)>,
        close: char,
    ) -> fmt::Result {
        self.out.write_char(open)?;
        let is_empty = elements.is_empty();
        self.level += 1;
        for (at, (name, item)) in elements.into_iter().enumerate() {
            self.out.write_str(if at > 0 { "," } else { "" })?;
            self.line()?;
            if let Some(name) = name {
                self.string(&name)?;
                let colon = if self.form == Form::Pretty { ": " } else { ":" };
                self.out.write_str(colon)?;
            }
            self.value(item)?;
        }
        self.level -= 1;
        if !is_empty {
            self.line()?;
        }
        self.out.write_char(close)
    }

    fn line(&mut self) -> fmt::Result {
        if self.form != Form::Pretty {
            return Ok(());
        }
        let width = self.level * 2;
        write!(self.out, "\n{:width$}", "")
    }

    /// Go's JSON strings escape what HTML minds, too.
    fn string(&mut self, text: &str) -> fmt::Result {
        self.out.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' => self.out.write_str("\\\"")?,
                '\\' => self.out.write_str("\\\\")?,
                '\n' => self.out.write_str("\\n")?,
                '\r' => self.out.write_str("\\r")?,
                '\t' => self.out.write_str("\\t")?,
                '\u{8}' => self.out.write_str("\\b")?,
                '\u{c}' => self.out.write_str("\\f")?,
                '<' | '>' | '&' if self.form == Form::Raw => self.out.write_char(c)?,
                '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    write!(self.out, "\\u{:04x}", u32::from(c))?;
                }
                c => self.out.write_char(c)?,
            }
        }
        self.out.write_char('"')
    }
}

/// Go writes floats without an exponent between 1e-6 and 1e21.
fn number(out: &mut impl Write, value: f64) -> fmt::Result {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{value}")
    } else {
        // Go drops the zero of a negative one-digit exponent.
        out.write_str(&float(value).replace("e-0", "e-"))
    }
}

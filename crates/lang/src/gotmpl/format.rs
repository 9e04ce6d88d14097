//! How values print: Go's `%v`, `Sprint` and `Sprintln`.

use std::fmt::{self, Write};

use super::value::Value;
use crate::gonumber;

/// What an action prints for a value that is not there.
pub(super) const NO_VALUE: &str = "<no value>";

/// What an action prints: as [`value`], but for nothing Go has a text of its own.
pub(super) fn action(out: &mut impl Write, value: &Value) -> fmt::Result {
    match value {
        Value::Nil => out.write_str(NO_VALUE),
        _ => self::value(out, value),
    }
}

/// Go's `%v`.
pub(super) fn value(out: &mut impl Write, value: &Value) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("<nil>"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Float(value) => out.write_str(&float(*value)),
        Value::String(text) => out.write_str(text),
        Value::Struct(record) if record.text().is_some() => {
            out.write_str(record.text().unwrap_or_default())
        }
        Value::List(_) | Value::Map(_) | Value::Struct(_) => {
            compound(out, value, false, &mut self::value)
        }
    }
}

/// A float as `%v` has it, which tells the infinities apart by sign.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        gonumber::format_g(value)
    }
}

/// The brackets of a list, map or struct around its elements; `names` adds the names of fields.
pub(super) fn compound<W: Write>(
    out: &mut W,
    value: &Value,
    names: bool,
    element: &mut dyn FnMut(&mut W, &Value) -> fmt::Result,
) -> fmt::Result {
    let space = |out: &mut W, at: usize| out.write_str(if at > 0 { " " } else { "" });
    match value {
        Value::List(list) => {
            out.write_char('[')?;
            for (at, item) in list.items().iter().enumerate() {
                space(out, at)?;
                element(out, item)?;
            }
            out.write_char(']')
        }
        Value::Map(map) => {
            out.write_str("map[")?;
            for (at, (key, item)) in map.entries().iter().enumerate() {
                space(out, at)?;
                element(out, key)?;
                out.write_char(':')?;
                element(out, item)?;
            }
            out.write_char(']')
        }
        Value::Struct(record) => {
            out.write_char('{')?;
            for (at, (name, item)) in record.fields().iter().enumerate() {
                space(out, at)?;
                if names {
                    write!(out, "{name}:")?;
                }
                element(out, item)?;
            }
            out.write_char('}')
        }
        other => element(out, other),
    }
}

/// Go's `Sprint`: a space between operands of which neither is a string.
pub(super) fn sprint(out: &mut impl Write, values: &[Value]) -> fmt::Result {
    let is_string = |value: &Value| matches!(value, Value::String(_));
    let mut before = None;
    for value in values {
        if before.is_some_and(|before| !is_string(before) && !is_string(value)) {
            out.write_char(' ')?;
        }
        self::value(out, value)?;
        before = Some(value);
    }
    Ok(())
}

/// Go's `Sprintln`: a space between all operands, a line feed at the end.
pub(super) fn sprintln(out: &mut impl Write, values: &[Value]) -> fmt::Result {
    for (at, value) in values.iter().enumerate() {
        out.write_str(if at > 0 { " " } else { "" })?;
        self::value(out, value)?;
    }
    out.write_char('\n')
}

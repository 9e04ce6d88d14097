//! Go's functions on values of any type: `len`, `index`, `slice`, `not`, `print` and its family.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::format;
use super::super::printf::sprintf;
use super::super::value::Value;
use super::numbers::to_int;
use super::{Call, Function, Kind, Result, exact, length, list, variadic};

pub(super) static FUNCTIONS: [Function; 9] = [
    Function {
        name: "and",
        min: 1,
        max: None,
        kind: Kind::Until(false),
    },
    Function {
        name: "or",
        min: 1,
        max: None,
        kind: Kind::Until(true),
    },
    exact("not", 1, |call| Ok(Value::Bool(!call.value(0).truth()))),
    exact("len", 1, len),
    variadic("index", 1, index),
    variadic("slice", 1, slice),
    variadic("print", 0, |call| {
        let text = call.meter.write(|out| format::sprint(out, &call.args))?;
        Ok(text.into())
    }),
    variadic("println", 0, |call| {
        let text = call.meter.write(|out| format::sprintln(out, &call.args))?;
        Ok(text.into())
    }),
    variadic("printf", 1, |call| {
        let text = call.meter.write(|out| match (call.text(0), call.from(1)) {
            (Ok(pattern), values) => sprintf(out, pattern, values),
            (Err(_), _) => out.write_str(""),
        })?;
        call.text(0)?;
        Ok(text.into())
    }),
];

fn len(call: &mut Call<'_>) -> Result {
    match call.value(0) {
        Value::String(text) => Ok(length(text.len())),
        Value::List(list) => Ok(length(list.items().len())),
        Value::Map(map) => Ok(length(map.entries().len())),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn index(call: &mut Call<'_>) -> Result {
    let mut item = call.value(0).clone();
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for key in call.from(1) {
        item = match (&item, key) {
            (Value::List(list), key) => {
                let at = place(key)?;
                let found = list.items().get(at).cloned();
                found.ok_or_else(|| format!("index out of range: {at}"))?
            }
            (Value::String(text), key) => {
                let at = place(key)?;
                let byte = text.as_bytes().get(at).copied();
                let byte = byte.ok_or_else(|| format!("index out of range: {at}"))?;
                Value::Int(byte.into())
            }
            (Value::Map(map), key) => {
                let known = map.entries().first().map(|(known, _)| known);
                if known.is_some_and(|known| known.type_name() != key.type_name()) {
                    let (got, want) = (key.type_name(), known.map_or("", Value::type_name));
                    return Err(format!("value has type {got}; should be {want}"));
                }
                map.get(key).unwrap_or_else(|| map.missing()).clone()
            }
            (other, _) => {
                return Err(format!("can't index item of type {}", other.type_name()));
            }
        };
    }
    Ok(item)
}

/// `slice x i j`: for lists as sprig's, which Flux has in the place of Go's; for strings, which
/// sprig refuses, as Go's.
fn slice(call: &mut Call<'_>) -> Result {
    let bound = |at: usize, default: usize, read: fn(&Value) -> Result<usize>| {
        call.args.get(at).map_or(Ok(default), read)
    };
    match call.value(0) {
        Value::List(items) if items.items().is_empty() => Ok(Value::Nil),
        Value::List(items) => {
            let items = items.items();
            let read = |value: &Value| place(&Value::Int(to_int(value)));
            let range = range(
                bound(1, 0, read)?,
                bound(2, items.len(), read)?,
                items.len(),
            )?;
            Ok(list(items.get(range).unwrap_or_default().to_vec()))
        }
        Value::String(text) => {
            if call.args.len() > 3 {
                return Err("a string has no third index".to_owned());
            }
            let range = range(
                bound(1, 0, place)?,
                bound(2, text.len(), place)?,
                text.len(),
            )?;
            Ok(cut(text, range).into())
        }
        Value::Nil => Err("slice of untyped nil".to_owned()),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

fn range(from: usize, to: usize, length: usize) -> Result<Range<usize>> {
    if to > length {
        return Err(format!("index out of range: {to}"));
    }
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(from..to)
}

/// A range of a text's bytes; what is left of a cut character becomes U+FFFD.
pub(super) fn cut(text: &str, range: Range<usize>) -> String {
    let bytes = text.as_bytes().get(range).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// An argument as a place in a list or string.
fn place(value: &Value) -> Result<usize> {
    match value {
        Value::Int(at) => usize::try_from(*at).map_err(|_| format!("index out of range: {at}")),
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => {
            let name = other.type_name();
            Err(format!("cannot index slice/array with type {name}"))
        }
    }
}

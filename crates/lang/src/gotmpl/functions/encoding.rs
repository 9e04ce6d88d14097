//! Sprig's encodings and sums.

use std::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::format::float;
use super::super::value::Value;
use super::{Call, Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 8] = [
    exact("b64enc", 1, |call| {
        Ok(STANDARD.encode(call.text(0)?).into())
    }),
    exact("b64dec", 1, |call| {
        let bytes = STANDARD
            .decode(call.text(0)?.replace(['\r', '\n'], ""))
            .map_err(|error| format!("not base64: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned().into())
    }),
    exact("sha1sum", 1, |call| {
        sum(call, &ring::digest::SHA1_FOR_LEGACY_USE_ONLY)
    }),
    exact("sha256sum", 1, |call| sum(call, &ring::digest::SHA256)),
    exact("sha512sum", 1, |call| sum(call, &ring::digest::SHA512)),
    exact("adler32sum", 1, |call| {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in call.text(0)?.bytes() {
            a = (a + u32::from(byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        Ok(((b << 16) | a).to_string().into())
    }),
    exact("toJson", 1, to_json),
    exact("fromJson", 1, |call| {
        // A value takes more than its text: at most this many, one for each byte of it.
        let text = call.text(0)?;
        let room = text.len().saturating_mul(size_of::<Value>());
        call.meter.memory(room)?;
        let parsed = serde_json::from_str(call.text(0)?).map_err(|error| error.to_string())?;
        Ok(from_json(parsed))
    }),
];

fn sum(call: &Call<'_>, algorithm: &'static ring::digest::Algorithm) -> Result {
    let digest = ring::digest::digest(algorithm, call.text(0)?.as_bytes());
    let mut hex = String::with_capacity(128);
    for byte in digest.as_ref() {
        write!(hex, "{byte:02x}").map_err(|error| error.to_string())?;
    }
    Ok(hex.into())
}

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

fn to_json(call: &mut Call<'_>) -> Result {
    let mut unsupported = None;
    let text = call
        .meter
        .write(|out| json(out, call.value(0), &mut unsupported))?;
    match unsupported {
        Some(what) => Err(format!("JSON has no {what}")),
        None => Ok(text.into()),
    }
}

fn json(
    out: &mut impl Write,
    value: &Value,
    unsupported: &mut Option<&'static str>,
) -> fmt::Result {
    match value {
        Value::Nil => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Float(value) if value.is_finite() => number(out, *value),
        Value::Float(_) => {
            *unsupported = Some("infinity");
            Ok(())
        }
        Value::String(text) => string(out, text),
        Value::List(list) => {
            out.write_char('[')?;
            for (at, item) in list.items().iter().enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                json(out, item, unsupported)?;
            }
            out.write_char(']')
        }
        Value::Map(map) => {
            out.write_char('{')?;
            // Keys are sorted as texts, numbers too.
            let mut entries = Vec::with_capacity(map.entries().len());
            for (key, item) in map.entries() {
                match key {
                    Value::String(key) => entries.push((key.to_string(), item)),
                    Value::Int(key) => entries.push((key.to_string(), item)),
                    _ => *unsupported = Some("keys other than strings"),
                }
            }
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (at, (key, item)) in entries.iter().enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                string(out, key)?;
                out.write_char(':')?;
                json(out, item, unsupported)?;
            }
            out.write_char('}')
        }
        Value::Struct(record) => {
            out.write_char('{')?;
            for (at, (name, item)) in record.fields().iter().enumerate() {
                out.write_str(if at > 0 { "," } else { "" })?;
                string(out, name)?;
                out.write_char(':')?;
                json(out, item, unsupported)?;
            }
            out.write_char('}')
        }
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

/// Go's JSON strings escape what HTML minds, too.
fn string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(c))?;
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

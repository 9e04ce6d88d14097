//! Go's `html`, `js` and `urlquery`: what `print` gives, escaped.

use std::fmt::{self, Write};

use super::super::limits::Bounded;
use super::super::value::Value;
use super::super::{format, quote};
use super::{Call, Function, Result, variadic};

pub(super) static FUNCTIONS: [Function; 3] = [
    variadic("html", 0, |call| escape(call, html)),
    variadic("js", 0, |call| escape(call, js)),
    variadic("urlquery", 0, |call| escape(call, urlquery)),
];

fn escape(call: &mut Call<'_>, each: fn(&mut Bounded, char) -> fmt::Result) -> Result {
    for arg in &mut call.args {
        if matches!(arg, Value::Nil) {
            *arg = format::NO_VALUE.into();
        }
    }
    let text = call.meter.write(|out| format::sprint(out, &call.args))?;
    let escaped = call
        .meter
        .write(|out| text.chars().try_for_each(|c| each(out, c)))?;
    Ok(escaped.into())
}

fn html(out: &mut Bounded, c: char) -> fmt::Result {
    match c {
        '\0' => out.write_char('\u{fffd}'),
        '"' => out.write_str("&#34;"),
        '\'' => out.write_str("&#39;"),
        '&' => out.write_str("&amp;"),
        '<' => out.write_str("&lt;"),
        '>' => out.write_str("&gt;"),
        c => out.write_char(c),
    }
}

fn js(out: &mut Bounded, c: char) -> fmt::Result {
    match c {
        '\\' => out.write_str("\\\\"),
        '\'' => out.write_str("\\'"),
        '"' => out.write_str("\\\""),
        '<' | '>' | '&' | '=' | '\0'..' ' => write!(out, "\\u{:04X}", u32::from(c)),
        c if c.is_ascii() || quote::is_print(c) => out.write_char(c),
        c => write!(out, "\\u{:04X}", u32::from(c)),
    }
}

fn urlquery(out: &mut Bounded, c: char) -> fmt::Result {
    match c {
        ' ' => out.write_char('+'),
        c if c.is_ascii_alphanumeric() || "-_.~".contains(c) => out.write_char(c),
        c => {
            let mut buffer = [0; 4];
            let mut bytes = c.encode_utf8(&mut buffer).bytes();
            bytes.try_for_each(|byte| write!(out, "%{byte:02X}"))
        }
    }
}

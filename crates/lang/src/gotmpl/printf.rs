//! Go's `fmt.Sprintf`, mistakes in the format included: they print as `%!d(string=x)` and the like.

use std::fmt::{self, Write};
use std::iter::Peekable;
use std::str::Chars;

use super::format::{self, compound};
use super::limits::MAX_WIDTH;
use super::quote;
use super::value::Value;

/// Flags, width and precision of one verb.
#[derive(Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    /// `%+v`: fields of structs with their names.
    names: bool,
}

/// Writes `pattern` with its verbs replaced by the arguments.
pub(super) fn sprintf(out: &mut impl Write, pattern: &str, args: &[Value]) -> fmt::Result {
    let mut arguments = Arguments {
        args,
        next: 0,
        reordered: false,
        bad_index: false,
    };
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.write_char(c)?;
            continue;
        }
        let mut spec = arguments.spec(&mut chars, out)?;
        let Some(verb) = chars.next() else {
            return out.write_str("%!(NOVERB)");
        };
        if verb == 'v' {
            spec.names = std::mem::take(&mut spec.plus);
        }
        if verb == '%' {
            out.write_char('%')?;
        } else if arguments.bad_index {
            write!(out, "%!{verb}(BADINDEX)")?;
        } else if let Some(value) = arguments.take() {
            argument(out, spec, verb, value)?;
        } else {
            write!(out, "%!{verb}(MISSING)")?;
        }
    }
    arguments.extra(out)
}

/// The arguments and how far they are used.
struct Arguments<'a> {
    args: &'a [Value],
    next: usize,
    /// `%[1]d` was used: then arguments may be left over.
    reordered: bool,
    bad_index: bool,
}

impl<'a> Arguments<'a> {
    fn take(&mut self) -> Option<&'a Value> {
        let value = self.args.get(self.next);
        self.next += usize::from(value.is_some());
        value
    }

    /// What stands between `%` and the verb.
    fn spec(
        &mut self,
        chars: &mut Peekable<Chars<'_>>,
        out: &mut impl Write,
    ) -> Result<Spec, fmt::Error> {
        let mut spec = Spec::default();
        self.bad_index = false;
        while let Some(c) = chars.next_if(|c| "#0+- ".contains(*c)) {
            match c {
                '#' => spec.sharp = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                _ => spec.space = true,
            }
        }
        self.index(chars);
        match self.number(chars) {
            Some(Ok(width)) => {
                spec.minus |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(0);
            }
            Some(Err(())) => out.write_str("%!(BADWIDTH)")?,
            None => {}
        }
        // Padding on the right is never with zeros.
        spec.zero &= !spec.minus;
        if chars.next_if_eq(&'.').is_some() {
            self.index(chars);
            match self.number(chars) {
                Some(Ok(precision @ 0..)) => spec.precision = usize::try_from(precision).ok(),
                Some(_) => out.write_str("%!(BADPREC)")?,
                None => spec.precision = Some(0),
            }
        }
        self.index(chars);
        Ok(spec)
    }

    /// `[n]`: the number of the argument to use next.
    fn index(&mut self, chars: &mut Peekable<Chars<'_>>) {
        if chars.next_if_eq(&'[').is_none() {
            return;
        }
        self.reordered = true;
        // Without a closing bracket, only the opening one is skipped. No number is longer.
        let text: String = chars.clone().take(12).collect();
        let (digits, closed) = match text.split_once(']') {
            Some((digits, _)) => (digits, true),
            None => ("", false),
        };
        if closed {
            chars.nth(digits.chars().count());
        }
        match digits.parse::<usize>() {
            Ok(index @ 1..) if closed && index <= self.args.len() => self.next = index - 1,
            _ => self.bad_index = true,
        }
    }

    /// A width or precision: digits, or `*` for an argument. The error is for one out of bounds.
    fn number(&mut self, chars: &mut Peekable<Chars<'_>>) -> Option<Result<i64, ()>> {
        let value = if chars.next_if_eq(&'*').is_some() {
            match self.take() {
                Some(Value::Int(value)) => *value,
                _ => return Some(Err(())),
            }
        } else {
            let mut value = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                chars.next();
                let so_far: i64 = value.unwrap_or(0);
                value = Some(so_far.saturating_mul(10).saturating_add(digit.into()));
            }
            value?
        };
        let fits = usize::try_from(value.unsigned_abs()).is_ok_and(|size| size <= MAX_WIDTH);
        Some(if fits { Ok(value) } else { Err(()) })
    }

    /// Arguments that no verb used.
    fn extra(&self, out: &mut impl Write) -> fmt::Result {
        let left = self.args.get(self.next..).unwrap_or_default();
        if self.reordered || left.is_empty() {
            return Ok(());
        }
        out.write_str("%!(EXTRA ")?;
        for (at, value) in left.iter().enumerate() {
            out.write_str(if at > 0 { ", " } else { "" })?;
            if !matches!(value, Value::Nil) {
                write!(out, "{}=", value.type_name())?;
            }
            format::value(out, value)?;
        }
        out.write_char(')')
    }
}

/// What stands in place of a value that the verb is not for.
fn bad_verb<W: Write>(out: &mut W, spec: Spec, verb: char, value: &Value) -> fmt::Result {
    write!(out, "%!{verb}(")?;
    if matches!(value, Value::Nil) {
        out.write_str("<nil>")?;
    } else {
        write!(out, "{}=", value.type_name())?;
        argument(out, spec, 'v', value)?;
    }
    out.write_char(')')
}

/// Writes a value as a verb asks.
fn argument<W: Write>(out: &mut W, spec: Spec, verb: char, value: &Value) -> fmt::Result {
    match (value, verb) {
        (Value::Nil, 'T') => pad(out, spec, "<nil>"),
        (_, 'T') => pad(out, spec, value.type_name()),
        (Value::Nil, 'v') => pad(out, spec, "<nil>"),
        (Value::Bool(value), 't' | 'v') => pad(out, spec, if *value { "true" } else { "false" }),
        (Value::Int(value), _) => integer(out, spec, verb, *value),
        (Value::Float(value), _) => float(out, spec, verb, *value),
        (Value::String(text), 'v' | 's' | 'q' | 'x' | 'X') => string(out, spec, verb, text),
        (Value::Struct(record), 'v' | 's' | 'q' | 'x' | 'X') if record.text().is_some() => {
            string(out, spec, verb, record.text().unwrap_or_default())
        }
        (Value::List(_) | Value::Map(_) | Value::Struct(_), _) => {
            compound(out, value, spec.names, &mut |out, element| match element {
                Value::Nil => out.write_str("<nil>"),
                element => argument(out, spec, verb, element),
            })
        }
        _ => bad_verb(out, spec, verb, value),
    }
}

/// Writes text with spaces up to the width, which counts characters.
fn pad(out: &mut impl Write, spec: Spec, text: &str) -> fmt::Result {
    let missing = spec.width.saturating_sub(text.chars().count());
    if spec.minus {
        out.write_str(text)?;
    }
    for _ in 0..missing {
        out.write_char(if spec.zero { '0' } else { ' ' })?;
    }
    if spec.minus {
        Ok(())
    } else {
        out.write_str(text)
    }
}

fn string(out: &mut impl Write, spec: Spec, verb: char, text: &str) -> fmt::Result {
    let text = match spec.precision {
        Some(count) => match text.char_indices().nth(count) {
            Some((end, _)) => text.get(..end).unwrap_or_default(),
            None => text,
        },
        None => text,
    };
    let mut written = String::new();
    match verb {
        'q' if spec.sharp
            && !text.contains('`')
            && !text.contains(|c: char| c.is_control() && c != '\t') =>
        {
            write!(written, "`{text}`")?;
        }
        'q' => quote::string(&mut written, text, spec.plus)?,
        'x' | 'X' => hex(&mut written, spec, verb, text)?,
        _ => return pad(out, spec, text),
    }
    pad(out, spec, &written)
}

/// The bytes of a text. A space flag separates them, `#` puts a prefix before the text or, with a
/// space flag, before each.
fn hex(out: &mut String, spec: Spec, verb: char, text: &str) -> fmt::Result {
    let prefix = match verb {
        _ if !spec.sharp => "",
        'x' => "0x",
        _ => "0X",
    };
    for (at, byte) in text.bytes().enumerate() {
        if at == 0 || spec.space {
            out.write_str(if at > 0 { " " } else { "" })?;
            out.write_str(prefix)?;
        }
        if verb == 'x' {
            write!(out, "{byte:02x}")?;
        } else {
            write!(out, "{byte:02X}")?;
        }
    }
    Ok(())
}

fn integer(out: &mut impl Write, spec: Spec, verb: char, value: i64) -> fmt::Result {
    let size = value.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), ""),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' | 'q' | 'U' => return character(out, spec, verb, value),
        _ => return bad_verb(out, spec, verb, &Value::Int(value)),
    };
    let sign = sign(spec, value < 0);
    let prefix = match verb {
        'O' => "0o",
        _ if spec.sharp => prefix,
        _ => "",
    };
    let least = match spec.precision {
        // Zero without digits prints nothing at all.
        Some(0) if value == 0 => {
            return pad(
                out,
                Spec {
                    zero: false,
                    ..spec
                },
                "",
            );
        }
        Some(precision) => precision,
        None if spec.zero => spec.width.saturating_sub(sign.len()),
        None => 0,
    };
    let zeros = "0".repeat(least.saturating_sub(digits.len()));
    let spec = Spec {
        zero: false,
        ..spec
    };
    pad(out, spec, &format!("{sign}{prefix}{zeros}{digits}"))
}

const fn sign(spec: Spec, negative: bool) -> &'static str {
    if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    }
}

fn character(out: &mut impl Write, spec: Spec, verb: char, value: i64) -> fmt::Result {
    let code = u32::try_from(value).ok();
    let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
    let mut text = String::new();
    match verb {
        'c' => text.push(c),
        'q' => quote::char(&mut text, c, spec.plus)?,
        _ => {
            write!(text, "U+{value:04X}")?;
            if spec.sharp && quote::is_print(c) {
                write!(text, " '{c}'")?;
            }
        }
    }
    pad(out, spec, &text)
}

fn float(out: &mut impl Write, spec: Spec, verb: char, value: f64) -> fmt::Result {
    let size = value.abs();
    let precision = spec.precision;
    let digits = match verb {
        _ if !value.is_finite() && "veEfFgG".contains(verb) => {
            let text = if value.is_nan() { "NaN" } else { "Inf" };
            text.to_owned()
        }
        'f' | 'F' => format!("{size:.*}", precision.unwrap_or(6)),
        'e' | 'E' => exponential(&format!("{size:.*e}", precision.unwrap_or(6))),
        'v' | 'g' | 'G' => match precision {
            None => format::float(size),
            Some(precision) => general(size, precision.max(1)),
        },
        _ => return bad_verb(out, spec, verb, &Value::Float(value)),
    };
    let digits = if verb.is_ascii_uppercase() {
        digits.to_uppercase()
    } else {
        digits
    };
    let sign = match sign(spec, value.is_sign_negative() && !value.is_nan()) {
        "" if value.is_infinite() => "+",
        sign => sign,
    };
    let zeros = if spec.zero && value.is_finite() {
        let missing = spec.width.saturating_sub(sign.len() + digits.len());
        "0".repeat(missing)
    } else {
        String::new()
    };
    let spec = Spec {
        zero: false,
        ..spec
    };
    pad(out, spec, &format!("{sign}{zeros}{digits}"))
}

/// Rust's `1.5e7` as Go's `1.5e+07`.
fn exponential(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%.<precision>g`: that many digits without zeros at the end, with an exponent where the number
/// has more digits before the point or is smaller than 0.0001.
fn general(value: f64, precision: usize) -> String {
    let rounded = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| -> String {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let places = i64::try_from(precision).unwrap_or(i64::MAX);
    if exponent < -4 || exponent >= places {
        return exponential(&format!("{}e{exponent}", trim(mantissa)));
    }
    let decimals = usize::try_from(places - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

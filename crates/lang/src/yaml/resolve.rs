//! What type a scalar has: the rules of go-yaml 2, which are YAML 1.1 without base 60.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::timestamp::is_timestamp;
use crate::gonumber;

/// A scalar with its type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Only above the range of `Int`.
    Uint(u64),
    Float(f64),
    /// The text itself.
    String,
    /// The text itself, too: it looks like a date.
    Timestamp,
}

/// Type of an untagged plain scalar.
pub(super) fn implicit(text: &str) -> Resolved {
    let Some(first) = text.bytes().next() else {
        return Resolved::Null;
    };
    if let Some(word) = word(text) {
        return word;
    }
    match first {
        b'.' => gonumber::parse(text).map_or(Resolved::String, Resolved::Float),
        b'0'..=b'9' | b'+' | b'-' => {
            if is_timestamp(text) {
                Resolved::Timestamp
            } else {
                number(text)
            }
        }
        _ => Resolved::String,
    }
}

fn word(text: &str) -> Option<Resolved> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Resolved::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Resolved::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Resolved {
    // Underscores are dropped wherever they stand.
    let plain = text.replace('_', "");
    let (negative, unsigned) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let signed = unsigned.len() < plain.len();
    if let Some(magnitude) = integer(unsigned) {
        let value = if negative {
            -i128::from(magnitude)
        } else {
            i128::from(magnitude)
        };
        if let Ok(value) = i64::try_from(value) {
            return Resolved::Int(value);
        }
        if !signed {
            return Resolved::Uint(magnitude);
        }
    }
    if is_float_syntax(unsigned)
        && let Some(value) = gonumber::parse(&plain)
    {
        return Resolved::Float(value);
    }
    Resolved::String
}

/// Digits in the base that their prefix says; a leading zero alone means octal.
fn integer(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match (lower.get(..2), lower.get(..1)) {
        (Some("0x"), _) => (16, &lower[2..]),
        (Some("0b"), _) => (2, &lower[2..]),
        (Some("0o"), _) => (8, &lower[2..]),
        (Some(_), Some("0")) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float_syntax(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_fits && mantissa_fits
}

/// Type of a scalar with an explicit tag, `tag` in its long form; an error text when the scalar
/// is none of that type. The second value replaces the scalar's text (`!!binary`).
pub(super) fn tagged(tag: &str, text: &str) -> Result<(Resolved, Option<String>), String> {
    let Some(short) = tag.strip_prefix("tag:yaml.org,2002:") else {
        return Ok((Resolved::String, None));
    };
    let resolved = match short {
        "str" => return Ok((Resolved::String, None)),
        "binary" => return binary(text).map(|text| (Resolved::String, Some(text))),
        "bool" | "int" | "float" | "null" | "timestamp" => implicit(text),
        _ => return Ok((Resolved::String, None)),
    };
    let (name, resolved) = match (short, resolved) {
        #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
        ("float", Resolved::Int(value)) => ("float", Resolved::Float(value as f64)),
        (_, resolved) => (type_name(&resolved), resolved),
    };
    if name == short {
        Ok((resolved, None))
    } else {
        Err(format!("cannot decode !!{name} `{text}` as a !!{short}"))
    }
}

fn type_name(resolved: &Resolved) -> &'static str {
    match resolved {
        Resolved::Null => "null",
        Resolved::Bool(_) => "bool",
        Resolved::Int(_) | Resolved::Uint(_) => "int",
        Resolved::Float(_) => "float",
        Resolved::String => "str",
        Resolved::Timestamp => "timestamp",
    }
}

/// Go's standard decoding: line breaks are skipped, stray bits at the end do not matter.
fn binary(text: &str) -> Result<String, String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    let unbroken: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    GeneralPurpose::new(&STANDARD, config)
        .decode(unbroken)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|_| "!!binary value contains invalid base64 data".to_owned())
}

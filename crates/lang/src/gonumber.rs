//! Floating-point numbers as Go reads and writes them.
//!
//! `strconv.ParseFloat` decides what a "number" is for numerical image policies. Rust's own
//! `f64::from_str` differs: it knows neither `1_000` nor `0x1p4`, and answers infinity for
//! `1e999`, where Go reports an error.

use serde_json::Number;

/// Parses `text` as Go does: decimal and hexadecimal floating-point numbers, underscores between
/// digits, and `inf`, `infinity` and `nan` in any case. `None` for everything that Go refuses,
/// values out of range included.
///
/// ```
/// use flux_lang::gonumber::parse;
/// assert_eq!(parse("1_000"), Some(1000.0));
/// assert_eq!(parse("0x1p4"), Some(16.0));
/// assert_eq!(parse("1e999"), None);
/// assert_eq!(parse("2.39.1"), None);
/// ```
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let value = if let Some(special) = special(unsigned) {
        // Go takes a sign before infinity, but not before NaN.
        if special.is_nan() && unsigned.len() != text.len() {
            return None;
        }
        special
    } else {
        let hexadecimal = unsigned
            .get(..2)
            .is_some_and(|p| p.eq_ignore_ascii_case("0x"));
        if !underscores_separate_digits(unsigned, hexadecimal) {
            return None;
        }
        let digits = unsigned.replace('_', "");
        let value = if hexadecimal {
            hex(digits.get(2..)?)?
        } else {
            decimal(&digits)?
        };
        if value.is_infinite() {
            return None;
        }
        value
    };
    Some(if negative { -value } else { value })
}

/// A float as Go's `encoding/json` writes it: whole numbers below 1e21 without fraction, which an
/// API server then takes for an integer field. `None` for NaN and infinities.
#[must_use]
pub fn json(value: f64) -> Option<Number> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    let whole = value.fract() == 0.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    if whole && (-TWO_63..TWO_63).contains(&value) {
        return Some(Number::from(value as i64));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range"
    )]
    if whole && (0.0..2.0 * TWO_63).contains(&value) {
        return Some(Number::from(value as u64));
    }
    Number::from_f64(value)
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`: shortest digits, an exponent of at least two
/// digits from a million on and below 0.0001.
#[must_use]
pub fn format_g(value: f64) -> String {
    format(&format!("{value:e}"))
}

/// [`format_g`] of the nearest 32-bit float, as `sigs.k8s.io/yaml` writes keys.
#[must_use]
pub fn format_g32(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding is what is asked for"
    )]
    let single = value as f32;
    format(&format!("{single:e}"))
}

/// `shortest` is what Rust writes for `{:e}`: exact digits, the exponent without padding.
fn format(shortest: &str) -> String {
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return match shortest {
            "inf" => "+Inf".to_owned(),
            "-inf" => "-Inf".to_owned(),
            other => other.to_owned(),
        };
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{direction}{:02}", exponent.abs());
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", zeros(-exponent - 1));
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    match digits.split_at_checked(whole) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{digits:0<whole$}"),
    }
}

fn special(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("infinity") {
        Some(f64::INFINITY)
    } else if text.eq_ignore_ascii_case("nan") {
        Some(f64::NAN)
    } else {
        None
    }
}

/// An underscore must stand between two digits, or between the base prefix and a digit.
fn underscores_separate_digits(text: &str, hexadecimal: bool) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |b: Option<&u8>| {
        b.is_some_and(|b| {
            if hexadecimal {
                b.is_ascii_hexdigit()
            } else {
                b.is_ascii_digit()
            }
        })
    };
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(i, _)| {
            let after_prefix = hexadecimal && i == 2;
            let after_digit = i > 0 && is_digit(bytes.get(i - 1));
            (after_prefix || after_digit) && is_digit(bytes.get(i + 1))
        })
}

/// Decimal syntax is checked here, because Rust accepts spellings of its own (`inf`, `nan`).
fn decimal(text: &str) -> Option<f64> {
    let numeric = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts_well || !text.bytes().all(numeric) {
        return None;
    }
    text.parse().ok()
}

/// Digits of a hexadecimal float after `0x`; the binary exponent is mandatory.
fn hex(text: &str) -> Option<f64> {
    let split = text.find(['p', 'P'])?;
    let (mantissa, exponent) = (text.get(..split)?, text.get(split + 1..)?);
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Far beyond any exponent that changes the result; longer digit strings only saturate.
    let magnitude = exponent_digits
        .parse::<i64>()
        .unwrap_or(100_000)
        .min(100_000);
    let mut exponent = if exponent.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };

    let (mut bits, mut sticky, mut seen_dot, mut digits) = (0_u64, false, false, 0_usize);
    for c in mantissa.chars() {
        if c == '.' {
            if seen_dot {
                return None;
            }
            seen_dot = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        digits += 1;
        // 60 bits are kept; what is cut off is remembered in the sticky bit for rounding.
        if bits >> 56 == 0 {
            bits = bits << 4 | digit;
            exponent -= if seen_dot { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if seen_dot { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    Some(scale(bits, sticky, exponent))
}

/// `bits * 2^exponent`, rounded to nearest even once (also where the result is subnormal).
fn scale(bits: u64, sticky: bool, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let shift = i64::from(bits.leading_zeros());
    let (bits, exponent) = (bits << shift, exponent - shift);
    // The value is 1.xxx * 2^top now; 53 bits fit, fewer below the normal range.
    let top = exponent + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    let keep = if top >= -1022 { 53 } else { 53 - (-1022 - top) };
    if keep < 0 {
        return 0.0;
    }
    let cut = u32::try_from(64 - keep).unwrap_or(64);
    let kept = bits.checked_shr(cut).unwrap_or(0);
    let rest = bits & (u64::MAX >> (64 - cut));
    let half = 1_u64 << (cut - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    let kept = kept + u64::from(up);
    // `kept` has at most 54 bits and both steps are exact: the power is split to stay in range.
    let power = i32::try_from(exponent + i64::from(cut)).unwrap_or(i32::MIN);
    #[expect(clippy::cast_precision_loss, reason = "at most 2^53 after rounding")]
    let value = kept as f64;
    value * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2)
}

#[cfg(test)]
mod tests {
    use super::{format_g, format_g32, parse};

    /// Answers of Go 1.26 `strconv.ParseFloat(text, 64)`; `None` is an error.
    #[test]
    fn answers_of_go() {
        let cases: &[(&str, Option<f64>)] = &[
            ("1_000", Some(1000.0)),
            ("1_0.5", Some(10.5)),
            ("1e1_0", Some(1e10)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1._5", None),
            ("0x1p4", Some(16.0)),
            ("0X1P4", Some(16.0)),
            ("0x_1p4", Some(16.0)),
            ("0x1_0p1", Some(32.0)),
            ("0x1.8", None),
            ("0x", None),
            ("0xp1", None),
            ("0x1.fffffffffffff7p0", Some(1.999_999_999_999_999_8)),
            ("0x1.fffffffffffff8p0", Some(2.0)),
            ("0xFFFFFFFFFFFFFFFFFp0", Some(2.951_479_051_793_528_3e20)),
            ("0x1p-1074", Some(5e-324)),
            ("0x0.8p-1074", Some(0.0)),
            ("0x1p-1080", Some(0.0)),
            ("0x1p1024", None),
            ("inf", Some(f64::INFINITY)),
            ("+Inf", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("infi", None),
            ("+nan", None),
            ("123e456", None),
            ("1e-999", Some(0.0)),
            ("", None),
            ("+", None),
            (".", None),
            ("1e", None),
            ("1e+5", Some(1e5)),
            ("1E5", Some(1e5)),
            ("0b11", None),
            ("0o7", None),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("+1", Some(1.0)),
            ("-0", Some(0.0)),
            (" 1", None),
            ("1.2.3", None),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), *expected, "{text:?}");
        }
        assert!(parse("NaN").is_some_and(f64::is_nan));
    }

    /// Answers of Go 1.26 `strconv.FormatFloat(value, 'g', -1, 64)` and `…, 32)`.
    #[test]
    fn formats_of_go() {
        let cases = [
            (0.0, "0", "0"),
            (1.5, "1.5", "1.5"),
            (-1.5, "-1.5", "-1.5"),
            (100_000.0, "100000", "100000"),
            (100_000.5, "100000.5", "100000.5"),
            (1e6, "1e+06", "1e+06"),
            (1_234_567.5, "1.2345675e+06", "1.2345675e+06"),
            (1e20, "1e+20", "1e+20"),
            (
                1.234_567_890_123_456_8e29,
                "1.2345678901234568e+29",
                "1.2345679e+29",
            ),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (0.000_123_45, "0.00012345", "0.00012345"),
            (1.5e-7, "1.5e-07", "1.5e-07"),
            (5e-324, "5e-324", "0"),
            (0.1, "0.1", "0.1"),
            (1e300, "1e+300", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ];
        for (value, double, single) in cases {
            assert_eq!((&*format_g(value), &*format_g32(value)), (double, single));
        }
    }
}

//! Sprig's durations. Its times are not here: without `now` there are none to work with.

use std::fmt::Write as _;

use super::super::value::Value;
use super::{Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 2] = [
    exact("duration", 1, |call| {
        let seconds = match call.value(0) {
            Value::Int(seconds) => *seconds,
            Value::String(text) => text.parse().unwrap_or_default(),
            _ => 0,
        };
        written(seconds)
    }),
    exact("durationRound", 1, |call| {
        let nanoseconds = match call.value(0) {
            Value::Int(value) => i128::from(*value),
            Value::String(text) => nanoseconds(text).unwrap_or_default(),
            _ => 0,
        };
        Ok(rounded(nanoseconds).into())
    }),
];

/// Seconds as Go writes durations: `1h0m5s`.
fn written(seconds: i64) -> Result {
    if seconds.checked_mul(NANOSECONDS).is_none() {
        return Err(format!("{seconds} seconds are more than a duration holds"));
    }
    let total = seconds.unsigned_abs();
    let mut text = String::from(if seconds < 0 { "-" } else { "" });
    let (hours, minutes) = (total / 3600, total / 60 % 60);
    if hours > 0 {
        write!(text, "{hours}h").map_err(|error| error.to_string())?;
    }
    if total >= 60 {
        write!(text, "{minutes}m").map_err(|error| error.to_string())?;
    }
    write!(text, "{}s", total % 60).map_err(|error| error.to_string())?;
    Ok(text.into())
}

const NANOSECONDS: i64 = 1_000_000_000;

/// The largest unit that there is more than one whole of, years and months as 365 and 30 days; the
/// sign is dropped.
fn rounded(nanoseconds: i128) -> String {
    const DAY: u128 = 24 * 3600;
    let size = nanoseconds.unsigned_abs();
    let units = [
        ("y", 365 * DAY),
        ("mo", 30 * DAY),
        ("d", DAY),
        ("h", 3600),
        ("m", 60),
        ("s", 1),
    ];
    for (unit, seconds) in units {
        let length = seconds * u128::from(NANOSECONDS.unsigned_abs());
        if size > length {
            return format!("{}{unit}", size / length);
        }
    }
    "0s".to_owned()
}

/// Reads Go's `1h2m3.5s`; none for another form, or for more than 64 bits.
fn nanoseconds(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let mut rest = unsigned;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number * scale;
        rest = next;
    }
    // Only the largest unit is told: a float is exact enough.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fractions of a nanosecond do not count"
    )]
    let total = total as i128;
    let fits = !unsigned.is_empty() && total <= i128::from(i64::MAX);
    fits.then_some(if text.starts_with('-') { -total } else { total })
}

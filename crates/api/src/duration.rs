//! Durations as Go writes and reads them: `1m30s`, `1.5h`, `300ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that remembers how it was written.
///
/// Writing `90s` back as `1m30s` would make the field somebody else's in server-side apply and
/// change a manifest that was only to be exported, so the text is kept and serialized verbatim.
///
/// [`FromStr`] is strict. Deserializing is not: the schema of v1beta1 accepts any text, and one
/// such object must not fail the list it comes in. What such a value is good for is told by
/// [`GoDuration::as_std`] and [`GoDuration::error`].
#[derive(Clone, Debug)]
pub struct GoDuration {
    text: String,
    value: Result<Duration, DurationError>,
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Neither numbers and units, nor `0`.
    #[error("{0:?} is not a duration; write a number and a unit, for example \"30s\" or \"1h15m\"")]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?}; write for example \"{digits}s\" or \"{digits}m\"", digits = trailing_number(.0))]
    MissingUnit(String),
    /// A unit that Go does not have.
    #[error("unknown unit {unit:?} in duration {text:?}; the units are ns, us, ms, s, m and h")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// Longer than 292 years, which is all that 64 bits of nanoseconds hold.
    #[error("duration {0:?} is too long; the longest is about 2562047h")]
    TooLong(String),
    /// Less than nothing.
    #[error("duration {0:?} is negative")]
    Negative(String),
}

impl GoDuration {
    /// What [`GoDuration::as_std`] gives for a text that is no duration: long enough not to spin,
    /// short enough to notice that the object was mended.
    pub const FALLBACK: Duration = Duration::from_secs(600);

    /// The duration as Go's `Duration.String()` writes it.
    pub fn from_std(duration: Duration) -> Self {
        Self {
            text: go_string(duration),
            value: Ok(duration),
        }
    }

    /// The length; [`GoDuration::FALLBACK`] if the text is no duration.
    pub fn as_std(&self) -> Duration {
        self.value.as_ref().copied().unwrap_or(Self::FALLBACK)
    }

    /// Why the text is no duration, if it is none.
    pub fn error(&self) -> Option<&DurationError> {
        self.value.as_ref().err()
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Default for GoDuration {
    fn default() -> Self {
        Self::from_std(Duration::ZERO)
    }
}

/// Equal if written the same: two spellings of one length are two values of the field.
impl PartialEq for GoDuration {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for GoDuration {}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            text: text.to_owned(),
            value: Ok(parse(text)?),
        })
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self::from_std(duration)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = parse(&text);
        Ok(Self { text, value })
    }
}

impl JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Go's limit, 63 bits of nanoseconds.
const MAX_NANOS: u64 = i64::MAX.unsigned_abs();

/// Go's `time.ParseDuration`, without negative results.
fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());

    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }

    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_at(rest, |c| !c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_at(after, |c| !c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) = split_at(after, |c| c == '.' || c.is_ascii_digit());
        let nanos = match unit {
            "" => return Err(DurationError::MissingUnit(text.to_owned())),
            "ns" => 1,
            // The micro sign and the Greek letter are different characters; Go takes both.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            unit => {
                let (text, unit) = (text.to_owned(), unit.to_owned());
                return Err(DurationError::UnknownUnit { text, unit });
            }
        };
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| too_long())?
        };
        total = whole
            .checked_mul(nanos)
            .and_then(|n| n.checked_add(fraction_of(fraction, nanos)))
            .and_then(|n| n.checked_add(total))
            .filter(|n| *n <= MAX_NANOS)
            .ok_or_else(too_long)?;
        rest = after;
    }
    if negative && total > 0 {
        return Err(DurationError::Negative(text.to_owned()));
    }
    Ok(Duration::from_nanos(total))
}

/// The part of a text before the first character of a class, and the rest from there.
fn split_at(text: &str, class: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(class).unwrap_or(text.len()))
}

/// `0.<digits>` of a unit. Go computes it in floating point, with the digits that fit into 63 bits.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0;
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        match value
            .checked_mul(10)
            .and_then(|value| value.checked_add(digit))
        {
            Some(next) if next <= MAX_NANOS => value = next,
            _ => break,
        }
        scale *= 10.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "Go's arithmetic, truncation included; the result is below `unit`"
    )]
    let nanos = (value as f64 * (unit as f64 / scale)) as u64;
    nanos
}

/// The number at the end of a text, for the hint on a missing unit.
fn trailing_number(text: &str) -> &str {
    let start = text.rfind(|c: char| !c.is_ascii_digit() && c != '.');
    start
        .map_or(text, |start| text.get(start..).unwrap_or(text))
        .trim_start_matches(|c: char| !c.is_ascii_digit())
}

/// Go's `Duration.String()`: `1m0s`, `1.5s`, `761.801712ms`, `0s`.
///
/// What Go cannot hold (more than 292 years) is written in the same way.
pub fn go_string(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", decimal(nanos, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / 10^digits` without trailing zeros.
fn decimal(value: u128, digits: u32) -> String {
    let scale = 10u128.pow(digits);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0width$}", width = digits as usize);
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;

    #[test]
    fn parses_what_go_parses() {
        let table = [
            ("0", 0),
            ("0s", 0),
            ("-0", 0),
            ("-0s", 0),
            ("+5s", 5 * S),
            ("1m0s", 60 * S),
            ("10m0s", 600 * S),
            ("1h", 3600 * S),
            ("1h15m30.918273645s", 4_530_918_273_645),
            ("1.5h", 5400 * S),
            (".5s", 500 * MS),
            ("5.s", 5 * S),
            ("100ms", 100 * MS),
            ("761.801712ms", 761_801_712),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("39h9m14.425s", 140_954_425 * MS),
            ("0.3333333333333333333h", 1200 * S),
            ("9007199254.740993ms", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX.unsigned_abs()),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.100000000000000000000h", 360 * S),
            ("0.830103483285477580700h", 2_988_372_539_827),
        ];
        for (text, nanos) in table {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.as_std(), Duration::from_nanos(nanos), "{text}");
            assert_eq!(duration.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        let table = [
            ("", "is not a duration"),
            (".", "is not a duration"),
            ("-", "is not a duration"),
            ("s", "is not a duration"),
            (".s", "is not a duration"),
            ("+.s", "is not a duration"),
            ("--5s", "is not a duration"),
            (" 5s", "is not a duration"),
            (
                "60",
                "missing unit in duration \"60\"; write for example \"60s\" or \"60m\"",
            ),
            ("1h30", "\"30s\" or \"30m\""),
            ("1d", "unknown unit \"d\""),
            ("5S", "unknown unit \"S\""),
            ("5s ", "unknown unit \"s \""),
            ("3000000h", "too long"),
            ("9223372036854775808ns", "too long"),
            ("99999999999999999999s", "too long"),
            ("-5m", "is negative"),
        ];
        for (text, message) in table {
            let error = text.parse::<GoDuration>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn writes_what_go_writes() {
        let table = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (761_801_712, "761.801712ms"),
            (1_500 * MS, "1.5s"),
            (2_536_346_081, "2.536346081s"),
            (60 * S, "1m0s"),
            (305_001 * MS, "5m5.001s"),
            (600 * S, "10m0s"),
            (3_600 * S, "1h0m0s"),
            (18_367_001 * MS, "5h6m7.001s"),
            (i64::MAX.unsigned_abs(), "2562047h47m16.854775807s"),
        ];
        for (nanos, text) in table {
            assert_eq!(go_string(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn an_odd_value_is_read_and_written_back() {
        let odd: GoDuration = serde_json::from_str("\"1 hour\"").unwrap();
        assert_eq!(odd.as_std(), GoDuration::FALLBACK);
        assert!(odd.error().is_some());
        assert_eq!(serde_json::to_string(&odd).unwrap(), "\"1 hour\"");
    }

    #[test]
    fn the_spelling_is_kept() {
        let duration: GoDuration = serde_json::from_str("\"90s\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"90s\"");
        assert_ne!(duration, GoDuration::from_std(Duration::from_secs(90)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn round_trip(nanos in 0..=MAX_NANOS) {
            let duration = Duration::from_nanos(nanos);
            let parsed: GoDuration = go_string(duration).parse().unwrap();
            // Go reads the fraction in floating point, which is exact to the nanosecond for what
            // it writes itself: at most nine digits.
            prop_assert_eq!(parsed.as_std(), duration);
        }

        #[test]
        fn never_panics(text in "[-+0-9.a-z\u{b5}]{0,24}") {
            let _ = text.parse::<GoDuration>();
        }
    }
}

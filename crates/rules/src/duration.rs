//! Durations as the Flux schemas accept them, judged for a reader.

use std::time::Duration;

use crate::rule::Report;
use crate::subject::Subject;
use crate::text::quote;

/// Which units a field accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    /// `ms`, `s`, `m` and `h`: intervals, and the timeout of a Kustomization.
    UpToHours,
    /// `ms`, `s` and `m`: timeouts of sources and image repositories.
    UpToMinutes,
}

/// Reads `([0-9]+(\.[0-9]+)?(ms|s|m|h))+`.
pub(crate) fn parse(text: &str, units: Units) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() || text.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let (seconds, unit) = match tail.as_bytes() {
            [b'm', b's', ..] => (0.001, 2),
            [b's', ..] => (1.0, 1),
            [b'm', ..] => (60.0, 1),
            [b'h', ..] if units == Units::UpToHours => (3600.0, 1),
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = tail.get(unit..)?;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// The value of a duration field that is set, can be judged and is well formed.
pub(crate) fn field(subject: Subject<'_>, pointer: &str, units: Units) -> Option<Duration> {
    parse(subject.text(pointer)?, units)
}

/// Reports a duration that the schema would refuse with nothing but its pattern.
pub(crate) fn check_format(
    subject: Subject<'_>,
    pointer: &str,
    units: Units,
    report: &mut Report<'_>,
) {
    let Some(value) = subject.get(pointer) else {
        return;
    };
    let shown = match value.as_str() {
        Some(text) if text.contains("${") || parse(text, units).is_some() => return,
        Some(text) => text.to_owned(),
        // An unquoted number: the schema would complain about its type.
        None => value.to_string(),
    };
    let known = match units {
        Units::UpToHours => "ms, s, m and h",
        Units::UpToMinutes => "ms, s and m",
    };
    let instead = suggestion(&shown, units);
    report.error(
        pointer,
        format!(
            "{} {} is not a duration. Write numbers with the units {known}{}.",
            crate::finding::dotted(pointer),
            quote(&shown),
            instead.as_deref().map_or_else(
                || ", such as \"30s\" or \"5m0s\"".to_owned(),
                |instead| format!(": {}", quote(instead))
            )
        ),
    );
    if let Some(instead) = instead {
        report.fix(instead);
    }
}

/// Reports an interval of zero, after which a controller never looks again.
pub(crate) fn check_zero(
    subject: Subject<'_>,
    pointer: &str,
    instead: &str,
    report: &mut Report<'_>,
) {
    if field(subject, pointer, Units::UpToHours).is_some_and(|interval| interval.is_zero()) {
        report.error(
            pointer,
            format!(
                "{} 0 switches polling off for ever. Set at least {instead}.",
                crate::finding::dotted(pointer)
            ),
        );
    }
}

/// What was probably meant.
fn suggestion(text: &str, units: Units) -> Option<String> {
    let compact: String = text.to_ascii_lowercase().split_whitespace().collect();
    let end = compact
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(compact.len());
    let (number, unit) = compact.split_at(end);
    let number: u64 = number.parse().ok()?;
    let hours = |hours: u64| match units {
        Units::UpToHours => format!("{hours}h"),
        Units::UpToMinutes => format!("{}m", hours * 60),
    };
    match unit {
        "" | "sec" | "secs" | "second" | "seconds" => Some(format!("{number}s")),
        "min" | "mins" | "minute" | "minutes" => Some(format!("{number}m")),
        "h" | "hour" | "hours" => number.checked_mul(60).map(|_| hours(number)),
        "d" | "day" | "days" => number.checked_mul(24 * 60).map(|_| hours(number * 24)),
        "m" | "s" | "ms" => Some(compact.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_schema() {
        let good = [
            ("5m0s", 300.0),
            ("1h30m", 5400.0),
            ("1.5s", 1.5),
            ("250ms", 0.25),
            ("0s", 0.0),
        ];
        for (text, seconds) in good {
            let parsed = parse(text, Units::UpToHours);
            assert_eq!(parsed, Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in [
            "", "60", "1d", "5 min", ".5s", "1.s", "-1m", "1m5", "m", "1..5s",
        ] {
            assert_eq!(parse(text, Units::UpToHours), None, "{text}");
        }
        assert_eq!(parse("1h", Units::UpToMinutes), None);
    }

    #[test]
    fn what_was_meant_is_offered() {
        let table = [
            ("60", Units::UpToHours, Some("60s")),
            ("1d", Units::UpToHours, Some("24h")),
            ("5 min", Units::UpToHours, Some("5m")),
            ("1h", Units::UpToMinutes, Some("60m")),
            ("often", Units::UpToHours, None),
            ("99999999999999999999d", Units::UpToHours, None),
        ];
        for (text, units, expected) in table {
            assert_eq!(suggestion(text, units).as_deref(), expected, "{text}");
        }
    }
}

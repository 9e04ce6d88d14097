//! Interval and timeout of a GitRepository.

use std::time::Duration;

use serde_json::json;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::finding::{Default, Severity};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;

const INTERVAL: &str = "/spec/interval";
const TIMEOUT: &str = "/spec/timeout";

/// Below this, hosting services begin to limit the rate of requests.
const BUSY: Duration = Duration::from_secs(30);

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR30",
        title: "no interval",
        reason: "The schema requires spec.interval.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo'}",
                &["spec.interval is required and missing: 5m is used. Set it."],
            ),
            Example::good("spec: {url: 'https://github.com/org/repo', interval: 1m}"),
        ],
        check: missing,
        fill: Some(fill),
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR31",
        title: "not a duration",
        reason: "The schema refuses it and shows only its pattern. There are no days, and a timeout has no hours.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 1d, timeout: 1h}",
                &[
                    r#"spec.interval "1d" is not a duration. Write numbers with the units ms, s, m and h: "24h"."#,
                    r#"spec.timeout "1h" is not a duration. Write numbers with the units ms, s and m: "60m"."#,
                ],
            ),
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 60}",
                &[
                    r#"spec.interval "60" is not a duration. Write numbers with the units ms, s, m and h: "60s"."#,
                ],
            ),
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 1h30m, timeout: 90s}",
            ),
            Example::good("spec: {url: 'https://github.com/org/repo', interval: '${INTERVAL}'}"),
        ],
        check: format,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR32",
        title: "interval of zero",
        reason: "The controller never looks again after the first fetch.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 0s}",
                &["spec.interval 0 switches polling off for ever. Set at least 30s; 5m is usual."],
            ),
            Example::good("spec: {url: 'https://github.com/org/repo', interval: 5m}"),
        ],
        check: zero,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR33",
        title: "hasty interval, patient timeout",
        reason: "Hosting services limit the rate of requests; a fetch may still run when the next one is due.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5s}",
                &[
                    "spec.interval 5s asks the server every 5s, which hosting services may limit. 1m to 10m is usual.",
                ],
            ),
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 1m, timeout: 5m}",
                &[
                    "spec.timeout 5m is longer than spec.interval 1m: a slow fetch delays the next ones.",
                ],
            ),
            // The schema's own default of 60s is nobody's mistake.
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 30s, timeout: 60s}",
            ),
        ],
        check: proportion,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
];

fn missing(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !fill(subject).is_empty() {
        report.warning(
            INTERVAL,
            "spec.interval is required and missing: 5m is used. Set it.",
        );
    }
}

fn fill(subject: Subject<'_>) -> Vec<Default> {
    Default::absent(subject, INTERVAL, json!("5m"))
}

fn format(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    duration::check_format(subject, INTERVAL, Units::UpToHours, report);
    duration::check_format(subject, TIMEOUT, Units::UpToMinutes, report);
}

fn zero(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    duration::check_zero(subject, INTERVAL, "30s; 5m is usual", report);
}

fn proportion(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(interval) = duration::field(subject, INTERVAL, Units::UpToHours) else {
        return;
    };
    let Some(shown) = subject.text(INTERVAL) else {
        return;
    };
    if !interval.is_zero() && interval < BUSY {
        report.warning(
            INTERVAL,
            format!(
                "spec.interval {shown} asks the server every {shown}, which hosting services may \
                 limit. 1m to 10m is usual."
            ),
        );
    }
    let Some(timeout) = duration::field(subject, TIMEOUT, Units::UpToMinutes) else {
        return;
    };
    let Some(limit) = subject.text(TIMEOUT) else {
        return;
    };
    if timeout > interval && !interval.is_zero() && limit != "60s" {
        report.warning(
            TIMEOUT,
            format!(
                "spec.timeout {limit} is longer than spec.interval {shown}: a slow fetch delays \
                 the next ones."
            ),
        );
    }
}

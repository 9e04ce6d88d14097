//! Intervals, timeouts and `spec.prune`.

use std::time::Duration;

use serde_json::json;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::finding::{Default, Severity};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;

const INTERVAL: &str = "/spec/interval";
const PRUNE: &str = "/spec/prune";

/// Below this the API server is busy with repeated dry runs.
const BUSY: Duration = Duration::from_secs(30);

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KS03",
        title: "no decision about pruning",
        reason: "The schema requires spec.prune. The safe choice is false: what disappears from Git stays in the cluster.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 10m, path: ./foo, sourceRef: {kind: GitRepository, name: apps}}",
                &[
                    "spec.prune is required and missing: false is used, so nothing is ever deleted. Set it.",
                ],
            ),
            Example::good(
                "spec: {interval: 10m, path: ./foo, prune: true, sourceRef: {kind: GitRepository, name: apps}}",
            ),
        ],
        check: no_prune,
        fill: Some(|subject| Default::absent(subject, PRUNE, json!(false))),
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS10",
        title: "not a duration",
        reason: "The schema refuses it and shows only its pattern. There are no days.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 1d, retryInterval: 2 min, prune: true}",
                &[
                    r#"spec.interval "1d" is not a duration. Write numbers with the units ms, s, m and h: "24h"."#,
                    r#"spec.retryInterval "2 min" is not a duration. Write numbers with the units ms, s, m and h: "2m"."#,
                ],
            ),
            Example::good("spec: {interval: 10m, timeout: 1h, prune: true}"),
        ],
        check: format,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS20",
        title: "no interval",
        reason: "The schema requires spec.interval.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {prune: true}",
                &["spec.interval is required and missing: 10m is used. Set it."],
            ),
            Example::good("spec: {interval: 10m, prune: true}"),
        ],
        check: no_interval,
        fill: Some(|subject| Default::absent(subject, INTERVAL, json!("10m"))),
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS21",
        title: "interval of zero",
        reason: "Drift is never corrected and nothing is retried.",
        examples: &[
            Example::bad(
                "spec: {interval: 0s, prune: true}",
                &["spec.interval 0 switches polling off for ever. Set at least 1m; 10m is usual."],
            ),
            Example::good("spec: {interval: 1m0s, prune: true}"),
        ],
        check: |subject, _, report| {
            duration::check_zero(subject, INTERVAL, "1m; 10m is usual", report);
        },
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS22",
        title: "hasty interval",
        reason: "Every interval everything is built and compared again; new commits are noticed without it.",
        examples: &[
            Example::bad(
                "spec: {interval: 5s, prune: true}",
                &[
                    "spec.interval 5s compares everything every 5s. New commits are noticed without it; 10m is usual.",
                ],
            ),
            Example::good("spec: {interval: 1m0s, prune: true}"),
        ],
        check: hasty,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
];

fn no_prune(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !Default::absent(subject, PRUNE, json!(false)).is_empty() {
        report.warning(
            PRUNE,
            "spec.prune is required and missing: false is used, so nothing is ever deleted. Set \
             it.",
        );
    }
}

fn no_interval(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !Default::absent(subject, INTERVAL, json!("10m")).is_empty() {
        report.warning(
            INTERVAL,
            "spec.interval is required and missing: 10m is used. Set it.",
        );
    }
}

fn format(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for pointer in [INTERVAL, "/spec/retryInterval", "/spec/timeout"] {
        duration::check_format(subject, pointer, Units::UpToHours, report);
    }
}

fn hasty(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(interval) = duration::field(subject, INTERVAL, Units::UpToHours) else {
        return;
    };
    if !interval.is_zero() && interval < BUSY {
        let shown = subject.text(INTERVAL).unwrap_or_default();
        report.warning(
            INTERVAL,
            format!(
                "spec.interval {shown} compares everything every {shown}. New commits are noticed \
                 without it; 10m is usual."
            ),
        );
    }
}

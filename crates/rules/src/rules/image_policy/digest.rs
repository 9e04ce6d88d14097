//! `spec.digestReflectionPolicy` and its interval.

use serde_json::json;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::finding::{Default, Severity};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;

const DIGEST: &str = "/spec/digestReflectionPolicy";
const INTERVAL: &str = "/spec/interval";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP31",
        title: "interval and digests do not go together",
        reason: "The schema wants spec.interval with digestReflectionPolicy Always, and only then.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, interval: 5m}",
                &[
                    "spec.interval is only allowed with spec.digestReflectionPolicy: Always. Remove it: a policy follows the scans of its ImageRepository.",
                ],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, digestReflectionPolicy: Always, interval: 5m}",
            ),
        ],
        check: unwanted,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
    Rule {
        id: "IP32",
        title: "no interval for digests",
        reason: "The schema requires spec.interval with digestReflectionPolicy Always.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, digestReflectionPolicy: Always}",
                &[
                    "spec.interval is required with digestReflectionPolicy Always and missing: 10m is used. Set it.",
                ],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, digestReflectionPolicy: IfNotPresent}",
            ),
        ],
        check: missing,
        fill: Some(fill),
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP33",
        title: "not a duration",
        reason: "The schema refuses it and shows only its pattern.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, digestReflectionPolicy: Always, interval: 1d}",
                &[
                    r#"spec.interval "1d" is not a duration. Write numbers with the units ms, s, m and h: "24h"."#,
                ],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {alphabetical: {order: asc}}, digestReflectionPolicy: Always, interval: 24h}",
            ),
        ],
        check: |subject, _, report| {
            duration::check_format(subject, INTERVAL, Units::UpToHours, report);
        },
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
];

fn unwanted(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let policy = subject.get(DIGEST).and_then(serde_json::Value::as_str);
    let open = policy.is_some_and(|policy| policy == "Always" || policy.contains("${"));
    if subject.has(INTERVAL) && !open {
        report.error(
            INTERVAL,
            "spec.interval is only allowed with spec.digestReflectionPolicy: Always. Remove it: a \
             policy follows the scans of its ImageRepository.",
        );
    }
}

fn missing(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !fill(subject).is_empty() {
        report.warning(
            INTERVAL,
            "spec.interval is required with digestReflectionPolicy Always and missing: 10m is \
             used. Set it.",
        );
    }
}

fn fill(subject: Subject<'_>) -> Vec<Default> {
    if subject.text(DIGEST) == Some("Always") {
        Default::absent(subject, INTERVAL, json!("10m"))
    } else {
        Vec::new()
    }
}

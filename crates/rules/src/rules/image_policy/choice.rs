//! `spec.policy`: how the latest tag is chosen.

use flux_lang::semver::Constraint;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::{listing, quote};

const POLICY: &str = "/spec/policy";
pub(super) const RANGE: &str = "/spec/policy/semver/range";

/// In the order in which the controller looks.
const CHOICES: [&str; 3] = ["semver", "alphabetical", "numerical"];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP01",
        title: "no policy",
        reason: "Without one of the three there is nothing to choose by; the controller stalls.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {}}",
                &["spec.policy is empty: set exactly one of semver, alphabetical and numerical."],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {numerical: {order: asc}}}",
            ),
        ],
        check: none,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
    Rule {
        id: "IP02",
        title: "several policies",
        reason: "Only the first of semver, alphabetical and numerical is used, silently.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {numerical: {order: asc}, semver: {range: 1.x}}}",
                &["spec.policy sets semver and numerical; only semver is used. Keep one."],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 1.x}}}",
            ),
        ],
        strict: true,
        check: several,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP03",
        title: "unreadable version range",
        reason: "The range is parsed at every reconciliation, so nothing is ever selected.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: newest}}}",
                &[
                    r#"spec.policy.semver.range "newest" is not a version range. Examples: ">=1.0.0", "1.x", "~1.4", ">=1.0.0-0" (with pre-releases)."#,
                ],
            ),
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: ''}}}",
                &[
                    r#"spec.policy.semver.range "" is not a version range. Examples: ">=1.0.0", "1.x", "~1.4", ">=1.0.0-0" (with pre-releases)."#,
                ],
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0 <2.0.0-0'}}}",
            ),
        ],
        check: range,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
];

/// The policy that the controller uses, e.g. `numerical`.
pub(super) fn chosen(subject: Subject<'_>) -> Option<&'static str> {
    subject.set_among(POLICY, &CHOICES).first().copied()
}

fn none(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if subject.has(POLICY) && chosen(subject).is_none() {
        report.error(
            POLICY,
            "spec.policy is empty: set exactly one of semver, alphabetical and numerical.",
        );
    }
}

fn several(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let set = subject.set_among(POLICY, &CHOICES);
    if let [first, _, ..] = set.as_slice() {
        report.warning(
            POLICY,
            format!(
                "spec.policy sets {}; only {first} is used. Keep one.",
                listing(&set)
            ),
        );
    }
}

fn range(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(range) = subject.text(RANGE) else {
        return;
    };
    if Constraint::parse(range).is_err() {
        report.error(
            RANGE,
            format!(
                "spec.policy.semver.range {} is not a version range. Examples: \">=1.0.0\", \
                 \"1.x\", \"~1.4\", \">=1.0.0-0\" (with pre-releases).",
                quote(range)
            ),
        );
    }
}

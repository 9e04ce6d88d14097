//! The keys that tags are compared by, and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use flux_lang::gonumber;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

use super::choice::chosen;
use super::pattern::{Filter, PATTERN};
use super::preview::tags;

/// Digits up to which every whole number is exact in a float: 2^53 has 16.
const EXACT_DIGITS: usize = 16;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP16",
        title: "key that is not a number",
        reason: "A numerical policy fails as a whole on the first key that is not a number.",
        examples: &[
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^main-\d+$'}}",
                &[
                    r#"policy.numerical needs numbers, but this filter can yield "main-1"; one such tag makes the whole policy fail. Capture digits only: ...(?P<n>\d+)$ with extract: '$n'."#,
                ],
            ),
            Example::good(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^main-(?P<n>\d+)$', extract: '$n'}}",
            ),
            Example::good(r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d\d'}}"),
            Example::good(r"spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^main-\d+$'}}"),
        ],
        check: not_a_number,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP17",
        title: "pattern that is not anchored",
        reason: "The pattern is searched anywhere in a tag, so it lets more through than it seems to.",
        examples: &[
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d', extract: ''}}",
                &[
                    r#"spec.filterTags.pattern "\d\.\d" is not anchored: it matches anywhere in a tag, so "2.51" passes for its "2.5". Describe the whole tag between ^ and $."#,
                ],
            )
            .given(AGNHOST),
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d\d', extract: ''}}",
                &[
                    r#"spec.filterTags.pattern "\d\.\d\d" is not anchored: it matches anywhere in a tag, so "x1.11-y" passes for its "1.11". Describe the whole tag between ^ and $."#,
                ],
            ),
            // With a group of its own the key is exact: only a note.
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^main-[a-f0-9]+-(?P<ts>[0-9]+)', extract: '$ts'}}",
                &[
                    r#"spec.filterTags.pattern "^main-[a-f0-9]+-(?P<ts>[0-9]+)" is not anchored: it matches anywhere in a tag, so "main-1-1-y" passes for its "main-1-1". Describe the whole tag between ^ and $."#,
                ],
            ),
            Example::good(r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^\d\.\d\d$'}}"),
            Example::good(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^main-[a-f0-9]+-(?P<ts>.*)', extract: '$ts'}}",
            ),
        ],
        check: not_anchored,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP18",
        title: "versions compared as decimals",
        reason: "As a number 2.9 is greater than 2.51.",
        examples: &[
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^\d+\.\d+$'}}",
                &[
                    r#"Numerical order compares decimals: 2.9 beats 2.51. For versions use pattern '^(?P<maj>\d+)\.(?P<min>\d+)$', extract '$maj.$min.0' and policy.semver.range '>=0.0.0'."#,
                ],
            ),
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d', extract: ''}}",
                &[
                    r#"Numerical order compares decimals: 2.9 beats 2.51. For versions use pattern '^(?P<maj>\d+)\.(?P<min>\d+)$', extract '$maj.$min.0' and policy.semver.range '>=0.0.0'."#,
                ],
            ),
            Example::good(r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^\d\.\d\d$'}}"),
            Example::good(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^build-(?P<n>\d+)$', extract: '$n'}}",
            ),
        ],
        check: decimals,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP19",
        title: "number too long to be exact",
        reason: "Above 2^53 neighbouring numbers are the same float, so their order is lost.",
        examples: &[
            Example::bad(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^(?P<ts>\d{17})$', extract: '$ts'}}",
                &["Numbers of 17 digits are not exact as floats: neighbours count as equal. Use policy.alphabetical for timestamps of a fixed width."],
            ),
            Example::good(
                r"spec: {policy: {numerical: {order: asc}}, filterTags: {pattern: '^(?P<ts>\d{14})$', extract: '$ts'}}",
            ),
        ],
        check: imprecise,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP20",
        title: "two tags with the same key",
        reason: "Flux keeps one of them at random; this operator always the same one.",
        examples: &[
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^(?P<major>\d+)\.', extract: '$major'}}",
                &[
                    r#"Tags "2.9" and "2.51" both become "2": Flux keeps one of them at random. Extract enough to tell tags apart."#,
                ],
            )
            .given(AGNHOST),
            Example::good(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^2\.(?P<minor>\d+)$', extract: '$minor'}}",
            )
            .given(AGNHOST),
        ],
        check: same_key,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP21",
        title: "numbers compared as text",
        reason: "As text 9 comes after 10.",
        examples: &[
            Example::bad(
                r"spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^build-(?P<n>\d+)$', extract: '$n'}}",
                &["Alphabetical order compares character by character: 9 beats 10. Use policy.numerical for numbers of different length."],
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^(?P<ts>\d{14})$', extract: '$ts'}}",
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^main-(?P<ts>.*)', extract: '$ts'}}",
            ),
        ],
        check: numbers_as_text,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP22",
        title: "only one tag can match",
        reason: "A tag that moves is never newer than itself; what changes is its digest.",
        examples: &[
            Example::bad(
                "spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^latest$'}}",
                &[r#"Only the tag "latest" can match, so no newer one is ever selected. Use versioned tags, or set digestReflectionPolicy: Always."#],
            ),
            Example::good(
                "spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^latest$'}, digestReflectionPolicy: Always, interval: 10m}",
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^v\d$'}}",
            ),
        ],
        check: one_tag,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
];

/// A repository whose newest tags are not its greatest numbers.
pub(super) const AGNHOST: &str = "
kind: ImageRepository
metadata: {name: agnhost, namespace: apps}
status:
  lastScanResult:
    latestTags: ['2.9', '2.51', '2.50', '2.48', '2.47', '2.45', '2.44', '2.43', '2.41', '2.40']
    tagCount: 27
";

/// The filter, if the policy compares numbers.
fn numerical(subject: Subject<'_>) -> Option<Filter<'_>> {
    if chosen(subject) == Some("numerical") {
        Filter::of(subject)
    } else {
        None
    }
}

/// The digits after the point, if the key is a plain decimal.
fn fraction(key: &str) -> Option<usize> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = key.split_once('.')?;
    (digits(whole) && digits(fraction)).then_some(fraction.len())
}

fn not_a_number(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = numerical(subject) else {
        return;
    };
    let mut keys = filter.samples().iter().filter_map(|tag| filter.key(tag));
    let bad = keys.find(|key| gonumber::parse(key).is_none());
    // An unknown group also yields no number, and has a rule of its own.
    if let Some(key) = bad.filter(|_| filter.regex.unknown_groups(filter.extract).is_empty()) {
        report.warning(
            PATTERN,
            format!(
                "policy.numerical needs numbers, but this filter can yield {}; one such tag makes \
                 the whole policy fail. Capture digits only: ...(?P<n>\\d+)$ with extract: '$n'.",
                quote(&key)
            ),
        );
    }
}

fn not_anchored(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(filter) = Filter::of(subject) else {
        return;
    };
    let (start, end) = filter.anchors();
    if start && end {
        return;
    }
    let part = |tag: &str| {
        filter
            .regex
            .expand_first(tag, "$0")
            .filter(|part| !part.is_empty() && part != tag)
    };
    let scanned = tags(subject, context)
        .present()
        .map(|tags| tags.known)
        .unwrap_or_default();
    let made_up = filter.samples().iter().map(|sample| {
        format!(
            "{}{sample}{}",
            if start { "" } else { "x" },
            if end { "" } else { "-y" }
        )
    });
    // Without an example that shows it there is nothing to complain about.
    let Some((tag, part)) = scanned
        .into_iter()
        .chain(made_up)
        .find_map(|tag| part(&tag).map(|part| (tag, part)))
    else {
        return;
    };
    // Where the whole tag is the key, letting too much through changes the order.
    let whole_tag = filter.extract.is_empty();
    let severity = match chosen(subject) {
        Some("numerical") if whole_tag => Severity::Warning,
        Some("alphabetical") if whole_tag && !start => Severity::Warning,
        _ => Severity::Note,
    };
    report.add(
        severity,
        PATTERN,
        format!(
            "spec.filterTags.pattern {} is not anchored: it matches anywhere in a tag, so {} \
             passes for its {}. Describe the whole tag between ^ and $.",
            quote(filter.pattern),
            quote(&tag),
            quote(&part)
        ),
    );
}

fn decimals(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = numerical(subject) else {
        return;
    };
    let fractions: Vec<usize> = filter
        .samples()
        .iter()
        .filter_map(|tag| filter.key(tag))
        .filter_map(|key| fraction(&key))
        .collect();
    let (Some(fewest), Some(most)) = (fractions.iter().min(), fractions.iter().max()) else {
        return;
    };
    let (_, end) = filter.anchors();
    let open = filter.extract.is_empty() && !end;
    if fewest != most || open {
        report.warning(
            PATTERN,
            r"Numerical order compares decimals: 2.9 beats 2.51. For versions use pattern '^(?P<maj>\d+)\.(?P<min>\d+)$', extract '$maj.$min.0' and policy.semver.range '>=0.0.0'.",
        );
    }
}

fn imprecise(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = numerical(subject) else {
        return;
    };
    let digits = filter
        .samples()
        .iter()
        .filter_map(|tag| filter.key(tag))
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|key| key.len())
        .max();
    if let Some(digits) = digits.filter(|&digits| digits > EXACT_DIGITS) {
        report.warning(
            PATTERN,
            format!(
                "Numbers of {digits} digits are not exact as floats: neighbours count as equal. \
                 Use policy.alphabetical for timestamps of a fixed width."
            ),
        );
    }
}

fn same_key(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(filter) = Filter::of(subject) else {
        return;
    };
    if !filter.regex.unknown_groups(filter.extract).is_empty() {
        return;
    }
    let Some(tags) = tags(subject, context).present() else {
        return;
    };
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for tag in &tags.known {
        let Some(key) = filter.key(tag) else { continue };
        if let Some(first) = seen.get(&key) {
            report.warning(
                PATTERN,
                format!(
                    "Tags {} and {} both become {}: Flux keeps one of them at random. Extract \
                     enough to tell tags apart.",
                    quote(first),
                    quote(tag),
                    quote(&key)
                ),
            );
            return;
        }
        seen.insert(key, tag);
    }
}

fn numbers_as_text(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if chosen(subject) != Some("alphabetical") {
        return;
    }
    let Some(filter) = Filter::of(subject) else {
        return;
    };
    let keys: Vec<String> = filter
        .samples()
        .iter()
        .filter_map(|tag| filter.key(tag))
        .collect();
    let digits = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let lengths: BTreeSet<usize> = keys.iter().map(String::len).collect();
    if keys.iter().all(digits) && lengths.len() > 1 {
        report.warning(
            PATTERN,
            "Alphabetical order compares character by character: 9 beats 10. Use policy.numerical \
             for numbers of different length.",
        );
    }
}

fn one_tag(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    // Somebody who reflects digests follows a moving tag on purpose.
    if subject
        .get("/spec/digestReflectionPolicy")
        .is_some_and(|policy| policy != "Never")
    {
        return;
    }
    let Some(tag) = Filter::of(subject).and_then(|filter| filter.only_tag()) else {
        return;
    };
    report.warning(
        PATTERN,
        format!(
            "Only the tag {} can match, so no newer one is ever selected. Use versioned tags, or \
             set digestReflectionPolicy: Always.",
            quote(&tag)
        ),
    );
}

//! `spec.filterTags`: a pattern and what is extracted with it.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::{listing, quote, regex_error};

use super::pattern::{EXTRACT, Filter, PATTERN, failure};

const FILTER: &str = "/spec/filterTags";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP10",
        title: "unreadable pattern",
        reason: "The pattern is compiled at every reconciliation, so nothing is ever selected. Go's expressions (RE2) have no look-around and no back-references.",
        examples: &[
            Example::bad(
                "spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^v[0-9'}}",
                &[
                    r#"spec.filterTags.pattern is not a regular expression of Go (RE2): missing closing ]: "[0-9" at position 2"#,
                ],
            ),
            Example::good(r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^v\d+$'}}"),
        ],
        check: unreadable,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
    Rule {
        id: "IP11",
        title: "pattern that is too large",
        reason: "Patterns are read as Go reads them, within limits: the compiled form may take 1 MiB here and 10 MiB in the operator.",
        examples: &[
            Example::bad(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^\pL{1000}$'}}",
                &[
                    "spec.filterTags.pattern is too large to be checked, and perhaps to be used by this operator. Repeat less in it: a tag has at most 128 characters.",
                ],
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^\Qv1.\E\d+$'}}",
            ),
        ],
        check: too_large,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP12",
        title: "group that does not exist",
        reason: "An unknown group is empty: every tag gets the same empty key, or no number at all.",
        examples: &[
            Example::bad(
                r"spec: {policy: {numerical: {}}, filterTags: {pattern: '^main-(?P<ts>\d+)$', extract: '$time'}}",
                &[
                    r#"spec.filterTags.extract "$time": the pattern has no group "time" (it has ts), so every tag becomes empty. Name a group: (?P<time>...)."#,
                ],
            ),
            Example::bad(
                r"spec: {policy: {numerical: {}}, filterTags: {pattern: '^main-\d+$', extract: '$1'}}",
                &[
                    r#"spec.filterTags.extract "$1": the pattern has no group "1" (it has none), so every tag becomes empty. Put parentheses around what is to be compared."#,
                ],
            ),
            Example::good(
                r"spec: {policy: {numerical: {}}, filterTags: {pattern: '^main-(?P<ts>\d+)$', extract: '$ts'}}",
            ),
            Example::good(
                r"spec: {policy: {numerical: {}}, filterTags: {pattern: '^main-(\d+)$', extract: '$1'}}",
            ),
        ],
        check: unknown_group,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
    Rule {
        id: "IP13",
        title: "group name that swallows what follows",
        reason: "After $ Go takes the longest run of letters, digits and underscores as the name.",
        examples: &[
            Example::bad(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^(\d+)-(\d+)$', extract: '$1_$2'}}",
                &[
                    r#"spec.filterTags.extract "$1_$2": Go reads "1_" as the name of a group. Write "${1}_"."#,
                ],
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^(\d+)-(\d+)$', extract: '$1.$2'}}",
            ),
        ],
        check: swallowed,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
    Rule {
        id: "IP14",
        title: "named group that is not used",
        reason: "Without extract the whole tag is compared, whatever the pattern captures.",
        examples: &[
            Example::bad(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^main-(?P<ts>\d+)$'}}",
                &[
                    "spec.filterTags.pattern captures ts, but extract is empty: the whole tag is compared. Set extract: '$ts'.",
                ],
            ),
            Example::good(
                r"spec: {policy: {alphabetical: {}}, filterTags: {pattern: '^main-(a|b)$'}}",
            ),
        ],
        check: unused_group,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP15",
        title: "filter without a pattern",
        reason: "Without a pattern there are no groups to extract, and nothing is filtered.",
        examples: &[
            Example::bad(
                "spec: {policy: {alphabetical: {}}, filterTags: {extract: '$ts'}}",
                &[
                    "spec.filterTags.extract needs spec.filterTags.pattern with a group: without it every tag becomes empty.",
                ],
            ),
            Example::bad(
                "spec: {policy: {alphabetical: {}}, filterTags: {pattern: '', extract: ''}}",
                &["spec.filterTags is empty and filters nothing. Remove it or set a pattern."],
            ),
            Example::good("spec: {policy: {alphabetical: {}}}"),
        ],
        check: no_pattern,
        ..Rule::of(Kind::ImagePolicy, Severity::Error)
    },
];

fn unreadable(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let error = subject.text(PATTERN).and_then(failure);
    if let Some(error) = error.filter(|error| !error.is_limit()) {
        report.error(
            PATTERN,
            format!(
                "spec.filterTags.pattern is not a regular expression of Go (RE2): {}",
                regex_error(&error)
            ),
        );
    }
}

fn too_large(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let error = subject.text(PATTERN).and_then(failure);
    if error.is_some_and(|error| error.is_limit()) {
        report.warning(
            PATTERN,
            "spec.filterTags.pattern is too large to be checked, and perhaps to be used by this operator. Repeat less in it: a tag has at most 128 characters.",
        );
    }
}

/// The longest beginning of an unknown name that is a group, e.g. `1` of `1_`.
fn known_beginning<'n>(filter: &Filter<'_>, name: &'n str) -> Option<&'n str> {
    (1..name.len())
        .rev()
        .filter_map(|end| name.get(..end))
        .find(|name| {
            filter
                .regex
                .unknown_groups(&format!("${{{name}}}"))
                .is_empty()
        })
}

fn unknown_group(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = Filter::of(subject) else {
        return;
    };
    let names: Vec<&str> = filter
        .regex
        .group_names()
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let groups = if !names.is_empty() {
        listing(&names)
    } else if filter.regex.group_names().len() > 1 {
        format!("$1 to ${}", filter.regex.group_names().len() - 1)
    } else {
        "none".to_owned()
    };
    for name in filter.regex.unknown_groups(filter.extract) {
        if known_beginning(&filter, name).is_some() {
            continue;
        }
        let remedy = if name.bytes().all(|byte| byte.is_ascii_digit()) {
            "Put parentheses around what is to be compared.".to_owned()
        } else {
            format!("Name a group: (?P<{name}>...).")
        };
        report.error(
            EXTRACT,
            format!(
                "spec.filterTags.extract {}: the pattern has no group {} (it has {groups}), so \
                 every tag becomes empty. {remedy}",
                quote(filter.extract),
                quote(name)
            ),
        );
    }
}

fn swallowed(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = Filter::of(subject) else {
        return;
    };
    for name in filter.regex.unknown_groups(filter.extract) {
        let Some(group) = known_beginning(&filter, name) else {
            continue;
        };
        let rest = name.strip_prefix(group).unwrap_or_default();
        report.error(
            EXTRACT,
            format!(
                "spec.filterTags.extract {}: Go reads {} as the name of a group. Write \
                 \"${{{group}}}{rest}\".",
                quote(filter.extract),
                quote(name)
            ),
        );
    }
}

fn unused_group(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(filter) = Filter::of(subject).filter(|filter| filter.extract.is_empty()) else {
        return;
    };
    let names: Vec<&str> = filter
        .regex
        .group_names()
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if let [first, ..] = names.as_slice() {
        report.warning(
            PATTERN,
            format!(
                "spec.filterTags.pattern captures {}, but extract is empty: the whole tag is \
                 compared. Set extract: '${first}'.",
                listing(&names)
            ),
        );
    }
}

fn no_pattern(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let empty = |pointer: &str| {
        subject
            .get(pointer)
            .is_none_or(|value| value.as_str().is_some_and(str::is_empty))
    };
    if !subject.has(FILTER) || !empty(PATTERN) {
        return;
    }
    if empty(EXTRACT) {
        report.warning(
            FILTER,
            "spec.filterTags is empty and filters nothing. Remove it or set a pattern.",
        );
    } else {
        report.error(
            EXTRACT,
            "spec.filterTags.extract needs spec.filterTags.pattern with a group: without it every \
             tag becomes empty.",
        );
    }
}

//! Semver policies and the tags that were scanned.

use flux_lang::semver::{Constraint, Version};

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

use super::choice::{RANGE, chosen};
use super::pattern::Filter;
use super::preview::{basis, tags};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP05",
        title: "range that leaves out pre-releases",
        reason: "A range admits pre-releases only if it names one. Silent where the range matches a release.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}",
                &[
                    r#"All scanned tags that fit, such as "1.2.0-rc.2", are pre-releases, and the range ">=1.0.0" leaves those out. Write ">=1.0.0-0"."#,
                ],
            )
            .given(PRE_RELEASES),
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 1.x}}}",
                &[
                    r#"All scanned tags that fit, such as "1.2.0-rc.2", are pre-releases, and the range "1.x" leaves those out. Write "1.x-0"."#,
                ],
            )
            .given(PRE_RELEASES),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0-0'}}}",
            )
            .given(PRE_RELEASES),
            Example::good("spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 0.x}}}")
                .given(PRE_RELEASES),
            Example::good("spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: 2.x}}}")
                .given(PRE_RELEASES),
        ],
        check: pre_releases,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP06",
        title: "tags that are no versions",
        reason: "Flux takes a tag for a version only if it has three numbers. Only a note where not all tags are known.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}",
                &[
                    r#"semver needs MAJOR.MINOR.PATCH, but tags look like "2.51" (all 2 scanned tags). Use pattern '^(?P<maj>\d+)\.(?P<min>\d+)$' and extract '$maj.$min.0'."#,
                ],
            )
            .given(
                "{kind: ImageRepository, metadata: {name: app, namespace: apps}, status: {lastScanResult: {latestTags: ['2.51', '2.9'], tagCount: 2}}}",
            ),
            Example::bad(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}",
                &[
                    r#"semver needs MAJOR.MINOR.PATCH, but tags look like "main" (sample: 1 of 40 scanned tags). Use a numerical or alphabetical policy for them."#,
                ],
            )
            .given(
                "{kind: ImageRepository, metadata: {name: app, namespace: apps}, status: {lastScanResult: {latestTags: [main], tagCount: 40}}}",
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=3.0.0'}}}",
            )
            .given(PRE_RELEASES),
        ],
        check: no_versions,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
];

const PRE_RELEASES: &str = "{kind: ImageRepository, metadata: {name: app, namespace: apps}, status: {lastScanResult: {latestTags: [1.2.0-rc.2, 1.2.0-rc.1, 0.9.0, main], tagCount: 4}}}";

/// The scanned tags that a semver policy looks at, each with its key.
fn keys(subject: Subject<'_>, context: &Context) -> Vec<(String, String)> {
    if chosen(subject) != Some("semver") {
        return Vec::new();
    }
    let filter = Filter::of(subject);
    if subject.has("/spec/filterTags") && filter.is_none() {
        return Vec::new();
    }
    let known = tags(subject, context).present().map(|tags| tags.known);
    let key = |tag: String| match &filter {
        None => Some((tag.clone(), tag)),
        Some(filter) => filter.key(&tag).map(|key| (tag, key)),
    };
    known.into_iter().flatten().filter_map(key).collect()
}

fn pre_releases(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((text, range)) = subject
        .text(RANGE)
        .and_then(|text| Some((text, Constraint::parse(text).ok()?)))
        .filter(|(_, range)| !range.admits_pre_releases())
    else {
        return;
    };
    let versions: Vec<(String, Version)> = keys(subject, context)
        .into_iter()
        .filter_map(|(tag, key)| Some((tag, Version::parse_tag(&key).ok()?)))
        .collect();
    if versions.iter().any(|(_, version)| range.matches(version)) {
        return;
    }
    let Some(open) = admitting(text) else { return };
    let Ok(admits) = Constraint::parse(&open) else {
        return;
    };
    let newest = versions
        .iter()
        .filter(|(_, version)| !version.pre_release().is_empty() && admits.matches(version))
        .max_by(|(_, a), (_, b)| a.cmp(b));
    if let Some((tag, _)) = newest {
        report.warning(
            RANGE,
            format!(
                "All scanned tags that fit, such as {}, are pre-releases, and the range {} leaves \
                 those out. Write {}.",
                quote(tag),
                quote(text),
                quote(&open)
            ),
        );
    }
}

/// The same range with pre-releases: `-0`, the least of them, at each bound. `None` for ranges
/// that are written in another form than bounds beside each other.
fn admitting(range: &str) -> Option<String> {
    if range.contains(" - ") {
        return None;
    }
    let bound = |word: &str| {
        let version = word.ends_with(|c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X' | '*'));
        if version {
            format!("{word}-0")
        } else {
            word.to_owned()
        }
    };
    let words = range.split(' ').map(|word| match word.strip_suffix(',') {
        Some(word) => bound(word) + ",",
        None => bound(word),
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

fn no_versions(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let keys = keys(subject, context);
    let Some((_, example)) = keys.first() else {
        return;
    };
    if keys.iter().any(|(_, key)| Version::parse_tag(key).is_ok()) {
        return;
    }
    let Some(tags) = tags(subject, context).present() else {
        return;
    };
    let two_numbers = |key: &str| {
        key.split_once('.').is_some_and(|(major, minor)| {
            let digits =
                |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits(major) && digits(minor)
        })
    };
    let remedy = if keys.iter().all(|(_, key)| two_numbers(key)) {
        r"Use pattern '^(?P<maj>\d+)\.(?P<min>\d+)$' and extract '$maj.$min.0'."
    } else {
        "Use a numerical or alphabetical policy for them."
    };
    // A sample proves nothing about the other tags.
    let severity = if tags.known.len() < tags.total {
        Severity::Note
    } else {
        Severity::Warning
    };
    report.add(
        severity,
        RANGE,
        format!(
            "semver needs MAJOR.MINOR.PATCH, but tags look like {} ({}). {remedy}",
            quote(example),
            basis(&tags)
        ),
    );
}

//! Which tag a policy selects now.

use std::cmp::Ordering;

use flux_api::ImagePolicySpec;
use flux_image::policy::Selector;
use flux_lang::gonumber;
use flux_lang::semver::Version;
use serde::Deserialize as _;

use crate::context::Context;
use crate::facts::{Fact, Tags};
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

use super::choice::chosen;
use super::keys::AGNHOST;
use super::pattern::Filter;

const SPEC: &str = "/spec";
const POLICY: &str = "/spec/policy";
const REPOSITORY: &str = "/spec/imageRepositoryRef";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IP23",
        title: "what is selected now",
        reason: "The tag that comes out says more than the policy. The status of an ImageRepository names ten tags at most: with more, the answer is from a sample.",
        examples: &[
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d', extract: ''}}",
                &[
                    r#"This policy selects "2.9" and not "2.51" (sample: 10 of 27 scanned tags): as a number 2.9 is the greater one."#,
                ],
            )
            .given(AGNHOST),
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}}",
                &[
                    r#"This policy selects "2.9" and not "2.51" (sample: 10 of 27 scanned tags): as text 2.9 is the greater one."#,
                ],
            )
            .given(AGNHOST),
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d\d', extract: ''}}",
                &[r#"This policy selects "2.51" (sample: 10 of 27 scanned tags)."#],
            )
            .given(AGNHOST),
            Example::bad(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}, filterTags: {pattern: '^v'}}",
                &[r#"This policy matches no tag (sample: 10 of 27 scanned tags), e.g. not "2.9"."#],
            )
            .given(AGNHOST),
            Example::bad(
                r"spec: {imageRepositoryRef: {name: app}, policy: {numerical: {order: asc}}}",
                &[r#"This policy fails on tag "main" (all 2 scanned tags): its key "main" is not a number."#],
            )
            .given(
                "{kind: ImageRepository, metadata: {name: app, namespace: apps}, status: {lastScanResult: {latestTags: [main, '7'], tagCount: 2}}}",
            ),
            Example::good(
                r"spec: {imageRepositoryRef: {name: agnhost}, policy: {numerical: {order: asc}}, filterTags: {pattern: '\d\.\d', extract: ''}}",
            ),
        ],
        check: preview,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
    Rule {
        id: "IP30",
        title: "ImageRepository not there",
        reason: "The policy waits for it. Objects applied together may arrive in any order, so this is only a note.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}}",
                &[r#"ImageRepository "apps/agnhost" does not exist yet: nothing is selected until it was scanned."#],
            )
            .given(""),
            Example::good("spec: {imageRepositoryRef: {name: agnhost}, policy: {alphabetical: {order: asc}}}")
                .given(AGNHOST),
        ],
        check: missing,
        ..Rule::of(Kind::ImagePolicy, Severity::Note)
    },
];

/// Namespace and name of the ImageRepository that a policy refers to.
fn repository(subject: Subject<'_>) -> Option<(&str, &str)> {
    let namespace = format!("{REPOSITORY}/namespace");
    let namespace = if subject.has(&namespace) {
        subject
            .text(&namespace)
            .filter(|namespace| !namespace.is_empty())?
    } else {
        subject.namespace()
    };
    Some((namespace, subject.text(&format!("{REPOSITORY}/name"))?))
}

/// The scanned tags of the ImageRepository that a policy refers to. Only of its own namespace:
/// what others may see of another one is not for an admission answer to say.
pub(super) fn tags(subject: Subject<'_>, context: &Context) -> Fact<Tags> {
    match repository(subject) {
        Some((namespace, name)) if namespace == subject.namespace() => {
            context.facts().tags(namespace, name)
        }
        _ => Fact::Unknown,
    }
}

fn missing(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((namespace, name)) = repository(subject) else {
        return;
    };
    if tags(subject, context) == Fact::Absent {
        report.note(
            REPOSITORY,
            format!(
                "ImageRepository \"{namespace}/{name}\" does not exist yet: nothing is selected \
                 until it was scanned."
            ),
        );
    }
}

/// How much of a repository an answer is from.
pub(super) fn basis(tags: &Tags) -> String {
    let (known, total) = (tags.known.len(), tags.total);
    if known < total {
        format!("sample: {known} of {total} scanned tags")
    } else {
        whole(total)
    }
}

fn whole(total: usize) -> String {
    format!("all {total} scanned tags")
}

fn preview(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let known = tags(subject, context).present();
    let known = known.filter(|tags| !tags.known.is_empty());
    if known.is_none() && context.preview().is_none() {
        return;
    }
    // What cannot be read or judged is another rule's business.
    let Some(spec) = subject
        .get(SPEC)
        .and_then(|spec| ImagePolicySpec::deserialize(spec).ok())
    else {
        return;
    };
    let filter = Filter::of(subject);
    if subject.has("/spec/filterTags") && filter.is_none() {
        return;
    }
    let Ok(selector) = Selector::new(&spec) else {
        return;
    };
    let key = |tag: &str| {
        filter
            .as_ref()
            .map_or_else(|| Some(tag.to_owned()), |f| f.key(tag))
    };
    let names = known.as_ref().map_or(&[][..], |tags| &tags.known);
    if let Some(preview) = context.preview() {
        let basis = whole(preview.total);
        match (&preview.tag, &preview.failure) {
            (Some(tag), _) => selected(tag, newer(subject, tag, names, &key), &basis, report),
            (None, Some(failure)) if preview.total > 0 => report.warning(
                POLICY,
                format!("This policy selects nothing ({basis}): {failure}"),
            ),
            (None, _) => {}
        }
        return;
    }
    let Some(known) = &known else { return };
    let basis = basis(known);
    if let Ok(selection) = selector.select(names.iter().map(String::as_str)) {
        let newer = newer(subject, selection.tag, names, &key);
        selected(selection.tag, newer, &basis, report);
        return;
    }
    let unreadable = (chosen(subject) == Some("numerical"))
        .then(|| {
            names.iter().find_map(|tag| {
                key(tag)
                    .filter(|key| gonumber::parse(key).is_none())
                    .map(|key| (tag, key))
            })
        })
        .flatten();
    if let Some((tag, key)) = unreadable {
        report.warning(
            POLICY,
            format!(
                "This policy fails on tag {} ({basis}): its key {} is not a number.",
                quote(tag),
                quote(&key)
            ),
        );
        return;
    }
    // That there are no versions at all is told by a rule of its own.
    let version = |tag: &String| key(tag).is_some_and(|key| Version::parse_tag(&key).is_ok());
    let no_versions = chosen(subject) == Some("semver") && !names.iter().any(version);
    if let Some(example) = names.first().filter(|_| !no_versions) {
        // A sample proves nothing about the other tags.
        report.add(
            if known.known.len() < known.total {
                Severity::Note
            } else {
                Severity::Warning
            },
            POLICY,
            format!(
                "This policy matches no tag ({basis}), e.g. not {}.",
                quote(example)
            ),
        );
    }
}

/// Tells the tag that is selected, and the one that people would take for newer.
fn selected(tag: &str, newer: Option<(&str, String)>, basis: &str, report: &mut Report<'_>) {
    match newer {
        Some((newer, why)) => report.warning(
            POLICY,
            format!(
                "This policy selects {} and not {} ({basis}): {why}.",
                quote(tag),
                quote(newer)
            ),
        ),
        None => report.note(
            POLICY,
            format!("This policy selects {} ({basis}).", quote(tag)),
        ),
    }
}

/// Compares two tags the way people read versions: number by number. `None` unless both consist
/// of numbers separated by dots, an initial `v` aside.
fn compare_versions(a: &str, b: &str) -> Option<Ordering> {
    Some(version(a)?.cmp(&version(b)?))
}

fn version(tag: &str) -> Option<Vec<u64>> {
    tag.strip_prefix('v')
        .unwrap_or(tag)
        .split('.')
        .map(|part| part.parse().ok())
        .collect()
}

/// A tag that people would call newer than the selected one, and why it is not.
fn newer<'t>(
    subject: Subject<'_>,
    selected: &str,
    tags: &'t [String],
    key: &dyn Fn(&str) -> Option<String>,
) -> Option<(&'t str, String)> {
    let choice = chosen(subject)?;
    let as_what = match choice {
        "numerical" => "as a number",
        "alphabetical" => "as text",
        _ => return None,
    };
    if subject
        .text(&format!("{POLICY}/{choice}/order"))
        .is_some_and(|order| order != "asc")
    {
        return None;
    }
    let mine = key(selected)?;
    let mut best: Option<(&'t str, String)> = None;
    for tag in tags {
        let Some(other) = key(tag) else { continue };
        let limit = best.as_ref().map_or(mine.as_str(), |(_, key)| key.as_str());
        if compare_versions(&other, limit).is_some_and(Ordering::is_gt) {
            best = Some((tag, other));
        }
    }
    best.map(|(tag, _)| (tag, format!("{as_what} {mine} is the greater one")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_knows_all_tags() {
        let object = serde_json::json!({
            "apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy",
            "metadata": {"name": "app", "namespace": "apps"},
            "spec": {"imageRepositoryRef": {"name": "agnhost"}, "policy": {"alphabetical": {}}},
        });
        let table = [
            (
                Some("2.9"),
                None,
                "This policy selects \"2.9\" (all 700 scanned tags).",
            ),
            (
                None,
                Some("no tag fits."),
                "This policy selects nothing (all 700 scanned tags): no tag fits.",
            ),
        ];
        for (tag, failure, expected) in table {
            let context = Context::default().with_preview(flux_image::policy::Preview {
                total: 700,
                tag: tag.map(str::to_owned),
                failure: failure.map(str::to_owned),
            });
            let review = crate::review(&object, None, &context);
            let said = review
                .findings
                .iter()
                .find(|finding| finding.rule == "IP23");
            assert_eq!(said.map(|finding| finding.message.as_str()), Some(expected));
        }
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        assert_eq!(compare_versions("2.9", "2.51"), Some(Ordering::Less));
        assert_eq!(
            compare_versions("v1.10.0", "v1.9.3"),
            Some(Ordering::Greater)
        );
        assert_eq!(compare_versions("main-1", "1"), None);
    }
}

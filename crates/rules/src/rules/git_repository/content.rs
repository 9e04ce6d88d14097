//! What of a repository becomes the artifact, and whether its signatures are checked.

use serde_json::Value;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::{listing, quote};

const IGNORE: &str = "/spec/ignore";
const MODE: &str = "/spec/verify/mode";
const INCLUDE: &str = "/spec/include";
const SPARSE: &str = "/spec/sparseCheckout";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR40",
        title: "everything ignored",
        reason: "The artifact is empty, so nothing is applied, and with pruning everything is deleted.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, ignore: \"# nothing\\n/*\\n\"}",
                &[
                    r#"spec.ignore excludes every file: the artifact is empty. Add what to keep, such as "!/deploy"."#,
                ],
            ),
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, ignore: \"/*\\n!/deploy\\n\"}",
            ),
        ],
        check: nothing_left,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR42",
        title: "tag to verify, but no tag",
        reason: "The controller stalls: only a tag carries the signature that is asked for.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {branch: main}, verify: {mode: Tag, secretRef: {name: keys}}}",
                &[
                    "spec.verify.mode Tag needs a tag: set spec.ref.tag or spec.ref.semver, or use mode HEAD.",
                ],
            ),
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {semver: 1.x}, verify: {mode: TagAndHEAD, secretRef: {name: keys}}}",
            ),
        ],
        check: no_tag,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR44",
        title: "includes itself",
        reason: "It waits for its own artifact for ever.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, include: [{repository: {name: example}}]}",
                &[
                    "spec.include[0] is this GitRepository itself: it would wait for ever. Remove it.",
                ],
            ),
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, include: [{repository: {name: other}}]}",
            ),
        ],
        check: includes_itself,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR45",
        title: "sparse checkout of what is no directory",
        reason: "A directory that does not exist fails the fetch; patterns are not expanded.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, sparseCheckout: [apps, 'infra/*']}",
                &[
                    r#"spec.sparseCheckout[1] "infra/*" is not the path of a directory: patterns are not expanded."#,
                ],
            ),
            Example::good(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, sparseCheckout: [apps, ./infra]}",
            ),
        ],
        check: sparse,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR50",
        title: "fields that newer Flux does not know",
        reason: "Flux 2.8 stopped serving the versions that have them and drops them on the way.",
        examples: &[
            Example::bad(
                "spec: {url: 'https://github.com/org/repo', interval: 5m, gitImplementation: libgit2}",
                &["spec.gitImplementation is unknown to Flux 2.8 and newer. Remove it."],
            ),
            Example::good("spec: {url: 'https://github.com/org/repo', interval: 5m}"),
        ],
        check: deprecated,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
];

fn nothing_left(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(ignore) = subject.text(IGNORE) else {
        return;
    };
    let mut lines = ignore.lines().map(str::trim);
    let all = lines
        .clone()
        .any(|line| matches!(line, "/*" | "*" | "/**" | "**"));
    if all && !lines.any(|line| line.starts_with('!')) {
        report.warning(
            IGNORE,
            "spec.ignore excludes every file: the artifact is empty. Add what to keep, such as \
             \"!/deploy\".",
        );
    }
}

fn no_tag(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(mode @ ("Tag" | "TagAndHEAD")) = subject.text(MODE) else {
        return;
    };
    let by_name = match subject.get("/spec/ref/name").and_then(Value::as_str) {
        Some(name) => name.starts_with("refs/tags/") || name.contains("${"),
        None => false,
    };
    if !by_name
        && subject
            .set_among("/spec/ref", &["tag", "semver"])
            .is_empty()
    {
        report.error(
            MODE,
            format!(
                "spec.verify.mode {mode} needs a tag: set spec.ref.tag or spec.ref.semver, or use \
                 mode HEAD."
            ),
        );
    }
}

fn includes_itself(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (index, include) in subject.list(INCLUDE).iter().enumerate() {
        let name = include.pointer("/repository/name").and_then(judgeable);
        if name == Some(subject.name()) {
            report.error(
                &format!("{INCLUDE}/{index}"),
                format!(
                    "spec.include[{index}] is this GitRepository itself: it would wait for ever. \
                     Remove it."
                ),
            );
        }
    }
}

fn sparse(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (index, entry) in subject.list(SPARSE).iter().enumerate() {
        let Some(path) = judgeable(entry) else {
            continue;
        };
        let why = if path.contains(['*', '?', '[']) {
            "patterns are not expanded"
        } else if path.starts_with('/') {
            "it must be relative to the root of the repository"
        } else if path.is_empty() {
            "it is empty"
        } else {
            continue;
        };
        report.warning(
            &format!("{SPARSE}/{index}"),
            format!(
                "spec.sparseCheckout[{index}] {} is not the path of a directory: {why}.",
                quote(path)
            ),
        );
    }
}

fn deprecated(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let set = subject.set_among("/spec", &["gitImplementation", "accessFrom"]);
    let Some(first) = set.first() else { return };
    let paths: Vec<String> = set.iter().map(|field| format!("spec.{field}")).collect();
    let (are, them) = if set.len() == 1 {
        ("is", "it")
    } else {
        ("are", "them")
    };
    report.warning(
        &format!("/spec/{first}"),
        format!(
            "{} {are} unknown to Flux 2.8 and newer. Remove {them}.",
            listing(&paths)
        ),
    );
}

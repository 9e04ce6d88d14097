//! `spec.ref`: which commit is followed.

use flux_lang::semver::Constraint;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::{listing, quote};

const REF: &str = "/spec/ref";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "GR20",
        title: "no reference",
        reason: "Flux follows the branch \"master\" then, whatever the default branch of the repository is.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo'}",
                &[
                    r#"spec.ref is missing: Flux follows branch "master". Set spec.ref.branch, e.g. "main"."#,
                ],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: main}}",
            ),
        ],
        check: missing,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR21",
        title: "several references",
        reason: "Only one is used: commit before name before tag before semver before branch. A commit may name its branch.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: main, tag: v1.0.0, semver: 1.x}}",
                &["spec.ref sets tag, semver and branch; only tag is used. Remove the others."],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: main, commit: 363a6a8fe6a7f13e05d34c163b0ef02a777da20a}}",
            ),
        ],
        check: several,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR22",
        title: "unreadable version range",
        reason: "The range is parsed at every fetch, so every fetch fails.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {semver: 'latest'}}",
                &[
                    r#"spec.ref.semver "latest" is not a version range. Examples: ">=1.2.0 <2.0.0", "~1.4", "1.x"."#,
                ],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {semver: '>=1.0.0 <2.0.0'}}",
            ),
        ],
        check: semver,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR23",
        title: "reference name that is not a full one",
        reason: "spec.ref.name is looked up literally among the references of the server.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {name: main}}",
                &[
                    r#"spec.ref.name "main" is not a full reference. Write refs/heads/..., refs/tags/... or refs/pull/NUMBER/head; for a branch, spec.ref.branch."#,
                ],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {name: refs/pull/420/head}}",
            ),
        ],
        check: name,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
    Rule {
        id: "GR24",
        title: "shortened commit",
        reason: "A server cannot be asked for an abbreviated object id.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: main, commit: 363a6a8}}",
                &[
                    "spec.ref.commit must be the full id of 40 (or 64) hexadecimal digits, not 7. Get it with: git rev-parse 363a6a8",
                ],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {commit: 363a6a8fe6a7f13e05d34c163b0ef02a777da20a}}",
            ),
        ],
        check: commit,
        ..Rule::of(Kind::GitRepository, Severity::Error)
    },
    Rule {
        id: "GR25",
        title: "full reference as a branch",
        reason: "refs/heads/ is put before the name, so refs/heads/refs/heads/... is looked for.",
        examples: &[
            Example::bad(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: refs/heads/main}}",
                &[r#"spec.ref.branch takes the short name. Write "main"."#],
            ),
            Example::good(
                "spec: {interval: 5m, url: 'https://github.com/org/repo', ref: {branch: feature/x}}",
            ),
        ],
        check: branch,
        ..Rule::of(Kind::GitRepository, Severity::Warning)
    },
];

fn missing(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let empty = subject
        .get(REF)
        .is_none_or(|reference| reference.as_object().is_some_and(serde_json::Map::is_empty));
    if empty && subject.has("/spec/url") {
        report.warning(
            REF,
            "spec.ref is missing: Flux follows branch \"master\". Set spec.ref.branch, e.g. \
             \"main\".",
        );
    }
}

fn several(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    // In the order in which the controller looks.
    let set = subject.set_among(REF, &["commit", "name", "tag", "semver", "branch"]);
    let [winner, _, ..] = set.as_slice() else {
        return;
    };
    if set != ["commit", "branch"] {
        report.warning(
            REF,
            format!(
                "spec.ref sets {}; only {winner} is used. Remove the others.",
                listing(&set)
            ),
        );
    }
}

fn semver(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/ref/semver";
    let Some(range) = subject.text(FIELD).filter(|range| !range.is_empty()) else {
        return;
    };
    if Constraint::parse(range).is_err() {
        report.error(
            FIELD,
            format!(
                "spec.ref.semver {} is not a version range. Examples: \">=1.2.0 <2.0.0\", \
                 \"~1.4\", \"1.x\".",
                quote(range)
            ),
        );
    }
}

fn name(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/ref/name";
    let Some(name) = subject.text(FIELD).filter(|name| !name.is_empty()) else {
        return;
    };
    if !name.starts_with("refs/") || name.ends_with('/') {
        report.warning(
            FIELD,
            format!(
                "spec.ref.name {} is not a full reference. Write refs/heads/..., refs/tags/... or \
                 refs/pull/NUMBER/head; for a branch, spec.ref.branch.",
                quote(name)
            ),
        );
    }
}

fn commit(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/ref/commit";
    let Some(commit) = subject.text(FIELD).filter(|commit| !commit.is_empty()) else {
        return;
    };
    let hexadecimal = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal && matches!(commit.len(), 40 | 64) {
        return;
    }
    let message = if hexadecimal {
        format!(
            "spec.ref.commit must be the full id of 40 (or 64) hexadecimal digits, not {}. Get it \
             with: git rev-parse {commit}",
            commit.len()
        )
    } else {
        format!(
            "spec.ref.commit {} is not a commit id of 40 (or 64) hexadecimal digits.",
            quote(commit)
        )
    };
    report.error(FIELD, message);
}

fn branch(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/ref/branch";
    if let Some(short) = subject
        .text(FIELD)
        .and_then(|name| name.strip_prefix("refs/heads/"))
    {
        report.warning(
            FIELD,
            format!(
                "spec.ref.branch takes the short name. Write {}.",
                quote(short)
            ),
        );
    }
}

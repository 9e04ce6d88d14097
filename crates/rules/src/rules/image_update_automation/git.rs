//! `spec.git`, `spec.interval` and `spec.update`: where an automation commits to.

use serde_json::json;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::finding::{Default, Severity};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::quote;

const GIT: &str = "/spec/git";
const PUSH: &str = "/spec/git/push";
const CHECKOUT: &str = "/spec/git/checkout/ref";
const COMMIT: &str = "/spec/git/commit";
const AUTHOR: &str = "/spec/git/commit/author";
const INTERVAL: &str = "/spec/interval";
const UPDATE_PATH: &str = "/spec/update/path";

/// Who commits where nobody is named.
const AUTHOR_NAME: &str = "fluxcdbot";
const AUTHOR_EMAIL: &str = "fluxcdbot@users.noreply.github.com";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IU01",
        title: "no spec.git",
        reason: "The schema allows it, but a GitRepository as source needs it: the controller stalls.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {kind: GitRepository, name: apps}}",
                &[
                    "spec.git is required for a GitRepository: set spec.git.commit.author.email and, for another branch, spec.git.push.branch.",
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
            ),
        ],
        check: no_git,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU02",
        title: "no branch to push to",
        reason: "A tag, a commit or a range can be checked out, but nothing can be pushed to it.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {checkout: {ref: {tag: v1.0.0}}, commit: {author: {email: a@b.c}}}}",
                &[
                    "spec.git.checkout.ref names no branch, so there is none to push to. Set spec.git.push.branch or spec.git.checkout.ref.branch.",
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {checkout: {ref: {tag: v1.0.0}}, push: {branch: updates}, commit: {author: {email: a@b.c}}}}",
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {checkout: {ref: {branch: main}}, commit: {author: {email: a@b.c}}}}",
            ),
        ],
        check: no_branch,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU08",
        title: "no author",
        reason: "The schema requires an e-mail address for the commits.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {checkout: {ref: {branch: main}}}}",
                &[
                    "spec.git.commit.author.email is required and missing: fluxcdbot@users.noreply.github.com is used. Set it.",
                ],
            ),
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {name: me}}}}",
                &[
                    "spec.git.commit.author.email is required and missing: fluxcdbot@users.noreply.github.com is used. Set it.",
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
            ),
        ],
        check: no_author,
        fill: Some(fill_author),
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU09",
        title: "whole repository rewritten",
        reason: "Without a path every marker of the repository that names a policy of this namespace is rewritten.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &[
                    r#"spec.update.path is not set: markers in the whole repository are rewritten. Set e.g. "./clusters/my-cluster"."#,
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, update: {path: ./foo, strategy: Setters}}",
            ),
        ],
        check: no_path,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Note)
    },
    Rule {
        id: "IU10",
        title: "path outside the repository",
        reason: "The path is confined to the repository, so it does not mean what it says.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, update: {path: ../other}}",
                &[
                    r#"spec.update.path "../other" is confined to the repository. Write a path below its root, such as "./apps"."#,
                ],
            ),
            Example::good("spec: {interval: 1m, sourceRef: {name: apps}, update: {path: ./foo}}"),
        ],
        check: outside,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU13",
        title: "not a refspec",
        reason: "git refuses it at the first push.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {push: {branch: b, refspec: main}}}",
                &[
                    r#"spec.git.push.refspec "main" is not SOURCE:DESTINATION, e.g. "refs/heads/main:refs/for/main"."#,
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {push: {branch: b, refspec: 'refs/heads/b:refs/heads/c'}}}",
            ),
        ],
        check: refspec,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU17",
        title: "selector that cannot be read",
        reason: "The controller stalls.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, policySelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}}",
                &[
                    r#"spec.policySelector: operator "Equals" is not In, NotIn, Exists or DoesNotExist."#,
                ],
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, policySelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}",
            ),
        ],
        check: selector,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU20",
        title: "no interval",
        reason: "The schema requires spec.interval.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {sourceRef: {name: apps}}",
                &["spec.interval is required and missing: 30m is used. Set it."],
            ),
            Example::good("spec: {interval: 1m, sourceRef: {name: apps}}"),
        ],
        check: no_interval,
        fill: Some(fill_interval),
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU21",
        title: "not a duration",
        reason: "The schema refuses it and shows only its pattern.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 1 hour, sourceRef: {name: apps}}",
                &[
                    r#"spec.interval "1 hour" is not a duration. Write numbers with the units ms, s, m and h: "1h"."#,
                ],
            ),
            Example::good("spec: {interval: 1m0s, sourceRef: {name: apps}}"),
        ],
        check: |subject, _, report| {
            duration::check_format(subject, INTERVAL, Units::UpToHours, report);
        },
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
    Rule {
        id: "IU22",
        title: "interval of zero",
        reason: "The controller never looks again after the first run.",
        examples: &[
            Example::bad(
                "spec: {interval: 0s, sourceRef: {name: apps}}",
                &["spec.interval 0 switches polling off for ever. Set at least 1m; 30m is usual."],
            ),
            Example::good("spec: {interval: 1m0s, sourceRef: {name: apps}}"),
        ],
        check: |subject, _, report| {
            duration::check_zero(subject, INTERVAL, "1m; 30m is usual", report);
        },
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Error)
    },
];

/// Whether the source is a GitRepository, the schema's default.
fn of_git_repository(subject: Subject<'_>) -> bool {
    subject
        .get("/spec/sourceRef/kind")
        .is_none_or(|kind| kind == "GitRepository")
}

fn no_git(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if subject.has("/spec") && !subject.has(GIT) && of_git_repository(subject) {
        report.error(
            GIT,
            "spec.git is required for a GitRepository: set spec.git.commit.author.email and, for \
             another branch, spec.git.push.branch.",
        );
    }
}

fn no_branch(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let others = ["tag", "commit", "semver", "name"];
    let elsewhere = !subject.set_among(CHECKOUT, &others).is_empty();
    let branch = !subject.set_among(CHECKOUT, &["branch"]).is_empty();
    if elsewhere && !branch && subject.set_among(PUSH, &["branch", "refspec"]).is_empty() {
        report.error(
            CHECKOUT,
            "spec.git.checkout.ref names no branch, so there is none to push to. Set \
             spec.git.push.branch or spec.git.checkout.ref.branch.",
        );
    }
}

fn no_author(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !fill_author(subject).is_empty() {
        report.warning(
            &format!("{AUTHOR}/email"),
            format!(
                "spec.git.commit.author.email is required and missing: {AUTHOR_EMAIL} is used. \
                 Set it."
            ),
        );
    }
}

fn fill_author(subject: Subject<'_>) -> Vec<Default> {
    let author = json!({"name": AUTHOR_NAME, "email": AUTHOR_EMAIL});
    // The first absent level, so that every parent exists.
    let candidates = [
        (COMMIT, json!({ "author": author })),
        (AUTHOR, author),
        ("/spec/git/commit/author/email", json!(AUTHOR_EMAIL)),
    ];
    candidates
        .into_iter()
        .map(|(pointer, value)| Default::absent(subject, pointer, value))
        .find(|defaults| !defaults.is_empty())
        .unwrap_or_default()
}

fn no_path(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let unset = subject
        .get(UPDATE_PATH)
        .is_none_or(|path| path.as_str().is_some_and(str::is_empty));
    if subject.has(GIT) && unset {
        report.note(
            UPDATE_PATH,
            "spec.update.path is not set: markers in the whole repository are rewritten. Set e.g. \
             \"./clusters/my-cluster\".",
        );
    }
}

fn outside(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(path) = subject.text(UPDATE_PATH) else {
        return;
    };
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        report.warning(
            UPDATE_PATH,
            format!(
                "spec.update.path {} is confined to the repository. Write a path below its root, \
                 such as \"./apps\".",
                quote(path)
            ),
        );
    }
}

fn refspec(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/git/push/refspec";
    let Some(refspec) = subject.text(FIELD).filter(|refspec| !refspec.is_empty()) else {
        return;
    };
    let halves: Vec<&str> = refspec.trim_start_matches('+').split(':').collect();
    if halves.len() != 2 || halves.iter().any(|half| half.is_empty()) {
        report.error(
            FIELD,
            format!(
                "spec.git.push.refspec {} is not SOURCE:DESTINATION, e.g. \
                 \"refs/heads/main:refs/for/main\".",
                quote(refspec)
            ),
        );
    }
}

fn selector(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/policySelector/matchExpressions";
    for (index, expression) in subject.list(FIELD).iter().enumerate() {
        let Some(operator) = expression.get("operator").and_then(judgeable) else {
            continue;
        };
        if !matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist") {
            report.error(
                &format!("{FIELD}/{index}/operator"),
                format!(
                    "spec.policySelector: operator {} is not In, NotIn, Exists or DoesNotExist.",
                    quote(operator)
                ),
            );
        }
    }
}

fn no_interval(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if !fill_interval(subject).is_empty() {
        report.warning(
            INTERVAL,
            "spec.interval is required and missing: 30m is used. Set it.",
        );
    }
}

fn fill_interval(subject: Subject<'_>) -> Vec<Default> {
    Default::absent(subject, INTERVAL, json!("30m"))
}

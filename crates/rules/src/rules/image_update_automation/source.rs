//! The GitRepository that an automation commits to.

use std::sync::Arc;

use serde_json::Value;

use super::super::source_ref::missing_repository;
use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

const SOURCE: &str = "/spec/sourceRef";
const CHECKOUT: &str = "/spec/git/checkout/ref";
const PUSH_BRANCH: &str = "/spec/git/push/branch";
const SIGNING: &str = "/spec/git/commit/signingKey";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IU03",
        title: "source without a branch",
        reason: "Without a branch of its own the automation pushes to that of the GitRepository.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &[r#"GitRepository "apps" follows no branch, so there is none to push to. Set spec.git.push.branch."#],
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {ref: {tag: v1}}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {ref: {branch: main}}}"),
        ],
        check: no_branch,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU12",
        title: "commits to another branch",
        reason: "What is committed is deployed only after somebody has merged it. Often that is the purpose.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {push: {branch: updates}, commit: {author: {email: a@b.c}}}}",
                &[r#"Commits go to branch "updates", but GitRepository "apps" follows "main": changes are deployed only after a merge."#],
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {ref: {branch: main}}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {push: {branch: main}, commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {ref: {branch: main}}}"),
        ],
        check: other_branch,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Note)
    },
    Rule {
        id: "IU14",
        title: "push without credentials",
        reason: "Anybody may read a public repository, nobody may write to it.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &[r#"GitRepository "apps" has no credentials, so the push is refused. Give it spec.secretRef with write access."#],
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {url: 'https://github.com/o/r', ref: {branch: main}}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {url: 'https://github.com/o/r', secretRef: {name: a}, ref: {branch: main}}}"),
        ],
        check: no_credentials,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU15",
        title: "commits that the source refuses",
        reason: "A source that verifies signatures stops at the automation's own unsigned commits.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &[r#"GitRepository "apps" verifies signatures, and this automation does not sign: its own commits are refused. Set spec.git.commit.signingKey."#],
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {verify: {mode: HEAD, secretRef: {name: keys}}, secretRef: {name: a}, ref: {branch: main}}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}, signingKey: {secretRef: {name: k}}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {verify: {mode: HEAD, secretRef: {name: keys}}, secretRef: {name: a}, ref: {branch: main}}}"),
            // Tags alone are verified, and nothing is pushed to a tag.
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {checkout: {ref: {branch: main}}, commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {verify: {mode: Tag, secretRef: {name: keys}}, secretRef: {name: a}, ref: {tag: v1}}}"),
        ],
        check: unsigned,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU16",
        title: "Secret without a key to sign with",
        reason: "Nothing can be committed without it.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}, signingKey: {secretRef: {name: k}}}}}",
                &[r#"Secret "k" lacks git.asc, the key to sign with (type gpg)."#],
            )
            .given("{kind: Secret, metadata: {name: k, namespace: apps}, stringData: {key.asc: x}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}, signingKey: {type: ssh, secretRef: {name: k}}}}}",
            )
            .given("{kind: Secret, metadata: {name: k, namespace: apps}, stringData: {identity: x}}"),
        ],
        check: signing_key,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU23",
        title: "source not there",
        reason: "Nothing is committed before the source is there. Only a note about files, since the cluster may have it.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &[r#"GitRepository "apps/apps" does not exist yet: nothing is committed until it does."#],
            )
            .given(""),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}, spec: {secretRef: {name: a}, ref: {branch: main}}}"),
        ],
        check: missing,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
];

/// Namespace and name of the GitRepository.
fn reference(subject: Subject<'_>) -> Option<(&str, &str)> {
    let field = |name: &str| subject.text(&format!("{SOURCE}/{name}"));
    if subject.has(&format!("{SOURCE}/kind")) && field("kind") != Some("GitRepository") {
        return None;
    }
    let namespace = field("namespace").unwrap_or(subject.namespace());
    Some((namespace, field("name")?))
}

/// The GitRepository, with its name.
fn repository<'a>(subject: Subject<'a>, context: &Context) -> Option<(&'a str, Arc<Value>)> {
    let (namespace, name) = reference(subject)?;
    let found = context.facts().object(Kind::GitRepository, namespace, name);
    Some((name, found.present()?))
}

fn missing(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((namespace, name)) = reference(subject) else {
        return;
    };
    let pointer = format!("{SOURCE}/name");
    missing_repository(&pointer, (namespace, name), "committed", context, report);
}

/// The branch that a GitRepository follows; `None` where that cannot be judged.
fn followed(repository: &Value) -> Option<&str> {
    let subject = Subject::new(repository);
    let others = subject.set_among("/spec/ref", &["commit", "name", "tag", "semver"]);
    match (others.as_slice(), subject.has("/spec/ref/branch")) {
        ([] | ["commit"], true) => subject.text("/spec/ref/branch"),
        ([], false) => Some("master"),
        _ => Some(""),
    }
}

fn no_branch(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if subject.has(PUSH_BRANCH) || subject.has(CHECKOUT) {
        return;
    }
    let Some((name, repository)) = repository(subject, context) else {
        return;
    };
    if followed(&repository) == Some("") {
        report.warning(
            SOURCE,
            format!(
                "GitRepository {} follows no branch, so there is none to push to. Set \
                 spec.git.push.branch.",
                quote(name)
            ),
        );
    }
}

fn other_branch(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((name, repository)) = repository(subject, context) else {
        return;
    };
    let Some(branch) = subject.text(PUSH_BRANCH) else {
        return;
    };
    if let Some(followed) = followed(&repository)
        && !followed.is_empty()
        && followed != branch
    {
        report.note(
            PUSH_BRANCH,
            format!(
                "Commits go to branch {}, but GitRepository {} follows {}: changes are deployed \
                 only after a merge.",
                quote(branch),
                quote(name),
                quote(followed)
            ),
        );
    }
}

fn no_credentials(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((name, repository)) = repository(subject, context) else {
        return;
    };
    let repository = Subject::new(&repository);
    let https = repository
        .text("/spec/url")
        .is_some_and(|url| url.starts_with("https://") && !url.contains('@'));
    let cloud = repository
        .text("/spec/provider")
        .is_some_and(|provider| provider != "generic");
    if https && !cloud && !repository.has("/spec/secretRef") {
        report.warning(
            SOURCE,
            format!(
                "GitRepository {} has no credentials, so the push is refused. Give it \
                 spec.secretRef with write access.",
                quote(name)
            ),
        );
    }
}

fn unsigned(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some((name, repository)) = repository(subject, context) else {
        return;
    };
    let verified = Subject::new(&repository);
    let commits = verified.has("/spec/verify") && verified.text("/spec/verify/mode") != Some("Tag");
    if commits && !subject.has(SIGNING) {
        report.warning(
            "/spec/git/commit",
            format!(
                "GitRepository {} verifies signatures, and this automation does not sign: its own \
                 commits are refused. Set spec.git.commit.signingKey.",
                quote(name)
            ),
        );
    }
}

fn signing_key(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let pointer = format!("{SIGNING}/secretRef/name");
    let Some(name) = subject.text(&pointer) else {
        return;
    };
    let type_ = if subject.has(&format!("{SIGNING}/type")) {
        subject.text(&format!("{SIGNING}/type"))
    } else {
        Some("gpg")
    };
    let (type_, key) = match type_ {
        Some("gpg") => ("gpg", "git.asc"),
        Some("ssh") => ("ssh", "identity"),
        _ => return,
    };
    if let Fact::Present(secret) = context.facts().secret(subject.namespace(), name)
        && secret.lacks(key)
    {
        report.warning(
            &pointer,
            format!(
                "Secret {} lacks {key}, the key to sign with (type {type_}).",
                quote(name)
            ),
        );
    }
}

//! The policies that an automation writes, and the automations beside it.

use serde_json::Value;

use crate::context::Context;
use crate::facts::{Fact, LISTED};
use crate::finding::Severity;
use crate::index::Key;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::quote;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IU18",
        title: "no policy to follow",
        reason: "Only ImagePolicies of the automation's own namespace are used.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, git: {commit: {author: {email: a@b.c}}}}",
                &["There is no ImagePolicy in namespace apps: nothing is written. Only policies of the same namespace are used."],
            )
            .given("{kind: ImagePolicy, metadata: {name: app, namespace: other}}"),
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, policySelector: {matchLabels: {app: foo}}, git: {commit: {author: {email: a@b.c}}}}",
                &["spec.policySelector selects no ImagePolicy in namespace apps: nothing is written."],
            )
            .given("{kind: ImagePolicy, metadata: {name: app, namespace: apps, labels: {app: bar}}}"),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, policySelector: {matchLabels: {app: foo}}, git: {commit: {author: {email: a@b.c}}}}",
            )
            .given("{kind: ImagePolicy, metadata: {name: app, namespace: apps, labels: {app: foo}}}"),
        ],
        check: no_policy,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
    Rule {
        id: "IU19",
        title: "two automations for one path",
        reason: "Both write the same values, and every push of one is a conflict for the other.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, sourceRef: {name: apps}, update: {path: ./apps/foo}, git: {commit: {author: {email: a@b.c}}}}",
                &[r#"ImageUpdateAutomation "other" writes "./apps" of the same GitRepository and branch, too: they get in each other's way. Give each a path or a branch of its own."#],
            )
            .given(
                "{kind: ImageUpdateAutomation, metadata: {name: other, namespace: apps}, spec: {sourceRef: {name: apps}, update: {path: ./apps}}}",
            ),
            Example::good(
                "spec: {interval: 1m, sourceRef: {name: apps}, update: {path: ./apps/foo}, git: {commit: {author: {email: a@b.c}}}}",
            )
            .given(
                "{kind: ImageUpdateAutomation, metadata: {name: other, namespace: apps}, spec: {sourceRef: {name: apps}, update: {path: ./apps/foobar}}}",
            ),
        ],
        check: twice,
        ..Rule::of(Kind::ImageUpdateAutomation, Severity::Warning)
    },
];

/// Whether a label selector admits labels; `None` where that cannot be judged.
fn selects(selector: &Value, labels: Option<&Value>) -> Option<bool> {
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    for (key, value) in wanted.into_iter().flatten() {
        if label(key) != Some(judgeable(value)?) {
            return Some(false);
        }
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = expression.get("key").and_then(judgeable)?;
        let values: Vec<&str> = expression
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let found = label(key);
        let fits = match expression.get("operator").and_then(judgeable)? {
            "In" => found.is_some_and(|found| values.contains(&found)),
            "NotIn" => found.is_none_or(|found| !values.contains(&found)),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            _ => return None,
        };
        if !fits {
            return Some(false);
        }
    }
    Some(true)
}

fn no_policy(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const SELECTOR: &str = "/spec/policySelector";
    let namespace = subject.namespace();
    let facts = context.facts();
    let Fact::Present(policies) = facts.indexed(Kind::ImagePolicy, Key::namespace(namespace))
    else {
        return;
    };
    // Files need not hold all policies, and of very many only some were looked at.
    if facts.is_files() || policies.len() >= LISTED {
        return;
    }
    let Some(selector) = subject.get(SELECTOR) else {
        if policies.is_empty() {
            report.warning(
                "/spec",
                format!(
                    "There is no ImagePolicy in namespace {namespace}: nothing is written. Only \
                     policies of the same namespace are used."
                ),
            );
        }
        return;
    };
    let certain_not =
        |policy: &Value| selects(selector, policy.pointer("/metadata/labels")) == Some(false);
    if policies.iter().all(|policy| certain_not(policy)) {
        report.warning(
            SELECTOR,
            format!(
                "spec.policySelector selects no ImagePolicy in namespace {namespace}: nothing is \
                 written."
            ),
        );
    }
}

/// What an automation writes: source, branch, path. `None` where a part cannot be judged.
fn writes<'a>(subject: Subject<'a>) -> Option<([Option<&'a str>; 3], Vec<&'a str>)> {
    let optional = |pointer: &str| {
        if subject.has(pointer) {
            subject.text(pointer).map(Some)
        } else {
            Some(None)
        }
    };
    let branch = match optional("/spec/git/push/branch")? {
        Some(branch) => Some(branch),
        None => optional("/spec/git/checkout/ref/branch")?,
    };
    let path = optional("/spec/update/path")?.unwrap_or_default();
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let source = [
        Some(subject.text("/spec/sourceRef/name")?),
        optional("/spec/sourceRef/namespace")?,
        branch,
    ];
    Some((source, parts))
}

fn twice(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let namespace = subject.namespace();
    let Some((target, path)) = writes(subject) else {
        return;
    };
    let Fact::Present(others) = context
        .facts()
        .indexed(Kind::ImageUpdateAutomation, Key::namespace(namespace))
    else {
        return;
    };
    for other in &others {
        let other = Subject::new(other);
        if other.name() == subject.name() {
            continue;
        }
        // Selectors that pick different policies write different values.
        if subject.has("/spec/policySelector") || other.has("/spec/policySelector") {
            continue;
        }
        let Some((same, theirs)) = writes(other) else {
            continue;
        };
        let shorter = path.len().min(theirs.len());
        if same == target && path.get(..shorter) == theirs.get(..shorter) {
            let shown = other.text("/spec/update/path").unwrap_or("./");
            report.add(
                context.clash(),
                "/spec/update/path",
                format!(
                    "ImageUpdateAutomation {} writes {} of the same GitRepository and branch, too: \
                     they get in each other's way. Give each a path or a branch of its own.",
                    quote(other.name()),
                    quote(shown)
                ),
            );
            return;
        }
    }
}

//! What other Kustomizations do, and what newer releases do otherwise.

use std::time::Duration;

use crate::context::Context;
use crate::duration::{self, Units};
use crate::facts::Fact;
use crate::finding::Severity;
use crate::index::{Content, Key};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KS09",
        title: "little time for health checks",
        reason: "Without a timeout the interval less 30 seconds counts, but 30 seconds at least: slow roll-outs fail.",
        examples: &[
            Example::bad(
                "spec: {interval: 1m, prune: true, wait: true}",
                &["Health checks get 30s only (spec.interval 1m less 30s): slow roll-outs fail. Set spec.timeout, e.g. 5m."],
            ),
            Example::bad(
                "spec: {interval: 5m, prune: true, retryInterval: 10m}",
                &["spec.retryInterval 10m is longer than spec.interval 5m: failures are tried again after the interval."],
            ),
            Example::good("spec: {interval: 1m, prune: true, wait: true, timeout: 5m}"),
            Example::good("spec: {interval: 10m, prune: true, wait: true}"),
        ],
        check: timing,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS13",
        title: "variables that nobody sets",
        reason: "Since kustomize-controller 1.9 they fail the build instead of becoming empty.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, postBuild: {substitute: {a: b}}}",
                &["Since Flux 2.9 a variable ${VAR} that is not set fails the build. Write $${VAR} for what a shell is to replace, or ${VAR:=default}."],
            ),
            Example::good("spec: {interval: 10m, prune: true}"),
        ],
        check: unset_variables,
        ..Rule::of(Kind::Kustomization, Severity::Note)
    },
    Rule {
        id: "KS17",
        title: "the same content twice",
        reason: "Two owners put their labels on the same objects, and each prunes what the other applied.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, path: ./apps/, sourceRef: {kind: GitRepository, name: apps}}",
                &[r#"Kustomization "other" applies the same path of the same source: both own the objects and prune each other's. Remove one."#],
            )
            .given(
                "{kind: Kustomization, metadata: {name: other, namespace: apps}, spec: {path: apps, sourceRef: {kind: GitRepository, name: apps}}}",
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, path: ./apps, targetNamespace: b, sourceRef: {kind: GitRepository, name: apps}}",
            )
            .given(
                "{kind: Kustomization, metadata: {name: other, namespace: apps}, spec: {path: apps, targetNamespace: a, sourceRef: {kind: GitRepository, name: apps}}}",
            ),
        ],
        check: twice,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
];

fn timing(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const INTERVAL: &str = "/spec/interval";
    const RETRY: &str = "/spec/retryInterval";
    const FLOOR: Duration = Duration::from_secs(30);
    let Some(interval) = duration::field(subject, INTERVAL, Units::UpToHours) else {
        return;
    };
    let shown = subject.text(INTERVAL).unwrap_or_default();
    let checks = subject
        .get("/spec/wait")
        .and_then(serde_json::Value::as_bool)
        == Some(true)
        || !subject.list("/spec/healthChecks").is_empty();
    if checks
        && !subject.has("/spec/timeout")
        && !interval.is_zero()
        && interval.saturating_sub(FLOOR) <= FLOOR
    {
        report.warning(
            "/spec/timeout",
            format!(
                "Health checks get 30s only (spec.interval {shown} less 30s): slow roll-outs fail. \
                 Set spec.timeout, e.g. 5m."
            ),
        );
    }
    if duration::field(subject, RETRY, Units::UpToHours).is_some_and(|retry| retry > interval) {
        report.warning(
            RETRY,
            format!(
                "spec.retryInterval {} is longer than spec.interval {shown}: failures are tried \
                 again after the interval.",
                subject.text(RETRY).unwrap_or_default()
            ),
        );
    }
}

fn unset_variables(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let build = subject
        .get("/spec/postBuild")
        .and_then(serde_json::Value::as_object);
    if build.is_some_and(|build| !build.is_empty()) {
        report.note(
            "/spec/postBuild",
            "Since Flux 2.9 a variable ${VAR} that is not set fails the build. Write $${VAR} for \
             what a shell is to replace, or ${VAR:=default}.",
        );
    }
}

fn twice(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(content) = Content::of(subject) else {
        return;
    };
    let key = Key::applies(&content);
    let Fact::Present(others) = context.facts().indexed(Kind::Kustomization, key) else {
        return;
    };
    let same = others
        .iter()
        .map(|other| Subject::new(other))
        .find(|other| {
            (other.namespace(), other.name()) != (subject.namespace(), subject.name())
            // Others of another namespace are not for this answer to name.
            && other.namespace() == subject.namespace()
            && Content::of(*other).as_ref() == Some(&content)
        });
    if let Some(other) = same {
        report.add(
            context.clash(),
            "/spec/path",
            format!(
                "Kustomization {} applies the same path of the same source: both own the objects \
                 and prune each other's. Remove one.",
                quote(other.name())
            ),
        );
    }
}

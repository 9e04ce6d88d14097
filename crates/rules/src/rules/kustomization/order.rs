//! `spec.dependsOn`, health checks and the cluster that is meant.

use flux_lang::cel::{self, CelError};

use crate::context::Context;
use crate::finding::{Severity, dotted};
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::quote;

const DEPENDS_ON: &str = "/spec/dependsOn";
const HEALTH_CHECKS: &str = "/spec/healthCheckExprs";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KS04",
        title: "depends on itself",
        reason: "It would wait for itself for ever.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: infra}, {name: example}]}",
                &[
                    "spec.dependsOn[1] is this Kustomization itself: it would wait for ever. Remove it.",
                ],
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: example, namespace: infra}]}",
            ),
        ],
        check: itself,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS07",
        title: "expression that cannot be read",
        reason: "The controller stalls on it before anything is applied.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, wait: true, healthCheckExprs: [{apiVersion: a/v1, kind: B, current: 'status.phase =='}]}",
                &[
                    r#"spec.healthCheckExprs[0].current "status.phase ==" is not a CEL expression: it ends too early at line 1, column 16."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: infra, readyExpr: 'dep.status.ready = true'}]}",
                &[
                    r#"spec.dependsOn[0].readyExpr "dep.status.ready = true" is not a CEL expression: token recognition error at: '= ' at line 1, column 18."#,
                ],
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, wait: true, healthCheckExprs: [{apiVersion: a/v1, kind: B, current: \"status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')\"}]}",
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: infra, readyExpr: 'dep.status.observedGeneration == dep.metadata.generation'}]}",
            ),
        ],
        check: expressions,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS08",
        title: "health checks that are not looked at",
        reason: "spec.wait checks everything that is applied and ignores the list.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, wait: true, healthChecks: [{apiVersion: apps/v1, kind: Deployment, name: a, namespace: b}]}",
                &["spec.wait: true ignores spec.healthChecks. Remove one of the two."],
            ),
            Example::bad(
                "spec: {interval: 10m, prune: true, healthCheckExprs: [{apiVersion: a/v1, kind: B, current: 'true'}]}",
                &["spec.healthCheckExprs has no effect without spec.wait or spec.healthChecks."],
            ),
            Example::good("spec: {interval: 10m, prune: true, wait: true}"),
        ],
        check: unused_checks,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS19",
        title: "which cluster?",
        reason: "The schema wants exactly one source of the other cluster's address.",
        shadowed: true,
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, kubeConfig: {secretRef: {name: a}, configMapRef: {name: b}}}",
                &["spec.kubeConfig needs exactly one of secretRef and configMapRef."],
            ),
            Example::good("spec: {interval: 10m, prune: true, kubeConfig: {secretRef: {name: a}}}"),
        ],
        check: kube_config,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
];

fn itself(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (index, dependency) in subject.list(DEPENDS_ON).iter().enumerate() {
        let field = |name: &str| dependency.get(name).filter(|value| !value.is_null());
        let namespace = field("namespace").map_or(Some(subject.namespace()), judgeable);
        if field("name").and_then(judgeable) == Some(subject.name())
            && namespace == Some(subject.namespace())
        {
            report.error(
                &format!("{DEPENDS_ON}/{index}"),
                format!(
                    "spec.dependsOn[{index}] is this Kustomization itself: it would wait for \
                     ever. Remove it."
                ),
            );
        }
    }
}

fn expressions(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELDS: [(&str, &[&str]); 2] = [
        (DEPENDS_ON, &["readyExpr"]),
        (HEALTH_CHECKS, &["current", "inProgress", "failed"]),
    ];
    for (list, fields) in FIELDS {
        for (index, entry) in subject.list(list).iter().enumerate() {
            for field in fields {
                let Some(text) = entry.get(field).and_then(judgeable) else {
                    continue;
                };
                // What is empty counts as not set.
                if text.is_empty() {
                    continue;
                }
                let pointer = format!("{list}/{index}/{field}");
                match cel::parse(text) {
                    Ok(_) => {}
                    Err(error @ CelError::Syntax { .. }) => report.error(
                        &pointer,
                        format!(
                            "{} {} is not a CEL expression: {error}.",
                            dotted(&pointer),
                            quote(text)
                        ),
                    ),
                    // Only our own limits, which say nothing about Flux.
                    Err(error) => report.warning(
                        &pointer,
                        format!(
                            "{} is more than this operator reads: {error}. Make it shorter.",
                            dotted(&pointer)
                        ),
                    ),
                }
            }
        }
    }
}

fn unused_checks(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let waits = subject
        .get("/spec/wait")
        .and_then(serde_json::Value::as_bool)
        == Some(true);
    let checks = !subject.list("/spec/healthChecks").is_empty();
    if waits && checks {
        report.warning(
            "/spec/healthChecks",
            "spec.wait: true ignores spec.healthChecks. Remove one of the two.",
        );
    }
    if !waits && !checks && !subject.list("/spec/healthCheckExprs").is_empty() {
        report.warning(
            "/spec/healthCheckExprs",
            "spec.healthCheckExprs has no effect without spec.wait or spec.healthChecks.",
        );
    }
}

fn kube_config(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/kubeConfig";
    if subject.has(FIELD)
        && subject
            .set_among(FIELD, &["secretRef", "configMapRef"])
            .len()
            != 1
    {
        report.error(
            FIELD,
            "spec.kubeConfig needs exactly one of secretRef and configMapRef.",
        );
    }
}

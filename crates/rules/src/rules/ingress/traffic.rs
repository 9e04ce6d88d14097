//! Cookies, canaries and the future of the controller.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer};
use crate::text::quote;

use super::class::NGINX;
use super::rewrite::regex_mode;
use super::view::{Controller, PREFIX, annotation};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN19",
        title: "sticky cookie for a regular expression",
        reason: "The path of the cookie would be the expression, which no browser sends back.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true', nginx.ingress.kubernetes.io/affinity: cookie}}, spec: {}}",
                &[r#"affinity cookie with regular expressions as paths needs the annotation nginx.ingress.kubernetes.io/session-cookie-path, e.g. "/"."#],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true', nginx.ingress.kubernetes.io/affinity: cookie, nginx.ingress.kubernetes.io/session-cookie-path: /}}, spec: {}}",
            ),
        ],
        check: cookie_path,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN22",
        title: "impossible weight of a canary",
        reason: "The weight is a share of 100, or of canary-weight-total.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '150'}}, spec: {}}",
                &[r#"canary-weight "150" is not between 0 and 100 (canary-weight-total)."#],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '150', nginx.ingress.kubernetes.io/canary-weight-total: '1000'}}, spec: {}}",
            ),
        ],
        check: canary_weight,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN44",
        title: "retired controller",
        reason: "ingress-nginx was retired in March 2026: no fixes follow, not even for security.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx}",
                &["ingress-nginx was retired in March 2026 and gets no security fixes. Plan a move: Gateway API (ingress2gateway helps) or another controller."],
            )
            .given(NGINX),
            Example::good("spec: {ingressClassName: traefik}").given(
                "{kind: IngressClass, metadata: {name: traefik}, spec: {controller: traefik.io/ingress-controller}}",
            ),
        ],
        check: retired,
        ..Rule::of(Kind::Ingress, Severity::Note)
    },
];

fn cookie_path(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let path = annotation_pointer(&format!("{PREFIX}session-cookie-path"));
    if Controller::of(subject, context).is_nginx()
        && regex_mode(subject)
        && annotation(subject, "affinity") == Some("cookie")
        && !subject.has(&path)
    {
        report.warning(
            &annotation_pointer(&format!("{PREFIX}affinity")),
            format!(
                "affinity cookie with regular expressions as paths needs the annotation \
                 {PREFIX}session-cookie-path, e.g. \"/\"."
            ),
        );
    }
}

fn canary_weight(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    let Some(shown) = annotation(subject, "canary-weight") else {
        return;
    };
    let total = match annotation(subject, "canary-weight-total").map(str::parse) {
        Some(Ok(total)) => total,
        Some(Err(_)) => return,
        None => 100,
    };
    let Ok(weight) = shown.parse::<i64>() else {
        return;
    };
    if !(0..=total).contains(&weight) {
        report.warning(
            &annotation_pointer(&format!("{PREFIX}canary-weight")),
            format!(
                "canary-weight {} is not between 0 and {total} (canary-weight-total).",
                quote(shown)
            ),
        );
    }
}

fn retired(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) == Controller::Nginx {
        report.note(
            "/spec/ingressClassName",
            "ingress-nginx was retired in March 2026 and gets no security fixes. Plan a move: \
             Gateway API (ingress2gateway helps) or another controller.",
        );
    }
}

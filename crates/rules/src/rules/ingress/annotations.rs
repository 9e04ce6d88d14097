//! Annotations of ingress-nginx.

use crate::context::{Context, IngressNginx, Release, Settings};
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer};
use crate::text::quote;

use super::class::NGINX;
use super::table::{self, Form, Risk};
use super::view::{Controller, PREFIX};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN40",
        title: "snippet of nginx configuration",
        reason: "Whoever may write an Ingress can read every Secret the controller can (CVE-2021-25742). ingress-nginx refuses snippets by default since 1.9; an error where the administrator declared such a controller.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/server-snippet: 'deny all;'}}, spec: {}}",
                &["Annotation server-snippet injects nginx configuration (CVE-2021-25742): ingress-nginx 1.9 and newer refuse it by default. Use an annotation made for the purpose, or the controller's ConfigMap."],
            ),
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/configuration-snippet: 'deny all;'}}, spec: {ingressClassName: nginx}}",
                &["Annotation configuration-snippet injects nginx configuration (CVE-2021-25742): ingress-nginx 1.12.1 refuses it. Use an annotation made for the purpose, or the controller's ConfigMap."],
            )
            .given(NGINX)
            .declared(DECLARED),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/configuration-snippet: 'deny all;'}}, spec: {ingressClassName: nginx}}",
            )
            .given(NGINX)
            .declared(SNIPPETS),
        ],
        check: snippet,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
    Rule {
        id: "IN41",
        title: "value that an annotation does not take",
        reason: "Line breaks can inject configuration (CVE-2024-7646); a value of the wrong sort is ignored and the default used.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/app-root: \"/a\\nb\"}}, spec: {ingressClassName: nginx}}",
                &["Annotation app-root contains a line break, which can inject nginx configuration (CVE-2024-7646). Remove it."],
            )
            .given(NGINX),
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-redirect: 'yes', nginx.ingress.kubernetes.io/proxy-read-timeout: 60s}}, spec: {}}",
                &[
                    r#"Annotation proxy-read-timeout: "60s" is not a whole number; ingress-nginx ignores it and uses its default."#,
                    r#"Annotation ssl-redirect: "yes" is not "true" or "false"; ingress-nginx ignores it and uses its default."#,
                ],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-redirect: 'false', nginx.ingress.kubernetes.io/proxy-body-size: 8m, nginx.ingress.kubernetes.io/rewrite-target: \"/$2\\n\"}}, spec: {}}",
            ),
        ],
        check: value,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
    Rule {
        id: "IN42",
        title: "annotation of high risk",
        reason: "Its value is written into the configuration of nginx; before 1.12.1 it could inject more (CVE-2025-1097, CVE-2025-1098, CVE-2025-24514).",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/auth-url: 'https://auth.example.com'}}, spec: {ingressClassName: nginx}}",
                &["Annotation auth-url could inject configuration before ingress-nginx 1.12.1 (CVE-2025-24514 and others), and 1.11.2 is declared. Upgrade the controller."],
            )
            .given(NGINX)
            .declared(OLD),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/auth-url: 'https://auth.example.com'}}, spec: {ingressClassName: nginx}}",
            )
            .given(NGINX)
            .declared(DECLARED),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/auth-url: 'https://auth.example.com'}}, spec: {ingressClassName: nginx}}",
            )
            .given(NGINX),
        ],
        check: risky,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN43",
        title: "annotation that ingress-nginx does not know",
        reason: "It is ignored silently.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-targt: /}}, spec: {}}",
                &[r#"ingress-nginx does not know the annotation rewrite-targt. Did you mean rewrite-target?"#],
            ),
            Example::bad(
                "{metadata: {annotations: {nginx.org/rewrites: 'a'}}, spec: {ingressClassName: nginx}}",
                &["Annotation nginx.org/rewrites belongs to F5 NGINX Ingress Controller: ingress-nginx ignores it."],
            )
            .given(NGINX),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8}}, spec: {}}",
            ),
        ],
        check: unknown,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
];

const DECLARED: Settings = Settings {
    ingress_nginx: Some(IngressNginx::new(Release(1, 12, 1))),
};
const OLD: Settings = Settings {
    ingress_nginx: Some(IngressNginx::new(Release(1, 11, 2))),
};
const SNIPPETS: Settings = Settings {
    ingress_nginx: Some(IngressNginx {
        release: Release(1, 12, 1),
        strict_path_type: None,
        allow_snippets: Some(true),
    }),
};

/// The annotations of ingress-nginx, by their short names.
fn annotations(subject: Subject<'_>) -> impl Iterator<Item = (&str, &str)> {
    subject
        .annotations()
        .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
}

fn pointer(name: &str) -> String {
    annotation_pointer(&format!("{PREFIX}{name}"))
}

fn snippet(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    let (severity, who) = match context.settings.ingress_nginx {
        Some(controller) if controller.takes_snippets() => return,
        Some(controller) => (
            Severity::Error,
            format!("ingress-nginx {} refuses it", controller.release),
        ),
        None => (
            Severity::Warning,
            "ingress-nginx 1.9 and newer refuse it by default".to_owned(),
        ),
    };
    for (name, _) in annotations(subject) {
        if table::find(name).is_some_and(|known| known.risk == Risk::Critical) {
            report.add(
                severity,
                &pointer(name),
                format!(
                    "Annotation {name} injects nginx configuration (CVE-2021-25742): {who}. Use an \
                     annotation made for the purpose, or the controller's ConfigMap."
                ),
            );
        }
    }
}

fn value(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(severity) = Controller::of(subject, context).severity() else {
        return;
    };
    for (name, value) in annotations(subject) {
        let Some(known) = table::find(name) else {
            continue;
        };
        if known.risk != Risk::Critical
            && known.form != Form::List
            && value.trim().contains(['\n', '\r'])
        {
            report.add(
                severity,
                &pointer(name),
                format!(
                    "Annotation {name} contains a line break, which can inject nginx configuration \
                     (CVE-2024-7646). Remove it."
                ),
            );
        } else if let Some(expected) = known.form.refuses(value.trim()) {
            report.warning(
                &pointer(name),
                format!(
                    "Annotation {name}: {} is not {expected}; ingress-nginx ignores it and uses \
                     its default.",
                    quote(value)
                ),
            );
        }
    }
}

fn risky(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const FIXED: Release = Release(1, 12, 1);
    // The fixes were also released as 1.11.5.
    const FIXED_BEFORE: Release = Release(1, 11, 5);
    let Some(controller) = context.settings.ingress_nginx else {
        return;
    };
    let release = controller.release;
    let fixed = release >= FIXED || (release >= FIXED_BEFORE && release < Release(1, 12, 0));
    if fixed || !Controller::of(subject, context).is_nginx() {
        return;
    }
    for (name, _) in annotations(subject) {
        if table::find(name).is_some_and(|known| known.risk == Risk::High) {
            report.warning(
                &pointer(name),
                format!(
                    "Annotation {name} could inject configuration before ingress-nginx {FIXED} \
                     (CVE-2025-24514 and others), and {release} is declared. Upgrade the \
                     controller."
                ),
            );
        }
    }
}

fn unknown(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let controller = Controller::of(subject, context);
    if !controller.is_nginx() {
        return;
    }
    for (key, _) in subject.annotations() {
        if let Some(name) = key.strip_prefix(PREFIX) {
            // Without a near name it may be one of a newer or older release.
            if let Some(near) = table::nearest(name) {
                report.warning(
                    &pointer(name),
                    format!(
                        "ingress-nginx does not know the annotation {name}. Did you mean {near}?"
                    ),
                );
            }
        } else if key.starts_with("nginx.org/") && controller == Controller::Nginx {
            report.warning(
                &annotation_pointer(key),
                format!(
                    "Annotation {key} belongs to F5 NGINX Ingress Controller: ingress-nginx ignores \
                     it."
                ),
            );
        }
    }
}

//! Paths and their types.

use std::collections::BTreeMap;

use crate::context::{Context, IngressNginx, Release, Settings};
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

use super::class::NGINX;
use super::view::{Controller, paths};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN15",
        title: "special characters in an Exact or Prefix path",
        reason: "ingress-nginx checks this since 1.12 (strict-validate-path-type) and refuses the Ingress. An error only where the administrator declared such a controller.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {rules: [{http: {paths: [{path: '/foo(/|$)(.*)', pathType: Prefix}]}}]}}",
                &[
                    r#"path "/foo(/|$)(.*)" cannot have pathType Prefix: ingress-nginx 1.12 and newer refuse it. Set pathType: ImplementationSpecific."#,
                ],
            ),
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/v1:sync', pathType: Exact}]}}]}",
                &[
                    r#"path "/v1:sync" cannot have pathType Exact: ingress-nginx 1.15.0 refuses it. Set pathType: ImplementationSpecific."#,
                ],
            )
            .given(NGINX)
            .declared(DECLARED),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: /foo/bar_baz-1.html, pathType: Prefix}]}}]}",
            )
            .given(NGINX)
            .declared(DECLARED),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/foo(/|$)(.*)', pathType: ImplementationSpecific}]}}]}",
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: haproxy, rules: [{http: {paths: [{path: '/a:b', pathType: Prefix}]}}]}",
            )
            .given("{kind: IngressClass, metadata: {name: haproxy}, spec: {controller: haproxy.org/ingress-controller}}"),
        ],
        check: path_type,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
    Rule {
        id: "IN17",
        title: "path that reaches into the configuration of nginx",
        reason: "Paths are written into nginx.conf; quotes and line breaks end the directive (CVE-2026-24512).",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: \"/a\\\"\\nlua_x\", pathType: ImplementationSpecific}]}}]}",
                &[r#"path "/a"\nlua_x" contains a quote or control character, which can inject nginx configuration (CVE-2026-24512). Remove it."#],
            )
            .given(NGINX),
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/a;b', pathType: ImplementationSpecific}]}}]}",
                &[r#"path "/a;b" contains ";", which nginx configuration gives a meaning of its own. Write it percent-encoded or use a regular expression."#],
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/a(/|$)(.{2,3})', pathType: ImplementationSpecific}]}}]}",
            )
            .given(NGINX),
        ],
        check: injection,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
    Rule {
        id: "IN20",
        title: "the same path twice",
        reason: "Only one of two equal paths can win, and which is up to the controller.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}, {host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}",
                &[r#"host "a.example.com" has path "/" (Prefix) twice: spec.rules[0].http.paths[0] and spec.rules[1].http.paths[0]. Remove one."#],
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}, {path: /, pathType: Exact}]}}]}",
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: alb, rules: [{http: {paths: [{path: /, pathType: Prefix}, {path: /, pathType: Prefix}]}}]}",
            )
            .given("{kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb}}"),
        ],
        check: twice,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
];

/// An ingress-nginx with strict validation, as an administrator declares it.
const DECLARED: Settings = Settings {
    ingress_nginx: Some(IngressNginx::new(Release(1, 15, 0))),
};

fn path_type(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    let declared = context.settings.ingress_nginx;
    let dots = declared.is_none_or(|controller| controller.accepts_dots());
    let (severity, who) = match declared {
        Some(controller) if controller.validates_path_type() => (
            Severity::Error,
            format!("ingress-nginx {} refuses it", controller.release),
        ),
        _ => (
            Severity::Warning,
            "ingress-nginx 1.12 and newer refuse it".to_owned(),
        ),
    };
    for entry in paths(subject) {
        let plain = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/') || (c == '.' && dots)
        };
        if matches!(entry.path_type, "Prefix" | "Exact") && !entry.path.chars().all(plain) {
            report.add(
                severity,
                &entry.field("pathType"),
                format!(
                    "path {} cannot have pathType {}: {who}. Set pathType: ImplementationSpecific.",
                    quote(entry.path),
                    entry.path_type
                ),
            );
        }
    }
}

fn injection(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(severity) = Controller::of(subject, context).severity() else {
        return;
    };
    for entry in paths(subject) {
        let path = entry.path;
        if path.contains(|c: char| c == '"' || c.is_control()) {
            report.add(
                severity,
                &entry.field("path"),
                format!(
                    "path {} contains a quote or control character, which can inject nginx \
                     configuration (CVE-2026-24512). Remove it.",
                    quote(path)
                ),
            );
        } else if let Some(special) = path.chars().find(|c| matches!(c, ';' | '#' | ' ')) {
            report.warning(
                &entry.field("path"),
                format!(
                    "path {} contains \"{special}\", which nginx configuration gives a meaning of \
                     its own. Write it percent-encoded or use a regular expression.",
                    quote(path)
                ),
            );
        }
    }
}

fn twice(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let severity = match Controller::of(subject, context) {
        Controller::Nginx => Severity::Error,
        Controller::Presumed | Controller::Unnamed => Severity::Warning,
        Controller::Other => return,
    };
    let mut seen = BTreeMap::new();
    for entry in paths(subject) {
        let key = (entry.host, entry.path, entry.path_type);
        let Some(first) = seen.insert(key, entry.pointer.clone()) else {
            continue;
        };
        let host = if entry.host.is_empty() {
            "Every host".to_owned()
        } else {
            format!("host {}", quote(entry.host))
        };
        report.add(
            severity,
            &entry.field("path"),
            format!(
                "{host} has path {} ({}) twice: {} and {}. Remove one.",
                quote(entry.path),
                entry.path_type,
                crate::finding::dotted(&first),
                crate::finding::dotted(&entry.pointer)
            ),
        );
    }
}

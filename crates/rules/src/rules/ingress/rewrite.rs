//! `rewrite-target` and the groups of paths.
//!
//! The annotation makes every path of its host a case-insensitive regular expression; requests
//! go to the target, with `$1` to `$9` replaced by what the groups of the path captured, and by
//! nothing where there is no such group.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer};
use crate::text::quote;

use super::class::NGINX;
use super::nginx::{groups, looks_like_regex, references};
use super::view::{Controller, PREFIX, annotation, paths};

const TARGET: &str = "rewrite-target";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN10",
        title: "rewrite to a group that the path does not have",
        reason: "nginx puts nothing in its place, silently: every request goes to the same address.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /foo, pathType: ImplementationSpecific}]}}]}}",
                &[
                    r#"rewrite-target "/$2" uses $2, but path "/foo" has no capture group: $2 is always empty. Write path "/foo(/|$)(.*)" for "/$2"."#,
                ],
            )
            .given(NGINX),
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {rules: [{http: {paths: [{path: '/foo/(.*)', pathType: ImplementationSpecific}]}}]}}",
                &[
                    r#"rewrite-target "/$2" uses $2, but path "/foo/(.*)" has only 1 capture group: $2 is always empty. Write path "/foo(/|$)(.*)" for "/$2"."#,
                ],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {rules: [{http: {paths: [{path: '/foo(/|$)(.*)', pathType: ImplementationSpecific}]}}]}}",
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {ingressClassName: alb, rules: [{http: {paths: [{path: /foo, pathType: Prefix}]}}]}}",
            )
            .given("{kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb}}"),
        ],
        check: empty_group,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
    Rule {
        id: "IN11",
        title: "groups that the rewrite does not use",
        reason: "Mostly the work of a shell: an unquoted here-document replaces $2 by nothing before kubectl sees it.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}, spec: {rules: [{http: {paths: [{path: '/foo(/|$)(.*)', pathType: Prefix}]}}]}}",
                &[
                    r#"rewrite-target "/" drops what path "/foo(/|$)(.*)" captures: every request goes to "/". If a shell expanded $2: quote the here-document (<<'EOF') or write \$2."#,
                ],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}}, spec: {rules: [{http: {paths: [{path: '/foo(/|$)(.*)', pathType: Prefix}]}}]}}",
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}, spec: {rules: [{http: {paths: [{path: /, pathType: Prefix}]}}]}}",
            ),
        ],
        check: unused_groups,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN12",
        title: "rewrite that forgets the rest of the path",
        reason: "Since ingress-nginx 0.22 nothing is appended to the target.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}, spec: {rules: [{http: {paths: [{path: /foo, pathType: Prefix}]}}]}}",
                &[
                    r#"rewrite-target "/" sends everything below "/foo" to "/". To keep the rest: path "/foo(/|$)(.*)", pathType ImplementationSpecific and rewrite-target "/$2"."#,
                ],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}, spec: {rules: [{http: {paths: [{path: /foo, pathType: Exact}]}}]}}",
            ),
        ],
        check: lost_rest,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN14",
        title: "regular expression that is not read as one",
        reason: "Without use-regex or rewrite-target a path is matched literally.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/ssl-redirect: 'true'}}, spec: {rules: [{http: {paths: [{path: '/api/v[0-9]+/.*', pathType: ImplementationSpecific}]}}]}}",
                &[
                    r#"path "/api/v[0-9]+/.*" is matched literally. For a regular expression add the annotation nginx.ingress.kubernetes.io/use-regex: "true"."#,
                ],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true'}}, spec: {rules: [{http: {paths: [{path: '/api/v[0-9]+/.*', pathType: ImplementationSpecific}]}}]}}",
            ),
            Example::good(
                "spec: {ingressClassName: gce, rules: [{http: {paths: [{path: '/*', pathType: ImplementationSpecific}]}}]}",
            ),
        ],
        check: literal,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN16",
        title: "broken regular expression",
        reason: "ingress-nginx accepts it; nginx then refuses its whole configuration, for every Ingress.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true'}}, spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/foo(/|$', pathType: ImplementationSpecific}]}}]}}",
                &[
                    r#"path "/foo(/|$" is not a regular expression: a ( is not closed. One such path keeps nginx from reloading for all Ingresses."#,
                ],
            )
            .given(NGINX),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true'}}, spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: '/foo(/|$)', pathType: ImplementationSpecific}]}}]}}",
            )
            .given(NGINX),
        ],
        check: broken,
        ..Rule::of(Kind::Ingress, Severity::Error)
    },
];

/// The part of a path before its first special character, without a slash at its end.
fn base(path: &str) -> &str {
    let end = path
        .find(|c: char| "([*|\\^$?.+{".contains(c))
        .unwrap_or(path.len());
    path.get(..end).unwrap_or(path).trim_end_matches('/')
}

fn target_pointer() -> String {
    annotation_pointer(&format!("{PREFIX}{TARGET}"))
}

fn empty_group(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(severity) = Controller::of(subject, context).severity() else {
        return;
    };
    let Some(target) = annotation(subject, TARGET) else {
        return;
    };
    let Some(&highest) = references(target).last() else {
        return;
    };
    for entry in paths(subject) {
        let has = groups(entry.path);
        // nginx is not asked to rewrite a path to itself.
        if entry.path == target || usize::try_from(highest).is_ok_and(|highest| highest <= has) {
            continue;
        }
        let groups = match has {
            0 => "no capture group".to_owned(),
            1 => "only 1 capture group".to_owned(),
            _ => format!("only {has} capture groups"),
        };
        report.add(
            severity,
            &entry.field("path"),
            format!(
                "rewrite-target {} uses ${highest}, but path {} has {groups}: ${highest} is always \
                 empty. Write path {} for \"/$2\".",
                quote(target),
                quote(entry.path),
                quote(&format!("{}(/|$)(.*)", base(entry.path)))
            ),
        );
    }
}

fn unused_groups(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    let Some(target) = annotation(subject, TARGET).filter(|target| !target.contains('$')) else {
        return;
    };
    for entry in paths(subject) {
        if groups(entry.path) > 0 {
            report.warning(
                &target_pointer(),
                format!(
                    "rewrite-target {} drops what path {} captures: every request goes to {}. If a \
                     shell expanded $2: quote the here-document (<<'EOF') or write \\$2.",
                    quote(target),
                    quote(entry.path),
                    quote(target)
                ),
            );
        }
    }
}

fn lost_rest(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    let Some(target) = annotation(subject, TARGET).filter(|target| !target.contains('$')) else {
        return;
    };
    for entry in paths(subject) {
        let path = entry.path;
        let whole = path.is_empty() || path == "/" || path == target;
        if entry.path_type == "Prefix" && !whole && groups(path) == 0 {
            report.warning(
                &entry.field("path"),
                format!(
                    "rewrite-target {} sends everything below {} to {}. To keep the rest: path {}, \
                     pathType ImplementationSpecific and rewrite-target {}.",
                    quote(target),
                    quote(path),
                    quote(target),
                    quote(&format!("{}(/|$)(.*)", base(path))),
                    quote(&format!("{}/$2", target.trim_end_matches('/')))
                ),
            );
        }
    }
}

/// Whether ingress-nginx reads the paths of this Ingress as regular expressions.
pub(super) fn regex_mode(subject: Subject<'_>) -> bool {
    let truth = ["1", "t", "T", "true", "TRUE", "True"];
    annotation(subject, "use-regex").is_some_and(|value| truth.contains(&value))
        || subject.has(&target_pointer())
}

fn literal(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let unjudged = subject.has(&annotation_pointer(&format!("{PREFIX}use-regex")))
        && annotation(subject, "use-regex").is_none();
    if !Controller::of(subject, context).is_nginx() || regex_mode(subject) || unjudged {
        return;
    }
    for entry in paths(subject) {
        if entry.path_type == "ImplementationSpecific" && looks_like_regex(entry.path) {
            report.warning(
                &entry.field("path"),
                format!(
                    "path {} is matched literally. For a regular expression add the annotation \
                     {PREFIX}use-regex: \"true\".",
                    quote(entry.path)
                ),
            );
        }
    }
}

fn broken(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(severity) = Controller::of(subject, context).severity() else {
        return;
    };
    if !regex_mode(subject) {
        return;
    }
    for entry in paths(subject) {
        if let Some(why) = super::nginx::broken(entry.path) {
            report.add(
                severity,
                &entry.field("path"),
                format!(
                    "path {} is not a regular expression: {why}. One such path keeps nginx from \
                     reloading for all Ingresses.",
                    quote(entry.path)
                ),
            );
        }
    }
}

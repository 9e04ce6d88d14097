//! Other Ingresses of the same host.

use serde_json::Value;

use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::index::Key;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer};
use crate::text::{first_of, quote};

use super::rewrite::regex_mode;
use super::view::{Controller, PREFIX, Path, annotation, class, paths};

const OWNER: &str = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: other, namespace: web}, spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}}\n---\n{kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN18",
        title: "regular expressions for a shared host",
        reason: "use-regex and rewrite-target make every path of the host a case-insensitive regular expression, those of other Ingresses too.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/use-regex: 'true'}}, spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: '/api/.*', pathType: ImplementationSpecific}]}}]}}",
                &[r#"This makes every path of host "a.example.com" a case-insensitive regular expression, also in other Ingresses (web/other); the longest path wins."#],
            )
            .given(OWNER),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /api, pathType: Prefix}]}}]}",
            )
            .given(OWNER),
        ],
        check: shared_host,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN21",
        title: "path that another Ingress has",
        reason: "ingress-nginx refuses the second one. To rename an Ingress delete the old one first.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}",
                &[r#"host "a.example.com" path "/" is defined in Ingress web/other already: ingress-nginx refuses the second one. Delete or change that one first."#],
            )
            .given(OWNER),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/canary: 'true'}}, spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}}",
            )
            .given(OWNER),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Exact}]}}]}",
            )
            .given(OWNER),
        ],
        check: taken,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN23",
        title: "canary of nothing",
        reason: "A canary takes a share of the requests of another Ingress with the same host and path.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/canary: 'true'}}, spec: {ingressClassName: nginx, rules: [{host: b.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}}",
                &[r#"canary needs an Ingress that is none, with host "b.example.com" and path "/": there is none yet."#],
            )
            .given(OWNER),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/canary: 'true'}}, spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}}",
            )
            .given(OWNER),
        ],
        check: canary_of_nothing,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
];

fn is_canary(subject: Subject<'_>) -> bool {
    annotation(subject, "canary") == Some("true")
}

/// Other Ingresses of the same class that satisfy a condition, as `namespace/name`. Who owns a host
/// the controller tells everybody anyway.
fn others(
    subject: Subject<'_>,
    context: &Context,
    key: Key,
    also: impl Fn(Subject<'_>) -> bool,
) -> Option<Vec<String>> {
    let Fact::Present(found) = context.facts().indexed(Kind::Ingress, key) else {
        return None;
    };
    let fits = |other: &Value| {
        let other = Subject::new(other);
        (other.namespace(), other.name()) != (subject.namespace(), subject.name())
            && class(other) == class(subject)
            && also(other)
    };
    let name = |other: &Value| {
        let other = Subject::new(other);
        format!("{}/{}", other.namespace(), other.name())
    };
    let fitting = found.iter().filter(|other| fits(other));
    Some(fitting.map(|other| name(other)).collect())
}

fn has(other: Subject<'_>, wanted: &Path<'_>) -> bool {
    paths(other).iter().any(|path| {
        (path.host, path.path, path.path_type) == (wanted.host, wanted.path, wanted.path_type)
    })
}

fn shared_host(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) != Controller::Nginx || !regex_mode(subject) {
        return;
    }
    let mut seen: Vec<&str> = Vec::new();
    for path in paths(subject) {
        if path.host.is_empty() || seen.contains(&path.host) {
            continue;
        }
        seen.push(path.host);
        // Who uses expressions already is not surprised.
        let plain = |other: Subject<'_>| {
            !regex_mode(other) && paths(other).iter().any(|their| their.host == path.host)
        };
        let Some(names) = others(subject, context, Key::host(path.host), plain) else {
            continue;
        };
        if !names.is_empty() {
            let pointer = path
                .pointer
                .split_once("/http/")
                .map_or(path.pointer.as_str(), |(rule, _)| rule);
            report.warning(
                &format!("{pointer}/host"),
                format!(
                    "This makes every path of host {} a case-insensitive regular expression, also \
                     in other Ingresses ({}); the longest path wins.",
                    quote(path.host),
                    first_of(&names, 2)
                ),
            );
        }
    }
}

fn taken(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) != Controller::Nginx || is_canary(subject) {
        return;
    }
    for path in paths(subject) {
        let key = Key::path(path.host, path.path, path.path_type);
        let same = |other: Subject<'_>| !is_canary(other) && has(other, &path);
        let owner = others(subject, context, key, same).unwrap_or_default();
        if let Some(owner) = owner.first() {
            let host = if path.host.is_empty() {
                "every host".to_owned()
            } else {
                format!("host {}", quote(path.host))
            };
            report.add(
                context.clash(),
                &path.field("path"),
                format!(
                    "{host} path {} is defined in Ingress {owner} already: ingress-nginx refuses \
                     the second one. Delete or change that one first.",
                    quote(path.path)
                ),
            );
        }
    }
}

fn canary_of_nothing(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) != Controller::Nginx || !is_canary(subject) {
        return;
    }
    // Files need not hold what a canary is of.
    if context.facts().is_files() {
        return;
    }
    for path in paths(subject) {
        let main = |other: Subject<'_>| {
            !is_canary(other)
                && paths(other)
                    .iter()
                    .any(|their| (their.host, their.path) == (path.host, path.path))
        };
        let Some(mains) = others(subject, context, Key::host(path.host), main) else {
            continue;
        };
        if mains.is_empty() {
            report.warning(
                &annotation_pointer(&format!("{PREFIX}canary")),
                format!(
                    "canary needs an Ingress that is none, with host {} and path {}: there is none \
                     yet.",
                    quote(path.host),
                    quote(path.path)
                ),
            );
        }
    }
}

//! Which controller is meant.

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer};
use crate::text::{first_of, quote};

use super::view::{CLASS_ANNOTATION, Controller, class, names_class};

const CLASS: &str = "/spec/ingressClassName";

/// Most class names to list.
const SHOWN: usize = 5;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN01",
        title: "no class",
        reason: "Without a class and without a default class no controller feels responsible, unless it was told to serve such Ingresses.",
        examples: &[
            Example::bad(
                "spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}",
                &["spec.ingressClassName is missing and no IngressClass is the default: usually no controller serves this. Set spec.ingressClassName: nginx."],
            )
            .given(NGINX),
            Example::bad(
                "spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}",
                &["spec.ingressClassName is missing and no IngressClass is the default: usually no controller serves this. This cluster has no IngressClass at all: install a controller."],
            )
            .given(""),
            Example::good(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: a, port: {number: 80}}}}",
            )
            .given(NGINX),
            Example::good("spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}"),
            Example::good("spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}").given(
                "{kind: IngressClass, metadata: {name: traefik, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}, spec: {controller: traefik.io/ingress-controller}}",
            ),
        ],
        check: missing,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN02",
        title: "class that does not exist",
        reason: "Nothing tells so: the Ingress is accepted and never served.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: ngnix}",
                &[r#"IngressClass "ngnix" does not exist (there are: nginx)."#],
            )
            .given(NGINX),
            Example::good("spec: {ingressClassName: nginx}").given(NGINX),
            Example::good("spec: {ingressClassName: ngnix}"),
        ],
        check: unknown,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN03",
        title: "class in the old annotation",
        reason: "The annotation is deprecated since Kubernetes 1.18.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {kubernetes.io/ingress.class: nginx}}, spec: {}}",
                &["Annotation kubernetes.io/ingress.class is deprecated. Write spec.ingressClassName: nginx."],
            ),
            Example::good("spec: {ingressClassName: nginx}"),
        ],
        check: annotated,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN35",
        title: "rule for every host",
        reason: "A rule without a host takes the requests of all hosts that no other rule names.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: /, pathType: Prefix}]}}]}",
                &["spec.rules[0] has no host: it takes requests for every host. Set spec.rules[0].host."],
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: nginx, rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix}]}}]}",
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: alb, rules: [{http: {paths: [{path: /, pathType: Prefix}]}}]}",
            ),
        ],
        check: no_host,
        ..Rule::of(Kind::Ingress, Severity::Note)
    },
];

/// A cluster with ingress-nginx.
pub(super) const NGINX: &str =
    "{kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}";

fn missing(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    // Files need not hold every class of the cluster.
    if names_class(subject) || context.facts().is_files() {
        return;
    }
    let Some(classes) = context.facts().ingress_classes().present() else {
        return;
    };
    if classes.iter().any(|class| class.default) {
        return;
    }
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let remedy = match names.as_slice() {
        [] => "This cluster has no IngressClass at all: install a controller.".to_owned(),
        [only] => format!("Set spec.ingressClassName: {only}."),
        several => {
            format!(
                "Set spec.ingressClassName (there are: {}).",
                first_of(several, SHOWN)
            )
        }
    };
    report.warning(
        CLASS,
        format!(
            "spec.ingressClassName is missing and no IngressClass is the default: usually no \
             controller serves this. {remedy}"
        ),
    );
}

fn unknown(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(name) = subject.text(CLASS) else {
        return;
    };
    let Some(classes) = context.facts().ingress_classes().present() else {
        return;
    };
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    if !names.contains(&name) && !context.facts().is_files() {
        let there = if names.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", first_of(&names, SHOWN))
        };
        report.warning(
            CLASS,
            format!("IngressClass {} does not exist ({there}).", quote(name)),
        );
    }
}

fn annotated(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    if let Some(name) = subject.annotation(CLASS_ANNOTATION) {
        report.warning(
            &annotation_pointer(CLASS_ANNOTATION),
            format!(
                "Annotation {CLASS_ANNOTATION} is deprecated. Write spec.ingressClassName: {}.",
                class(subject).unwrap_or(name)
            ),
        );
    }
}

fn no_host(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) == Controller::Other {
        return;
    }
    for (index, rule) in subject.list("/spec/rules").iter().enumerate() {
        let host = rule.get("host").and_then(serde_json::Value::as_str);
        if host.is_none_or(str::is_empty) {
            report.note(
                &format!("/spec/rules/{index}"),
                format!(
                    "spec.rules[{index}] has no host: it takes requests for every host. Set \
                     spec.rules[{index}].host."
                ),
            );
        }
    }
}

//! What requests are sent to, and the certificates they come with.

use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, annotation_pointer, judgeable};
use crate::text::{first_of, quote};

use super::class::NGINX;
use super::view::{
    Backend, Controller, PREFIX, Port, annotation, backend_pointers, backends, is_absent,
};

/// Most ports to list.
const SHOWN: usize = 5;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IN30",
        title: "Service not there",
        reason: "An Ingress reaches Services of its own namespace only; requests get a 503.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {number: 8080}}}}",
                &[r#"Service "foo" not found in namespace apps: an Ingress reaches only Services of its own namespace. Put the Ingress where the Service is."#],
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {number: 8080}}}}",
            )
            .given(FOO),
            Example::good(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {number: 8080}}}}",
            ),
            Example::good(
                "spec: {ingressClassName: alb, defaultBackend: {service: {name: ssl-redirect, port: {name: use-annotation}}}}",
            )
            .given("{kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb}}"),
        ],
        check: missing_service,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN31",
        title: "port that the Service does not have",
        reason: "Requests get a 503. What counts is the port of the Service, not the one of its Pods.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {number: 80}}}}",
                &[r#"Service "foo" has no port 80; it has 8080 (http)."#],
            )
            .given(FOO),
            Example::good(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {name: http}}}}",
            )
            .given(FOO),
        ],
        check: missing_port,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN32",
        title: "resource as a backend",
        reason: "ingress-nginx serves its default backend instead.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, defaultBackend: {resource: {kind: Bucket, name: files}}}",
                &["ingress-nginx ignores backends that are a resource: requests get its default backend. Use a Service."],
            )
            .given(NGINX),
            Example::good(
                "spec: {ingressClassName: nginx, defaultBackend: {service: {name: foo, port: {number: 8080}}}}",
            )
            .given(NGINX),
        ],
        check: resource,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN33",
        title: "certificate not there",
        reason: "The controller's own, untrusted certificate is served.",
        examples: &[
            Example::bad(
                "spec: {ingressClassName: nginx, tls: [{hosts: [a.example.com], secretName: a-tls}]}",
                &[r#"Secret "a-tls" not found in namespace apps: an untrusted certificate is served. For cert-manager add the annotation cert-manager.io/cluster-issuer."#],
            )
            .given(NGINX),
            Example::good(
                "{metadata: {annotations: {cert-manager.io/cluster-issuer: letsencrypt}}, spec: {ingressClassName: nginx, tls: [{hosts: [a.example.com], secretName: a-tls}]}}",
            )
            .given(NGINX),
        ],
        check: missing_certificate,
        ..Rule::of(Kind::Ingress, Severity::Warning)
    },
    Rule {
        id: "IN34",
        title: "redirect to https without a certificate",
        reason: "Browsers are sent to the controller's own, untrusted certificate.",
        examples: &[
            Example::bad(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'}}, spec: {defaultBackend: {service: {name: foo, port: {number: 80}}}}}",
                &["force-ssl-redirect without spec.tls leads to an untrusted certificate, unless something before the controller ends TLS. Set spec.tls."],
            ),
            Example::good(
                "{metadata: {annotations: {nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'}}, spec: {tls: [{hosts: [a.example.com]}]}}",
            ),
        ],
        check: redirect,
        ..Rule::of(Kind::Ingress, Severity::Note)
    },
];

/// ingress-nginx and a Service.
const FOO: &str = "
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
---
kind: Service
metadata: {name: foo, namespace: apps}
spec: {ports: [{name: http, port: 8080}]}
";

fn missing_service(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) == Controller::Other {
        return;
    }
    let namespace = subject.namespace();
    for Backend {
        pointer, service, ..
    } in backends(subject)
    {
        if is_absent(&context.facts().service(namespace, service)) {
            report.warning(
                &format!("{pointer}/service/name"),
                format!(
                    "Service {} not found in namespace {namespace}: an Ingress reaches only \
                     Services of its own namespace. Put the Ingress where the Service is.",
                    quote(service)
                ),
            );
        }
    }
}

fn missing_port(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if Controller::of(subject, context) == Controller::Other {
        return;
    }
    for Backend {
        pointer,
        service,
        port,
    } in backends(subject)
    {
        let Some(wanted) = port else { continue };
        let Fact::Present(ports) = context.facts().service(subject.namespace(), service) else {
            continue;
        };
        let there = ports.iter().any(|port| match wanted {
            Port::Number(number) => port.number == number,
            Port::Name(name) => port.name == name,
        });
        if there || ports.is_empty() {
            continue;
        }
        let wanted = match wanted {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => quote(name),
        };
        let shown: Vec<String> = ports
            .iter()
            .map(|port| match port.name.as_str() {
                "" => port.number.to_string(),
                name => format!("{} ({name})", port.number),
            })
            .collect();
        report.warning(
            &format!("{pointer}/service/port"),
            format!(
                "Service {} has no port {wanted}; it has {}.",
                quote(service),
                first_of(&shown, SHOWN)
            ),
        );
    }
}

fn resource(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if !Controller::of(subject, context).is_nginx() {
        return;
    }
    for pointer in backend_pointers(subject) {
        let pointer = format!("{pointer}/resource");
        if subject.has(&pointer) {
            report.warning(
                &pointer,
                "ingress-nginx ignores backends that are a resource: requests get its default \
                 backend. Use a Service.",
            );
        }
    }
}

fn missing_certificate(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let managed = subject
        .get("/metadata/annotations")
        .and_then(serde_json::Value::as_object)
        .is_some_and(|all| {
            all.keys()
                .any(|key| key.starts_with("cert-manager.io/") || key.contains("tls-acme"))
        });
    if managed || Controller::of(subject, context) == Controller::Other {
        return;
    }
    let namespace = subject.namespace();
    for (index, entry) in subject.list("/spec/tls").iter().enumerate() {
        let Some(name) = entry.get("secretName").and_then(judgeable) else {
            continue;
        };
        if is_absent(&context.facts().secret(namespace, name)) {
            report.warning(
                &format!("/spec/tls/{index}/secretName"),
                format!(
                    "Secret {} not found in namespace {namespace}: an untrusted certificate is \
                     served. For cert-manager add the annotation cert-manager.io/cluster-issuer.",
                    quote(name)
                ),
            );
        }
    }
}

fn redirect(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const NAME: &str = "force-ssl-redirect";
    if Controller::of(subject, context).is_nginx()
        && annotation(subject, NAME) == Some("true")
        && subject.list("/spec/tls").is_empty()
    {
        report.note(
            &annotation_pointer(&format!("{PREFIX}{NAME}")),
            "force-ssl-redirect without spec.tls leads to an untrusted certificate, unless \
             something before the controller ends TLS. Set spec.tls.",
        );
    }
}

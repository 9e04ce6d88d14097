//! Who may read an image repository: credentials, and policies of other namespaces.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::index::Key;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::quote;

const SECRET: &str = "/spec/secretRef/name";
const IMAGE: &str = "/spec/image";
const ACCESS: &str = "/spec/accessFrom/namespaceSelectors";
const REFERENCE: &str = "/spec/imageRepositoryRef";
const DOCKER_CONFIG: &str = "kubernetes.io/dockerconfigjson";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "IR06",
        title: "credentials for another registry",
        reason: "A Secret of another type, or without an entry for the registry, is of no use: the scan is anonymous or fails.",
        examples: &[
            Example::bad(
                "spec: {image: ghcr.io/org/app, interval: 10m, secretRef: {name: login}}",
                &[r#"Secret "login" does not exist yet in namespace apps; scans fail until it does."#],
            )
            .given(""),
            Example::bad(
                "spec: {image: ghcr.io/org/app, interval: 10m, secretRef: {name: login}}",
                &[r#"Secret "login" is of type Opaque; spec.secretRef needs kubernetes.io/dockerconfigjson."#],
            )
            .given("{kind: Secret, metadata: {name: login, namespace: apps}, type: Opaque}"),
            Example::bad(
                "spec: {image: ghcr.io/org/app, interval: 10m, secretRef: {name: login}}",
                &[r#"Secret "login" has no entry for the registry "ghcr.io"."#],
            )
            .given(
                r#"{kind: Secret, metadata: {name: login, namespace: apps}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{"auths": {"quay.io": {}}}'}}"#,
            ),
            Example::good("spec: {image: ghcr.io/org/app, interval: 10m, secretRef: {name: login}}")
                .given(
                    r#"{kind: Secret, metadata: {name: login, namespace: apps}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{"auths": {"https://ghcr.io": {}}}'}}"#,
                ),
        ],
        check: secret,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR10",
        title: "policies of other namespaces are kept out",
        reason: "A policy of another namespace may read the tags only if accessFrom admits it.",
        examples: &[
            Example::bad(
                "spec: {image: ghcr.io/org/app, interval: 10m}",
                &["An ImagePolicy of another namespace refers to this ImageRepository and is kept out. Set spec.accessFrom.namespaceSelectors to labels of its namespace."],
            )
            .given(
                "{kind: ImagePolicy, metadata: {name: app, namespace: team}, spec: {imageRepositoryRef: {name: example, namespace: apps}}}",
            ),
            Example::good("spec: {image: ghcr.io/org/app, interval: 10m, accessFrom: {namespaceSelectors: [{}]}}")
                .given(
                    "{kind: ImagePolicy, metadata: {name: app, namespace: team}, spec: {imageRepositoryRef: {name: example, namespace: apps}}}",
                ),
            Example::good("spec: {image: ghcr.io/org/app, interval: 10m}").given(
                "{kind: ImagePolicy, metadata: {name: app, namespace: apps}, spec: {imageRepositoryRef: {name: example}}}",
            ),
        ],
        check: kept_out,
        ..Rule::of(Kind::ImageRepository, Severity::Warning)
    },
    Rule {
        id: "IR11",
        title: "service account of a cloud",
        reason: "Flux exchanges the token of a service account only behind a feature gate.",
        examples: &[
            Example::bad(
                "spec: {image: 1.dkr.ecr.eu-west-1.amazonaws.com/app, interval: 10m, provider: aws, serviceAccountName: reader}",
                &["spec.serviceAccountName with provider aws needs the feature gate ObjectLevelWorkloadIdentity=true in Flux."],
            ),
            Example::good("spec: {image: ghcr.io/org/app, interval: 10m, serviceAccountName: reader}"),
        ],
        check: workload_identity,
        ..Rule::of(Kind::ImageRepository, Severity::Note)
    },
    Rule {
        id: "IP34",
        title: "ImageRepository that does not admit this namespace",
        reason: "A policy of another namespace may read the tags only if accessFrom of the ImageRepository admits it.",
        examples: &[
            Example::bad(
                "spec: {imageRepositoryRef: {name: app, namespace: shared}, policy: {alphabetical: {}}}",
                &[r#"ImageRepository "shared/app" does not admit namespace apps: add accessFrom.namespaceSelectors there, matching labels of apps."#],
            )
            .given(
                "{kind: ImageRepository, metadata: {name: app, namespace: shared}, spec: {accessFrom: {namespaceSelectors: [{matchLabels: {team: a}}]}}}\n---\n{kind: Namespace, metadata: {name: apps, labels: {team: b}}}",
            ),
            Example::good(
                "spec: {imageRepositoryRef: {name: app, namespace: shared}, policy: {alphabetical: {}}}",
            )
            .given(
                "{kind: ImageRepository, metadata: {name: app, namespace: shared}, spec: {accessFrom: {namespaceSelectors: [{matchLabels: {team: a}}]}}}\n---\n{kind: Namespace, metadata: {name: apps, labels: {team: a}}}",
            ),
        ],
        check: not_admitted,
        ..Rule::of(Kind::ImagePolicy, Severity::Warning)
    },
];

fn secret(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let Some(name) = subject.text(SECRET) else {
        return;
    };
    let namespace = subject.namespace();
    let secret = match context.facts().secret(namespace, name) {
        Fact::Unknown => return,
        Fact::Absent => {
            report.warning(
                SECRET,
                format!(
                    "Secret \"{name}\" does not exist yet in namespace {namespace}; scans fail \
                     until it does."
                ),
            );
            return;
        }
        Fact::Present(secret) => secret,
    };
    if !secret.type_.is_empty() && secret.type_ != DOCKER_CONFIG {
        report.warning(
            SECRET,
            format!(
                "Secret \"{name}\" is of type {}; spec.secretRef needs {DOCKER_CONFIG}.",
                secret.type_
            ),
        );
        return;
    }
    let (Some(registries), Some(image)) = (secret.registries, subject.text(IMAGE)) else {
        return;
    };
    let host = registry(image);
    let has = |entry: &String| {
        let entry = entry
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        let entry = entry.split('/').next().unwrap_or(entry);
        entry == host || (host == "docker.io" && entry.ends_with("docker.io"))
    };
    if !registries.iter().any(has) {
        report.warning(
            SECRET,
            format!(
                "Secret \"{name}\" has no entry for the registry {}.",
                quote(host)
            ),
        );
    }
}

/// The host of an image; Docker Hub's where none is named.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

fn kept_out(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    if subject.has(ACCESS) {
        return;
    }
    let key = Key::repository(subject.namespace(), subject.name());
    let Fact::Present(policies) = context.facts().indexed(Kind::ImagePolicy, key) else {
        return;
    };
    let elsewhere = |policy: &Value| {
        let policy = Subject::new(policy);
        policy.namespace() != subject.namespace()
            && policy.text(&format!("{REFERENCE}/name")) == Some(subject.name())
            && policy.text(&format!("{REFERENCE}/namespace")) == Some(subject.namespace())
    };
    // Which namespace that is, is not for this answer to say.
    if policies.iter().any(|policy| elsewhere(policy)) {
        report.warning(
            "/spec/accessFrom",
            "An ImagePolicy of another namespace refers to this ImageRepository and is kept out. \
             Set spec.accessFrom.namespaceSelectors to labels of its namespace.",
        );
    }
}

fn workload_identity(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/serviceAccountName";
    if subject.has(FIELD)
        && let Some(provider @ ("aws" | "azure" | "gcp")) = subject.text("/spec/provider")
    {
        report.note(
            FIELD,
            format!(
                "spec.serviceAccountName with provider {provider} needs the feature gate \
                 ObjectLevelWorkloadIdentity=true in Flux."
            ),
        );
    }
}

fn not_admitted(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let field = |name: &str| subject.text(&format!("{REFERENCE}/{name}"));
    let (Some(namespace), Some(name)) = (field("namespace"), field("name")) else {
        return;
    };
    let own = subject.namespace();
    if namespace == own {
        return;
    }
    let facts = context.facts();
    let (Fact::Present(repository), Fact::Present(labels)) = (
        facts.object(Kind::ImageRepository, namespace, name),
        facts.namespace(own),
    ) else {
        return;
    };
    if admits(&repository, &labels) == Some(false) {
        report.warning(
            REFERENCE,
            format!(
                "ImageRepository \"{namespace}/{name}\" does not admit namespace {own}: add \
                 accessFrom.namespaceSelectors there, matching labels of {own}."
            ),
        );
    }
}

/// Whether `accessFrom` admits a namespace with these labels: as the controllers decide.
fn admits(repository: &Value, labels: &BTreeMap<String, String>) -> Option<bool> {
    let selectors = Subject::new(repository).list(ACCESS);
    let mut admitted = false;
    for selector in selectors {
        let Some(wanted) = selector.get("matchLabels").and_then(Value::as_object) else {
            return Some(true);
        };
        let mut all = true;
        for (key, value) in wanted {
            all &= labels.get(key).map(String::as_str) == Some(judgeable(value)?);
        }
        admitted |= all;
    }
    Some(admitted)
}

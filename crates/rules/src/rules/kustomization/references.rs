//! What a Kustomization refers to: its source, its dependencies, Secrets and the like.

use std::collections::BTreeSet;

use super::super::source_ref::missing_repository;
use crate::context::Context;
use crate::facts::{Fact, Other};
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::quote;

const SOURCE: &str = "/spec/sourceRef";
const DEPENDS_ON: &str = "/spec/dependsOn";
const SUBSTITUTE_FROM: &str = "/spec/postBuild/substituteFrom";

/// Longest chain of dependencies that is followed.
const LONGEST: usize = 32;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KS01",
        title: "source not there",
        reason: "Nothing is applied before the source is there. Only a note about files, since the cluster may have it.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, sourceRef: {kind: GitRepository, name: apps}}",
                &[r#"GitRepository "apps/apps" does not exist yet: nothing is applied until it does."#],
            )
            .given(""),
            Example::bad(
                "spec: {interval: 10m, prune: true, sourceRef: {kind: GitRepository, name: apps, namespace: infra}}",
                &["spec.sourceRef names another namespace, infra: controllers that run with --no-cross-namespace-refs refuse that."],
            ),
            Example::good("spec: {interval: 10m, prune: true, sourceRef: {kind: GitRepository, name: apps}}")
                .given("{kind: GitRepository, metadata: {name: apps, namespace: apps}}"),
            Example::good("spec: {interval: 10m, prune: true, sourceRef: {kind: OCIRepository, name: apps}}")
                .given(""),
        ],
        check: source,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS05",
        title: "circle of dependencies",
        reason: "Each waits for the others, for ever.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: infra}]}",
                &["spec.dependsOn closes a circle: example -> infra -> example. None of them becomes ready."],
            )
            .given(
                "{kind: Kustomization, metadata: {name: infra, namespace: apps}, spec: {dependsOn: [{name: example}]}}",
            ),
            Example::good("spec: {interval: 10m, prune: true, dependsOn: [{name: infra}]}")
                .given("{kind: Kustomization, metadata: {name: infra, namespace: apps}, spec: {}}"),
        ],
        check: circle,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS06",
        title: "dependency not there",
        reason: "It is waited for until it exists and is ready.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, dependsOn: [{name: infra}]}",
                &[r#"Kustomization "apps/infra" (spec.dependsOn[0]) does not exist yet: this one waits for it. In another namespace? Add namespace."#],
            )
            .given(""),
            Example::good("spec: {interval: 10m, prune: true, dependsOn: [{name: infra, namespace: system}]}")
                .given("{kind: Kustomization, metadata: {name: infra, namespace: system}, spec: {}}"),
        ],
        check: dependencies,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS12",
        title: "values not there",
        reason: "Without optional: true the build fails.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}}",
                &[r#"ConfigMap "vars" (spec.postBuild.substituteFrom[0]) does not exist yet in namespace apps: the build fails. Create it or set optional: true."#],
            )
            .given(""),
            Example::good(
                "spec: {interval: 10m, prune: true, postBuild: {substituteFrom: [{kind: ConfigMap, name: vars, optional: true}]}}",
            )
            .given(""),
            Example::good(
                "spec: {interval: 10m, prune: true, postBuild: {substituteFrom: [{kind: Secret, name: vars}]}}",
            )
            .given("{kind: Secret, metadata: {name: vars, namespace: apps}}"),
        ],
        check: values,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS15",
        title: "no key for decryption",
        reason: "Encrypted files cannot be read, and the build fails.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, decryption: {provider: sops, secretRef: {name: sops}}}",
                &[r#"Secret "sops" (spec.decryption) has no key for decryption: *.agekey, *.asc, or sops.vault-token, sops.aws-kms, sops.azure-kv, sops.gcp-kms."#],
            )
            .given("{kind: Secret, metadata: {name: sops, namespace: apps}, stringData: {key.txt: x}}"),
            Example::bad(
                "spec: {interval: 10m, prune: true, decryption: {provider: sops, secretRef: {name: sops}}}",
                &[r#"Secret "sops" (spec.decryption) does not exist yet in namespace apps: the build fails until it does."#],
            )
            .given(""),
            Example::good(
                "spec: {interval: 10m, prune: true, decryption: {provider: sops, secretRef: {name: sops}}}",
            )
            .given("{kind: Secret, metadata: {name: sops, namespace: apps}, stringData: {age.agekey: x}}"),
        ],
        check: decryption,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS16",
        title: "service account not there",
        reason: "Nothing may be applied in the name of nobody.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, serviceAccountName: deployer}",
                &[r#"ServiceAccount "deployer" does not exist yet in namespace apps: everything is forbidden until it does."#],
            )
            .given(""),
            Example::good("spec: {interval: 10m, prune: true, serviceAccountName: deployer}")
                .given("{kind: ServiceAccount, metadata: {name: deployer, namespace: apps}}"),
        ],
        check: account,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
];

fn source(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let field = |name: &str| subject.text(&format!("{SOURCE}/{name}"));
    let own = subject.namespace();
    let namespace = field("namespace").unwrap_or(own);
    if namespace != own && field("namespace").is_some() {
        report.note(
            &format!("{SOURCE}/namespace"),
            format!(
                "spec.sourceRef names another namespace, {namespace}: controllers that run with \
                 --no-cross-namespace-refs refuse that."
            ),
        );
    }
    let (Some("GitRepository"), Some(name)) = (field("kind"), field("name")) else {
        return;
    };
    let pointer = format!("{SOURCE}/name");
    missing_repository(&pointer, (namespace, name), "applied", context, report);
}

/// The dependencies that can be judged: their index, namespace and name.
fn depends_on<'a>(subject: Subject<'a>) -> Vec<(usize, &'a str, &'a str)> {
    let field =
        |entry: &'a serde_json::Value, name: &str| entry.get(name).filter(|value| !value.is_null());
    subject
        .list(DEPENDS_ON)
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| {
            let namespace = match field(entry, "namespace") {
                Some(namespace) => judgeable(namespace)?,
                None => subject.namespace(),
            };
            Some((index, namespace, judgeable(field(entry, "name")?)?))
        })
        .collect()
}

fn dependencies(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    for (index, namespace, name) in depends_on(subject) {
        if context.facts().object(Kind::Kustomization, namespace, name) == Fact::Absent
            && (namespace, name) != (subject.namespace(), subject.name())
        {
            report.warning(
                &format!("{DEPENDS_ON}/{index}"),
                format!(
                    "Kustomization \"{namespace}/{name}\" (spec.dependsOn[{index}]) does not exist \
                     yet: this one waits for it. In another namespace? Add namespace."
                ),
            );
        }
    }
}

fn circle(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let this = (subject.namespace().to_owned(), subject.name().to_owned());
    // Breadth first, each node once, with the way that led there.
    let mut seen = BTreeSet::new();
    let mut open: Vec<Vec<(String, String)>> = depends_on(subject)
        .into_iter()
        .map(|(_, namespace, name)| vec![(namespace.to_owned(), name.to_owned())])
        .collect();
    while let Some(way) = open.pop() {
        let Some(last) = way.last() else { continue };
        if *last == this {
            // A step to itself is another rule's.
            if way.len() > 1 {
                report.warning(DEPENDS_ON, describe(&this, &way));
            }
            return;
        }
        if way.len() > LONGEST || !seen.insert(last.clone()) {
            continue;
        }
        let Fact::Present(next) = context
            .facts()
            .object(Kind::Kustomization, &last.0, &last.1)
        else {
            continue;
        };
        for (_, namespace, name) in depends_on(Subject::new(&next)) {
            let mut longer = way.clone();
            longer.push((namespace.to_owned(), name.to_owned()));
            open.push(longer);
        }
    }
}

fn describe(this: &(String, String), way: &[(String, String)]) -> String {
    // Names of other namespaces are those that the objects themselves name.
    let shown = |(namespace, name): &(String, String)| {
        if *namespace == this.0 {
            name.clone()
        } else {
            format!("{namespace}/{name}")
        }
    };
    let names: Vec<String> = std::iter::once(this).chain(way).map(shown).collect();
    format!(
        "spec.dependsOn closes a circle: {}. None of them becomes ready.",
        names.join(" -> ")
    )
}

fn values(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    let namespace = subject.namespace();
    for (index, entry) in subject.list(SUBSTITUTE_FROM).iter().enumerate() {
        let text = |key: &str| entry.get(key).and_then(judgeable);
        let optional = entry.get("optional").and_then(serde_json::Value::as_bool);
        let (Some(kind), Some(name), None | Some(false)) = (text("kind"), text("name"), optional)
        else {
            continue;
        };
        let absent = match kind {
            "ConfigMap" => {
                context.facts().exists(Other::ConfigMap, namespace, name) == Fact::Absent
            }
            "Secret" => context.facts().secret(namespace, name) == Fact::Absent,
            _ => false,
        };
        if absent {
            report.warning(
                &format!("{SUBSTITUTE_FROM}/{index}/name"),
                format!(
                    "{kind} {} (spec.postBuild.substituteFrom[{index}]) does not exist yet in \
                     namespace {namespace}: the build fails. Create it or set optional: true.",
                    quote(name)
                ),
            );
        }
    }
}

fn decryption(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/decryption/secretRef/name";
    const NAMES: [&str; 4] = [
        "sops.vault-token",
        "sops.aws-kms",
        "sops.azure-kv",
        "sops.gcp-kms",
    ];
    let Some(name) = subject.text(FIELD) else {
        return;
    };
    let namespace = subject.namespace();
    let message = match context.facts().secret(namespace, name) {
        Fact::Unknown => return,
        Fact::Absent => format!(
            "Secret {} (spec.decryption) does not exist yet in namespace {namespace}: the build \
             fails until it does.",
            quote(name)
        ),
        Fact::Present(secret) => {
            let useful = |key: &String| {
                key.ends_with(".agekey") || key.ends_with(".asc") || NAMES.contains(&key.as_str())
            };
            if secret
                .keys
                .as_ref()
                .is_none_or(|keys| keys.iter().any(useful))
            {
                return;
            }
            format!(
                "Secret {} (spec.decryption) has no key for decryption: *.agekey, *.asc, or {}.",
                quote(name),
                NAMES.join(", ")
            )
        }
    };
    report.warning(FIELD, message);
}

fn account(subject: Subject<'_>, context: &Context, report: &mut Report<'_>) {
    const FIELD: &str = "/spec/serviceAccountName";
    let Some(name) = subject.text(FIELD) else {
        return;
    };
    let namespace = subject.namespace();
    if context
        .facts()
        .exists(Other::ServiceAccount, namespace, name)
        == Fact::Absent
    {
        report.warning(
            FIELD,
            format!(
                "ServiceAccount {} does not exist yet in namespace {namespace}: everything is \
                 forbidden until it does.",
                quote(name)
            ),
        );
    }
}

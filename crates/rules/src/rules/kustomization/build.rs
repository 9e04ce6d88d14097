//! What is built: `spec.path`, patches, substitution.

use flux_image::update::folder;
use flux_lang::yaml;
use serde_json::Value;

use crate::context::Context;
use crate::finding::Severity;
use crate::kind::Kind;
use crate::rule::{Example, Report, Rule};
use crate::subject::{Subject, judgeable};
use crate::text::{listing, quote};

const PATH: &str = "/spec/path";
const PATCHES: &str = "/spec/patches";
const SUBSTITUTE: &str = "/spec/postBuild/substitute";

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "KS02",
        title: "path that is no directory of the source",
        reason: "The path is taken below the root of the source, and a directory is built, not a file.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, path: ./apps/foo.yaml}",
                &[
                    r#"spec.path must be a directory inside the source: "./apps/foo.yaml" is a file. Write "./apps"."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 10m, prune: true, path: ../apps}",
                &[
                    r#"spec.path must be a directory inside the source: "../apps" leads outside. Write e.g. "./apps"."#,
                ],
            ),
            Example::bad(
                "spec: {interval: 10m, prune: true, path: /apps}",
                &[
                    r#"spec.path must be a directory inside the source, relative to its root. Write "./apps"."#,
                ],
            ),
            Example::good("spec: {interval: 10m, prune: true, path: ./apps/foo}"),
            Example::good("spec: {interval: 10m, prune: true, path: ./apps/../infra}"),
            Example::bad(
                "spec: {interval: 10m, prune: true, path: ./apps/../../infra}",
                &[
                    r#"spec.path must be a directory inside the source: "./apps/../../infra" leads outside. Write e.g. "./infra"."#,
                ],
            ),
            Example::good("spec: {interval: 10m, prune: true, path: /}"),
        ],
        check: path,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
    Rule {
        id: "KS11",
        title: "substitution by an impossible name",
        reason: "Only ${NAME} of letters, digits and underscores is replaced; the build fails on other names.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, postBuild: {substitute: {cluster-name: a}}}",
                &[
                    r#"spec.postBuild.substitute: "cluster-name" is not a variable name. Use letters, digits and _ only, not beginning with a digit."#,
                ],
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, postBuild: {substitute: {cluster_name: a}}}",
            ),
        ],
        check: variables,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS14",
        title: "patch that cannot be applied",
        reason: "The build fails as a whole.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, patches: [{patch: '[{op: add, path: /a, value: b}]'}]}",
                &[
                    "spec.patches[0].patch is a JSON patch: it needs spec.patches[0].target (kind and name) to know what to change.",
                ],
            ),
            Example::bad(
                "spec: {interval: 10m, prune: true, patches: [{patch: 'a: [', target: {kind: Deployment}}]}",
                &["spec.patches[0].patch is not YAML."],
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, patches: [{patch: '[{op: add, path: /a, value: b}]', target: {kind: Deployment}}]}",
            ),
            Example::good(
                "spec: {interval: 10m, prune: true, patches: [{patch: '{apiVersion: v1, kind: Service, metadata: {name: a}}'}]}",
            ),
        ],
        check: patches,
        ..Rule::of(Kind::Kustomization, Severity::Error)
    },
    Rule {
        id: "KS18",
        title: "fields that newer Flux ignores",
        reason: "Flux 2.8 stopped serving the versions that know them and drops them on the way.",
        examples: &[
            Example::bad(
                "spec: {interval: 10m, prune: true, patchesStrategicMerge: [{kind: Service}], validation: client}",
                &[
                    "spec.patchesStrategicMerge and spec.validation work with this operator; Flux 2.8 and newer ignore them. Use spec.patches.",
                ],
            ),
            Example::good("spec: {interval: 10m, prune: true, patches: []}"),
        ],
        check: deprecated,
        ..Rule::of(Kind::Kustomization, Severity::Warning)
    },
];

fn leads_outside(path: &str) -> bool {
    let mut depth = 0_usize;
    path.split('/').any(|part| match part {
        "" | "." => false,
        ".." => match depth.checked_sub(1) {
            Some(up) => {
                depth = up;
                false
            }
            None => true,
        },
        _ => {
            depth += 1;
            false
        }
    })
}

fn path(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(path) = subject.text(PATH) else {
        return;
    };
    let lower = path.to_ascii_lowercase();
    let message = if leads_outside(path) {
        format!(
            "spec.path must be a directory inside the source: {} leads outside. Write e.g. {}.",
            quote(path),
            quote(&format!("./{}", folder(Some(path))))
        )
    } else if lower.ends_with(".yaml") || lower.ends_with(".yml") {
        let directory = path
            .rsplit_once('/')
            .map_or("./", |(directory, _)| directory);
        format!(
            "spec.path must be a directory inside the source: {} is a file. Write {}.",
            quote(path),
            quote(directory)
        )
    } else if path.starts_with('/') && path != "/" {
        format!(
            "spec.path must be a directory inside the source, relative to its root. Write {}.",
            quote(&format!(".{path}"))
        )
    } else {
        return;
    };
    report.warning(PATH, message);
}

fn variables(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let Some(variables) = subject.get(SUBSTITUTE).and_then(Value::as_object) else {
        return;
    };
    for name in variables.keys() {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            report.error(
                SUBSTITUTE,
                format!(
                    "spec.postBuild.substitute: {} is not a variable name. Use letters, digits \
                     and _ only, not beginning with a digit.",
                    quote(name)
                ),
            );
        }
    }
}

fn patches(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for (index, entry) in subject.list(PATCHES).iter().enumerate() {
        let Some(text) = entry.get("patch").and_then(judgeable) else {
            continue;
        };
        let pointer = format!("{PATCHES}/{index}/patch");
        let Ok(documents) = yaml::read(text) else {
            report.error(
                &pointer,
                format!("spec.patches[{index}].patch is not YAML."),
            );
            continue;
        };
        let operations = documents
            .first()
            .is_some_and(|document| document.value.is_array());
        let target = entry.get("target").is_some_and(|target| !target.is_null());
        if operations && !target {
            report.error(
                &pointer,
                format!(
                    "spec.patches[{index}].patch is a JSON patch: it needs \
                     spec.patches[{index}].target (kind and name) to know what to change."
                ),
            );
        }
    }
}

fn deprecated(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    let set = subject.set_among(
        "/spec",
        &["patchesStrategicMerge", "patchesJson6902", "validation"],
    );
    let Some(first) = set.first() else { return };
    let paths: Vec<String> = set.iter().map(|field| format!("spec.{field}")).collect();
    let (works, them) = if set.len() == 1 {
        ("works", "it")
    } else {
        ("work", "them")
    };
    report.warning(
        &format!("/spec/{first}"),
        format!(
            "{} {works} with this operator; Flux 2.8 and newer ignore {them}. Use spec.patches.",
            listing(&paths)
        ),
    );
}

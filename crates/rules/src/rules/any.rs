//! Slips of typing and copying, in objects of every kind.

use serde_json::Value;

use crate::context::Context;
use crate::finding::{Severity, dotted};
use crate::rule::{Example, Report, Rule};
use crate::subject::Subject;
use crate::text::quote;

/// Texts that name something outside of the cluster, or a part of it.
const NAMES: &[&str] = &[
    "/spec/url",
    "/spec/image",
    "/spec/path",
    "/spec/ref/branch",
    "/spec/ref/tag",
    "/spec/git/checkout/ref/branch",
    "/spec/git/push/branch",
    "/spec/update/path",
];

/// Further texts that look like numbers or booleans when they are not quoted.
const TEXTS: &[&str] = &[
    "/spec/ref/semver",
    "/spec/ref/commit",
    "/spec/ref/name",
    "/spec/policy/semver/range",
    "/spec/filterTags/pattern",
    "/spec/filterTags/extract",
    "/spec/secretRef/name",
    "/spec/sourceRef/name",
    "/spec/imageRepositoryRef/name",
];

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "XX01",
        title: "number where a text is wanted",
        reason: "YAML reads unquoted 1.10 as the number 1.1, and yes as true; the schema refuses it without saying why.",
        shadowed: true,
        examples: &[
            Example::bad(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {tag: 1.10}}}",
                &[
                    "spec.ref.tag must be a text, but YAML read a number: 1.1. Put what you mean between quotes.",
                ],
            ),
            Example::bad(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {branch: true}}}",
                &[
                    "spec.ref.branch must be a text, but YAML read a boolean: true. Put what you mean between quotes.",
                ],
            ),
            Example::good(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {tag: '1.10'}}}",
            ),
        ],
        check: not_text,
        ..Rule::of_any(Severity::Error)
    },
    Rule {
        id: "XX02",
        title: "placeholder that was not replaced",
        reason: "It was copied from an example, or a template was not rendered.",
        examples: &[
            Example::bad(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/<your-org>/repo', interval: 5m, ref: {branch: '{{ branch }}'}}}",
                &[
                    r#"spec.url still holds the placeholder "<your-org>"."#,
                    r#"spec.ref.branch still holds the placeholder "{{ branch }}"."#,
                ],
            ),
            Example::good(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {branch: '${BRANCH}'}}}",
            ),
        ],
        check: placeholder,
        ..Rule::of_any(Severity::Warning)
    },
    Rule {
        id: "XX03",
        title: "invisible character",
        reason: "Copied from a web page or a chat; the name looks right and is another one.",
        shadowed: true,
        examples: &[
            Example::bad(
                "{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImageRepository, spec: {image: \"ghcr.io/org/app\\u200b\", interval: 5m}}",
                &["spec.image holds an invisible character (U+200B) at position 15. Type it anew."],
            ),
            Example::bad(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: \"https://github.com/org/repo\\n\", interval: 5m}}",
                &["spec.url begins or ends with white space. Remove it."],
            ),
            Example::good(
                "{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, spec: {url: 'https://github.com/org/repo', interval: 5m, ref: {branch: übung}}}",
            ),
        ],
        check: invisible,
        ..Rule::of_any(Severity::Error)
    },
];

/// The fields of [`NAMES`], and the hosts of an Ingress.
fn names(subject: Subject<'_>) -> Vec<String> {
    let rules = 0..subject.list("/spec/rules").len();
    let hosts = rules.map(|index| format!("/spec/rules/{index}/host"));
    NAMES
        .iter()
        .map(|&pointer| pointer.to_owned())
        .chain(hosts)
        .collect()
}

fn not_text(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for pointer in NAMES.iter().chain(TEXTS) {
        let (what, value) = match subject.get(pointer) {
            Some(value @ Value::Number(_)) => ("number", value),
            Some(value @ Value::Bool(_)) => ("boolean", value),
            _ => continue,
        };
        report.error(
            pointer,
            format!(
                "{} must be a text, but YAML read a {what}: {value}. Put what you mean between \
                 quotes.",
                dotted(pointer)
            ),
        );
    }
}

/// What is left of an example: `<...>`, `{{ ... }}` or CHANGEME.
fn unreplaced(text: &str) -> Option<&str> {
    let between = |open: &str, close: &str| {
        let start = text.find(open)?;
        let end = text.get(start..)?.find(close)? + start + close.len();
        text.get(start..end)
    };
    between("<", ">")
        .or_else(|| between("{{", "}}"))
        .or_else(|| {
            let start = text.to_ascii_uppercase().find("CHANGEME")?;
            text.get(start..start + "CHANGEME".len())
        })
}

fn placeholder(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for pointer in names(subject) {
        if let Some(left) = subject.text(&pointer).and_then(unreplaced) {
            report.warning(
                &pointer,
                format!(
                    "{} still holds the placeholder {}.",
                    dotted(&pointer),
                    quote(left)
                ),
            );
        }
    }
}

/// Whether a character takes part in a name without being seen.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

fn invisible(subject: Subject<'_>, _: &Context, report: &mut Report<'_>) {
    for pointer in names(subject) {
        let Some(text) = subject.text(&pointer) else {
            continue;
        };
        if text.trim() != text {
            report.error(
                &pointer,
                format!(
                    "{} begins or ends with white space. Remove it.",
                    dotted(&pointer)
                ),
            );
        } else if let Some((index, c)) = text.chars().enumerate().find(|(_, c)| is_invisible(*c)) {
            report.error(
                &pointer,
                format!(
                    "{} holds an invisible character (U+{:04X}) at position {index}. Type it anew.",
                    dotted(&pointer),
                    u32::from(c)
                ),
            );
        }
    }
}

//! The catalogue of all rules, for people: `docs/rules.md`.

use std::fmt::Write as _;

use crate::files::{FileRule, RULES};
use crate::kind::Kind;
use crate::rule::{Example, Rule};

/// The catalogue as Markdown: written by `cargo run -p flux-rules --example catalogue`, and a test
/// fails when the file says something else.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Rules\n\n\
         What the admission webhook and `kubectl flux` say about manifests. This page is generated \
         from the rules themselves; how the webhook uses them is in [admission.md](admission.md).\n\n\
         An *error* is denied, a *warning* is shown by `kubectl apply`, a *note* is advice that the \
         webhook keeps to itself. A rule is named with the strongest of the three that it reports.\n",
    );
    for kind in Kind::ALL.into_iter().map(Some).chain([None]) {
        let title = kind.map_or("Every kind", Kind::name);
        let _ = write!(text, "\n## {title}\n");
        for rule in crate::rules().filter(|rule| rule.kind == kind) {
            entry(&mut text, rule);
        }
    }
    text.push_str("\n## Files\n\nWhat `kubectl flux lint` sees in addition.\n");
    for rule in RULES {
        file_entry(&mut text, rule);
    }
    text
}

/// One rule in words and examples, as Markdown that reads well in a terminal; `None` for an id
/// that there is not.
#[must_use]
pub fn explain(id: &str) -> Option<String> {
    let mut text = String::new();
    if let Some(rule) = crate::rule(id) {
        entry(&mut text, rule);
    } else {
        file_entry(&mut text, RULES.iter().find(|rule| rule.id == id)?);
    }
    Some(text.trim_start().trim_start_matches("### ").to_owned())
}

fn file_entry(text: &mut String, rule: &FileRule) {
    let FileRule {
        id,
        title,
        severity,
        reason,
        ..
    } = rule;
    let messages: Vec<String> = rule.messages.iter().map(|text| escaped(text)).collect();
    let _ = write!(
        text,
        "\n### {id}: {title}\n\n*{severity}.* {reason}\n\n```yaml\n{}\n```\n\n> {}\n\n\
         Nothing is said about\n\n```yaml\n{}\n```\n",
        rule.bad.trim(),
        messages.join("\n>\n> "),
        rule.good.trim()
    );
}

fn entry(text: &mut String, rule: &Rule) {
    let Rule {
        id,
        title,
        severity,
        reason,
        ..
    } = rule;
    let _ = write!(text, "\n### {id}: {title}\n\n*{severity}.* {reason}\n");
    let is_bad = |example: &&Example| !example.messages.is_empty();
    if let Some(bad) = rule.examples.iter().find(is_bad) {
        let _ = write!(text, "\n```yaml\n{}\n```\n\n", bad.manifest.trim());
        let messages: Vec<String> = bad.messages.iter().map(|text| escaped(text)).collect();
        let _ = writeln!(text, "> {}", messages.join("\n>\n> "));
    }
    if let Some(good) = rule.examples.iter().find(|example| !is_bad(example)) {
        let _ = write!(
            text,
            "\nNothing is said about\n\n```yaml\n{}\n```\n",
            good.manifest.trim()
        );
    }
}

/// A message as Markdown shows it unchanged.
fn escaped(message: &str) -> String {
    message
        .replace('\\', "\\\\")
        .replace('<', "\\<")
        .replace('*', "\\*")
        .replace('_', "\\_")
}

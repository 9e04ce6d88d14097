//! `$imagepolicy` markers that lead nowhere.

use std::cell::RefCell;
use std::collections::BTreeSet;

use flux_api::ImageRef;
use flux_image::marker::{self, Lookup};

use super::{At, Fix, Found, Scene};
use crate::finding::Severity;
use crate::text::nearest;

const POLICY: &str = "ImagePolicy";

/// The markers of a text that name no policy, or cannot be followed.
pub(super) fn check(text: &str, scene: &Scene) -> Vec<Found> {
    let mut found = expanded(text);
    if !marker::may_have_markers(text.as_bytes()) {
        return found;
    }
    let missing = RefCell::new(BTreeSet::new());
    let policies = |namespace: &str, name: &str| {
        if scene.objects.mentions(POLICY, namespace, name) {
            // What it selects does not matter here, only that there is something to write.
            return Lookup::Ref(ImageRef {
                name: "image".to_owned(),
                tag: "tag".to_owned(),
                digest: Some("digest".to_owned()),
            });
        }
        missing
            .borrow_mut()
            .insert((namespace.to_owned(), name.to_owned()));
        Lookup::Unknown
    };
    let Ok(edit) = marker::apply("", text, &policies) else {
        return found;
    };
    let missing = missing.into_inner();
    for problem in edit.problems {
        let mut parts = problem.policy.split(':');
        let namespace = parts.next().unwrap_or_default().to_owned();
        let name = parts.next().unwrap_or_default().to_owned();
        let (severity, message) = if missing.contains(&(namespace.clone(), name.clone())) {
            unknown(&namespace, &name, scene)
        } else {
            (
                Severity::Warning,
                format!("This marker changes nothing: {}.", problem.reason),
            )
        };
        found.push(Found {
            rule: "FL05",
            severity,
            object: String::new(),
            at: comment(text, problem.line),
            message,
            fix: Fix::None,
        });
    }
    found
}

/// A policy that nobody defines: only a note while none is defined at all, since all of them may
/// be in the cluster.
fn unknown(namespace: &str, name: &str, scene: &Scene) -> (Severity, String) {
    let here = if scene.context.facts().is_files() {
        "in none of these files"
    } else {
        "neither in these files nor in the cluster"
    };
    let elsewhere = scene
        .objects
        .names(POLICY)
        .find(|(_, other)| *other == name);
    let hint = match elsewhere {
        Some((other, _)) => format!(" Did you mean {other}:{name}?"),
        None => {
            let wanted = format!("{namespace}:{name}");
            let beside = scene.objects.names_in(POLICY, namespace);
            let beside: Vec<_> = beside.map(|name| format!("{namespace}:{name}")).collect();
            nearest(&wanted, beside.iter().map(String::as_str))
                .map(|near| format!(" Did you mean {near}?"))
                .unwrap_or_default()
        }
    };
    let none = scene.objects.names(POLICY).next().is_none();
    let severity = if none && scene.context.facts().is_files() {
        Severity::Note
    } else {
        Severity::Warning
    };
    let message =
        format!("This marker names ImagePolicy {namespace}/{name}, which is {here}.{hint}");
    (severity, message)
}

/// Markers whose key a shell replaced by nothing: `{"": "apps:foo"}`.
fn expanded(text: &str) -> Vec<Found> {
    const EMPTY: &str = "{\"\": \"";
    let mut found = Vec::new();
    if !text.contains(EMPTY) {
        return found;
    }
    for (index, line) in text.lines().enumerate() {
        let comment = line.split_once('#').map(|(_, comment)| comment.trim());
        if comment.is_some_and(|comment| comment.starts_with(EMPTY)) {
            found.push(Found {
                rule: "FL05",
                severity: Severity::Warning,
                object: String::new(),
                at: self::comment(text, index + 1),
                message: "A shell replaced $imagepolicy in this marker by nothing. Write \
                          \"$imagepolicy\" as the key, and quote the here-document (<<'EOF')."
                    .to_owned(),
                fix: Fix::None,
            });
        }
    }
    found
}

/// The bytes of the comment of a line.
fn comment(text: &str, line: usize) -> At {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let trimmed = content.trim_end();
            let at = trimmed
                .rfind("# ")
                .or_else(|| trimmed.rfind('#'))
                .unwrap_or_default();
            return At::Bytes(start + at..start + trimmed.len());
        }
        start += content.len();
    }
    At::Line(line.max(1), 1)
}

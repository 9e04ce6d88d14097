//! What a review answers.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::subject::{Subject, unescaped};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Advice: shown when somebody lints, never sent by the webhook.
    Note,
    /// Probably not what was meant, or wrong as long as another object stays as it is.
    Warning,
    /// Broken, provably: the webhook denies it.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that a rule has to say about one place of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule, e.g. `IN15`.
    pub rule: &'static str,
    /// How much it matters, after the ratchet.
    pub severity: Severity,
    /// The place as people write it: `spec.rules[0].host`.
    pub path: String,
    /// The place as an RFC 6901 pointer: `/spec/rules/0/host`.
    pub pointer: String,
    /// What is wrong and what to write instead, without the id.
    pub message: String,
    /// The text to write at the place, where there is one that certainly means what was meant.
    pub fix: Option<String>,
}

impl fmt::Display for Finding {
    /// `[ID] message`, the form that `kubectl` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.rule, self.message)
    }
}

/// A field that the schema requires, that is absent, and what to put there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Default {
    /// Where, as an RFC 6901 pointer whose parent exists.
    pub pointer: String,
    /// What.
    pub value: Value,
}

impl Default {
    /// The default of one field directly below `spec`: nothing if it is there, or no `spec` is.
    pub(crate) fn absent(subject: Subject<'_>, pointer: &str, value: Value) -> Vec<Self> {
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        let spec = subject.get(parent).is_some_and(Value::is_object);
        if spec && !subject.has(pointer) {
            vec![Self {
                pointer: pointer.to_owned(),
                value,
            }]
        } else {
            Vec::new()
        }
    }
}

/// The answer about one object.
#[derive(Clone, Debug, std::default::Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// Findings, errors first, then in the order of the catalogue.
    pub findings: Vec<Finding>,
    /// Required fields to add, in an order in which they can be added.
    pub defaults: Vec<Default>,
    /// Ids of rules that had something to say and that the object's annotation switched off.
    pub skipped: Vec<&'static str>,
}

impl Review {
    /// The findings for which the object is to be refused.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Error)
    }

    /// The findings to tell the author about.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.severity == severity)
    }
}

/// `/spec/rules/0/host` as `spec.rules[0].host`; keys with dots or slashes in brackets.
pub(crate) fn dotted(pointer: &str) -> String {
    let mut path = String::with_capacity(pointer.len());
    for token in pointer.split('/').skip(1) {
        let key = unescaped(token);
        let index = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        if index || key.contains(['.', '/']) {
            path.push_str(&format!("[{key}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&key);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::dotted;

    #[test]
    fn places_are_shown_as_people_write_them() {
        let table = [
            ("/spec/url", "spec.url"),
            (
                "/spec/rules/0/http/paths/12/path",
                "spec.rules[0].http.paths[12].path",
            ),
            (
                "/metadata/annotations/a.b~1c",
                "metadata.annotations[a.b/c]",
            ),
            ("", ""),
        ];
        for (pointer, path) in table {
            assert_eq!(dotted(pointer), path);
        }
    }
}

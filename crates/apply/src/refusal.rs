//! Why a request failed, and what the API server's words mean.

use serde::Deserialize;

use crate::words::api_error;

/// Words by which the API server says that a field cannot be changed in place, lower case. Each kind
/// has its own: `roleRef` of a binding, `clusterIP` of a Service, pods, `parameters` of a StorageClass.
const IMMUTABLE: &[&str] = &[
    "immutable",
    "may not be changed",
    "may not change",
    "cannot change roleref",
    "forbidden: updates to",
    "forbidden: pod updates",
];

/// A refusal of the API server or a failure to reach it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The API server answered with a failure.
    #[error("{message}")]
    Api {
        /// HTTP status code.
        code: u16,
        /// Machine-readable reason, for example `Invalid` or `Forbidden`.
        reason: String,
        /// The server's text.
        message: String,
        /// Whether all that it objects to is that fields cannot be changed in place.
        immutable: bool,
    },
    /// The request could not be made or its answer not be read.
    #[error("cannot reach the API server: {}", api_error(.0))]
    Transport(#[source] Box<kube::Error>),
    /// The answer was no JSON.
    #[error("the API server's answer cannot be read: {0}")]
    Decode(#[from] serde_json::Error),
    /// A name that cannot be part of a URL.
    #[error("cannot build a request: {0}")]
    Build(#[from] http::Error),
}

impl RequestError {
    /// Whether the object (or its kind) does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { code: 404, .. })
    }

    /// An answer that we give in the API server's place.
    pub(crate) fn answered(code: u16, reason: &str, message: String) -> Self {
        Self::Api {
            code,
            reason: reason.to_owned(),
            message,
            immutable: false,
        }
    }

    /// Whether all that the API server objects to is that fields cannot be changed in place. Other
    /// validation errors are not taken for it, nor hide beside it: deleting an object because its new
    /// form is invalid would lose it (fluxcd/kustomize-controller issue 734).
    pub fn is_immutable(&self) -> bool {
        matches!(
            self,
            Self::Api {
                immutable: true,
                ..
            }
        )
    }

    /// What the refusal is about where an object cannot be created because of its namespace, as a clause
    /// to add: when it will be created after all.
    pub fn namespace_clause(&self, namespace: &str) -> Option<String> {
        let Self::Api { code, message, .. } = self else {
            return None;
        };
        // The API server's admission of namespaces (NamespaceLifecycle) has a sentence for each.
        match code {
            403 if message.contains("because it is being terminated") => Some(format!(
                "namespace {namespace} is being deleted; the object is applied once it is gone and made again"
            )),
            404 if message.starts_with("namespaces \"") => Some(format!(
                "namespace {namespace} does not exist; the object is applied once it is made"
            )),
            _ => None,
        }
    }

    /// Short reason for a condition: the API server's own, which may be empty.
    pub fn reason(&self) -> &str {
        match self {
            Self::Api { reason, .. } => reason,
            Self::Transport(_) => "Unreachable",
            Self::Decode(_) | Self::Build(_) => "InvalidRequest",
        }
    }

    /// Whether the same request may succeed a moment later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api { code, .. } => matches!(code, 409 | 429 | 500..=504),
            Self::Transport(_) => true,
            Self::Decode(_) | Self::Build(_) => false,
        }
    }
}

/// What an answer that is none of success says (`Status` of apimachinery's meta/v1).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    message: String,
}

impl Cause {
    /// Whether it says that a field cannot be changed. Its message is `Forbidden: DETAIL` or
    /// `Invalid value: VALUE: DETAIL` (field.Error of apimachinery): the words must be in the detail,
    /// not in what somebody wrote.
    fn is_immutable(&self) -> bool {
        let line = self.message.lines().next().unwrap_or_default();
        let detail = match line.starts_with("Forbidden: ") {
            true => line,
            false => line.rsplit_once(": ").map_or(line, |(_, detail)| detail),
        };
        let detail = detail.to_lowercase();
        IMMUTABLE.iter().any(|words| detail.contains(words))
    }
}

/// The error of an answer that is none of success.
pub(crate) fn refusal(code: u16, body: &[u8]) -> RequestError {
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    let causes = status.details.unwrap_or_default().causes;
    RequestError::Api {
        code,
        immutable: code == 422 && !causes.is_empty() && causes.iter().all(Cause::is_immutable),
        reason: status.reason,
        message: match status.message.is_empty() {
            true => format!("the API server answered {code}"),
            false => plain(&status.message),
        },
    }
}

/// What to write where a text is wanted.
pub fn in_quotes(value: &str) -> String {
    format!("(write it in quotes: \"{value}\")")
}

/// The API server's words without the Go structure that it wraps a value in when it is of another
/// type than the schema's, and with what to write instead where that is known.
fn plain(message: &str) -> String {
    const WRAPPED: &str = "&value.valueUnstructured{Value:";
    let mut parts = message.split(WRAPPED);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = match part.split_once('}') {
            Some((value, rest)) if !value.contains('{') => (value, rest),
            // A map or a list, with braces of its own.
            _ => {
                text.push_str(WRAPPED);
                text.push_str(part);
                continue;
            }
        };
        let wants_text = text.ends_with("expected string, got ");
        text.push_str(value);
        let scalar = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
        if wants_text && scalar {
            text.push(' ');
            text.push_str(&in_quotes(value));
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_that_is_no_place_for_objects_is_named() {
        let going = "configmaps \"app\" is forbidden: unable to create new content in namespace foo \
                     because it is being terminated";
        for (code, message, want) in [
            (
                403,
                going,
                Some("foo is being deleted; the object is applied once it is gone"),
            ),
            (
                404,
                "namespaces \"foo\" not found",
                Some("foo does not exist"),
            ),
            (404, "configmaps \"app\" not found", None),
            (403, "configmaps \"app\" is forbidden: exceeded quota", None),
        ] {
            let error = RequestError::answered(code, "", message.to_owned());
            let clause = error.namespace_clause("foo");
            assert_eq!(clause.is_some(), want.is_some(), "{error}");
            let clause = clause.unwrap_or_default();
            assert!(clause.contains(want.unwrap_or_default()), "{clause}");
        }
    }

    #[test]
    fn values_of_another_type_are_shown_as_they_are_written() {
        for (said, shown) in [
            (
                ".data.a: expected string, got &value.valueUnstructured{Value:1}\n.x: more",
                ".data.a: expected string, got 1 (write it in quotes: \"1\")\n.x: more",
            ),
            (
                ".spec.a: expected map, got &value.valueUnstructured{Value:true}",
                ".spec.a: expected map, got true",
            ),
            (
                ".a: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":1}}",
                ".a: expected string, got &value.valueUnstructured{Value:map[string]interface {}{\"a\":1}}",
            ),
            ("nothing of that", "nothing of that"),
        ] {
            assert_eq!(plain(said), shown);
        }
    }

    #[test]
    fn only_immutability_may_lead_to_a_deletion() {
        let refused = |code, causes: &[&str]| {
            let causes: Vec<_> = causes
                .iter()
                .map(|message| json!({"reason": "FieldValueInvalid", "message": message}))
                .collect();
            let message = "Service \"immutable\" is invalid: spec.immutable";
            let body = json!({"message": message, "details": {"causes": causes}});
            refusal(code, body.to_string().as_bytes()).is_immutable()
        };
        let selector = "Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable";
        for cause in [
            selector,
            "Invalid value: rbac.RoleRef{Name:\"a\"}: cannot change roleRef",
            "Invalid value: []string(nil): may not change once set",
            "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
            "Forbidden: pod updates may not change fields other than `spec.tolerations`\n{ diff",
            "Forbidden: updates to parameters are forbidden.",
            "Forbidden: may not be changed in an update.",
            "Forbidden: field is immutable when `immutable` is set",
        ] {
            assert!(refused(422, &[cause]), "{cause}");
            assert!(refused(422, &[cause, selector]), "{cause}");
            assert!(!refused(403, &[cause]), "{cause}");
        }
        for causes in [
            &["Invalid value: -1: must be greater than or equal to 0"] as &[_],
            // What somebody wrote says nothing.
            &["Invalid value: \"immutable\": must be one of: a, b"],
            &["Forbidden: exceeds the quota\nImmutable: true"],
            // The new form could not be created either.
            &[selector, "Required value"],
            // The text as a whole is no reason, nor what a webhook says.
            &[],
        ] {
            assert!(!refused(422, causes), "{causes:?}");
        }
    }
}

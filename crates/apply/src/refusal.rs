//! Why a request failed, and what the API server's words mean.

use serde_json::Value;

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
    },
    /// The request could not be made or its answer not be read.
    #[error("cannot reach the API server: {0}")]
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

    /// Whether the refusal says that a field cannot be changed in place. Other validation errors are
    /// not taken for it: deleting an object because its new form is invalid would lose it
    /// (fluxcd/kustomize-controller issue 734).
    pub fn is_immutable(&self) -> bool {
        match self {
            Self::Api {
                code: 422, message, ..
            } => {
                let message = message.to_lowercase();
                IMMUTABLE.iter().any(|words| message.contains(words))
            }
            _ => false,
        }
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

    /// Short reason for a condition: the API server's own where there is one.
    pub fn reason(&self) -> &str {
        match self {
            Self::Api { reason, .. } if !reason.is_empty() => reason,
            Self::Api { .. } => "Unknown",
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

/// The error of an answer that is none of success.
pub(crate) fn refusal(code: u16, body: &[u8]) -> RequestError {
    let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let message = match text("message") {
        empty if empty.is_empty() => format!("the API server answered {code}"),
        message => message,
    };
    RequestError::Api {
        code,
        reason: text("reason"),
        message,
    }
}

#[cfg(test)]
mod tests {
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
            let (reason, message) = (String::new(), message.to_owned());
            let error = RequestError::Api {
                code,
                reason,
                message,
            };
            let clause = error.namespace_clause("foo");
            assert_eq!(clause.is_some(), want.is_some(), "{error}");
            let clause = clause.unwrap_or_default();
            assert!(clause.contains(want.unwrap_or_default()), "{clause}");
        }
    }

    #[test]
    fn only_immutability_may_lead_to_a_deletion() {
        let refused = |code, message: &str| RequestError::Api {
            code,
            reason: "Invalid".into(),
            message: message.into(),
        };
        for (code, message, expected) in [
            (
                422,
                "spec.selector: Invalid value: field is immutable",
                true,
            ),
            (
                422,
                "roleRef: Invalid value: {}: cannot change roleRef",
                true,
            ),
            (
                422,
                "spec.clusterIPs[0]: Invalid value: []: may not change once set",
                true,
            ),
            (
                422,
                "spec: Forbidden: updates to statefulset spec for fields other than 'replicas'",
                true,
            ),
            (
                422,
                "spec: Forbidden: pod updates may not change fields other than `spec.tolerations`",
                true,
            ),
            (
                422,
                "parameters: Forbidden: updates to parameters are forbidden.",
                true,
            ),
            (
                422,
                "value: Forbidden: may not be changed in an update.",
                true,
            ),
            (422, "spec.replicas: must be greater than 0", false),
            (403, "field is immutable, says a webhook", false),
        ] {
            assert_eq!(refused(code, message).is_immutable(), expected, "{message}");
        }
    }
}

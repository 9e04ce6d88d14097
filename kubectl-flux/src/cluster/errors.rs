//! What the API server or the way to it got wrong, as one line that says what to do.

use flux_apply::words::chain;
use kube::core::Status;

use crate::kind::Kind;

/// Failure of a request, or of what comes before it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// Neither kubeconfig nor service account.
    #[error(
        "no Kubernetes cluster is configured: give --kubeconfig, set KUBECONFIG, or create \
         ~/.kube/config"
    )]
    NoConfig,
    /// The kubeconfig cannot be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(String),
    /// A flag about the cluster has a value that cannot be used.
    #[error("--{flag}: {reason}")]
    Flag {
        /// Name without dashes.
        flag: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
    /// No object can have this name: it would change what is asked for.
    #[error("{0:?} is not a name of an object: it has lowercase letters, digits, '-' and '.'")]
    Name(String),
    /// There is no such object.
    #[error("{what} in {namespace:?} namespace{}", hint(.elsewhere))]
    NotFound {
        /// What was looked for.
        what: String,
        /// Where.
        namespace: String,
        /// Namespaces that have such an object.
        elsewhere: Vec<String>,
    },
    /// The API server does not serve the kind, or the kinds.
    #[error(
        "the cluster does not know {0} in version v1; install the resource definitions: \
         kubectl flux install"
    )]
    UnknownKind(String),
    /// The API server does not accept who we are.
    #[error("the API server does not accept the credentials ({0}); renew those of the kubeconfig")]
    Unauthorized(String),
    /// The API server refused, in its own words.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The request did not get an answer.
    #[error("cannot talk to the API server at {server}: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What went wrong, with its causes.
        reason: String,
    },
}

/// Refuses what would be more than a name in a path. Some kinds have names with a colon.
pub(super) fn check_name(name: &str) -> Result<(), ClusterError> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._:@".contains(c);
    let is_name = !matches!(name, "" | "." | "..") && name.chars().all(is_part);
    match is_name {
        true => Ok(()),
        false => Err(ClusterError::Name(name.to_owned())),
    }
}

/// Where the object could have been meant to be.
pub(crate) fn hint(elsewhere: &[String]) -> String {
    match elsewhere {
        [] => String::new(),
        [one] => format!(" (it exists in {one:?})"),
        many => format!(" (it exists in {})", many.join(", ")),
    }
}

impl ClusterError {
    /// Puts the failure of a request to `server` into words.
    pub(super) fn new(error: kube::Error, server: &str) -> Self {
        let unreachable = |error: &(dyn std::error::Error + 'static)| Self::Unreachable {
            server: server.to_owned(),
            reason: chain(error),
        };
        match error {
            kube::Error::Api(status) if status.code == 401 => Self::Unauthorized(status.message),
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                message: message(&status),
            },
            kube::Error::Auth(error) => Self::Kubeconfig(chain(&error)),
            kube::Error::RustlsTls(error) => Self::Kubeconfig(chain(&error)),
            kube::Error::Service(error) => unreachable(error.as_ref()),
            kube::Error::HyperError(error) => unreachable(&error),
            error => unreachable(&error),
        }
    }

    /// Whether the answer is about the one resource that was asked for: it is not served, or not for
    /// us to read. Others may be.
    pub(crate) fn is_about_one_resource(&self) -> bool {
        match self {
            Self::UnknownKind(_) => true,
            Self::Refused { code, .. } => matches!(code, 403 | 404),
            _ => false,
        }
    }

    /// Like [`ClusterError::new`], but a missing resource is told as a kind that is not installed.
    pub(super) fn of(kind: Kind, error: kube::Error, server: &str) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 404 && !is_missing_object(status) => {
                Self::UnknownKind(kind.name().to_owned())
            }
            _ => Self::new(error, server),
        }
    }
}

/// Answers about several kinds without the kinds that the server does not know; all of them if it
/// knows none.
pub(super) fn installed<K, T>(
    answers: Vec<(K, Result<T, ClusterError>)>,
) -> Vec<(K, Result<T, ClusterError>)> {
    let (unknown, known): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(_, answer)| matches!(answer, Err(ClusterError::UnknownKind(_))));
    match known.is_empty() {
        true => unknown,
        false => known,
    }
}

/// Failures of requests for several kinds, with those of one cause told together.
pub(crate) fn together(failures: Vec<ClusterError>) -> Vec<ClusterError> {
    let mut unknown = Vec::new();
    let mut others: Vec<ClusterError> = Vec::new();
    for failure in failures {
        match failure {
            ClusterError::UnknownKind(kind) => unknown.push(kind),
            other => others.push(other),
        }
    }
    others.dedup_by_key(|error| error.to_string());
    if !unknown.is_empty() {
        others.push(ClusterError::UnknownKind(unknown.join(", ")));
    }
    others
}

/// Whether a 404 is about the object, and not about a resource the server does not serve.
pub(super) fn is_missing_object(status: &Status) -> bool {
    status.code == 404
        && status
            .details
            .as_ref()
            .is_some_and(|details| !details.name.is_empty())
}

/// An answer without text still has a code.
fn message(status: &Status) -> String {
    match status.message.trim() {
        "" => format!("the API server answered with code {}", status.code),
        text => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::{ClusterError, installed, together};
    use crate::kind::Kind;

    const SERVER: &str = "https://example.com/";

    fn api(code: u16, message: &str, name: Option<&str>) -> kube::Error {
        let details = name.map(|name| serde_json::from_value(json!({ "name": name })).unwrap());
        kube::Error::Api(Box::new(Status {
            code,
            message: message.into(),
            details,
            ..Status::default()
        }))
    }

    #[test]
    fn a_kind_that_is_not_served_is_told_from_an_object_that_is_not_there() {
        let error = ClusterError::of(
            Kind::Kustomization,
            api(404, "404 page not found", None),
            SERVER,
        );
        assert!(
            matches!(error, ClusterError::UnknownKind(ref kind) if kind == "Kustomization"),
            "{error}"
        );
        let error = ClusterError::of(
            Kind::Kustomization,
            api(404, "x not found", Some("x")),
            SERVER,
        );
        assert_eq!(error.to_string(), "x not found");
    }

    #[test]
    fn the_words_of_the_server_are_kept() {
        let error = ClusterError::new(api(403, "x is forbidden: because", None), SERVER);
        assert_eq!(error.to_string(), "x is forbidden: because");
        assert_eq!(
            ClusterError::new(api(500, "", None), SERVER).to_string(),
            "the API server answered with code 500"
        );
    }

    #[test]
    fn absence_names_the_places_where_the_object_is() {
        let error = |elsewhere: &[&str]| {
            ClusterError::NotFound {
                what: "Kustomization \"x\" not found".into(),
                namespace: "a".into(),
                elsewhere: elsewhere.iter().map(|s| (*s).to_owned()).collect(),
            }
            .to_string()
        };
        assert_eq!(
            error(&[]),
            "Kustomization \"x\" not found in \"a\" namespace"
        );
        assert_eq!(
            error(&["b"]),
            "Kustomization \"x\" not found in \"a\" namespace (it exists in \"b\")"
        );
        assert_eq!(
            error(&["b", "c"]),
            "Kustomization \"x\" not found in \"a\" namespace (it exists in b, c)"
        );
    }

    #[test]
    fn kinds_that_are_not_installed_are_left_out() {
        let unknown = || Err(ClusterError::UnknownKind("x".to_owned()));
        let unreachable = || Err(ClusterError::Unauthorized("x".to_owned()));
        type Row<'a> = (Vec<Result<(), ClusterError>>, &'a [usize]);
        let table: [Row<'_>; 4] = [
            (vec![Ok(()), unknown(), Ok(())], &[0, 2]),
            (vec![unknown(), unreachable()], &[1]),
            (vec![unknown(), unknown()], &[0, 1]),
            (Vec::new(), &[]),
        ];
        for (answers, expected) in table {
            let left = installed(answers.into_iter().enumerate().collect());
            let left: Vec<usize> = left.iter().map(|(place, _)| *place).collect();
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn one_cause_is_told_once() {
        let unknown = |kind: Kind| ClusterError::UnknownKind(kind.name().to_owned());
        let refused = || ClusterError::Refused {
            code: 403,
            message: "no".to_owned(),
        };
        let all = [
            unknown(Kind::GitRepository),
            refused(),
            refused(),
            unknown(Kind::ImagePolicy),
        ];
        let told: Vec<String> = together(all.into())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told.len(), 2);
        assert_eq!(told[0], "no");
        assert!(
            told[1]
                .starts_with("the cluster does not know GitRepository, ImagePolicy in version v1"),
            "{}",
            told[1]
        );
    }
}

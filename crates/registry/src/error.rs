//! What can go wrong between us and a registry, in words that reach the person.
//!
//! Each text names the registry and the repository, says what happened and what to change. Text
//! that came from the server is shortened and cleaned, and holds no credential.

use std::time::Duration;

use thiserror::Error;

/// Longest text of a server that is passed on, in characters.
const MAX_DETAIL: usize = 200;

/// A request to a registry that did not give an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The options of the client are unusable: a certificate, key or proxy address.
    #[error("{what} cannot be used: {detail}. {remedy}")]
    Options {
        /// Which option.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
        /// What to write.
        remedy: &'static str,
    },
    /// The host name has no address.
    #[error(
        "registry host '{registry}' of {repository} cannot be resolved: check the spelling of \
         spec.image and the cluster's DNS"
    )]
    UnknownHost {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
    },
    /// No connection, or one that broke.
    #[error(
        "registry {registry} cannot be reached for {repository}: {detail}. Check host and port in \
         spec.image, network policies, and the proxy (spec.proxySecretRef) if there is one"
    )]
    Unreachable {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// What the network said.
        detail: String,
    },
    /// The server's certificate was refused.
    #[error(
        "the TLS certificate of registry {registry} was refused for {repository}: {detail}. {remedy}"
    )]
    Certificate {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// What is wrong with the certificate.
        detail: String,
        /// What to change.
        remedy: &'static str,
    },
    /// The server does not speak TLS.
    #[error(
        "registry {registry} does not speak TLS, asked for {repository}: if it really serves \
         plain HTTP, set spec.insecure to true"
    )]
    PlainHttp {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
    },
    /// A login is wanted and none is configured.
    #[error(
        "registry {registry} wants a login for {repository}{detail}: create a Secret of type \
         kubernetes.io/dockerconfigjson with an entry for {registry} and name it in \
         spec.secretRef. Some registries answer so too when the repository does not exist"
    )]
    LoginRequired {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// Status and words of the server, in brackets with a space before.
        detail: String,
    },
    /// The configured login was refused.
    #[error(
        "registry {registry} refused the credentials for {repository}{detail}: check user, \
         password or token of the entry for {registry} in the Secret (type \
         kubernetes.io/dockerconfigjson) that spec.secretRef names, and its right to pull"
    )]
    LoginRefused {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// Status and words of the server, in brackets with a space before.
        detail: String,
    },
    /// There is no such repository, or no such tag in it.
    #[error("registry {registry} has no {missing}{detail}: check spec.image")]
    NotFound {
        /// `host[:port]`.
        registry: String,
        /// `repository R` or `tag T in repository R`.
        missing: String,
        /// Status and words of the server, in brackets with a space before.
        detail: String,
    },
    /// Too many requests, and waiting as asked would take longer than the timeout.
    #[error(
        "registry {registry} limits requests for {repository}{detail}{}; scan less often \
         (spec.interval) or log in (spec.secretRef)", after(*.retry_after)
    )]
    RateLimited {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// Status and words of the server, in brackets with a space before.
        detail: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Any other status.
    #[error("registry {registry} failed to answer for {repository}{detail}")]
    Status {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// Status and words of the server, in brackets with a space before.
        detail: String,
    },
    /// The answer breaks the protocol.
    #[error(
        "registry {registry} gave an answer for {repository} that is not of its protocol: {detail}"
    )]
    Protocol {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The answer is larger than we read.
    #[error("registry {registry} sent more for {repository} than is read: {limit}")]
    TooLarge {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// The limit that was passed.
        limit: String,
    },
    /// No complete answer in time.
    #[error(
        "registry {registry} did not answer for {repository} within {}: raise spec.timeout or \
         check the network", seconds(*.timeout)
    )]
    Timeout {
        /// `host[:port]`.
        registry: String,
        /// Path of the repository on the registry.
        repository: String,
        /// The time allowed for the whole question.
        timeout: Duration,
    },
}

impl RegistryError {
    /// The reason that Flux puts into the Ready condition for such a failure.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Options { .. } | Self::LoginRequired { .. } | Self::LoginRefused { .. } => {
                "AuthenticationFailed"
            }
            _ => "ReadOperationFailed",
        }
    }
}

fn after(wait: Option<Duration>) -> String {
    wait.map(|wait| format!("; it asks to wait {}", seconds(wait)))
        .unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{}s", (time.as_millis() as f64) / 1000.0)
}

/// One line of at most [`MAX_DETAIL`] characters without control characters.
pub(crate) fn clean(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = line
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    if let Some((end, _)) = line.char_indices().nth(MAX_DETAIL) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_one_short_line() {
        assert_eq!(clean("a\r\n\tb\u{7}c"), "a bc");
        assert_eq!(clean(&"é".repeat(500)).chars().count(), MAX_DETAIL + 1);
    }

    #[test]
    fn waiting_is_told_when_known() {
        let error = |retry_after| RegistryError::RateLimited {
            registry: "r".into(),
            repository: "a/b".into(),
            detail: " (HTTP 429)".into(),
            retry_after,
        };
        assert_eq!(
            error(Some(Duration::from_millis(90_500))).to_string(),
            "registry r limits requests for a/b (HTTP 429); it asks to wait 90.5s; scan less \
             often (spec.interval) or log in (spec.secretRef)"
        );
        assert!(!error(None).to_string().contains("wait"));
    }
}

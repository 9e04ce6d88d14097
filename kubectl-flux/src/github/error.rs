//! What GitHub refuses, and what to do about it.

use serde_json::Value;

use crate::cluster::chain;

/// Failure of a request to GitHub.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GithubError {
    /// The CA file cannot be used.
    #[error("--ca-file {path}: {reason}")]
    Ca {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// There was no answer.
    #[error("cannot talk to {host}: {reason}")]
    Transport {
        /// Name of the host.
        host: String,
        /// Why, with its causes.
        reason: String,
    },
    /// The answer makes no sense.
    #[error("the answer of {host} cannot be read: {reason}")]
    Unreadable {
        /// Name of the host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The token is not accepted.
    #[error(
        "{host} does not accept the token; make a new one at https://{host}/settings/tokens and \
         set GITHUB_TOKEN"
    )]
    Token {
        /// Name of the host.
        host: String,
    },
    /// The token may not do enough.
    #[error(
        "the token has the scopes {scopes:?}; it needs \"repo\": https://{host}/settings/tokens"
    )]
    Scopes {
        /// Name of the host.
        host: String,
        /// What the token has.
        scopes: String,
    },
    /// Too many requests.
    #[error("{host} takes no more requests with this token for now; try again in an hour")]
    RateLimit {
        /// Name of the host.
        host: String,
    },
    /// GitHub said no, in its own words.
    #[error("{host}, {request}: {message} ({status}){hint}")]
    Refused {
        /// Name of the host.
        host: String,
        /// Method and path.
        request: String,
        /// HTTP status code.
        status: u16,
        /// GitHub's words.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl GithubError {
    pub(super) fn transport(host: &str, error: &reqwest::Error) -> Self {
        Self::Transport {
            host: host.to_owned(),
            reason: chain(error),
        }
    }

    pub(super) fn refused(
        host: &str,
        request: String,
        status: u16,
        body: &[u8],
        scopes: Option<String>,
    ) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut message = body["message"]
            .as_str()
            .unwrap_or("no reason given")
            .to_owned();
        for error in body["errors"].as_array().into_iter().flatten() {
            let text = error["message"].as_str().or_else(|| error.as_str());
            if let Some(text) = text.filter(|text| !message.contains(text)) {
                message.push_str(&format!(": {text}"));
            }
        }
        let hint = hint(&request, status, scopes.as_deref());
        Self::Refused {
            host: host.to_owned(),
            request,
            status,
            message,
            hint,
        }
    }
}

/// What is probably missing. GitHub says 404 for what a token may not see.
fn hint(request: &str, status: u16, scopes: Option<&str>) -> String {
    if !matches!(status, 403 | 404) {
        return String::new();
    }
    let wanted = if request.contains("/keys") {
        "deploy keys need administration rights: the scope \"repo\" and the role Admin in the \
         repository, or the permission Administration (read and write) of a fine-grained token; \
         with --token-auth no key is needed"
    } else if request.contains("/teams/") {
        "teams need the scope \"admin:org\", or the permission Administration (read and write) of \
         a fine-grained token; check the team's name"
    } else if request.starts_with("POST") {
        "a new repository needs the scope \"repo\" and the right to create repositories there, or \
         the permission Administration (read and write) of a fine-grained token"
    } else {
        "check the name, and what the token may do"
    };
    match scopes.filter(|scopes| !scopes.is_empty()) {
        Some(scopes) => format!("; {wanted} (the token's scopes: {scopes})"),
        None => format!("; {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::GithubError;

    #[test]
    fn refusals_say_what_to_do() {
        let body = br#"{"message": "Validation Failed", "errors": [{"message": "key is already in use"}, "x"]}"#;
        let error = GithubError::refused("h", "POST /repos/o/r/keys".into(), 422, body, None);
        assert_eq!(
            error.to_string(),
            "h, POST /repos/o/r/keys: Validation Failed: key is already in use: x (422)"
        );
        let error = GithubError::refused(
            "h",
            "GET /repos/o/r/keys".into(),
            404,
            br#"{"message": "Not Found"}"#,
            Some("gist".into()),
        );
        let text = error.to_string();
        assert!(text.contains("the role Admin in the repository"), "{text}");
        assert!(text.ends_with("(the token's scopes: gist)"), "{text}");
    }
}

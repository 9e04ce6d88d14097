//! From a GitRepository to a remote: URL, credentials, proxy, time limit.

use std::time::Duration;

use flux_api::names::reason;
use flux_api::{GitRepository, GitRepositorySpec};
use flux_git::{Auth, AuthError, MirrorName, Proxy, Remote};
use flux_lang::giturl::GitUrl;
use kube::ResourceExt;

use crate::conclusion::{Retry, Verdict, check_duration};
use crate::context::{Context, SecretError};

/// Reason for fields that cannot be honoured yet.
const NOT_SUPPORTED: &str = "NotSupported";

/// The default of `spec.timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Ends the run when the spec asks for something that is not there yet: fetching without it would
/// offer content that was not asked for, or was not verified.
pub fn check_supported(spec: &GitRepositorySpec) -> Result<(), Verdict> {
    check_duration("interval", Some(&spec.interval))?;
    check_duration("timeout", spec.timeout.as_ref())?;
    let generic = spec
        .provider
        .as_ref()
        .is_none_or(|p| p.as_str() == "generic");
    let asked = [
        (!spec.include.is_empty(), "include"),
        (spec.recurse_submodules, "recurseSubmodules"),
        (!generic, "provider other than generic"),
    ];
    let fields: Vec<_> = asked
        .into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, f)| format!("spec.{f}"))
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    Err(Verdict::Stalled {
        reason: NOT_SUPPORTED,
        message: format!(
            "not supported yet: {}; nothing was fetched",
            fields.join(", ")
        ),
    })
}

/// The remote of a GitRepository, with the credentials of its Secret.
///
/// # Errors
/// The verdict to conclude with.
pub async fn of(object: &GitRepository, context: &Context) -> Result<Remote, Verdict> {
    let spec = &object.spec;
    let namespace = object.namespace().unwrap_or_default();
    let url = GitUrl::parse(&spec.url).map_err(|error| Verdict::Stalled {
        reason: reason::URL_INVALID,
        message: error.to_string(),
    })?;
    let auth = match &spec.secret_ref {
        Some(secret) => {
            let data = context
                .secret(&namespace, &secret.name)
                .await
                .map_err(unreadable)?;
            Auth::from_secret(&url, &data).map_err(|e| unusable(&namespace, &secret.name, &e))?
        }
        None => Auth::none(&url),
    };
    let proxy = match &spec.proxy_secret_ref {
        Some(secret) => {
            let data = context
                .secret(&namespace, &secret.name)
                .await
                .map_err(unreadable)?;
            Some(Proxy::from_secret(&data).map_err(|e| unusable(&namespace, &secret.name, &e))?)
        }
        None => None,
    };
    let timeout = spec
        .timeout
        .as_ref()
        .map_or(TIMEOUT, flux_api::GoDuration::as_std);
    Ok(Remote {
        url,
        auth,
        timeout,
        proxy,
        mirror: None,
    })
}

/// The remote of a GitRepository as far as it takes to read from a mirror.
pub(super) fn of_mirror(object: &GitRepository, mirror: MirrorName) -> Option<Remote> {
    let url = GitUrl::parse(&object.spec.url).ok()?;
    let auth = Auth::none(&url);
    Some(Remote {
        mirror: Some(mirror),
        ..Remote::new(url, auth, TIMEOUT)
    })
}

/// Host, and port if any, of the repository; none where the URL cannot be read.
pub fn server(object: &GitRepository) -> Option<String> {
    let url = GitUrl::parse(&object.spec.url).ok()?;
    Some(url.authority())
}

pub(super) fn unreadable(error: SecretError) -> Verdict {
    Verdict::Failed {
        reason: reason::AUTHENTICATION_FAILED,
        message: error.to_string(),
        retry: Retry::Backoff,
    }
}

fn unusable(namespace: &str, name: &str, error: &AuthError) -> Verdict {
    Verdict::Failed {
        reason: error.reason(),
        message: format!("Secret \"{namespace}/{name}\": {error}"),
        retry: Retry::Backoff,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(fields: Value) -> Option<(&'static str, String)> {
        let mut spec = json!({"url": "https://h/r", "interval": "1m"});
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        match check_supported(&serde_json::from_value(spec).unwrap()) {
            Ok(()) => None,
            Err(Verdict::Stalled { reason, message }) => Some((reason, message)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_supported_yet_is_named() {
        for (fields, words) in [
            (
                json!({"include": [{"repository": {"name": "x"}}]}),
                "spec.include;",
            ),
            (
                json!({"recurseSubmodules": true}),
                "spec.recurseSubmodules;",
            ),
            (json!({"provider": "github"}), "spec.provider"),
            (
                json!({"provider": "azure", "serviceAccountName": "x"}),
                "spec.provider",
            ),
            (
                json!({"recurseSubmodules": true, "include": [{"repository": {"name": "x"}}]}),
                "spec.include, spec.recurseSubmodules;",
            ),
        ] {
            let (reason, message) = verdict(fields).unwrap();
            assert_eq!(reason, NOT_SUPPORTED);
            assert!(message.starts_with("not supported yet: "), "{message}");
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(verdict(json!({"provider": "generic", "include": []})), None);
        let (reason, _) = verdict(json!({"timeout": "soon"})).unwrap();
        assert_eq!(reason, "InvalidDuration");
    }
}

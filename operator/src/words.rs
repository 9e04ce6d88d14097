//! Errors of libraries in words for people.

/// What went wrong with the API server: its own message where it answered. The text of
/// [`kube::Error`] repeats the whole answer as a Rust structure.
pub fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

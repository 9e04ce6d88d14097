//! Errors of libraries in words for people.

/// What went wrong with the API server: its own message where it answered, else why there was no
/// answer. The text of [`kube::Error`] repeats the whole answer as a Rust structure in the first
/// case, and leaves the cause out in the second.
pub fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Service(cause) => chain(cause.as_ref()),
        other => other.to_string(),
    }
}

/// An error with everything that led to it, `outer: inner: innermost`, each said once: many libraries
/// repeat the cause in their own text.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn the_cause_is_told_once() {
        let layer = |text, source: Option<Layer>| Layer {
            text,
            source: source.map(Box::new),
        };
        let refused = layer("connection refused", None);
        let connect = layer("tcp connect error", Some(refused));
        let told = layer("cannot ask: tcp connect error", Some(connect));
        assert_eq!(
            chain(&told),
            "cannot ask: tcp connect error: connection refused"
        );
        let error = kube::Error::Service(Box::new(told));
        assert_eq!(
            api_error(&error),
            chain(&layer(
                "cannot ask: tcp connect error: connection refused",
                None
            ))
        );
    }
}

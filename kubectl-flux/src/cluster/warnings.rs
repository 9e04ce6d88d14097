//! Warnings that the API server and its admission webhooks send along with an answer.

use http::Response;
use http::header::WARNING;

use crate::output;

/// Shows the warnings of an answer, as kubectl does.
pub(super) fn echo<B>(response: Response<B>) -> Response<B> {
    for header in response.headers().get_all(WARNING) {
        if let Some(text) = header.to_str().ok().and_then(text) {
            output::warning(text);
        }
    }
    response
}

/// The text of a header like `299 - "text"`; quotes and backslashes in it are escaped.
fn text(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn headers() {
        for (header, expected) in [
            (
                r#"299 - "v1beta1 is deprecated""#,
                Some("v1beta1 is deprecated"),
            ),
            (
                r#"299 host "say \"x\" or \\" "Mon, 01 Jan 2026""#,
                Some(r#"say "x" or \"#),
            ),
            (r#"299 - "open"#, None),
            ("299 - none", None),
        ] {
            assert_eq!(text(header).as_deref(), expected, "{header}");
        }
    }
}

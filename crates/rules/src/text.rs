//! Words and numbers of messages.

use std::fmt::Write as _;

use flux_lang::goregex::GoRegexError;

/// Longest excerpt of somebody's value in a message: the API server cuts warnings at 256 runes
/// when they grow beyond 4096 in total, and the remedy has to fit beside the value.
const EXCERPT: usize = 60;

/// A value of the author between double quotes: control characters escaped, shortened when long.
pub(crate) fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for (count, character) in value.chars().enumerate() {
        if count == EXCERPT {
            quoted.push_str("...");
            break;
        }
        if character.is_control() {
            let _ = write!(quoted, "{}", character.escape_default());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('"');
    quoted
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listing<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

/// The first `limit` items, separated by commas, and how many more there are.
pub(crate) fn first_of<T: AsRef<str>>(items: &[T], limit: usize) -> String {
    let shown: Vec<&str> = items.iter().take(limit).map(AsRef::as_ref).collect();
    match items.len().saturating_sub(limit) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What is wrong with a regular expression, where, and what to do instead.
pub(crate) fn regex_error(error: &GoRegexError) -> String {
    let hint = error
        .hint
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    format!(
        "{}: {} at position {}{hint}",
        error.message,
        quote(&error.fragment),
        error.position
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_safely_and_briefly() {
        assert_eq!(quote("a"), "\"a\"");
        assert_eq!(quote("a\nb"), "\"a\\nb\"");
        assert_eq!(quote(&"x".repeat(100)).len(), EXCERPT + 5);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listing(&["a"]), "a");
        assert_eq!(listing(&["a", "b", "c"]), "a, b and c");
        assert_eq!(first_of(&["a", "b", "c"], 2), "a, b and 1 more");
    }
}

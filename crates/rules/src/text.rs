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

/// The word that another one probably is a typo of: two slips in a long word, one in a short one.
/// Upper and lower case are the same here, a wrong one is no slip.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let limit = if word.len() > 8 {
        2
    } else {
        usize::from(word.len() > 2)
    };
    let lower = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that turn one name into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let here = (diagonal + usize::from(x != y))
                .min(left + 1)
                .min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
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

    #[test]
    fn typos_are_recognized() {
        let words = ["interval", "prune", "path"];
        assert_eq!(nearest("intervall", words), Some("interval"));
        assert_eq!(nearest("Prune", words), Some("prune"));
        assert_eq!(nearest("timeout", words), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}

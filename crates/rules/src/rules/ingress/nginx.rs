//! How ingress-nginx reads paths and targets, as far as rules need it.

/// The number of capturing groups of a path.
pub(super) fn groups(path: &str) -> usize {
    let mut count = 0;
    let mut in_class = false;
    let mut rest = path.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => {
                // `(?:`, `(?=` and the like capture nothing; `(?<name>` and `(?P<name>` do.
                let mut ahead = rest.clone();
                let captures = match ahead.next() {
                    Some('?') => match (ahead.next(), ahead.next()) {
                        (Some('P'), Some('<')) | (Some('\''), _) => true,
                        (Some('<'), Some(next)) => next != '=' && next != '!',
                        _ => false,
                    },
                    Some('*') => false,
                    _ => true,
                };
                count += usize::from(captures);
            }
            _ => {}
        }
    }
    count
}

/// The groups that a rewrite target names: nginx knows `$1` to `$9`.
pub(super) fn references(target: &str) -> Vec<u32> {
    let mut found: Vec<u32> = target
        .split('$')
        .skip(1)
        .filter_map(|rest| rest.chars().next()?.to_digit(10))
        .filter(|&group| group > 0)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Why a path is certainly no regular expression of PCRE: only what every engine refuses.
pub(super) fn broken(path: &str) -> Option<&'static str> {
    let mut open = 0_usize;
    let mut class: Option<usize> = None;
    let mut rest = path.chars().enumerate();
    while let Some((index, c)) = rest.next() {
        match (c, class) {
            ('\\', _) => {
                let Some(_) = rest.next() else {
                    return Some("it ends with a backslash");
                };
            }
            // A bracket that comes first in a class stands for itself.
            (']', Some(start)) => {
                let body: String = path
                    .chars()
                    .skip(start + 1)
                    .take(index - start - 1)
                    .collect();
                if !body.is_empty() && body != "^" {
                    class = None;
                }
            }
            ('[', None) => class = Some(index),
            ('(', None) => open += 1,
            (')', None) => match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Some("a ) has no ("),
            },
            _ => {}
        }
    }
    match (class, open) {
        (Some(_), _) => Some("a [ is not closed"),
        (None, 1..) => Some("a ( is not closed"),
        (None, 0) => None,
    }
}

/// Whether a path reads like a regular expression.
pub(super) fn looks_like_regex(path: &str) -> bool {
    path.contains(['(', '[', '*', '|', '\\', '^', '$', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted_as_pcre_does() {
        let table = [
            ("/foo", 0),
            ("/foo(/|$)(.*)", 2),
            (r"/foo\(x\)", 0),
            ("/foo(?:/|$)(.*)", 1),
            ("/(?<rest>.*)", 1),
            ("/(?P<rest>.*)", 1),
            ("/a(?<!b)(?<=c)(?=d)", 0),
            ("/[(]x(y)", 1),
        ];
        for (path, expected) in table {
            assert_eq!(groups(path), expected, "{path}");
        }
    }

    #[test]
    fn references_have_one_digit() {
        assert_eq!(references("/$2"), [2]);
        assert_eq!(references("/$1/$12"), [1]);
        assert_eq!(references("/x$request_uri"), [0; 0]);
        assert_eq!(references("/$"), [0; 0]);
    }

    #[test]
    fn only_what_is_certain_is_broken() {
        let table = [
            ("/foo(/|$)(.*)", None),
            ("/foo(", Some("a ( is not closed")),
            ("/foo)", Some("a ) has no (")),
            ("/[a-z", Some("a [ is not closed")),
            ("/[]a]", None),
            ("/[^]a]", None),
            ("/[(]", None),
            (r"/\(", None),
            (r"/a\", Some("it ends with a backslash")),
        ];
        for (path, expected) in table {
            assert_eq!(broken(path), expected, "{path}");
        }
    }
}

//! Where kustomize reads YAML otherwise than kubectl.
//!
//! kubectl's parser takes `yes`, `on`, `n` and their like for booleans, kustomize's does not; and
//! kustomize rewrites plain dates (`2020-01-01` becomes `2020-01-01T00:00:00Z`). Files with such
//! scalars are left to the program. Finding them is a matter of looking at the text: it may find
//! some that are part of a longer text, which costs time but changes nothing.

/// The booleans of YAML 1.1 that are texts in YAML 1.2, lower case.
const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Longest scalar that is looked at, in bytes: a date with its time.
const MAX_TOKEN: usize = 64;

/// The first such scalar of a file and its line, counted from 1.
pub(crate) fn read_otherwise(content: &[u8]) -> Option<(usize, &str)> {
    let text = std::str::from_utf8(content).ok()?;
    text.lines()
        .enumerate()
        .find_map(|(index, line)| Some((index + 1, in_line(line)?)))
}

fn in_line(line: &str) -> Option<&str> {
    let is_end = |character: char| character.is_whitespace() || ",]}:#".contains(character);
    let mut start = 0;
    for piece in line.split_inclusive([' ', '\t', '[', '{', ',']) {
        let before = line.get(..start)?;
        let rest = line.get(start..)?;
        start += piece.len();
        let mut beginning = rest.char_indices().take(MAX_TOKEN + 1);
        let end = match beginning.find(|(_, character)| is_end(*character)) {
            Some((end, _)) => end,
            None if rest.len() <= MAX_TOKEN => rest.len(),
            // To look for its end each time would take for ever in a line of brackets.
            None => continue,
        };
        let token = rest.get(..end)?;
        let follows = rest.get(token.len()..)?.trim_start();
        let ends = follows.is_empty() || follows.starts_with([',', ']', '}', ':', '#']);
        let word = ends && WORDS.contains(&token.to_ascii_lowercase().as_str());
        if (word || is_date(token)) && begins_scalar(before) {
            return Some(token);
        }
    }
    None
}

/// Whether a scalar can begin after this text of its line.
fn begins_scalar(before: &str) -> bool {
    let before = before.trim_end();
    let last_token = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    before.is_empty()
        // `${` begins a variable, not a mapping.
        || (before.ends_with([':', '-', '?', '[', '{', ',']) && !before.ends_with("${"))
        || last_token.starts_with(['&', '!'])
}

/// `2020-01-01`, with anything but a digit after it.
fn is_date(token: &str) -> bool {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = token.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let day = rest.split(['T', 't']).next().unwrap_or_default();
    year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(day, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_are_read_otherwise() {
        for (text, found) in [
            ("a: yes", Some("yes")),
            ("a: No # comment", Some("No")),
            ("- on", Some("on")),
            ("on: x", Some("on")),
            ("a: [1, off]", Some("off")),
            ("a: {y: 1}", Some("y")),
            ("a: &x YES", Some("YES")),
            ("a: 2020-01-01", Some("2020-01-01")),
            ("a: 2001-12-14t21:59:43.10-05:00", Some("2001-12-14t21")),
            ("a: 'yes'", None),
            ("a: \"2020-01-01\"", None),
            ("a: say no", None),
            ("a: no way", None),
            ("a: ${n}", None),
            ("a: none", None),
            ("# no", None),
            ("name: release-2020-01-01", None),
            ("a: 2020-01", None),
            ("a: yes\r", Some("yes")),
        ] {
            assert_eq!(in_line(text), found, "{text}");
        }
        assert_eq!(read_otherwise(b"a: 1\nb: off\n"), Some((2, "off")));
        let long = format!("a: \"{}\"\nb: no\n", "[".repeat(1 << 20));
        assert_eq!(read_otherwise(long.as_bytes()), Some((2, "no")));
    }
}

//! Shell patterns (`*`, `?`, `[a-z]`, `\` before a character), matched at the beginning of a text.
//!
//! `*` matches `/`, too. A pattern that is not well formed matches nothing. All beginnings are
//! tried in one pass, so that a long text with a nasty pattern costs the product of the two
//! lengths and no more.

/// Most work for one match: characters of the text times those of the pattern.
const MAX_WORK: usize = 1 << 26;

enum Token {
    Star,
    Any,
    One(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// How many bytes at the beginning of `text` match, at least one character; the longest or the
/// shortest match.
///
/// # Errors
/// When it would take too long.
pub(super) fn matching_front(
    text: &str,
    pattern: &str,
    longest: bool,
) -> Result<Option<usize>, ()> {
    let Some(tokens) = compile(pattern) else {
        return Ok(None);
    };
    let mut work = 0_usize;
    let mut states = vec![false; tokens.len() + 1];
    if let Some(first) = states.first_mut() {
        *first = true;
    }
    skip_stars(&tokens, &mut states);
    let mut found = None;
    for (at, character) in text.char_indices() {
        work = work.saturating_add(states.len());
        if work > MAX_WORK {
            return Err(());
        }
        let mut next = vec![false; states.len()];
        for (index, token) in tokens.iter().enumerate() {
            if !states.get(index).copied().unwrap_or_default() {
                continue;
            }
            let to = match token {
                Token::Star => index,
                token if token.accepts(character) => index + 1,
                _ => continue,
            };
            if let Some(state) = next.get_mut(to) {
                *state = true;
            }
        }
        skip_stars(&tokens, &mut next);
        states = next;
        if states.last() == Some(&true) {
            found = Some(at + character.len_utf8());
            if !longest {
                break;
            }
        }
        if !states.contains(&true) {
            break;
        }
    }
    Ok(found)
}

/// A star may match nothing.
fn skip_stars(tokens: &[Token], states: &mut [bool]) {
    for (index, token) in tokens.iter().enumerate() {
        let reached = states.get(index).copied().unwrap_or_default();
        if let (Token::Star, true, Some(next)) = (token, reached, states.get_mut(index + 1)) {
            *next = true;
        }
    }
}

impl Token {
    fn accepts(&self, character: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::One(wanted) => *wanted == character,
            Self::Class { negated, ranges } => {
                let within = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&character));
                within != *negated
            }
        }
    }
}

fn compile(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::One(characters.next()?),
            '[' => {
                let negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || characters.next_if_eq(&']').is_none() {
                    let low = class_member(&mut characters)?;
                    let high = match characters.next_if_eq(&'-') {
                        Some(_) => class_member(&mut characters)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::Class { negated, ranges }
            }
            other => Token::One(other),
        });
    }
    Some(tokens)
}

fn class_member(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::matching_front;

    #[test]
    fn beginnings() {
        for (text, pattern, shortest, longest) in [
            ("bash.string.txt", "*.", Some(5), Some(12)),
            ("path/to", "*/", Some(5), Some(5)),
            ("abc", "*", Some(1), Some(3)),
            ("abc", "?", Some(1), Some(1)),
            ("abc", "[a-b][^x]", Some(2), Some(2)),
            ("a*c", "a\\*", Some(2), Some(2)),
            ("éa", "?", Some(2), Some(2)),
            ("abc", "", None, None),
            ("abc", "x", None, None),
            ("abc", "[", None, None),
            ("abc", "[]a]", None, None),
            ("abc", "a\\", None, None),
            ("", "*", None, None),
        ] {
            let found = [false, true].map(|longest| matching_front(text, pattern, longest));
            assert_eq!(found, [Ok(shortest), Ok(longest)], "{text} {pattern}");
        }
    }

    #[test]
    fn nasty_patterns_end() {
        let (text, pattern) = ("a".repeat(1 << 20), "a*".repeat(1 << 10));
        assert_eq!(matching_front(&text, &pattern, true), Err(()));
    }
}

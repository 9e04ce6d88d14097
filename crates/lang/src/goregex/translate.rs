//! From Go's pattern syntax to that of the `regex` crate.

use super::{GoRegexError, class, escape};

/// Most repetitions that Go counts, nested counts multiplied.
const MAX_REPEAT: u32 = 1000;

pub(super) struct Translated {
    pub(super) pattern: String,
    pub(super) names: Vec<Option<String>>,
}

pub(super) fn translate(pattern: &str) -> Result<Translated, GoRegexError> {
    let mut t = Translator {
        pattern,
        at: 0,
        out: String::with_capacity(pattern.len() * 2),
        names: vec![None],
        groups: Vec::new(),
        heaviest: 0,
        atom: None,
        atom_end: 0,
        repeated_from: None,
    };
    t.run()?;
    Ok(Translated {
        pattern: t.out,
        names: t.names,
    })
}

/// What was open when a group began.
struct Group {
    /// The heaviest count before the group, in the enclosing one.
    heaviest: u32,
}

struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    names: Vec<Option<String>>,
    groups: Vec<Group>,
    /// Largest product of nested counts in the current group.
    heaviest: u32,
    /// The same for what a repetition would apply to; `None` where there is nothing to repeat.
    atom: Option<u32>,
    /// Where that ends in `out`: flags may follow it, as in `a(?i)+`.
    atom_end: usize,
    /// Where the repetition directly before this place began.
    repeated_from: Option<usize>,
}

impl<'p> Translator<'p> {
    fn rest(&self) -> &'p str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn error(&self, message: &str, fragment: &str) -> GoRegexError {
        self.hinted(message, fragment, None)
    }

    fn hinted(&self, message: &str, fragment: &str, hint: Option<&'static str>) -> GoRegexError {
        GoRegexError {
            message: message.to_owned(),
            fragment: fragment.to_owned(),
            position: self.at,
            hint,
        }
    }

    fn run(&mut self) -> Result<(), GoRegexError> {
        while let Some(c) = self.rest().chars().next() {
            match c {
                '*' | '+' | '?' => self.repeat(1, None)?,
                '{' => match count(self.rest()) {
                    Some((bounds, length)) => self.repeat(length, Some(bounds))?,
                    None => self.literal(c, 1),
                },
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.out.push('|');
                    self.at += 1;
                    self.atom = None;
                    self.repeated_from = None;
                }
                '[' => {
                    let (translated, length) = class::bracket(self.rest(), self.at)?;
                    self.push_atom(&translated, length);
                }
                '.' | '^' | '$' => {
                    let length = 1;
                    let text = &self.rest()[..length];
                    self.push_atom(text, length);
                }
                '\\' => self.backslash()?,
                c => self.literal(c, c.len_utf8()),
            }
        }
        if self.groups.is_empty() {
            Ok(())
        } else {
            self.at = 0;
            Err(self.error("missing closing )", self.pattern))
        }
    }

    fn push_atom(&mut self, translated: &str, length: usize) {
        self.out.push_str(translated);
        self.at += length;
        self.atom = Some(1);
        self.atom_end = self.out.len();
        self.repeated_from = None;
    }

    fn literal(&mut self, c: char, length: usize) {
        if regex_syntax::is_meta_character(c) {
            self.out.push('\\');
        }
        self.out.push(c);
        self.push_atom("", length);
    }

    fn backslash(&mut self) -> Result<(), GoRegexError> {
        let rest = self.rest();
        let letter = rest.chars().nth(1);
        match letter {
            // Word boundaries are ASCII in Go.
            Some('b') => self.push_atom(r"(?-u:\b)", 2),
            Some('B') => self.push_atom(r"(?-u:\B)", 2),
            Some('A') => self.push_atom(r"\A", 2),
            Some('z') => self.push_atom(r"\z", 2),
            Some('Q') => {
                let body = &rest[2..];
                let quoted = body.find(r"\E").map_or(body, |end| &body[..end]);
                for c in quoted.chars() {
                    self.literal(c, 0);
                }
                let terminated = quoted.len() < body.len();
                self.at += 2 + quoted.len() + if terminated { 2 } else { 0 };
                self.repeated_from = None;
            }
            Some(letter) if class::perl(letter).is_some() => {
                let (set, negated) = class::perl(letter).unwrap_or_default();
                let not = if negated { "^" } else { "" };
                self.push_atom(&format!("[{not}{set}]"), 2);
            }
            _ => {
                if let Some((translated, length)) = class::unicode(rest, self.at)? {
                    self.push_atom(&translated, length);
                } else {
                    let (c, length) = escape::parse(rest, self.at)?;
                    self.literal(c, length);
                }
            }
        }
        Ok(())
    }

    /// A repetition operator of `length` bytes; `bounds` for a counted one.
    fn repeat(
        &mut self,
        length: usize,
        bounds: Option<(u32, Option<u32>)>,
    ) -> Result<(), GoRegexError> {
        let rest = self.rest();
        let operator = &rest[..length];
        if let Some((low, high)) = bounds
            && (low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || low > high))
        {
            return Err(self.error("invalid repeat count", operator));
        }
        let lazy = rest[length..].starts_with('?');
        let Some(inner) = self.atom else {
            let fragment = &rest[..length + usize::from(lazy)];
            return Err(self.error("missing argument to repetition operator", fragment));
        };
        let end = self.at + length + usize::from(lazy);
        if let Some(start) = self.repeated_from {
            let fragment = &self.pattern[start..end];
            return Err(self.error("invalid nested repetition operator", fragment));
        }
        let weight = match bounds {
            None => inner,
            Some((low, high)) => {
                let times = high.unwrap_or(low);
                let weight = inner.saturating_mul(times);
                if (low >= 2 || times >= 2) && weight > MAX_REPEAT {
                    return Err(self.error("invalid repeat count", operator));
                }
                weight
            }
        };
        let written = &rest[..length + usize::from(lazy)];
        self.out.insert_str(self.atom_end, written);
        self.atom_end += written.len();
        self.repeated_from = Some(self.at);
        self.at = end;
        self.atom = Some(weight);
        self.heaviest = self.heaviest.max(weight);
        Ok(())
    }

    fn open(&mut self) -> Result<(), GoRegexError> {
        let rest = self.rest();
        self.repeated_from = None;
        let Some(body) = rest.strip_prefix("(?") else {
            self.names.push(None);
            self.begin_group("(", 1);
            return Ok(());
        };
        for look in ["=", "!", "<=", "<!"] {
            if body.starts_with(look) {
                let hint = "RE2 has no look-around; match what you want instead of excluding";
                let fragment = &rest[..2 + look.len()];
                return Err(self.hinted(
                    "invalid or unsupported Perl syntax",
                    fragment,
                    Some(hint),
                ));
            }
        }
        if body.starts_with("P<") || body.starts_with('<') {
            return self.named(rest);
        }
        self.flags(rest)
    }

    /// `(?P<name>` and `(?<name>`. Names are kept here, not passed on: Go allows them to repeat
    /// and to begin with a digit.
    fn named(&mut self, rest: &str) -> Result<(), GoRegexError> {
        let start = rest.find('<').unwrap_or(0) + 1;
        let Some(length) = rest[start..].find('>') else {
            return Err(self.error("invalid named capture", rest));
        };
        let name = &rest[start..start + length];
        let whole = start + length + 1;
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(word) {
            return Err(self.error("invalid named capture", &rest[..whole]));
        }
        self.names.push(Some(name.to_owned()));
        self.begin_group("(", whole);
        Ok(())
    }

    /// `(?i)`, `(?s-m:`, `(?:`.
    fn flags(&mut self, rest: &str) -> Result<(), GoRegexError> {
        let (mut negative, mut seen) = (false, false);
        for (index, c) in rest.char_indices().skip(2) {
            let length = index + c.len_utf8();
            match c {
                'i' | 'm' | 's' | 'U' => seen = true,
                '-' if !negative => {
                    negative = true;
                    seen = false;
                }
                ')' if !negative || seen => {
                    // The regex crate refuses an empty list of flags, which does nothing.
                    if length > "(?)".len() {
                        self.out.push_str(&rest[..length]);
                    }
                    self.at += length;
                    return Ok(());
                }
                ':' if !negative || seen => {
                    self.begin_group(&rest[..length], length);
                    return Ok(());
                }
                _ => {
                    let fragment = &rest[..length];
                    return Err(self.error("invalid or unsupported Perl syntax", fragment));
                }
            }
        }
        Err(self.error("invalid or unsupported Perl syntax", rest))
    }

    fn begin_group(&mut self, translated: &str, length: usize) {
        self.out.push_str(translated);
        self.at += length;
        self.groups.push(Group {
            heaviest: self.heaviest,
        });
        self.heaviest = 1;
        self.atom = None;
    }

    fn close(&mut self) -> Result<(), GoRegexError> {
        let Some(group) = self.groups.pop() else {
            return Err(self.error("unexpected )", self.pattern));
        };
        self.out.push(')');
        self.at += 1;
        self.atom = Some(self.heaviest);
        self.atom_end = self.out.len();
        self.heaviest = self.heaviest.max(group.heaviest);
        self.repeated_from = None;
        Ok(())
    }
}

/// `{n}`, `{n,}` or `{n,m}` at the start of `text`: bounds and length. Anything else, also with
/// leading zeros, is a literal brace in Go.
fn count(text: &str) -> Option<((u32, Option<u32>), usize)> {
    let end = text.find('}')?;
    let (low, high) = match text[1..end].split_once(',') {
        None => {
            let exact = number(&text[1..end])?;
            (exact, Some(exact))
        }
        Some((low, "")) => (number(low)?, None),
        Some((low, high)) => (number(low)?, Some(number(high)?)),
    };
    Some(((low, high), end + 1))
}

fn number(text: &str) -> Option<u32> {
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || leading_zero || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

//! Sprig's spellings of names: `camelcase`, `snakecase`, `kebabcase`, with the answers of the Go
//! package `xstrings` 1.5.

use std::sync::LazyLock;

use ::regex::Regex;

use super::{Call, Function, Result, exact};

pub(super) static FUNCTIONS: [Function; 3] = [
    exact("camelcase", 1, |call| Ok(camel(call.text(0)?).into())),
    exact("snakecase", 1, |call| lower(call, '_')),
    exact("kebabcase", 1, |call| lower(call, '-')),
];

/// Upper case for the first letter of every word, lower case for capitals that follow one. Of the
/// connectors between two words the last one goes; those at both ends stay.
fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_inner = |text: &str| text.contains(|c| !is_connector(c));
    if !text.is_empty() && !is_inner(text) {
        // Go writes the last of nothing but connectors twice.
        out.extend(text.chars().chain(text.chars().last()));
        return out;
    }
    let (mut begins, mut in_capitals) = (true, false);
    let mut chars = text.char_indices().peekable();
    let mut seen_word = false;
    while let Some((at, c)) = chars.next() {
        if is_connector(c) {
            let next = chars.peek().map(|(_, next)| *next);
            let is_last_before_word = next.is_some_and(|next| !is_connector(next));
            let rest = text.get(at..).unwrap_or_default();
            if !(seen_word && is_last_before_word && is_inner(rest)) {
                out.push(c);
            }
            begins = true;
            continue;
        }
        seen_word = true;
        if std::mem::take(&mut begins) {
            in_capitals = c.is_uppercase();
            out.extend(simple(c, c.to_uppercase()));
        } else {
            in_capitals &= c.is_uppercase();
            if in_capitals {
                out.extend(simple(c, c.to_lowercase()));
            } else {
                out.push(c);
            }
        }
    }
    out
}

/// Go maps a character to one character, or leaves it.
fn simple(c: char, mut mapped: impl ExactSizeIterator<Item = char>) -> Option<char> {
    if mapped.len() == 1 {
        mapped.next()
    } else {
        Some(c)
    }
}

/// Words in lower case with a connector between them.
fn lower(call: &Call<'_>, connector: char) -> Result {
    let text = call.text(0)?;
    call.meter
        .room(text.len().saturating_mul(1 + size_of::<Word<'_>>()))?;
    let mut words = Words(text).peekable();
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    while let Some(word) = words.next() {
        match word.kind {
            Kind::Connector => out.extend(word.text.chars().map(|_| connector)),
            Kind::Punctuation => out.push_str(word.text),
            Kind::Number => {
                out.push_str(word.text);
                while let Some(next) = words.next_if(Word::goes_on_after_number) {
                    out.push_str(next.text);
                }
            }
            Kind::Capital => out.extend(word.text.chars().map(lowered)),
            Kind::Small | Kind::Other => out.push_str(word.text),
        }
        let is_name = !matches!(word.kind, Kind::Connector | Kind::Punctuation);
        if is_name && word.kind != Kind::Number {
            // A number belongs to the word before it, unless small letters follow it.
            let is_number = |next: &Word<'_>| next.kind == Kind::Number && !next.before_small();
            if let Some(number) = words.next_if(is_number) {
                out.push_str(number.text);
            }
        }
        let is_name_next = words
            .peek()
            .is_some_and(|next| !matches!(next.kind, Kind::Connector | Kind::Punctuation));
        if is_name && is_name_next {
            out.push(connector);
        }
    }
    Ok(out.into())
}

fn lowered(c: char) -> char {
    simple(c, c.to_lowercase()).unwrap_or(c)
}

/// What begins a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connector,
    Punctuation,
    /// A capital, with the capitals or the small letters that follow it.
    Capital,
    /// Letters without capitals.
    Small,
    Number,
    /// Symbols and Chinese characters.
    Other,
}

/// A part of a text.
struct Word<'t> {
    kind: Kind,
    text: &'t str,
    rest: &'t str,
}

impl Word<'_> {
    fn goes_on_after_number(&self) -> bool {
        matches!(self.kind, Kind::Small | Kind::Number)
    }

    /// Whether small letters follow.
    fn before_small(&self) -> bool {
        self.rest.chars().next().map(Kind::of) == Some(Kind::Small)
    }
}

/// The words of a text.
struct Words<'t>(&'t str);

impl<'t> Iterator for Words<'t> {
    type Item = Word<'t>;

    fn next(&mut self) -> Option<Word<'t>> {
        let first = self.0.chars().next()?;
        let kind = Kind::of(first);
        let length = match kind {
            Kind::Capital => capitals(self.0, first.len_utf8()),
            kind => run(self.0, kind),
        };
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(Word { kind, text, rest })
    }
}

/// Bytes of the characters of one kind at the beginning. Among punctuation `-` and `_` are
/// punctuation.
fn run(text: &str, kind: Kind) -> usize {
    let ends = |c| match kind {
        Kind::Punctuation => !is_punctuation(c),
        kind => Kind::of(c) != kind,
    };
    text.find(ends).unwrap_or(text.len())
}

/// `Status` is a word, and of `HTTPStatus` the word is `HTTP`.
fn capitals(text: &str, first: usize) -> usize {
    let length = run(text, Kind::Capital);
    let after = text.get(length..).unwrap_or_default();
    let small = run(after, Kind::Small);
    if length == first {
        return length + small;
    }
    if small == 0 {
        return length;
    }
    let head = text.get(..length).unwrap_or_default();
    head.char_indices().next_back().map_or(length, |(at, _)| at)
}

impl Kind {
    fn of(c: char) -> Self {
        if is_connector(c) {
            Self::Connector
        } else if is_punctuation(c) {
            Self::Punctuation
        } else if c.is_uppercase() {
            Self::Capital
        } else if is_letter(c) {
            Self::Small
        } else if c.is_numeric() {
            Self::Number
        } else {
            Self::Other
        }
    }
}

fn is_connector(c: char) -> bool {
    matches!(c, '-' | '_') || c.is_whitespace()
}

/// Letters apart from Chinese characters.
fn is_letter(c: char) -> bool {
    let is_chinese = matches!(
        c,
        '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}'
    );
    !is_chinese && is(&LETTER, c, c.is_ascii_alphabetic())
}

fn is_punctuation(c: char) -> bool {
    is(
        &PUNCTUATION,
        c,
        c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c),
    )
}

static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());
static PUNCTUATION: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{P}$").ok());

/// Whether a character is of a category of Unicode.
fn is(category: &Option<Regex>, c: char, if_ascii: bool) -> bool {
    if c.is_ascii() {
        return if_ascii;
    }
    let mut buffer = [0; 4];
    let text = &*c.encode_utf8(&mut buffer);
    category.as_ref().is_some_and(|regex| regex.is_match(text))
}

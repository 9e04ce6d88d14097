//! Colours: only for people. Text that goes into a file or a pipe stays plain unless it is wished
//! otherwise. Whether there are any is decided here and nowhere else.

use std::io::{IsTerminal, stderr, stdout};
use std::sync::OnceLock;

/// What the command line said.
static WISH: OnceLock<When> = OnceLock::new();

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal knows none.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Reads the flag.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!(
                "'{text}' not supported, must be one of: auto, always, never"
            )),
        }
    }

    /// `variable` gives the value of an environment variable that is set and not empty.
    fn decide(self, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                is_terminal
                    && variable("NO_COLOR").is_none()
                    && variable("TERM").is_none_or(|name| name != "dumb")
            }
        }
    }
}

/// Keeps what the command line says about colours; the first time counts.
pub(crate) fn wish(when: When) {
    let _ = WISH.set(when);
}

/// Whether standard output gets colours.
pub(crate) fn on_output() -> bool {
    decide(stdout().is_terminal())
}

/// Whether standard error gets colours.
pub(crate) fn on_words() -> bool {
    decide(stderr().is_terminal())
}

fn decide(is_terminal: bool) -> bool {
    let wish = WISH.get().copied().unwrap_or_default();
    wish.decide(is_terminal, |name| {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    })
}

/// The colours in use, each with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// What comes, and what is well.
    Green,
    /// What goes, and what failed.
    Red,
    /// What changes, and what deserves attention.
    Yellow,
    /// Where in a text one is.
    Cyan,
}

/// A line in a colour, if colours are on.
pub(crate) fn paint(line: &str, color: Color, is_on: bool) -> String {
    let code = match color {
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Cyan => 36,
    };
    match is_on {
        true => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::When;

    #[test]
    fn the_flag_is_stronger_than_the_variable_and_that_than_the_terminal() {
        for (when, is_terminal, set, expected) in [
            (When::Auto, true, "", true),
            (When::Auto, false, "", false),
            (When::Auto, true, "NO_COLOR=1", false),
            (When::Auto, true, "TERM=dumb", false),
            (When::Auto, true, "TERM=xterm", true),
            (When::Always, false, "NO_COLOR=1", true),
            (When::Never, true, "", false),
        ] {
            let variable = |name: &str| {
                let (set, value) = set.split_once('=')?;
                (set == name).then(|| value.to_owned())
            };
            let found = when.decide(is_terminal, variable);
            assert_eq!(found, expected, "{when:?} {is_terminal} {set}");
        }
    }
}

//! Colours: only for people. Text that goes into a file or a pipe stays plain unless it is wished
//! otherwise.

use std::io::IsTerminal;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    /// On a terminal, unless `NO_COLOR` is set (no-color.org).
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

    /// Whether standard output gets colours now.
    pub(crate) fn on_output(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let forbidden = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
                !forbidden && std::io::stdout().is_terminal()
            }
        }
    }
}

/// The colours in use, each with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// What comes.
    Green,
    /// What goes.
    Red,
    /// What changes.
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

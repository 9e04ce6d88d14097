//! Everything the program writes: data to standard output, words to standard error.
//!
//! The symbols and streams are Flux's; scripts separate the two by redirection.

pub(crate) mod color;
pub(crate) mod human;
pub(crate) mod manifest;
pub(crate) mod progress;
pub(crate) mod table;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::sync::Mutex;

use crate::error::Error;
use color::{Color, paint};

/// Writes data (manifests, tables, versions) to standard output.
///
/// # Errors
/// If standard output cannot be written, such as a full disk or a pipe nobody reads.
pub(crate) fn data(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Output)
}

/// Says that something is being done.
pub(crate) fn action(message: impl Display) {
    say("\u{25ba}", None, &message);
}

/// Says that something is being made.
pub(crate) fn generate(message: impl Display) {
    say("\u{271a}", None, &message);
}

/// Says that something is being waited for.
pub(crate) fn waiting(message: impl Display) {
    say("\u{25ce}", None, &message);
}

/// Says that something worked.
pub(crate) fn success(message: impl Display) {
    say("\u{2714}", Some(Color::Green), &message);
}

/// Says what deserves attention and stops nothing. Each text is said once a run: the webhook may
/// answer what was found before it was asked.
pub(crate) fn warning(message: impl Display) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let message = message.to_string();
    let is_new = SAID
        .lock()
        .is_ok_and(|mut said| said.insert(message.clone()));
    if is_new {
        say("\u{26a0}\u{fe0f}", Some(Color::Yellow), &message);
    }
}

/// Says that something failed.
pub(crate) fn failure(message: impl Display) {
    say("\u{2717}", Some(Color::Red), &message);
}

/// Writes a line without a symbol to standard error.
pub(crate) fn note(message: impl Display) {
    write_line(&message.to_string());
}

/// Asks on standard error and reads the answer from standard input; its end is a no.
///
/// # Errors
/// If nobody can be asked.
pub(crate) fn confirmed(question: &str) -> Result<bool, Error> {
    let asked = write!(io::stderr().lock(), "{question}? [y/N] ");
    asked.map_err(Error::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Error::input(format!(
            "cannot read the answer: {error}; --silent answers yes"
        ))
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The symbol alone is coloured: messages are read, and copied, as they are.
fn say(symbol: &str, color: Option<Color>, message: &dyn Display) {
    let message = flux_api::conditions::visible(&message.to_string());
    let line = match color {
        Some(color) => format!("{} {message}", paint(symbol, color, color::on_words())),
        None => format!("{symbol} {message}"),
    };
    write_line(&line);
}

fn write_line(line: &str) {
    // One write per line keeps lines of parallel programs apart. When standard error is gone there
    // is nobody left to tell.
    let _ = io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

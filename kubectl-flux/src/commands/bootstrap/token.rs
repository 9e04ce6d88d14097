//! The token of the person at the terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::SecretText;
use crate::error::Error;

/// The token of an environment variable; else the person is asked, without showing what is typed,
/// or it is read from what is piped in.
///
/// # Errors
/// If there is none.
pub(super) fn ask(variable: &str, host: &str) -> Result<SecretText, Error> {
    if let Ok(token) = std::env::var(variable)
        && !token.trim().is_empty()
    {
        return Ok(SecretText::from(token.trim()));
    }
    let unreadable = |error: std::io::Error| {
        Error::input(format!("cannot read the token: {error}; set {variable}"))
    };
    let token = if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        let question = format!("Please enter your {host} personal access token (PAT): ");
        (&terminal)
            .write_all(question.as_bytes())
            .map_err(unreadable)?;
        terminal.read_secure_line().map_err(unreadable)?
    } else {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(unreadable)?;
        line
    };
    match token.trim() {
        "" => Err(Error::input(format!(
            "a personal access token is needed: set {variable}, or pipe it in"
        ))),
        token => Ok(SecretText::from(token)),
    }
}

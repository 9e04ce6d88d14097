//! What the reader of the tutorial sees: commands, their output, and one line per check.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Counts checks and prints as it goes.
pub(super) struct Report {
    passed: usize,
    failed: usize,
    skipped: usize,
    colour: bool,
    started: Instant,
}

impl Default for Report {
    fn default() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            colour,
            started: Instant::now(),
        }
    }
}

impl Report {
    /// Begins a chapter.
    pub(super) fn chapter(&self, title: &str) {
        let seconds = self.started.elapsed().as_secs();
        println!(
            "\n{} [{seconds} s]",
            self.paint("1", &format!("== {title}"))
        );
    }

    /// Explains what comes next.
    pub(super) fn say(&self, text: &str) {
        println!("{}", self.paint("2", text));
    }

    /// A command as a person types it, and what it printed.
    pub(super) fn command(&self, command: &str, output: &str) {
        println!("{}", self.paint("36", &format!("$ {command}")));
        for line in output.lines() {
            println!("  {line}");
        }
    }

    /// A check with its outcome; `found` is shown when it failed.
    pub(super) fn check(&mut self, expected: &str, holds: bool, found: &str) {
        if holds {
            self.passed += 1;
            println!("{} {expected}", self.paint("32", "✔"));
        } else {
            self.failed += 1;
            println!("{} {expected}", self.paint("31", "✗"));
            println!("  found:");
            for line in found.lines() {
                println!("    {line}");
            }
        }
        // The next step may take a while; what is known should be on the screen.
        let _ = std::io::stdout().flush();
    }

    /// A check that cannot be made here.
    pub(super) fn skip(&mut self, expected: &str, why: &str) {
        self.skipped += 1;
        println!("{} {expected}: skipped, {why}", self.paint("33", "-"));
    }

    /// Checks that a text contains another.
    pub(super) fn contains(&mut self, expected: &str, text: &str, part: &str) {
        let holds = text.contains(part);
        self.check(expected, holds, &format!("{text}\n(looked for: {part})"));
    }

    /// Whether a check has failed so far.
    pub(super) fn has_failures(&self) -> bool {
        self.failed > 0
    }

    /// The closing line; returns whether everything passed.
    pub(super) fn close(&self) -> bool {
        println!(
            "\n{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
        self.failed == 0
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

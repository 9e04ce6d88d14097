//! Says on standard error what takes long: with a spinner and seconds on a terminal, as plain
//! lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// One step that takes a while.
#[derive(Debug)]
pub struct Step {
    text: String,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Begins a step and says so.
    pub fn start(text: impl Into<String>) -> Self {
        let text = text.into();
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message(text.clone());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            eprintln!("{text} ...");
        }
        Self {
            text,
            start: Instant::now(),
            bar,
        }
    }

    /// Ends the step and says how long it took.
    pub fn done(self) {
        let line = format!("{}: {:.1} s", self.text, self.start.elapsed().as_secs_f64());
        match self.bar {
            Some(bar) => bar.finish_with_message(line),
            None => eprintln!("{line}"),
        }
    }
}

//! What is shown while the program waits: a spinner with the current state on a terminal, nothing
//! where output goes to a file or a pipe, so that logs stay plain.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Frame time of the spinner.
const TICK: Duration = Duration::from_millis(120);

/// A running display; it disappears when dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts to show that something is waited for.
    pub(crate) fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template that does not parse would leave the default style, which is good enough.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(Some(bar))
    }

    /// Shows the current state in place of the last one.
    pub(crate) fn show(&self, state: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(state.lines().next().unwrap_or_default().to_owned());
        }
    }

    /// Runs something that writes lines, with the spinner out of its way.
    pub(crate) fn interrupt(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

//! What is shown while the program waits: a spinner with the current state on a terminal; where
//! output goes to a file or a pipe, a plain line now and then if the state has changed, so that a
//! log shows what a long wait is about and a short one leaves no trace.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Frame time of the spinner.
const TICK: Duration = Duration::from_millis(120);
/// Time between plain lines.
const PAUSE: Duration = Duration::from_secs(10);

/// A running display; it disappears when dropped.
pub(crate) struct Progress(Display);

enum Display {
    Spinner(ProgressBar),
    Lines {
        state: Arc<Mutex<State>>,
        printer: AbortHandle,
    },
}

/// What was shown, and what there is to show.
#[derive(Debug, Default)]
struct State {
    now: String,
    printed: String,
}

impl State {
    /// The current state, unless it is the one that was printed last.
    fn news(&mut self) -> Option<&str> {
        if self.now == self.printed {
            return None;
        }
        self.printed.clone_from(&self.now);
        Some(&self.printed)
    }
}

impl Progress {
    /// Starts to show that something is waited for. Within the runtime.
    pub(crate) fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            let state = Arc::default();
            let printer = tokio::spawn(print(Arc::clone(&state))).abort_handle();
            return Self(Display::Lines { state, printer });
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template that does not parse would leave the default style, which is good enough.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(Display::Spinner(bar))
    }

    /// Shows the current state in place of the last one.
    pub(crate) fn show(&self, state: &str) {
        let line = state.lines().next().unwrap_or_default().to_owned();
        match &self.0 {
            Display::Spinner(bar) => bar.set_message(line),
            Display::Lines { state, .. } => {
                state.lock().unwrap_or_else(PoisonError::into_inner).now = line;
            }
        }
    }

    /// Runs something that writes lines, with the spinner out of its way.
    pub(crate) fn interrupt(&self, write: impl FnOnce()) {
        match &self.0 {
            Display::Spinner(bar) => bar.suspend(write),
            Display::Lines { .. } => write(),
        }
    }
}

async fn print(state: Arc<Mutex<State>>) {
    loop {
        sleep(PAUSE).await;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = state.news() {
            super::waiting(line);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &self.0 {
            Display::Spinner(bar) => bar.finish_and_clear(),
            Display::Lines { printer, .. } => printer.abort(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn a_state_is_printed_once() {
        let mut state = State::default();
        assert_eq!(state.news(), None, "nothing is known yet");
        state.now = "one".to_owned();
        assert_eq!(state.news(), Some("one"));
        assert_eq!(state.news(), None);
        state.now = "two".to_owned();
        assert_eq!(state.news(), Some("two"));
    }
}

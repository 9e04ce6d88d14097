//! Child processes that never outlive the sandbox.
//!
//! Each child leads a process group of its own, so that a Ctrl-C on the terminal reaches only
//! the owner, which then stops its children in order. Three nets catch what that misses: `Drop`,
//! a watchdog process that notices when the owner dies without a word (`kill -9`, a test binary
//! that exits with a static still alive), and the records that the next start sweeps when even
//! the watchdog was killed ([`super::state`]).

mod identity;
mod supervisor;
mod watchdog;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::Signal;

pub use identity::ProcessId;
pub(crate) use identity::boot_id;
pub use supervisor::Supervisor;

use super::error::tail;

/// How many lines of a log are shown when its writer fails.
const TAIL_LINES: usize = 15;

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At once: nothing it holds is worth a clean end (a throw-away etcd needs seconds for one).
    Kill,
    /// SIGTERM, then SIGKILL when it still runs after this time.
    Terminate(Duration),
}

/// A running child process; it goes on when this handle is dropped and ends with its
/// [`Supervisor`].
#[derive(Debug)]
pub struct Process {
    name: String,
    id: ProcessId,
    log: PathBuf,
    stop: Stop,
    child: Mutex<Child>,
}

impl Process {
    /// The name it was started under, which is also that of its log file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its identity, for measuring and for tests that kill it.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// The file that holds what it printed on both streams.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All it has printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The last lines it has printed.
    pub fn tail(&self) -> String {
        tail(&self.output(), TAIL_LINES)
    }

    /// Its exit status once it has ended.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .ok()
            .flatten()
    }

    /// Ends it and everything in its process group, and waits until it is gone. Blocks for at
    /// most the time its [`Stop`] gives it.
    pub fn stop(&self) {
        self.ask_to_end();
        self.wait_ended();
    }

    /// Sends the first signal of its [`Stop`] and does not wait.
    fn ask_to_end(&self) {
        self.id.signal_group(match self.stop {
            Stop::Kill => Signal::KILL,
            Stop::Terminate(_) => Signal::TERM,
        });
    }

    /// Waits for the end and insists when the time is over.
    fn wait_ended(&self) {
        let grace = match self.stop {
            Stop::Kill => Duration::ZERO,
            Stop::Terminate(grace) => grace,
        };
        let deadline = Instant::now() + grace;
        while self.exit_status().is_none() {
            if Instant::now() >= deadline {
                self.id.signal_group(Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

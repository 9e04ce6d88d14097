//! The process that notices when the owner of a sandbox is gone. See `watchdog.sh`.
//!
//! A shell script rather than `PR_SET_PDEATHSIG`: that signal comes when the *thread* that
//! started the child ends, which in a test is long before the process, and it needs unsafe code
//! between fork and exec.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use super::{
    super::error::{Error, Result},
    ProcessId,
};

const SCRIPT: &str = include_str!("watchdog.sh");

/// Handle of the watchdog; dropping it without [`Watchdog::dismiss`] lets it loose.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts the watchdog of the sandbox in `dir` with the state record `record`.
    pub(super) fn start(dir: &Path, record: &Path, temporary: bool) -> Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "flux-sandbox-watchdog"])
            .arg(dir)
            .arg(record)
            .arg(if temporary { "temporary" } else { "keep" })
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Error::Run {
                program: "/bin/sh".to_owned(),
                source,
            })?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Its identity, recorded so that a sweep finds it too.
    pub(super) fn id(&self) -> Option<ProcessId> {
        i32::try_from(self.child.id()).ok().and_then(ProcessId::of)
    }

    /// Puts one more process under its eyes.
    pub(super) fn watch(&mut self, process: ProcessId) {
        if let Some(pipe) = &mut self.pipe {
            // A watchdog that was killed is replaced by the sweep of the next start.
            let _ = writeln!(pipe, "{} {}", process.pid, process.started);
        }
    }

    /// Tells it that everything has been stopped, and waits until it is gone.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = writeln!(pipe, "done");
        }
        let _ = self.child.wait();
    }
}

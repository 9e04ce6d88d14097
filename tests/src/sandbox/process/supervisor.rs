//! Starts the processes of one sandbox, keeps its record up to date, and stops them all.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    super::{
        error::{Error, Result},
        paths,
        state::{Endpoints, Record, RecordedProcess, State},
    },
    Process, ProcessId, Stop,
    watchdog::Watchdog,
};

/// Owner of all processes of one sandbox.
#[derive(Debug)]
pub struct Supervisor {
    logs: PathBuf,
    state: State,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    record: Record,
    watchdog: Watchdog,
    processes: Vec<Arc<Process>>,
    stopped: bool,
}

impl Supervisor {
    /// Begins to supervise: stores the record and starts the watchdog. `record` has been
    /// reserved by [`State::register`].
    pub(crate) fn new(state: State, mut record: Record) -> Result<Self> {
        let logs = record.dir.join("logs");
        let record_file = state.path_of(&record);
        let watchdog = paths::create_dir(&logs)
            .and_then(|()| Watchdog::start(&record.dir, &record_file, record.temporary))
            .inspect_err(|_| state.discard(&record))?;
        if let Some(id) = watchdog.id() {
            record.processes.push(RecordedProcess {
                name: "watchdog".to_owned(),
                id,
            });
        }
        // From here on `drop` cleans up.
        let inner = Inner {
            record,
            watchdog,
            processes: Vec::new(),
            stopped: false,
        };
        let supervisor = Self {
            logs,
            state,
            inner: Mutex::new(inner),
        };
        supervisor.publish(|_| {})?;
        Ok(supervisor)
    }

    /// Folder of the log files.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Starts a program in a process group of its own, with what it prints appended to
    /// `logs/NAME.log` and nothing on standard input.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be executed. That the program ends
    /// soon after is for the caller to find out.
    pub fn spawn(&self, name: &str, stop: Stop, command: &mut Command) -> Result<Arc<Process>> {
        let log = self.logs.join(format!("{name}.log"));
        let open = || fs::File::options().create(true).append(true).open(&log);
        let stdout = open().map_err(Error::file("open", &log))?;
        let stderr = open().map_err(Error::file("open", &log))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let mut inner = self.inner();
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(|source| Error::Run {
                program: program.clone(),
                source,
            })?;
        let Some(id) = i32::try_from(child.id()).ok().and_then(ProcessId::of) else {
            let status = child
                .wait()
                .map_err(|source| Error::Run { program, source })?;
            let tail = super::tail(&paths::read(&log).unwrap_or_default(), super::TAIL_LINES);
            return Err(Error::Ended {
                name: name.to_owned(),
                status,
                log,
                tail,
            });
        };
        inner.watchdog.watch(id);
        let process = Arc::new(Process {
            name: name.to_owned(),
            id,
            log,
            stop,
            child: Mutex::new(child),
        });
        inner.processes.push(process.clone());
        inner.record.processes.push(RecordedProcess {
            name: name.to_owned(),
            id,
        });
        self.state.store(&inner.record)?;
        Ok(process)
    }

    /// Changes what the record says about where the parts of the sandbox are reached.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Endpoints)) -> Result<()> {
        let mut inner = self.inner();
        change(&mut inner.record.endpoints);
        self.state.store(&inner.record)
    }

    /// Marks the sandbox as ready in its record.
    pub(crate) fn mark_ready(&self) -> Result<()> {
        let mut inner = self.inner();
        inner.record.ready = true;
        self.state.store(&inner.record)
    }

    /// A copy of the record.
    pub fn record(&self) -> Record {
        self.inner().record.clone()
    }

    /// Stops all processes, the youngest first, removes the record and, if it is temporary, the
    /// folder. Does nothing the second time.
    pub fn stop_all(&self) {
        let mut inner = self.inner();
        if std::mem::replace(&mut inner.stopped, true) {
            return;
        }
        for process in inner.processes.iter().rev() {
            process.ask_to_end();
        }
        for process in inner.processes.iter().rev() {
            process.wait_ended();
        }
        inner.watchdog.dismiss();
        self.state.discard(&inner.record);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop_all();
    }
}

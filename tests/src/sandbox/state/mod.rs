//! Records of the sandboxes of this user, so that `status` and `down` find them and a start can
//! clean up after one whose owner was killed.
//!
//! One JSON file per sandbox in [`paths::state`]. A process is only ever signalled when its id,
//! its start time and the boot all match the record.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    error::{Error, Result},
    node::cgroups,
    paths,
    process::{ProcessId, boot_id},
};

/// Marks a folder as that of a sandbox: only such a folder is ever emptied or removed.
pub(crate) const MARKER: &str = ".flux-sandbox";

/// How long a process gets after SIGTERM when a sandbox is stopped from outside.
const GRACE: Duration = Duration::from_secs(3);

/// What is known about one sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Short name, derived from the folder.
    pub id: String,
    /// The folder that holds all of it.
    pub dir: PathBuf,
    /// Whether the folder goes with the sandbox.
    pub temporary: bool,
    /// Whether every part has been ready.
    pub ready: bool,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// The process that owns it.
    pub owner: ProcessId,
    /// The boot that process ids and start times belong to.
    boot: String,
    /// Its processes in the order of their start.
    pub processes: Vec<RecordedProcess>,
    /// Where its parts are reached.
    pub endpoints: Endpoints,
}

/// A process of a sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordedProcess {
    /// The name of its log file.
    pub name: String,
    /// Who it is.
    #[serde(flatten)]
    pub id: ProcessId,
}

/// Where the parts of a sandbox are reached; a part that was not asked for is absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// File with the administrator's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// URL of the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server: Option<String>,
    /// Prefix of repository URLs over SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_ssh: Option<String>,
    /// Prefix of repository URLs over HTTPS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_https: Option<String>,
    /// What GIT_SSH_COMMAND must be to use the Git server as a person with all rights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_ssh_command: Option<String>,
    /// Host and port of the image registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// What to put before a command that is to run at the node, where its names and addresses mean
    /// something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enter: Option<String>,
    /// Certificate authority of everything that speaks TLS here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Record {
    /// Whether the process that owns the sandbox still runs.
    pub fn owner_is_alive(&self) -> bool {
        self.boot == boot_id() && self.owner.is_alive()
    }

    /// The processes that still run.
    pub fn alive(&self) -> impl Iterator<Item = &RecordedProcess> {
        let this_boot = self.boot == boot_id();
        self.processes
            .iter()
            .filter(move |process| this_boot && process.id.is_alive())
    }

    /// Ends every process that still runs and waits until all are gone.
    fn kill_processes(&self) {
        let left: Vec<ProcessId> = self.alive().map(|process| process.id).collect();
        for process in left.iter().rev() {
            process.signal_group(Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        for process in left {
            if !process.wait_gone(deadline) {
                process.signal_group(Signal::KILL);
                process.wait_gone(Instant::now() + GRACE);
            }
        }
    }
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

impl State {
    /// The records of the current user.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open() -> Result<Self> {
        Self::at(paths::state())
    }

    fn at(dir: PathBuf) -> Result<Self> {
        paths::create_dir(&dir)?;
        Ok(Self { dir })
    }

    /// All records, oldest first. A file that is not a record is passed over.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Record>> {
        let entries = fs::read_dir(&self.dir).map_err(Error::file("read", &self.dir))?;
        let mut records: Vec<Record> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok())
            .collect();
        records.sort_by(|a, b| a.started_at.cmp(&b.started_at));
        Ok(records)
    }

    /// Cleans up after sandboxes whose owner is gone: ends what still runs, removes temporary
    /// folders and the records. Says which ones they were.
    ///
    /// # Errors
    /// When the records cannot be read or locked.
    pub fn sweep(&self) -> Result<Vec<Record>> {
        let _lock = self.lock()?;
        self.sweep_locked()
    }

    fn sweep_locked(&self) -> Result<Vec<Record>> {
        let mut swept = self.list()?;
        swept.retain(|record| !record.owner_is_alive());
        for record in &swept {
            record.kill_processes();
            self.discard(record);
        }
        let alive: Vec<String> = self.list()?.into_iter().map(|record| record.id).collect();
        cgroups::sweep(&alive);
        Ok(swept)
    }

    /// Stops a sandbox: asks its owner, waits for it, and cleans up whatever it left.
    ///
    /// # Errors
    /// When the records cannot be read or locked.
    pub fn stop(&self, record: &Record) -> Result<()> {
        if record.owner_is_alive() {
            record.owner.signal(Signal::TERM);
            if !record.owner.wait_gone(Instant::now() + 4 * GRACE) {
                record.owner.signal(Signal::KILL);
                record.owner.wait_gone(Instant::now() + GRACE);
            }
        }
        self.sweep().map(drop)
    }

    /// Sweeps leftovers, then reserves the folder for a sandbox of this process: checks that no
    /// other one uses it and that it is ours to empty, empties it and marks it.
    pub(crate) fn register(&self, dir: &Path, temporary: bool) -> Result<Record> {
        let _lock = self.lock()?;
        self.sweep_locked()?;
        paths::create_dir(dir)?;
        let dir = fs::canonicalize(dir).map_err(Error::file("find", dir))?;
        if let Some(other) = self.list()?.into_iter().find(|record| record.dir == dir) {
            return Err(Error::InUse {
                dir,
                owner: other.owner.pid,
            });
        }
        empty(&dir)?;
        paths::write(&dir.join(MARKER), "")?;
        let record = Record {
            id: short_id(&dir),
            dir,
            temporary,
            ready: false,
            started_at: jiff::Timestamp::now().to_string(),
            owner: ProcessId::current().unwrap_or(ProcessId { pid: 0, started: 0 }),
            boot: boot_id(),
            processes: Vec::new(),
            endpoints: Endpoints::default(),
        };
        self.store(&record)?;
        Ok(record)
    }

    pub(crate) fn path_of(&self, record: &Record) -> PathBuf {
        self.dir.join(format!("{}.json", record.id))
    }

    pub(crate) fn store(&self, record: &Record) -> Result<()> {
        let path = self.path_of(record);
        let text = serde_json::to_string_pretty(record).map_err(|source| Error::Json {
            path: path.clone(),
            source,
        })?;
        paths::write(&path, &text)
    }

    /// Forgets a sandbox whose processes are gone, together with its folder if that is temporary.
    pub(crate) fn discard(&self, record: &Record) {
        // First, because it waits for the last process of a node to be gone.
        cgroups::remove(&record.id);
        if record.temporary && record.dir.join(MARKER).exists() {
            // What cannot be removed now is found by nobody later; there is no one to tell.
            let _ = paths::remove_dir(&record.dir);
        }
        self.forget(record);
    }

    fn forget(&self, record: &Record) {
        // Gone already when the watchdog was faster.
        let _ = fs::remove_file(self.path_of(record));
    }

    /// Holds off other starts and sweeps of this user until dropped.
    fn lock(&self) -> Result<fs::File> {
        let path = self.dir.join("lock");
        let open = fs::File::options().create(true).append(true).open(&path);
        open.and_then(|file| file.lock().map(|()| file))
            .map_err(Error::file("lock", &path))
    }
}

/// Removes what an earlier sandbox left in its folder; refuses to touch anything else.
fn empty(dir: &Path) -> Result<()> {
    let mut entries = fs::read_dir(dir)
        .map_err(Error::file("read", dir))?
        .peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    if !dir.join(MARKER).exists() {
        return Err(Error::Foreign(dir.to_owned()));
    }
    for entry in entries {
        let path = entry.map_err(Error::file("read", dir))?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(Error::file("remove", &path))?;
    }
    Ok(())
}

/// Eight hexadecimal digits that stand for a folder.
fn short_id(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;

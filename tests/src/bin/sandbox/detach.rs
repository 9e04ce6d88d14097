//! `sandbox up --detach`: the same program once more in the background.

use std::{
    env,
    fs::File,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use flux_tests::sandbox::{self, state::State};

use crate::up;

const POLL: Duration = Duration::from_millis(50);

/// Starts the background process and waits until its record says that it is ready.
pub(crate) async fn run(args: &up::Args) -> Result<()> {
    // Here rather than there: a first build takes minutes, and this process has the terminal.
    sandbox::prepare(&args.options()).await?;
    let own = env::current_exe().context("cannot find this program")?;
    let log = tempfile::NamedTempFile::new().context("cannot create a log file")?;
    let open = || File::options().append(true).open(log.path());
    let mut child = Command::new(own)
        .args(
            env::args_os()
                .skip(1)
                .filter(|argument| argument != "--detach"),
        )
        // A group of its own: a Ctrl-C after this program has returned is not meant for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(open().context("cannot open the log file")?)
        .spawn()
        .context("cannot start the background process")?;
    let owner = i32::try_from(child.id()).unwrap_or_default();
    let state = State::open()?;
    loop {
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(log.path()).unwrap_or_default();
            bail!(
                "the background process ended ({status}):\n{}",
                said.trim_end()
            );
        }
        let records = state.list()?;
        if let Some(record) = records.iter().find(|r| r.owner.pid == owner && r.ready) {
            let dir = record.dir.display();
            eprintln!("ready in {dir}; stop with: sandbox down --dir {dir}");
            up::print_exports(&record.endpoints);
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

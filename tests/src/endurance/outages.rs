//! The cluster goes away while commits come: its database, its API server, each as a crash and as a
//! machine that freezes. The operator waits, and goes on by itself.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::scenario::Scenario;
use crate::env::Env;
use crate::sandbox::process::{Process, Stop};

/// For a process to end, or a server to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// One outage.
#[derive(Debug)]
pub struct Outage {
    /// What was gone.
    pub name: String,
    /// How long.
    pub lasted: Duration,
    /// From its end until everything was as committed meanwhile.
    pub converged: Duration,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for {:.1} s: all as committed {:.1} s later",
            self.name,
            self.lasted.as_secs_f64(),
            self.converged.as_secs_f64()
        )
    }
}

/// Begins with a running operator; every outage lasts so long. Checks after each that everything
/// that was committed meanwhile is applied, and nothing was left behind or made anew.
///
/// # Errors
/// What was not as it should be.
pub async fn run(env: &Env, namespace: &str, lasts: Duration) -> Result<Vec<Outage>> {
    let mut scenario = Scenario::start(env, namespace).await?;
    let control_plane = env.sandbox().control_plane()?;
    let mut outages = Vec::new();
    let frozen = [control_plane.etcd(), control_plane.api_server()];
    for (round, server) in (1..).zip(frozen) {
        scenario.commit(round)?;
        scenario.fetch(round).await?;
        server.id().signal(Signal::STOP);
        tokio::time::sleep(lasts).await;
        server.id().signal(Signal::CONT);
        let name = format!("{} frozen", server.name());
        outages.push(after(env, &scenario, round, name, lasts).await?);
    }
    for (round, server) in (3..).zip(frozen) {
        scenario.commit(round)?;
        scenario.fetch(round).await?;
        let start = Instant::now();
        restart(env, server, lasts).await?;
        let name = format!("{} killed", server.name());
        outages.push(after(env, &scenario, round, name, start.elapsed()).await?);
    }
    scenario.nothing_made_anew().await?;
    Ok(outages)
}

async fn after(
    env: &Env,
    scenario: &Scenario,
    round: u32,
    name: String,
    lasted: Duration,
) -> Result<Outage> {
    let end = Instant::now();
    let outcome = scenario.converge(env, round).await;
    outcome.with_context(|| format!("after {name}"))?;
    Ok(Outage {
        name,
        lasted,
        converged: end.elapsed(),
    })
}

/// Kills a server of the control plane as a crash does, starts it again as it was after some time,
/// and waits for the API server.
///
/// # Errors
/// When it does not end or come back.
pub async fn restart(env: &Env, server: &Process, after: Duration) -> Result<Arc<Process>> {
    let process = PathBuf::from(format!("/proc/{}", server.id().pid));
    let arguments = std::fs::read(process.join("cmdline"))?;
    let arguments: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let folder = std::fs::read_link(process.join("cwd"))?;
    server.id().signal(Signal::KILL);
    env.wait_for("the server's end", PATIENCE, async || {
        let status = server.exit_status();
        status.map(drop).ok_or_else(|| "still running".to_owned())
    })
    .await?;
    tokio::time::sleep(after).await;
    let (program, arguments) = arguments.split_first().context("no command line")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let name = format!("{}-again", server.name());
    let supervisor = env.sandbox().supervisor();
    let process = supervisor.spawn(&name, Stop::Kill, &mut command)?;
    let client = env.client().await?;
    env.wait_for("the API server", PATIENCE, async || {
        let request = http::Request::get("/readyz").body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = client.request_text(request).await;
        answer.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(process)
}

//! The cluster goes away while commits come: its database, its API server, each as a crash and as a
//! machine that freezes. The operator waits, and goes on by itself; where it loses its Leases
//! meanwhile it ends, and is started again as a container would be.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::scenario::Scenario;
use crate::env::Env;
use crate::sandbox::process::{Process, Stop};
use crate::sandbox::wait::free_port;

/// For a process to end, or a server to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(100);

/// One outage.
#[derive(Debug)]
pub struct Outage {
    /// What was gone.
    pub name: String,
    /// How long.
    pub lasted: Duration,
    /// From its end until everything was as committed meanwhile.
    pub converged: Duration,
    /// How often the operator ended, for want of its Leases.
    pub restarts: u32,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for {:.1} s: all as committed {:.1} s later, {} restarts",
            self.name,
            self.lasted.as_secs_f64(),
            self.converged.as_secs_f64(),
            self.restarts
        )
    }
}

/// Every outage lasts so long; `flags` are more arguments of the operator. Checks after each that
/// everything that was committed meanwhile is applied, and nothing was left behind or made anew.
///
/// # Errors
/// What was not as it should be; an operator that ends more than once in an outage.
pub async fn run(
    env: &Env,
    namespace: &str,
    lasts: Duration,
    flags: &[&str],
) -> Result<Vec<Outage>> {
    let pod = Pod::new(env, namespace, flags)?;
    tokio::select! {
        outages = outages(env, namespace, lasts, &pod) => outages,
        failed = pod.run() => failed.map(|never| match never {}),
    }
}

/// An operator under leader election that is started again when it has ended.
struct Pod<'a> {
    env: &'a Env,
    arguments: Vec<String>,
    starts: AtomicU32,
}

impl<'a> Pod<'a> {
    fn new(env: &'a Env, namespace: &str, flags: &[&str]) -> Result<Self> {
        let data = env.sandbox().dir().join("outages-data");
        let address = || anyhow::Ok(format!("127.0.0.1:{}", free_port()?));
        let mut arguments = vec![
            "--enable-leader-election".to_owned(),
            format!("--runtime-namespace={namespace}"),
            format!("--storage-path={}", data.display()),
            format!("--storage-addr={}", address()?),
            format!("--health-addr={}", address()?),
            format!("--metrics-addr={}", address()?),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let starts = AtomicU32::new(0);
        Ok(Self {
            env,
            arguments,
            starts,
        })
    }

    /// Returns only when it cannot be started.
    async fn run(&self) -> Result<Infallible> {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        // What a pod keeps when its container is started again.
        let uid = [("POD_UID", "outages".into())];
        loop {
            let process = self.env.start_operator_with(&uid, &arguments).await?;
            self.starts.fetch_add(1, Ordering::Relaxed);
            while process.exit_status().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    fn outage(
        &self,
        name: String,
        lasted: Duration,
        converged: Duration,
        before: u32,
    ) -> Result<Outage> {
        let restarts = self.starts() - before;
        ensure!(
            restarts <= 1,
            "the operator ended {restarts} times after {name}"
        );
        Ok(Outage {
            name,
            lasted,
            converged,
            restarts,
        })
    }
}

async fn outages(
    env: &Env,
    namespace: &str,
    lasts: Duration,
    pod: &Pod<'_>,
) -> Result<Vec<Outage>> {
    let mut scenario = Scenario::start(env, namespace).await?;
    let control_plane = env.sandbox().control_plane()?;
    let mut outages = Vec::new();
    let frozen = [control_plane.etcd(), control_plane.api_server()];
    for (round, server) in (1..).zip(frozen) {
        scenario.commit(round)?;
        scenario.fetch(round).await?;
        let starts = pod.starts();
        server.id().signal(Signal::STOP);
        tokio::time::sleep(lasts).await;
        server.id().signal(Signal::CONT);
        let name = format!("{} frozen", server.name());
        let converged = after(env, &scenario, round, &name).await?;
        outages.push(pod.outage(name, lasts, converged, starts)?);
    }
    for (round, server) in (3..).zip(frozen) {
        scenario.commit(round)?;
        scenario.fetch(round).await?;
        let (start, starts) = (Instant::now(), pod.starts());
        restart(env, server, lasts).await?;
        let (name, lasted) = (format!("{} killed", server.name()), start.elapsed());
        let converged = after(env, &scenario, round, &name).await?;
        outages.push(pod.outage(name, lasted, converged, starts)?);
    }
    scenario.nothing_made_anew().await?;
    Ok(outages)
}

/// How long it takes until everything is as committed.
async fn after(env: &Env, scenario: &Scenario, round: u32, name: &str) -> Result<Duration> {
    let end = Instant::now();
    let outcome = scenario.converge(env, round).await;
    outcome.with_context(|| format!("after {name}"))?;
    Ok(end.elapsed())
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

//! An operator that is killed again and again.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use flux_tests::endurance::kills;
use flux_tests::env::Env;
use flux_tests::sandbox::process::Process;
use flux_tests::sandbox::wait::free_port;
use rustix::process::Signal;

/// For an operator to end, or to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of the endurance test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often the operator is killed.
    #[arg(long, default_value_t = 100)]
    kills: u32,
}

/// Runs it; an error says what was lost, left behind or made anew.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let namespace = env.namespace("kills").await?;
    let ports = [free_port()?, free_port()?, free_port()?];
    let mut operator = launch(&env, ports, &[]).await?;
    let start = Instant::now();
    let report = kills::run(&env, &namespace, arguments.kills, async || {
        operator.id().signal(Signal::KILL);
        env.wait_for("the operator's end", PATIENCE, async || {
            let status = operator.exit_status();
            status.map(drop).ok_or_else(|| "running".to_owned())
        })
        .await?;
        operator = launch(&env, ports, &[]).await?;
        Ok(())
    })
    .await?;
    println!(
        "{} kills in {:.0} s, {} of them after everything was applied; nothing lost, left behind or \
         made anew; all as committed {:.1} s after the last start",
        report.kills,
        start.elapsed().as_secs_f64(),
        report.complete,
        report.converged.as_secs_f64()
    );
    Ok(())
}

/// An operator with a data folder of its own and more in its environment, ready.
pub(crate) async fn launch(
    env: &Env,
    [artifacts, health, metrics]: [u16; 3],
    variables: &[(&str, OsString)],
) -> Result<Arc<Process>> {
    let data = env.sandbox().dir().join("kills-data");
    let flags = [
        format!("--storage-path={}", data.display()),
        format!("--storage-addr=127.0.0.1:{artifacts}"),
        format!("--health-addr=127.0.0.1:{health}"),
        format!("--metrics-addr=127.0.0.1:{metrics}"),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let operator = env.start_operator_with(variables, &flags).await?;
    let url = format!("http://127.0.0.1:{health}/readyz");
    env.wait_for("the operator", PATIENCE, async || {
        let answer = reqwest::get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        status.is_success().then_some(()).ok_or(status.to_string())
    })
    .await?;
    Ok(operator)
}

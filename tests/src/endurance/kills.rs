//! An operator that is killed at random moments, as `kill -9` does, while commits come and go:
//! the test does it a few times, `soak kills` as often as it is told.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::scenario::Scenario;
use crate::env::Env;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// How often it was killed.
    pub kills: u32,
    /// How often everything that had been committed was applied before the kill.
    pub complete: u32,
    /// From the last start until everything was as committed.
    pub converged: Duration,
}

/// Begins with a running operator, kills it so often by way of `restart`, and checks that nothing
/// was lost, left behind or made anew.
///
/// # Errors
/// What was not as it should be.
pub async fn run(
    env: &Env,
    namespace: &str,
    kills: u32,
    mut restart: impl AsyncFnMut() -> Result<()>,
) -> Result<Report> {
    let mut scenario = Scenario::start(env, namespace).await?;
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos() | 1;
    let mut complete = 0;
    for round in 1..=kills {
        scenario.commit(round)?;
        scenario.fetch(round).await?;
        // Any moment of the work, which takes about half a second: not a wait for anything.
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        tokio::time::sleep(Duration::from_millis(u64::from(random % 700))).await;
        complete += u32::from(scenario.check(round).await.is_ok());
        restart().await?;
    }
    let start = Instant::now();
    scenario.fetch(kills + 1).await?;
    scenario.converge(env, kills).await?;
    let converged = start.elapsed();
    scenario.nothing_made_anew().await?;
    Ok(Report {
        kills,
        complete,
        converged,
    })
}

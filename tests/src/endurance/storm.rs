//! An API server that refuses everything for a while, and one that forgets what watches saw: the
//! operator gives way, loses nothing and goes on.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::proxy::Proxy;
use super::scenario::Scenario;
use crate::env::Env;

/// One disturbance.
#[derive(Debug)]
pub struct Storm {
    /// What it was.
    pub name: &'static str,
    /// How long it lasted.
    pub lasted: Duration,
    /// Requests or watches that met it.
    pub met: usize,
    /// From its end until everything was as committed meanwhile.
    pub converged: Duration,
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} for {:.1} s: met {} times, all as committed {:.1} s later",
            self.name,
            self.lasted.as_secs_f64(),
            self.met,
            self.converged.as_secs_f64()
        )
    }
}

/// Begins with an operator that runs behind the proxy. Commits come while requests are refused for
/// some time, and as watches expire, so often in turn.
///
/// # Errors
/// What was not as it should be.
pub async fn run(
    env: &Env,
    namespace: &str,
    proxy: &Proxy,
    (lasts, times): (Duration, u32),
) -> Result<Vec<Storm>> {
    let mut scenario = Scenario::start(env, namespace).await?;
    let mut storms = Vec::new();
    for round in (1..=times * 2).step_by(2) {
        let before = proxy.refused();
        scenario.commit(round)?;
        proxy.overload(true);
        scenario.fetch(round).await?;
        tokio::time::sleep(lasts).await;
        scenario.nobody_is_blamed().await?;
        proxy.overload(false);
        let converged = after(env, &scenario, round).await?;
        storms.push(Storm {
            name: "429",
            lasted: lasts,
            met: proxy.refused() - before,
            converged,
        });

        let (round, before) = (round + 1, proxy.expired());
        scenario.commit(round)?;
        proxy.expire_watches();
        scenario.fetch(round).await?;
        let converged = after(env, &scenario, round).await?;
        storms.push(Storm {
            name: "410",
            lasted: Duration::ZERO,
            met: proxy.expired() - before,
            converged,
        });
    }
    for storm in &storms {
        ensure!(storm.met > 0, "nothing met {}", storm.name);
    }
    scenario.nothing_made_anew().await?;
    Ok(storms)
}

/// How long it takes until everything is as committed.
async fn after(env: &Env, scenario: &Scenario, round: u32) -> Result<Duration> {
    let end = Instant::now();
    let outcome = scenario.converge(env, round).await;
    outcome.with_context(|| format!("round {round}"))?;
    Ok(end.elapsed())
}

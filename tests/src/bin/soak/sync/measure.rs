//! What the operator has used between two moments.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use flux_tests::fleet::Fleet;
use flux_tests::measure;

/// Counters at one moment.
pub(super) struct Meter {
    started: Instant,
    cpu: f64,
    requests: BTreeMap<String, u64>,
}

impl Meter {
    pub(super) async fn start(fleet: &Fleet<'_>) -> Result<Self> {
        Ok(Self {
            started: Instant::now(),
            cpu: cpu(fleet)?,
            requests: requests(fleet).await?,
        })
    }

    /// Counters of a process that has just been started.
    pub(super) async fn restarted(fleet: &Fleet<'_>) -> Result<Self> {
        let mut meter = Self::start(fleet).await?;
        meter.started = fleet.started();
        meter.cpu = 0.0;
        Ok(meter)
    }

    /// Prints a line of figures.
    pub(super) async fn print(&self, fleet: &Fleet<'_>, what: &str, count: usize) -> Result<()> {
        let wall = self.started.elapsed().as_secs_f64();
        let used = cpu(fleet)? - self.cpu;
        let total: u64 = self.difference(fleet).await?.values().sum();
        let memory = resident(fleet)?;
        println!("{what:<34} {wall:>8.2} {used:>8.2} {total:>9} {memory:>9.1}");
        let each = total as f64 / count as f64;
        println!(
            "{:<34} {:>17.4} {each:>9.2}",
            "  for each",
            used / count as f64
        );
        Ok(())
    }

    /// Prints what the requests were, with those that follow the work (events).
    pub(super) async fn print_kinds(&self, fleet: &Fleet<'_>) -> Result<()> {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let mut kinds: Vec<_> = self.difference(fleet).await?.into_iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (kind, count) in kinds.into_iter().take(12) {
            println!("  {count:>6} {kind}");
        }
        Ok(())
    }

    async fn difference(&self, fleet: &Fleet<'_>) -> Result<BTreeMap<String, u64>> {
        let mut now = requests(fleet).await?;
        for (kind, before) in &self.requests {
            if let Some(count) = now.get_mut(kind) {
                *count = count.saturating_sub(*before);
            }
        }
        now.retain(|_, count| *count > 0);
        Ok(now)
    }
}

/// Requests that the API server has answered, by verb and resource, without those that only
/// others make: the controller manager, and this program, which watches and creates.
async fn requests(fleet: &Fleet<'_>) -> Result<BTreeMap<String, u64>> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = fleet.client().request_text(request).await?;
    let mut found = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{"))
    {
        let label = |name: &str| {
            let start = line.find(&format!("{name}=\""))? + name.len() + 2;
            line.get(start..)?.split('"').next()
        };
        let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else {
            continue;
        };
        let subresource = label("subresource").unwrap_or_default();
        let ours = matches!(
            (verb, resource),
            ("APPLY" | "PATCH" | "DELETE", _)
                | ("POST", "events")
                | (
                    "GET" | "LIST",
                    "kustomizations" | "gitrepositories" | "configmaps" | "services"
                )
                | ("GET", "deployments" | "serviceaccounts")
        );
        if ours {
            let count: f64 = line.rsplit(' ').next().context("no value")?.parse()?;
            let key = format!("{verb} {resource} {subresource}");
            *found.entry(key).or_default() += count as u64;
        }
    }
    Ok(found)
}

/// Seconds of CPU that the operator has used, and the programs that it has run.
fn cpu(fleet: &Fleet<'_>) -> Result<f64> {
    let used = measure::cpu(fleet.operator());
    Ok(used.context("the operator is gone")?.as_secs_f64())
}

/// Resident memory of the operator in MiB.
fn resident(fleet: &Fleet<'_>) -> Result<f64> {
    let bytes = fleet.operator().resident_memory();
    Ok(bytes.context("the operator is gone")? as f64 / f64::from(1 << 20))
}

//! Updates in large repositories: all marked files at once, and one that somebody changed.

use std::fs;

use anyhow::Result;
use flux_tests::sandbox::wait;
use serde_json::Value;

use super::{APP, Bench, Meter, PATIENCE, head};

/// Each is printed: the shortest counts where others use the machine.
const ROUNDS: usize = 3;

impl Bench<'_> {
    /// Updates a repository of so many files, one in a hundred of which is marked.
    pub(super) async fn setters(&self, count: usize) -> Result<()> {
        let files: Vec<_> = (0..count).map(file).collect();
        let place = self.place(&format!("f{count}"), &files).await?;
        self.image(&place, APP, "./").await?;
        for round in 0..ROUNDS {
            let before = head(&place)?;
            let meter = Meter::start(&self.operator)?;
            let tag = format!("{}.0.0", round + 2);
            let start = self.tag(&place, APP, &tag).await?;
            let commit = self.pushed(&place, &before).await?;
            let wall = start.elapsed();
            let (ours, server) = self.logged(&commit).await?;
            let what = format!("setters, {count} files, {} written", count / 100);
            meter.print(&what, wall, ours, server)?;
        }
        for round in 0..ROUNDS {
            place.copy.pull()?;
            let (path, old) = file(100);
            let old = old.replace("NAMESPACE", &place.namespace);
            place.copy.write(&path, &format!("{old}# {round}\n"))?;
            place.copy.commit_and_push("one file with an old tag")?;
            let before = head(&place)?;
            let meter = Meter::start(&self.operator)?;
            let token = round.to_string();
            let start = self
                .ask("ImageUpdateAutomation", &place, APP, &token)
                .await?;
            let commit = self.pushed(&place, &before).await?;
            let wall = start.elapsed();
            let (ours, server) = self.logged(&commit).await?;
            let what = format!("setters, {count} files, one changed and written");
            meter.print(&what, wall, ours, server)?;
        }
        Ok(())
    }

    /// What the operator says of a commit: its time, and the server's.
    async fn logged(&self, commit: &str) -> Result<(u64, u64)> {
        let line = wait::until("the log line", PATIENCE, None, async || {
            let log = fs::read_to_string(self.operator.log()).map_err(|error| error.to_string())?;
            let mut lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines
                .find(|line| line["commit"] == commit)
                .ok_or_else(|| "not there".to_owned())
        })
        .await?;
        // Large numbers are written as texts.
        let number = |name: &str| {
            let text = line[name].to_string();
            text.trim_matches('"').parse::<u64>().unwrap_or_default()
        };
        let (total, server) = (number("milliseconds"), number("waiting"));
        Ok((total.saturating_sub(server), server))
    }
}

/// A manifest of some 40 lines; each hundredth is marked.
fn file(number: usize) -> (String, String) {
    let marker = if number.is_multiple_of(100) {
        " # {\"$imagepolicy\": \"NAMESPACE:app:tag\"}"
    } else {
        ""
    };
    let mut text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\n  namespace: apps\nspec:\n  \
         replicas: 2\n  tag: \"1.0.0\"{marker}\n  env:\n"
    );
    for variable in 0..15 {
        text.push_str(&format!(
            "    - name: VARIABLE_{variable}\n      value: \"value {number}\"\n"
        ));
    }
    (format!("apps/{}/app-{number}.yaml", number / 100), text)
}

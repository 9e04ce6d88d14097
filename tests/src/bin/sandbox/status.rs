//! `sandbox status`.

use anyhow::Result;
use clap::ValueEnum;
use flux_tests::sandbox::state::{Record, State};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// One line per sandbox.
    #[default]
    Table,
    /// Everything that is known, as a JSON array.
    Json,
}

/// One sandbox in the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    state: &'static str,
    alive: Vec<&'a str>,
    #[serde(flatten)]
    record: &'a Record,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let records = State::open()?.list()?;
    match args.output {
        Output::Json => {
            let items: Vec<Item<'_>> = records.iter().map(item).collect();
            println!("{}", serde_json::to_string_pretty(&items)?);
        }
        Output::Table if records.is_empty() => eprintln!("no sandbox runs"),
        Output::Table => {
            println!(
                "{:<10}{:<10}{:<10}{:<22}DIR",
                "ID", "STATE", "OWNER", "STARTED"
            );
            for record in &records {
                let started = record.started_at.split('.').next().unwrap_or_default();
                println!(
                    "{:<10}{:<10}{:<10}{started:<22}{}",
                    record.id,
                    state(record),
                    record.owner.pid,
                    record.dir.display()
                );
            }
        }
    }
    Ok(())
}

fn item(record: &Record) -> Item<'_> {
    let alive = record
        .alive()
        .map(|process| process.name.as_str())
        .collect();
    Item {
        state: state(record),
        alive,
        record,
    }
}

/// `leftover`: the owner was killed, the next start or `down` cleans up.
fn state(record: &Record) -> &'static str {
    match (record.owner_is_alive(), record.ready) {
        (true, true) => "ready",
        (true, false) => "starting",
        (false, _) => "leftover",
    }
}

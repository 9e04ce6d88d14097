//! `stats`: how many objects of each kind there are, how many fail, how much is stored.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::cluster::{Scope, Selection, View, together};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::{self, table::Table};
use flux_api::names;

use super::which::report;

/// Flags of `stats`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Count the objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Order of the rows; kinds that are not installed here have none.
const ROWS: [Kind; 5] = [
    Kind::GitRepository,
    Kind::Kustomization,
    Kind::ImageUpdateAutomation,
    Kind::ImagePolicy,
    Kind::ImageRepository,
];

/// Runs the command. A kind that cannot be listed is an error, never a zero.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let scope = match args.all_namespaces {
        true => Scope::All,
        false => Scope::Namespace(context.namespace()),
    };
    context.block_on(async {
        let cluster = context.cluster().await?;
        let mut table = Table::new(["Reconcilers", "Running", "Failing", "Suspended", "Storage"]);
        let mut failures = Vec::new();
        for (kind, found) in cluster.list_each(&ROWS, scope, Selection::default()).await {
            match found {
                Ok(objects) => table.push(row(kind, &objects)),
                Err(error) => failures.push(error),
            }
        }
        output::data(&table.render(true))?;
        report(together(failures).into_iter().map(Error::from).collect())
    })
}

fn row(kind: Kind, objects: &[DynamicObject]) -> Vec<String> {
    let suspended = objects.iter().filter(|o| o.is_suspended()).count();
    let failing = objects
        .iter()
        .filter(|object| object.condition(names::READY).is_some_and(|c| c.is_false()))
        .count();
    let stored: u64 = objects
        .iter()
        .filter_map(|object| object.at("/status/artifact/size").and_then(Value::as_u64))
        .sum();
    vec![
        kind.name().to_owned(),
        (objects.len() - suspended).to_string(),
        failing.to_string(),
        suspended.to_string(),
        size(stored),
    ]
}

/// Bytes in binary units with one decimal; nothing is a dash.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if bytes == 0 {
        return "-".to_owned();
    }
    let (mut value, mut unit) = (bytes, 0);
    let mut rest = 0;
    while value >= 1024 && unit + 1 < UNITS.len() {
        rest = value % 1024;
        value /= 1024;
        unit += 1;
    }
    format!("{value}.{} {}", rest * 10 / 1024, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "-"),
            (512, "512.0 B"),
            (1536, "1.5 KiB"),
            (12_897_485, "12.2 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_row_counts() {
        let kind = Kind::GitRepository;
        let object = |data: Value| DynamicObject::new("x", &kind.resource()).data(data);
        let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
        let objects = [
            object(json!({"spec": {"suspend": true}, "status": {"artifact": {"size": 1024}}})),
            object(json!({"status": {"conditions": ready("False")}})),
            object(json!({"status": {"conditions": ready("True"), "artifact": {"size": 1024}}})),
        ];
        assert_eq!(
            row(kind, &objects),
            ["GitRepository", "2", "1", "1", "2.0 KiB"]
        );
    }
}

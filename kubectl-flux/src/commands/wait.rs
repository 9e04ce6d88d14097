//! `wait`: until objects are ready, or it is known that they will not be.

use kube::ResourceExt;

use crate::cluster::{ClusterError, Scope, Selection, View, together};
use crate::context::Context;
use crate::error::Error;
use crate::kind::{self, Kind};
use crate::output;
use crate::wait::explain::explain;
use crate::wait::{self, Awaited, Goal, Target};

use super::which::{place, report};

/// Flags of `wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Objects, such as ks/apps or gitrepository/apps
    #[arg(value_name = "KIND/NAME")]
    objects: Vec<String>,
    /// All objects of the namespace
    #[arg(long, conflicts_with = "objects")]
    all: bool,
    /// All objects with these labels
    #[arg(
        short = 'l',
        long,
        alias = "label-selector",
        value_name = "SELECTOR",
        conflicts_with = "objects"
    )]
    selector: Option<String>,
    /// In all namespaces, with --all or --selector
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Runs the command. Suspended objects are not waited for: nothing happens to them.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let named = args
        .objects
        .iter()
        .map(|word| kind::object(word))
        .collect::<Result<Vec<_>, _>>()?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let mut failures: Vec<Error> = Vec::new();
        let mut awaited = Vec::new();
        if named.is_empty() {
            let labels = args.selector.as_deref().filter(|text| !text.is_empty());
            if !args.all && labels.is_none() {
                return Err(Error::input(
                    "nothing to wait for: give objects as KIND/NAME, --all, or a --selector",
                ));
            }
            let scope = match args.all_namespaces {
                true => Scope::All,
                false => Scope::Namespace(context.namespace()),
            };
            let selection = Selection {
                labels,
                fields: None,
            };
            let mut unknown = Vec::new();
            for (kind, found) in cluster.list_each(&Kind::ALL, scope, selection).await {
                match found {
                    Ok(found) => awaited.extend(
                        found
                            .into_iter()
                            .filter(|object| !object.is_suspended())
                            .map(|before| Awaited { kind, before }),
                    ),
                    // Flux installs the kinds about images only where they are asked for.
                    Err(error @ ClusterError::UnknownKind(_)) => unknown.push(error),
                    Err(error) => return Err(error.into()),
                }
            }
            if unknown.len() == Kind::ALL.len() {
                return report(together(unknown).into_iter().map(Error::from).collect());
            }
            if awaited.is_empty() {
                return Err(Error::input("no objects found to wait for"));
            }
        }
        for (kind, name) in &named {
            match cluster.get(*kind, context.namespace(), name).await {
                Ok(object) if object.is_suspended() => failures.push(Error::input(format!(
                    "{}/{name} is suspended: nothing happens to it until it is resumed",
                    kind.name()
                ))),
                Ok(before) => awaited.push(Awaited {
                    kind: *kind,
                    before,
                }),
                Err(error) => failures.push(error.into()),
            }
        }
        output::waiting(format!("waiting for {} objects", awaited.len()));
        let goal = Goal::Current { token: None };
        let mut failed = Vec::new();
        let timeout = context.timeout();
        wait::each(&cluster, &awaited, &goal, timeout, |one, outcome| {
            let subject = subject(one);
            match outcome {
                Ok(_) => output::success(format!("{subject} is ready")),
                Err(error) => {
                    output::failure(format!("{subject}: {error}"));
                    failed.push((one, error));
                }
            }
        })
        .await;
        let count = failed.len();
        for (one, error) in failed {
            let (namespace, name) = place(&one.before);
            let target = Target {
                kind: one.kind,
                namespace: &namespace,
                name: &name,
            };
            explain(&cluster, target, &error.to_string()).await;
        }
        if count > 0 {
            failures.push(Error::input(format!(
                "{count} of {} objects are not ready",
                awaited.len()
            )));
        }
        report(failures)
    })
}

fn subject(one: &Awaited) -> String {
    let namespace = one.before.namespace().unwrap_or_default();
    format!("{}/{namespace}/{}", one.kind.name(), one.before.name_any())
}

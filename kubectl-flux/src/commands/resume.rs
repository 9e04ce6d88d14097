//! `resume`: lets controllers act upon objects again, and waits for what comes of it.

use kube::api::DynamicObject;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::wait::{Awaited, Goal};

use super::reconcile::{achieved, outcomes};
use super::suspend::{REASON, warn_about_owner};
use super::which::{Choice, Which, place, report};

/// What can be resumed.
pub(crate) type Resume = Which<Args>;

/// Flags of `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Wait for all objects; one that is named alone is waited for in any case
    #[arg(long)]
    wait: bool,
}

/// Runs the command: first everything is resumed, then waited for.
pub(crate) fn run(what: Resume, context: &Context) -> Result<(), Error> {
    let (kind, args) = what.split();
    args.choice.check(kind)?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let chosen = args.choice.find(kind, &cluster, context).await?;
        let mut failures = chosen.missing;
        let mut resumed = Vec::new();
        for object in &chosen.objects {
            let (namespace, name) = place(object);
            let noun = kind.noun();
            output::action(format!("resuming {noun} {name} in {namespace} namespace"));
            let patch = json!({
                "spec": { "suspend": null },
                "metadata": { "annotations": { REASON: null } },
            });
            match cluster.patch(kind, &namespace, &name, patch).await {
                Ok(object) => {
                    output::success(format!("{noun} resumed"));
                    warn_about_owner(&object);
                    resumed.push(Awaited {
                        kind,
                        before: object,
                    });
                }
                Err(error) => failures.push(error.into()),
            }
        }
        if !resumed.is_empty() && (args.wait || args.choice.names.len() == 1) {
            output::waiting(format!("waiting for {} reconciliation", kind.name()));
            let goal = Goal::Current { token: None };
            let done = |name: &str, object: &DynamicObject| {
                output::success(format!("{} {name} reconciliation completed", kind.name()));
                output::success(achieved(kind, object));
            };
            let failed = outcomes(&resumed, &goal, &cluster, context, done).await;
            let is_one = chosen.objects.len() == 1;
            failures.extend(
                failed
                    .into_iter()
                    .map(|((namespace, name), error)| match is_one {
                        true => error,
                        false => Error::input(format!("{namespace}/{name}: {error}")),
                    }),
            );
        }
        report(failures)
    })
}

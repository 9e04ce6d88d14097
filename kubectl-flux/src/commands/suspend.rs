//! `suspend`: keeps controllers from acting upon objects, and says why if told.

use kube::api::DynamicObject;
use serde_json::json;

use crate::context::Context;
use crate::error::Error;
use crate::output;

use super::which::{Choice, Which, owner, place, report};

/// Annotation with the reason a person gave; shown by `get`, gone with `resume`.
pub(crate) const REASON: &str = "flux-sync.io/suspend-reason";

/// What can be suspended.
pub(crate) type Suspend = Which<Args>;

/// Flags of `suspend`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Why, for those who find it suspended
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Runs the command.
pub(crate) fn run(what: Suspend, context: &Context) -> Result<(), Error> {
    let (kind, args) = what.split();
    args.choice.check(kind)?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let chosen = args.choice.find(kind, &cluster, context).await?;
        let mut failures = chosen.missing;
        for object in &chosen.objects {
            let (namespace, name) = place(object);
            let noun = kind.noun();
            output::action(format!("suspending {noun} {name} in {namespace} namespace"));
            let mut patch = json!({ "spec": { "suspend": true } });
            if let Some(reason) = &args.reason {
                patch["metadata"] = json!({ "annotations": { REASON: reason } });
            }
            match cluster.patch(kind, &namespace, &name, patch).await {
                Ok(object) => {
                    output::success(format!("{noun} suspended"));
                    warn_about_owner(&object);
                }
                Err(error) => failures.push(error.into()),
            }
        }
        report(failures)
    })
}

/// Whoever suspends or resumes an object that a Kustomization applies from Git should know what may
/// undo it.
pub(crate) fn warn_about_owner(object: &DynamicObject) {
    if let Some(owner) = owner(object) {
        output::warning(format!(
            "Kustomization {owner} applies this object from Git: where the manifest there sets spec.suspend, the next apply sets it back"
        ));
    }
}

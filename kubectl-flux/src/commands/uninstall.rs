//! `uninstall`: takes out what `install` put in, and nothing else.
//!
//! The operator goes first: as long as it runs, the deletion of a Kustomization deletes what it
//! applied. Only when no pod of it is left are finalizers removed and definitions deleted, so that
//! workloads never notice.

mod inventory;
mod steps;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use inventory::Inventory;
use steps::Steps;

/// Flags of `uninstall`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the namespace
    #[arg(long)]
    keep_namespace: bool,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short = 's', long)]
    silent: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    context.block_on(async {
        let cluster = context.cluster().await?;
        let namespace = context.namespace();
        let inventory = Inventory::read(&cluster, namespace).await?;
        if inventory.is_empty() {
            output::warning(format!(
                "nothing of this distribution is installed in {namespace} namespace"
            ));
            return Ok(());
        }
        for line in inventory.kept(args.keep_namespace) {
            output::warning(line);
        }
        if !args.silent && !args.dry_run {
            output::note(inventory.summary());
            let question =
                "Are you sure you want to delete Flux and its custom resource definitions";
            if !output::confirmed(question)? {
                return Err(Error::input("aborting"));
            }
        }
        let steps = Steps::new(&cluster, &inventory, context.timeout(), args.dry_run);
        output::action(format!("deleting components in {namespace} namespace"));
        steps.stop_programs().await?;
        steps.delete_parts().await?;
        if !inventory.objects.is_empty() {
            output::action("deleting toolkit.fluxcd.io finalizers in all namespaces");
            steps.release_objects().await?;
        }
        if !inventory.definitions.is_empty() {
            output::action("deleting toolkit.fluxcd.io custom resource definitions");
            steps.delete_definitions().await?;
        }
        if !args.keep_namespace {
            steps.delete_namespace().await?;
        }
        output::success("uninstall finished");
        Ok(())
    })
}

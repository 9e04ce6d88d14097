//! `uninstall`: takes out what `install` put in, and nothing else.
//!
//! The operator goes first: as long as it runs, the deletion of a Kustomization deletes what it
//! applied. Only when no pod of it is left are finalizers removed and definitions deleted, so that
//! workloads never notice.

mod elsewhere;
mod give_back;
mod inventory;
mod steps;

use crate::context::Context;
use crate::error::Error;
use crate::output;
use give_back::Estate;
use inventory::Inventory;
use steps::Steps;

/// Flags of `uninstall`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the namespace
    #[arg(long)]
    keep_namespace: bool,
    /// Start Flux's controllers again, which a take-over has stopped: they go on with all objects
    #[arg(long)]
    give_back: bool,
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
        let mut inventory = Inventory::read(&cluster, namespace).await?;
        let estate = Estate::read(&cluster).await?;
        let heir = match args.give_back {
            true => Some(estate.for_flux(&mut inventory)?),
            false => None,
        };
        if heir.is_none() && !estate.is_empty() {
            output::warning(estate.is_left());
        }
        if inventory.is_empty() && heir.is_none() {
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
            let question = match heir {
                Some(_) => "Are you sure you want to give the cluster back to Flux",
                None => "Are you sure you want to delete Flux and its custom resource definitions",
            };
            if !output::confirmed(question)? {
                return Err(Error::input("aborting"));
            }
        }
        let steps = Steps::new(&cluster, &inventory, context.timeout(), args.dry_run);
        output::action(format!("deleting components in {namespace} namespace"));
        steps.stop_programs().await?;
        if !args.dry_run {
            elsewhere::wait(&cluster, namespace).await?;
        }
        if let Some(heir) = &heir {
            heir.restore_forms(&steps).await?;
        }
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
        if let Some(heir) = &heir {
            output::action("starting Flux's controllers again");
            heir.start(&steps, context.timeout()).await?;
        }
        output::success("uninstall finished");
        Ok(())
    })
}

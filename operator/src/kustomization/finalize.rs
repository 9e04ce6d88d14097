//! Deleting a Kustomization: what it applied goes with it, if it prunes.

use std::sync::Arc;

use flux_api::{Kustomization, names};
use flux_apply::Owner;
use flux_apply::object;
use flux_apply::prune::Entry;
use kube::ResourceExt;

use crate::context::Context;
use crate::driver::{Controlled, Finalized};
use crate::events::Event;
use crate::key::Key;
use crate::kustomization::{impersonation, inventory, timeout};

/// Prunes as `spec.deletionPolicy` asks for it.
pub async fn finalize(object: &Kustomization, context: &Arc<Context>) -> Finalized {
    let key = Key::of(object);
    context.health.abort(&key);
    context.known.forget(&key);
    let entries = object
        .status
        .as_ref()
        .map(inventory::entries)
        .unwrap_or_default();
    let policy = object
        .spec
        .deletion_policy
        .as_ref()
        .map_or("MirrorPrune", |p| p.as_str());
    let prunes = match policy {
        "Orphan" => false,
        "Delete" | "WaitForTermination" => true,
        _ => object.spec.prune,
    };
    let owner = Owner {
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
    };
    let obsolete = inventory::difference(&entries, &[]);
    // Others see at once that they are alone with what they shared.
    context.known.claims.set(&key, &[], context);
    if !prunes || object.spec.suspend || entries.is_empty() {
        for entry in &obsolete {
            context.applier.live().release(&entry.id, &owner);
        }
        return Finalized::Done;
    }
    if let Some(account) = impersonation::missing_account(object, context).await {
        return orphaned(object, &account, &obsolete, &owner, context);
    }
    let applier = match impersonation::applier(object, context).await {
        Ok(applier) => applier,
        Err(error) => return Finalized::Retry(error.to_string()),
    };
    let pruned = applier
        .prune(obsolete.clone(), &owner, |id| {
            inventory::claimant(&key, id, context)
        })
        .await;
    inventory::wake_heirs(&key, &obsolete, context);
    let mut lines: Vec<_> = pruned
        .changes
        .iter()
        .filter_map(|(id, action)| Some(format!("{} {}", object::display(id), action.word()?)))
        .collect();
    lines.extend(
        pruned
            .kept
            .iter()
            .map(|(id, why)| format!("{} kept: {why}", object::display(id))),
    );
    if !lines.is_empty() {
        let event = Event::normal(names::reason::PROGRESSING, lines.join("\n"));
        context
            .recorder
            .record(object, Kustomization::CONTROLLER.as_str(), event);
    }
    if !pruned.failures.is_empty() {
        let lines: Vec<_> = pruned.failures.iter().map(ToString::to_string).collect();
        return Finalized::Retry(lines.join("\n"));
    }
    if policy == "WaitForTermination" {
        let deleted: Vec<_> = obsolete
            .into_iter()
            .filter(|e| pruned.changes.iter().any(|(id, _)| *id == e.id))
            .collect();
        return match applier.await_gone(&deleted, timeout(object)).await {
            Ok(left) if left.is_empty() => Finalized::Done,
            Ok(left) => {
                let names: Vec<_> = left.iter().map(object::display).collect();
                Finalized::Retry(format!("still terminating: {}", names.join(", ")))
            }
            Err(error) => Finalized::Retry(error.to_string()),
        };
    }
    Finalized::Done
}

/// Without the account there are no rights to delete with. As in Flux the Kustomization goes and what
/// it applied stays: a namespace that is being deleted takes the account first.
fn orphaned(
    object: &Kustomization,
    account: &str,
    entries: &[Entry],
    owner: &Owner,
    context: &Arc<Context>,
) -> Finalized {
    let message = format!(
        "ServiceAccount \"{account}\" does not exist: {} objects that were applied as it are not pruned",
        entries.len()
    );
    let event = Event::warning(names::reason::PRUNE_FAILED, message);
    context
        .recorder
        .record(object, Kustomization::CONTROLLER.as_str(), event);
    for entry in entries {
        context.applier.live().release(&entry.id, owner);
    }
    Finalized::Done
}

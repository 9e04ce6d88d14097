//! Deleting a Kustomization: what it applied goes with it, if it prunes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flux_api::{Kustomization, ObjectId, conditions, go_string, names};
use flux_apply::Owner;
use flux_apply::object;
use flux_apply::prune::Entry;
use kube::ResourceExt;

use crate::context::Context;
use crate::driver::{Controlled, Finalized};
use crate::events::Event;
use crate::key::Key;
use crate::kustomization::{impersonation, inventory, moves, timeout};

/// Pause between looks whether what was deleted is gone.
const LOOK: Duration = Duration::from_secs(2);

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
    context.known.claims.disclaim(&key, BTreeSet::new());
    if !prunes || object.spec.suspend || entries.is_empty() {
        for entry in &obsolete {
            context.applier.live().release(&entry.id, &owner);
        }
        return Finalized::Done;
    }
    if object.spec.kube_config.is_some() {
        let why = "they are in another cluster, which is not supported yet (spec.kubeConfig)";
        return orphaned(object, why, &obsolete, &owner, context);
    }
    if moves::are_possible(object, context) {
        return Finalized::Wait(moves::AGAIN);
    }
    // A namespace that is being deleted takes the account first.
    if let Some(account) = impersonation::missing_account(object, context).await {
        let why =
            format!("they were applied as ServiceAccount \"{account}\", which does not exist");
        return orphaned(object, &why, &obsolete, &owner, context);
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
    // Told once, not each time that it looks whether they are gone.
    if !lines.is_empty() && (pruned.going.is_empty() || !pruned.changes.is_empty()) {
        tell(
            object,
            Event::normal(reason(object), lines.join("\n")),
            context,
        );
    }
    if !pruned.failures.is_empty() {
        let lines: Vec<_> = pruned.failures.iter().map(ToString::to_string).collect();
        return Finalized::Retry(lines.join("\n"));
    }
    if policy != "WaitForTermination" {
        return Finalized::Done;
    }
    let deleted = |id: &ObjectId| {
        pruned.going.contains(id) || pruned.changes.iter().any(|(deleted, _)| deleted == id)
    };
    let awaited: Vec<_> = obsolete.into_iter().filter(|e| deleted(&e.id)).collect();
    match applier.left(&awaited).await {
        Ok(left) if left.is_empty() => Finalized::Done,
        Ok(left) if is_over(object) => {
            let names: Vec<_> = left.iter().map(object::display).collect();
            let (timeout, names) = (go_string(timeout(object)), names.join(", "));
            let message = format!(
                "failed to wait for resources termination: after {timeout} there still are {names}"
            );
            tell(
                object,
                Event::warning(names::reason::PRUNE_FAILED, message),
                context,
            );
            Finalized::Done
        }
        Ok(_) => Finalized::Wait(LOOK),
        Err(error) => Finalized::Retry(error.to_string()),
    }
}

/// The reason of what is told of a deletion: that of the Ready condition, as in Flux.
fn reason(object: &Kustomization) -> &str {
    let list = object.status.as_ref().map(|s| s.conditions.as_slice());
    let ready = conditions::get(list.unwrap_or_default(), names::READY);
    ready.map_or(names::reason::PROGRESSING, |ready| ready.reason.as_str())
}

/// Records an event about the revision that was applied.
fn tell(object: &Kustomization, event: Event, context: &Context) {
    let status = object.status.as_ref();
    let event = match status.and_then(|s| s.last_applied_revision.as_ref()) {
        Some(revision) => event.with(names::KUSTOMIZE_EVENT_REVISION, revision),
        None => event,
    };
    let controller = Kustomization::CONTROLLER.as_str();
    context.recorder.record(object, controller, event);
}

/// Whether the deletion began longer ago than it may take.
fn is_over(object: &Kustomization) -> bool {
    let began = object.metadata.deletion_timestamp.as_ref();
    let Some(began) = began.map(|at| std::time::SystemTime::from(at.0)) else {
        return true;
    };
    began.elapsed().unwrap_or_default() >= timeout(object)
}

/// Without rights there is nothing to delete with. As in Flux the Kustomization goes and what it
/// applied stays.
fn orphaned(
    object: &Kustomization,
    why: &str,
    entries: &[Entry],
    owner: &Owner,
    context: &Arc<Context>,
) -> Finalized {
    let message = format!("{} objects are not pruned: {why}", entries.len());
    tell(
        object,
        Event::warning(names::reason::PRUNE_FAILED, message),
        context,
    );
    for entry in entries {
        context.applier.live().release(&entry.id, owner);
    }
    Finalized::Done
}

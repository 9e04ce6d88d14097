//! `spec.dependsOn`: waiting for other Kustomizations, by event.

use std::sync::Arc;

use flux_api::{Kustomization, conditions, names};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;

use crate::context::Context;
use crate::key::Key;

/// Whether all dependencies are ready; the error names the first that is not.
pub fn check(object: &Kustomization, revision: &str, context: &Context) -> Result<(), String> {
    for dependency in &object.spec.depends_on {
        let namespace = dependency
            .namespace
            .clone()
            .or_else(|| object.namespace())
            .unwrap_or_default();
        let key = Key::new(namespace, &dependency.name);
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        let Some(found) = context.stores.kustomizations.get(&reference) else {
            return Err(format!("dependency '{key}' not found"));
        };
        judge(object, &context.newest_of(found), revision)
            .map_err(|why| format!("dependency '{key}' {why}"))?;
    }
    Ok(())
}

fn judge(object: &Kustomization, dependency: &Kustomization, revision: &str) -> Result<(), String> {
    let status = dependency.status.clone().unwrap_or_default();
    let current = status.observed_generation == dependency.metadata.generation;
    if !current || !conditions::is_true(&status.conditions, names::READY) {
        let why = conditions::get(&status.conditions, names::READY)
            .filter(|ready| ready.status == "False")
            .map(|ready| format!(": {}", ready.message))
            .unwrap_or_default();
        return Err(format!("is not ready{why}"));
    }
    let same_source = source_of(object) == source_of(dependency);
    if same_source && status.last_applied_revision.as_deref() != Some(revision) {
        return Err("revision is not up to date".to_owned());
    }
    Ok(())
}

fn source_of(object: &Kustomization) -> (String, String, String) {
    let reference = &object.spec.source_ref;
    let namespace = reference
        .namespace
        .clone()
        .or_else(|| object.namespace())
        .unwrap_or_default();
    (
        reference.kind.to_string(),
        namespace,
        reference.name.clone(),
    )
}

/// Wakes the Kustomizations that depend on one that became ready, as long as they wait.
pub fn wake_dependants(key: &Key, context: &Context) {
    for dependant in context.stores.kustomizations.state() {
        if depends_on(&dependant, key) && !is_ready(&dependant) {
            context.triggers.kustomizations.wake(&Key::of(&*dependant));
        }
    }
}

fn depends_on(dependant: &Kustomization, key: &Key) -> bool {
    dependant.spec.depends_on.iter().any(|dependency| {
        let namespace = dependency
            .namespace
            .clone()
            .or_else(|| dependant.namespace());
        dependency.name == key.name && namespace.as_deref() == Some(&key.namespace)
    })
}

fn is_ready(object: &Arc<Kustomization>) -> bool {
    object
        .status
        .as_ref()
        .is_some_and(|status| conditions::is_true(&status.conditions, names::READY))
}

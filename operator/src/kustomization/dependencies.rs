//! `spec.dependsOn`: waiting for other Kustomizations, by event.

use std::collections::BTreeSet;

use flux_api::{Condition, Kustomization, KustomizationStatus, conditions, names};
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;

use super::{cycles, moves};
use crate::context::Context;
use crate::key::Key;

/// Whether all dependencies are ready; the error names the first that is not, or the circle that
/// the object is part of.
pub fn check(object: &Kustomization, revision: &str, context: &Context) -> Result<(), String> {
    if !object.spec.depends_on.is_empty() {
        let circle = cycles::through(&Key::of(object), |key| {
            let reference = ObjectRef::new(&key.name).within(&key.namespace);
            let found = context.stores.kustomizations.get(&reference);
            found.map(|found| dependencies(&found)).unwrap_or_default()
        });
        if let Some(circle) = circle {
            let names: Vec<_> = circle.iter().map(ToString::to_string).collect();
            return Err(format!(
                "dependencies form a cycle: {}; remove one of these spec.dependsOn",
                names.join(" -> ")
            ));
        }
    }
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
        let has_expression = dependency
            .ready_expr
            .as_ref()
            .is_some_and(|e| !e.is_empty());
        if has_expression && !context.args.additive_expressions() {
            continue;
        }
        judge(object, &context.newest_of(found), revision)
            .map_err(|why| format!("dependency '{key}' {why}"))?;
    }
    Ok(())
}

/// Whether an object waits for another one, be it for what others of that wait for.
pub(super) fn are_on(object: &Kustomization, awaited: &Key, context: &Context) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), dependencies(object));
    while let Some(key) = next.pop() {
        if key == *awaited {
            return true;
        }
        let reference = ObjectRef::new(&key.name).within(&key.namespace);
        if seen.insert(key) {
            let found = context.stores.kustomizations.get(&reference);
            next.extend(found.iter().flat_map(|found| dependencies(found)));
        }
    }
    false
}

fn dependencies(object: &Kustomization) -> Vec<Key> {
    let own = object.namespace().unwrap_or_default();
    let key =
        |d: &flux_api::DependencyReference| Key::new(d.namespace.as_ref().unwrap_or(&own), &d.name);
    object.spec.depends_on.iter().map(key).collect()
}

fn judge(object: &Kustomization, dependency: &Kustomization, revision: &str) -> Result<(), String> {
    let status = dependency.status.clone().unwrap_or_default();
    let current = status.observed_generation == dependency.metadata.generation;
    if !current || !is_ready(&status) {
        let why = conditions::get(&status.conditions, names::READY)
            .filter(|ready| ready.status == "False")
            .map(why)
            .unwrap_or_default();
        return Err(format!("is not ready{why}"));
    }
    let same_source = source_of(object) == source_of(dependency);
    if same_source && status.last_applied_revision.as_deref() != Some(revision) {
        return Err("revision is not up to date".to_owned());
    }
    Ok(())
}

/// Why a dependency is not ready. One that waits itself is not quoted: two that wait for each other
/// would quote each other without end.
fn why(ready: &Condition) -> String {
    match ready.reason == names::reason::DEPENDENCY_NOT_READY {
        true => ": it waits for a dependency of its own".to_owned(),
        false => format!(": {}", ready.message),
    }
}

fn source_of(object: &Kustomization) -> (String, Key) {
    let kind = object.spec.source_ref.kind.to_string();
    (kind, moves::source_key(object))
}

/// Wakes the Kustomizations that depend on one whose run has ended: all of them when it is ready
/// and that is news, else those that wait, so that they go on or say what they wait for now.
///
/// Whether one waits is known only after its status was written and came back by watch; one that
/// looked a moment too early must not be missed.
pub fn wake_dependants(
    key: &Key,
    before: &KustomizationStatus,
    after: &KustomizationStatus,
    context: &Context,
) {
    let (ready, news) = (is_ready(after), is_news(before, after));
    if !ready && !news {
        return;
    }
    for dependant in context.stores.kustomizations.state() {
        if !depends_on(&dependant, key) {
            continue;
        }
        let waits = !dependant.status.as_ref().is_some_and(is_ready);
        if waits || (ready && news) {
            context.triggers.kustomizations.wake(&Key::of(&*dependant));
        }
    }
}

/// Whether any Kustomization depends on this one.
pub fn is_awaited(key: &Key, context: &Context) -> bool {
    let all = context.stores.kustomizations.state();
    all.iter().any(|other| depends_on(other, key))
}

/// Whether a status tells dependants something that the one before did not.
fn is_news(before: &KustomizationStatus, after: &KustomizationStatus) -> bool {
    let words = |status: &KustomizationStatus| {
        let ready = conditions::get(&status.conditions, names::READY);
        ready.map(|ready| (ready.status.clone(), ready.message.clone()))
    };
    words(before) != words(after)
        || before.last_applied_revision != after.last_applied_revision
        || before.observed_generation != after.observed_generation
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

fn is_ready(status: &KustomizationStatus) -> bool {
    conditions::is_true(&status.conditions, names::READY)
}

//! Who applies what: which objects are in the inventories of several Kustomizations.
//!
//! Kept as an index, because every run asks: with a thousand Kustomizations, reading all
//! inventories each time would be most of the work.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flux_api::{Condition, Kustomization, ObjectId, ResourceRef, conditions};
use flux_apply::Owner;
use flux_apply::object;
use kube_runtime::reflector::ObjectRef;

use super::inventory;
use crate::context::Context;
use crate::key::Key;

/// Type of the condition that names objects of several Kustomizations; not one of Flux's.
pub const CONDITION: &str = "SharedObjects";

/// How many objects the condition names.
const NAMED: usize = 10;

/// The inventories of all Kustomizations by object.
#[derive(Default)]
pub struct Claims(Mutex<Index>);

#[derive(Default)]
struct Index {
    filled: bool,
    by_id: HashMap<Arc<str>, Vec<Key>>,
    by_key: HashMap<Key, Vec<Arc<str>>>,
    /// What the API server refused of them when they were applied last.
    refused: HashMap<Key, BTreeSet<String>>,
}

impl Index {
    /// Replaces the ids of a Kustomization; returns those whose sharing this changes.
    fn set<'a>(&mut self, key: &Key, ids: impl Iterator<Item = &'a str>) -> BTreeSet<Key> {
        let refused = self.refused.get(key);
        let is_refused = |id: &&str| refused.is_some_and(|refused| refused.contains(*id));
        let ids: BTreeSet<&str> = ids.filter(|id| !is_refused(id)).collect();
        let before = self.by_key.remove(key).unwrap_or_default();
        let mut touched = BTreeSet::new();
        let same = |id: &Arc<str>| ids.contains(id.as_ref());
        let (kept, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(same);
        for id in gone {
            if let Some(keys) = self.by_id.get_mut(&id) {
                keys.retain(|k| k != key);
                touched.extend(keys.iter().cloned());
                if keys.is_empty() {
                    self.by_id.remove(&id);
                }
            }
        }
        let known: BTreeSet<Arc<str>> = kept.into_iter().collect();
        let mut all: Vec<Arc<str>> = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(id) = known.get(id) {
                all.push(id.clone());
                continue;
            }
            let id: Arc<str> = match self.by_id.get_key_value(id) {
                Some((id, _)) => id.clone(),
                None => id.into(),
            };
            let keys = self.by_id.entry(id.clone()).or_default();
            touched.extend(keys.iter().cloned());
            keys.push(key.clone());
            all.push(id);
        }
        if !all.is_empty() {
            self.by_key.insert(key.clone(), all);
        }
        touched
    }
}

impl Claims {
    fn index(&self, context: &Context) -> MutexGuard<'_, Index> {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !index.filled {
            index.filled = true;
            for object in context.stores.kustomizations.state() {
                let entries = of(&object);
                index.set(&Key::of(&*object), entries.iter().map(|e| e.id.as_str()));
            }
        }
        index
    }

    /// Notes what a Kustomization applies, and wakes those who learn by it that they share an
    /// object, or no longer do.
    pub fn set(&self, key: &Key, entries: &[ResourceRef], context: &Context) {
        let ids = entries.iter().map(|e| e.id.as_str());
        for other in self.index(context).set(key, ids) {
            context.triggers.kustomizations.wake(&other);
        }
    }

    /// Notes what the API server refused to a Kustomization: it is intended still, and no claim
    /// until it is applied.
    pub fn disclaim(&self, key: &Key, ids: BTreeSet<String>) {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ids.is_empty() {
            true => index.refused.remove(key),
            false => index.refused.insert(key.clone(), ids),
        };
    }

    /// Who else applies an object.
    pub fn others(&self, key: &Key, id: &ObjectId, context: &Context) -> Vec<Key> {
        let index = self.index(context);
        let keys = index.by_id.get(id.to_string().as_str());
        let others = keys.into_iter().flatten().filter(|k| *k != key);
        others.filter(|k| is_alive(k, context)).cloned().collect()
    }

    /// Whether a certain other owner applies an object.
    pub fn has(&self, id: &ObjectId, owner: &Owner, context: &Context) -> bool {
        let key = Key::new(&owner.namespace, &owner.name);
        let index = self.index(context);
        let keys = index.by_id.get(id.to_string().as_str());
        keys.is_some_and(|keys| keys.contains(&key)) && is_alive(&key, context)
    }

    /// Lines that name the objects of an inventory that others apply, too.
    fn shared(&self, key: &Key, entries: &[ResourceRef], context: &Context) -> Vec<String> {
        let index = self.index(context);
        let mut lines = Vec::new();
        for entry in entries {
            let keys = index.by_id.get(entry.id.as_str()).into_iter().flatten();
            let others: BTreeSet<_> = keys
                .filter(|k| *k != key && is_alive(k, context))
                .map(|k| format!("Kustomization/{k}"))
                .collect();
            if let (false, Ok(id)) = (others.is_empty(), entry.object()) {
                let others: Vec<_> = others.into_iter().collect();
                lines.push(format!("{} by {}", object::display(&id), others.join(", ")));
            }
        }
        lines
    }

    /// Sets or removes the condition that names shared objects.
    pub fn note(
        &self,
        key: &Key,
        entries: &[ResourceRef],
        list: &mut Vec<Condition>,
        generation: i64,
        context: &Context,
    ) {
        let mut lines = self.shared(key, entries, context);
        if lines.is_empty() {
            conditions::remove(list, CONDITION);
            return;
        }
        let more = lines.len().saturating_sub(NAMED);
        lines.truncate(NAMED);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        let message = format!(
            "also applied: {}; keep each object in one of them, or the last to run decides",
            lines.join("; ")
        );
        conditions::set(list, CONDITION, true, "ClaimedTwice", &message, generation);
    }
}

/// What a Kustomization claims by its status: its inventory, and nothing more while it is deleted.
pub fn of(object: &Kustomization) -> Vec<ResourceRef> {
    match (&object.metadata.deletion_timestamp, &object.status) {
        (None, Some(status)) => inventory::entries(status),
        _ => Vec::new(),
    }
}

/// Whether a Kustomization is there to stay. One whose finalizer somebody removed by hand goes
/// without a word.
fn is_alive(key: &Key, context: &Context) -> bool {
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let found = context.stores.kustomizations.get(&reference);
    found.is_some_and(|object| object.metadata.deletion_timestamp.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_is_told_to_those_it_concerns() {
        let mut index = Index::default();
        let key = |name: &str| Key::new("flux-system", name);
        let names = |keys: BTreeSet<Key>| keys.into_iter().map(|k| k.name).collect::<Vec<_>>();
        let none: Vec<String> = Vec::new();
        assert_eq!(names(index.set(&key("a"), ["x", "y"].into_iter())), none);
        assert_eq!(names(index.set(&key("b"), ["y", "z"].into_iter())), ["a"]);
        assert_eq!(names(index.set(&key("b"), ["y", "z"].into_iter())), none);
        assert_eq!(index.by_id["y"], [key("a"), key("b")]);
        assert_eq!(names(index.set(&key("a"), ["x"].into_iter())), ["b"]);
        // What is refused is no claim.
        index.refused.insert(key("a"), ["z".to_owned()].into());
        assert_eq!(names(index.set(&key("a"), ["x", "z"].into_iter())), none);
        assert_eq!(index.by_id["z"], [key("b")]);
        assert_eq!(names(index.set(&key("a"), [].into_iter())), none);
        assert_eq!(index.by_id.len(), 2);
        assert_eq!(index.by_key.len(), 1);
    }
}

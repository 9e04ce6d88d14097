//! The newest form of objects that is known.
//!
//! A write returns the object as it is stored; the watch brings the same to the cache, only later. And a
//! run is given its object from the cache before it is its turn: when it begins, the cache may have a newer
//! one. Who decides by a status that is history writes the difference to the wrong one.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::{Resource, ResourceExt};
use kube_runtime::reflector::{ObjectRef, Store};

use crate::driver::Controlled;
use crate::key::Key;

type Objects = HashMap<(&'static str, Key), Arc<dyn Any + Send + Sync>>;

/// Objects as writes returned them, each until the cache has it.
///
/// Caches are read while this is locked: an object is dropped only after the cache has it, so whoever
/// does not find it here finds it, or a newer one, there.
#[derive(Default)]
pub struct Newest(Mutex<Objects>);

impl Newest {
    /// Remembers an object as a write returned it, unless the cache has it already, or has no such
    /// object any more: only what is in the cache is written.
    pub fn remember<K: Controlled>(&self, object: Arc<K>, cache: &Store<K>) {
        let mut objects = self.objects();
        let cached = cache.get(&ObjectRef::from_obj(&*object));
        if cached.is_none_or(|cached| version(&*cached) >= version(&*object)) {
            return;
        }
        let key = (K::KIND, Key::of(&*object));
        // Answers to two writes at once may come in either order.
        let known = objects.get(&key).and_then(|any| any.downcast_ref::<K>());
        if known.is_none_or(|known| version(known) <= version(&*object)) {
            objects.insert(key, object);
        }
    }

    /// The newest of what the caller was given, the cache has and a write returned.
    pub fn of<K: Controlled>(&self, given: Arc<K>, cache: &Store<K>) -> Arc<K> {
        let objects = self.objects();
        let cached = cache.get(&ObjectRef::from_obj(&*given));
        let remembered = objects
            .get(&(K::KIND, Key::of(&*given)))
            .and_then(|any| Arc::downcast::<K>(any.clone()).ok());
        drop(objects);
        let newer = |one: Arc<K>, other: Arc<K>| match version(&*other) > version(&*one) {
            true => other,
            false => one,
        };
        cached.into_iter().chain(remembered).fold(given, newer)
    }

    /// Forgets what was remembered of an object if it is not newer than this form, which the cache
    /// has now.
    pub fn caught_up<K: Controlled>(&self, cached: &K) {
        let key = (K::KIND, Key::of(cached));
        let mut objects = self.objects();
        let known = objects.get(&key).and_then(|any| any.downcast_ref::<K>());
        if known.is_some_and(|known| version(known) <= version(cached)) {
            objects.remove(&key);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget<K: Controlled>(&self, key: &Key) {
        self.objects().remove(&(K::KIND, key.clone()));
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions of one resource grow; a text that is no number counts as oldest.
fn version<K: Resource>(object: &K) -> u64 {
    object
        .resource_version()
        .and_then(|v| v.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use flux_api::Kustomization;
    use kube_runtime::reflector::store;
    use kube_runtime::reflector::store::Writer;
    use kube_runtime::watcher::Event;
    use proptest::prelude::*;

    use super::*;

    /// What can happen, in any order.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Somebody else writes the object.
        Foreign,
        /// Somebody else deletes the object and makes it anew.
        Anew,
        /// The watch brings the oldest change that it has not brought.
        Watch,
        /// A run is given the object of the cache.
        Given,
        /// It is its turn, it looks at its object and, if so, writes a status.
        Turn { writes: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Foreign),
            1 => Just(Step::Anew),
            3 => Just(Step::Watch),
            2 => Just(Step::Given),
            2 => any::<bool>().prop_map(|writes| Step::Turn { writes }),
        ]
    }

    /// An object, those who write it, a watch and runs, one at a time.
    struct World {
        newest: Newest,
        writer: Writer<Kustomization>,
        cache: Store<Kustomization>,
        stored: Arc<Kustomization>,
        version: u64,
        changes: VecDeque<Event<Kustomization>>,
        given: Option<Arc<Kustomization>>,
        /// The least version that a run may see: its own last write, or what the watch brought.
        least: u64,
    }

    impl World {
        fn new() -> Self {
            let (cache, writer) = store();
            let mut world = Self {
                newest: Newest::default(),
                writer,
                cache,
                stored: Arc::default(),
                version: 0,
                changes: VecDeque::new(),
                given: None,
                least: 0,
            };
            world.write();
            world.watch();
            world
        }

        fn write(&mut self) -> Arc<Kustomization> {
            self.version += 1;
            let mut object = Kustomization::default();
            object.metadata.name = Some("apps".to_owned());
            object.metadata.namespace = Some("flux-system".to_owned());
            object.metadata.resource_version = Some(self.version.to_string());
            self.changes.push_back(Event::Apply(object.clone()));
            self.stored = Arc::new(object);
            self.stored.clone()
        }

        fn anew(&mut self) {
            let gone = (*self.stored).clone();
            self.changes.push_back(Event::Delete(gone));
            self.write();
        }

        fn watch(&mut self) {
            let Some(event) = self.changes.pop_front() else {
                return;
            };
            self.writer.apply_watcher_event(&event);
            match event {
                Event::Apply(object) => {
                    self.least = self.least.max(version(&object));
                    self.newest.caught_up(&object);
                }
                Event::Delete(object) => {
                    // Of what is gone, a run may see anything.
                    self.least = 0;
                    self.newest.forget::<Kustomization>(&Key::of(&object));
                }
                _ => {}
            }
        }

        fn turn(&mut self, writes: bool) -> Result<(), TestCaseError> {
            let Some(given) = self.given.take() else {
                return Ok(());
            };
            let seen = version(&*self.newest.of(given, &self.cache));
            prop_assert!(seen >= self.least, "saw {seen}, not {}", self.least);
            // What is gone is not written.
            if writes && !self.cache.is_empty() {
                let answer = self.write();
                self.least = version(&*answer);
                self.newest.remember(answer, &self.cache);
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn a_run_never_sees_what_is_older_than_its_last_write_or_the_cache(
            steps in prop::collection::vec(step(), 0..40),
        ) {
            let mut world = World::new();
            for step in steps {
                match step {
                    Step::Foreign => { world.write(); }
                    Step::Anew => world.anew(),
                    Step::Watch => world.watch(),
                    Step::Given if world.given.is_none() => {
                        world.given = world.cache.state().pop();
                    }
                    Step::Given => {}
                    Step::Turn { writes } => world.turn(writes)?,
                }
            }
            // Nothing is kept of what the watch has brought.
            while !world.changes.is_empty() {
                world.watch();
            }
            prop_assert!(world.newest.objects().is_empty());
        }
    }
}

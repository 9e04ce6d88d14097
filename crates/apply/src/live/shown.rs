//! What the watch of a kind shows.

use std::collections::HashSet;
use std::time::Instant;

use super::{GroupKind, Inner, Kind, Name, State, object_id};
use crate::seen::{Reading, Seen};

impl Inner {
    /// The watch shows an object.
    pub(crate) fn see(&self, key: &GroupKind, reading: Reading) {
        let mut kinds = self.kinds();
        let Some(kind) = kinds.get_mut(key) else {
            return;
        };
        let name = (
            reading.namespace.into_boxed_str(),
            reading.name.into_boxed_str(),
        );
        let entry = kind.objects.entry(name.clone()).or_default();
        if entry
            .seen
            .as_ref()
            .is_some_and(|seen| seen.version >= reading.seen.version)
        {
            return;
        }
        let steers = |seen: &Seen| (seen.fields, seen.marks);
        let news = entry.seen.as_ref().map(steers) != Some(steers(&reading.seen));
        entry.seen = Some(reading.seen);
        entry.raw = reading.fields.filter(|_| entry.expected == 0);
        // A change is told once, not again with each status of an object that is left as it is.
        if news {
            self.report(&object_id(key, &name), entry);
        }
    }

    /// The watch shows that an object is gone, or no longer carries an owner label.
    pub(crate) fn lose(&self, key: &GroupKind, reading: &Reading) {
        let mut kinds = self.kinds();
        let name: Name = (
            reading.namespace.as_str().into(),
            reading.name.as_str().into(),
        );
        if let Some(kind) = kinds.get_mut(key) {
            self.lose_named(key, kind, &name, reading.seen.version);
        }
    }

    fn lose_named(&self, key: &GroupKind, kind: &mut Kind, name: &Name, version: u64) {
        let Some(entry) = kind.objects.get_mut(name) else {
            return;
        };
        if entry.seen.as_ref().is_some_and(|s| s.version > version) {
            return;
        }
        entry.seen = None;
        entry.raw = None;
        if entry.applied.is_empty() {
            kind.objects.remove(name);
        } else {
            self.report(&object_id(key, name), entry);
        }
    }

    /// A list is complete as of `version`: what it did not name is gone.
    pub(crate) fn listed(&self, key: &GroupKind, names: &HashSet<Name>, version: u64) {
        let mut kinds = self.kinds();
        let Some(kind) = kinds.get_mut(key) else {
            return;
        };
        let gone: Vec<_> = kind
            .objects
            .keys()
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            self.lose_named(key, kind, &name, version);
        }
        kind.state.send_replace(State::Watched);
    }

    /// The watch works.
    pub(crate) fn works(&self, key: &GroupKind) {
        if let Some(kind) = self.kinds().get(key) {
            kind.state.send_if_modified(|state| {
                let broken = matches!(state, State::Broken(_));
                if broken {
                    *state = State::Watched;
                }
                broken
            });
        }
    }

    /// The watch has ended because there is nothing at its path any more: whoever applies an object of
    /// the kind next begins another one, in the version that is served then.
    pub(crate) fn ended(&self, key: &GroupKind) {
        if let Some(kind) = self.kinds().get_mut(key) {
            kind.followed = false;
            kind.state.send_replace(State::Blind);
        }
    }

    /// The watch failed; until further notice if it is refused.
    pub(crate) fn failed(&self, key: &GroupKind, refused: bool) {
        if let Some(kind) = self.kinds().get(key) {
            kind.state.send_if_modified(|state| {
                let next = match *state {
                    _ if refused => State::Blind,
                    State::Watched => State::Broken(Instant::now()),
                    other => other,
                };
                std::mem::replace(state, next) != next
            });
        }
    }
}

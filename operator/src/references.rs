//! Which objects refer to which Secrets and ConfigMaps, both ways round: a change of one finds
//! those concerned without a look at all objects. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flux_api::ImageRepository;

use crate::driver::Controlled;
use crate::key::Key;

/// What an object refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Referent {
    /// A Secret.
    Secret(Key),
    /// A ConfigMap.
    ConfigMap(Key),
    /// A ServiceAccount, for the pull secrets that it lends.
    ServiceAccount(Key),
}

/// Kind and name of an object that refers to something.
pub type Referrer = (&'static str, Key);

/// Who refers to what.
#[derive(Default)]
pub struct References(Mutex<Index>);

#[derive(Default)]
struct Index {
    by_referrer: HashMap<Referrer, Vec<Referent>>,
    by_referent: HashMap<Referent, HashSet<Referrer>>,
}

impl References {
    /// Says what an object refers to now; nothing when it is gone.
    pub fn set(&self, kind: &'static str, key: &Key, referents: Vec<Referent>) {
        let referrer = (kind, key.clone());
        let mut index = self.lock();
        if index
            .by_referrer
            .get(&referrer)
            .map_or(&[][..], Vec::as_slice)
            == referents
        {
            return;
        }
        for before in index.by_referrer.remove(&referrer).unwrap_or_default() {
            if let Some(referrers) = index.by_referent.get_mut(&before) {
                referrers.remove(&referrer);
                if referrers.is_empty() {
                    index.by_referent.remove(&before);
                }
            }
        }
        if referents.is_empty() {
            return;
        }
        for referent in &referents {
            let referrers = index.by_referent.entry(referent.clone()).or_default();
            referrers.insert(referrer.clone());
        }
        index.by_referrer.insert(referrer, referents);
    }

    /// Those who refer to something.
    pub fn to(&self, referent: &Referent) -> Vec<Referrer> {
        let index = self.lock();
        let found = index.by_referent.get(referent).into_iter().flatten();
        found.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Secrets that service accounts lend to ImageRepositories, which no spec names.
#[derive(Default)]
pub struct Lent(References);

impl Lent {
    /// Says which ones an ImageRepository is lent, by their names.
    pub fn set(&self, repository: &Key, names: Vec<String>) {
        let secret = |name| Referent::Secret(Key::new(&repository.namespace, name));
        let secrets = names.into_iter().map(secret).collect();
        self.0.set(ImageRepository::KIND, repository, secrets);
    }

    /// Forgets an ImageRepository.
    pub fn remove(&self, repository: &Key) {
        self.0.set(ImageRepository::KIND, repository, Vec::new());
    }

    /// Those who are lent a Secret.
    pub fn to(&self, secret: &Referent) -> Vec<Referrer> {
        self.0.to(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_follows_what_objects_say() {
        let references = References::default();
        let secret = |name| Referent::Secret(Key::new("a", name));
        let map = |name| Referent::ConfigMap(Key::new("a", name));
        let (one, two) = (Key::new("a", "one"), Key::new("b", "two"));
        let to = |referent| {
            let mut found = references.to(&referent);
            found.sort();
            found
        };
        references.set("X", &one, vec![secret("s"), map("s")]);
        references.set("X", &two, vec![secret("s")]);
        references.set("Y", &one, vec![secret("s")]);
        let (x1, x2, y1) = (("X", one.clone()), ("X", two.clone()), ("Y", one.clone()));
        assert_eq!(to(secret("s")), [x1.clone(), x2.clone(), y1.clone()]);
        assert_eq!(to(map("s")), [x1]);
        assert_eq!(to(secret("t")), []);
        references.set("X", &one, vec![secret("t")]);
        references.set("Y", &one, Vec::new());
        assert_eq!(to(secret("s")), [x2]);
        assert_eq!(to(map("s")), []);
        references.set("X", &one, Vec::new());
        references.set("X", &two, Vec::new());
        let index = references.lock();
        assert!(index.by_referrer.is_empty() && index.by_referent.is_empty());
    }
}

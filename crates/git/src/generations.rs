//! A map with a bound, for what can be found out again.

use std::collections::HashMap;
use std::hash::Hash;

/// A map that forgets what was not asked for during a whole generation.
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    weight: usize,
    most: usize,
}

impl<K: Hash + Eq, V: Clone> Generations<K, V> {
    /// An empty map. A generation ends when its values weigh `most` together; two are kept.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            weight: 0,
            most,
        }
    }

    pub(crate) fn get(&mut self, key: &K, weight: impl FnOnce(&V) -> usize) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        let weight = weight(&value);
        self.insert(key, value.clone(), weight);
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight >= self.most {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_forgotten() {
        const MOST: usize = 1000;
        let mut map = Generations::<usize, usize>::new(MOST);
        for key in 0..MOST * 3 {
            map.insert(key, key, 1);
            assert_eq!(map.get(&0, |_| 1), Some(0), "asked for all the time");
        }
        assert_eq!(map.get(&1, |_| 1), None);
        assert!(map.young.len() + map.old.len() <= 2 * MOST + 2);
    }
}

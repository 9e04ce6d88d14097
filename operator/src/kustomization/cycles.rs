//! Circles of `spec.dependsOn`: none of their members would ever start.

use std::collections::{HashMap, VecDeque};

use crate::key::Key;

/// The shortest circle through `start`, beginning and ending with it; `depends_on` names what a
/// Kustomization waits for.
pub(super) fn through(start: &Key, depends_on: impl Fn(&Key) -> Vec<Key>) -> Option<Vec<Key>> {
    let mut reached_from: HashMap<Key, Key> = HashMap::new();
    let mut queue = VecDeque::from([start.clone()]);
    while let Some(key) = queue.pop_front() {
        for next in depends_on(&key) {
            if next == *start {
                let mut circle = vec![next, key];
                while let Some(before) = circle.last().and_then(|key| reached_from.get(key)) {
                    circle.push(before.clone());
                }
                circle.reverse();
                return Some(circle);
            }
            if !reached_from.contains_key(&next) {
                reached_from.insert(next.clone(), key.clone());
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_circle_is_found() {
        let graph: &[(&str, &[&str])] = &[
            ("a", &["b", "x"]),
            ("b", &["c", "a"]),
            ("c", &["a"]),
            ("d", &["a"]),
            ("self", &["self"]),
        ];
        let depends_on = |key: &Key| -> Vec<Key> {
            let found = graph.iter().find(|(name, _)| *name == key.name);
            let names = found.map_or(&[][..], |(_, names)| names);
            names.iter().map(|name| Key::new("n", *name)).collect()
        };
        for (start, want) in [
            ("a", Some("a b a")),
            ("b", Some("b a b")),
            ("c", Some("c a b c")),
            ("d", None),
            ("x", None),
            ("self", Some("self self")),
        ] {
            let found = through(&Key::new("n", start), depends_on);
            let names = found.map(|c| c.into_iter().map(|k| k.name).collect::<Vec<_>>().join(" "));
            assert_eq!(names.as_deref(), want, "{start}");
        }
    }
}

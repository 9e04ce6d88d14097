//! Which file of the source an object is written in: what people look for first.

use std::collections::BTreeMap;

use flux_api::ObjectId;
use flux_apply::applier::Failure;
use flux_apply::object;
use flux_build::Object;

/// Where objects come from: the files of a Git repository, by kind, namespace as written, and name.
pub(super) struct Origins(BTreeMap<(String, String, String), String>);

impl Origins {
    /// Remembers where objects come from.
    pub(super) fn of(objects: &[Object]) -> Self {
        let entry = |o: &Object| {
            let origin = o.origin.as_ref()?.to_string();
            let kind = o.value["kind"].as_str()?.to_owned();
            let namespace = object::namespace(&o.value).to_owned();
            Some(((kind, namespace, object::name(&o.value).to_owned()), origin))
        };
        Self(objects.iter().filter_map(entry).collect())
    }

    /// The place of an object, `file:line` where the line is known.
    pub(super) fn of_id(&self, id: &ObjectId) -> Option<&str> {
        let at = |namespace: &str| {
            let key = (id.kind.clone(), namespace.to_owned(), id.name.clone());
            self.0.get(&key).map(String::as_str)
        };
        // The namespace may have been left to the Kustomization.
        at(&id.namespace).or_else(|| at(""))
    }
}

/// All failures of a run, each with its place, and what became of the rest.
pub(super) fn describe_failures(failures: &[Failure], applied: usize, origins: &Origins) -> String {
    let mut text = failures
        .iter()
        .map(|failure| match origins.of_id(&failure.id) {
            Some(origin) => format!("{failure} [{origin}]"),
            None => failure.to_string(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    let rest = match applied {
        0 => "Nothing of this revision is applied".to_owned(),
        1 => "The 1 other object of this revision is applied".to_owned(),
        _ => format!("The {applied} other objects of this revision are applied"),
    };
    text.push_str(&format!("\n{rest}, nothing was pruned."));
    text
}

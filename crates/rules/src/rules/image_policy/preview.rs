//! The tags that a policy chooses from.

use crate::context::Context;
use crate::facts::{Fact, Tags};
use crate::subject::Subject;

const REPOSITORY: &str = "/spec/imageRepositoryRef";

/// Namespace and name of the ImageRepository that a policy refers to.
fn repository(subject: Subject<'_>) -> Option<(&str, &str)> {
    let namespace = format!("{REPOSITORY}/namespace");
    let namespace = if subject.has(&namespace) {
        subject
            .text(&namespace)
            .filter(|namespace| !namespace.is_empty())?
    } else {
        subject.namespace()
    };
    Some((namespace, subject.text(&format!("{REPOSITORY}/name"))?))
}

/// The scanned tags of the ImageRepository that a policy refers to. Only of its own namespace:
/// what others may see of another one is not for an admission answer to say.
pub(super) fn tags(subject: Subject<'_>, context: &Context) -> Fact<Tags> {
    match repository(subject) {
        Some((namespace, name)) if namespace == subject.namespace() => {
            context.facts().tags(namespace, name)
        }
        _ => Fact::Unknown,
    }
}

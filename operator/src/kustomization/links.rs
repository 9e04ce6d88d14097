//! A kustomization file that is a symbolic link. Artifacts have no links, so the directory is built
//! as if there were none: everything in it is applied as it is. That is Flux's behaviour, and is
//! said here, since it is hardly what was meant.

use flux_api::{Condition, KustomizationSpec, conditions};

use super::inputs::normal;
use crate::context::Context;
use crate::events::Event;
use crate::source::Source;

/// Type of the condition, and reason of the event; not one of Flux's.
const CONDITION: &str = "LinkLeftOut";

const REASON: &str = "SymbolicLink";

/// The names that kustomize knows.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The link that stands in place of the kustomization file, if there is one. Artifacts of other
/// processes do not tell; and where the source cannot be read, the build says so.
pub(super) async fn find(
    source: &Source,
    spec: &KustomizationSpec,
    context: &Context,
) -> Option<String> {
    let mirrored = source.mirrored()?;
    let path = normal(spec.path.as_deref().unwrap_or_default(), "")?;
    let file = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path => format!("{path}/{name}"),
    };
    let files = NAMES.map(file);
    let links = mirrored.links(&files, context).await.ok()?;
    let link = links.into_iter().next()?;
    let ids = source.ids(files.into(), context).await.ok()?;
    ids.iter().all(Option::is_none).then_some(link)
}

/// Sets or removes the condition; the event to publish when it is news.
pub(super) fn note(
    list: &mut Vec<Condition>,
    link: Option<&str>,
    generation: i64,
) -> Option<Event> {
    let Some(link) = link else {
        conditions::remove(list, CONDITION);
        return None;
    };
    let message = format!(
        "./{link} is a symbolic link, which artifacts leave out, as in Flux: the directory is built as if it had no kustomization file; commit the file itself instead of the link"
    );
    let is_news = conditions::get(list, CONDITION).is_none_or(|known| known.message != message);
    conditions::set(list, CONDITION, true, REASON, &message, generation);
    is_news.then(|| Event::warning(CONDITION, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_of_once() {
        let mut list = Vec::new();
        assert!(note(&mut list, None, 1).is_none());
        let event = note(&mut list, Some("apps/kustomization.yaml"), 1).unwrap();
        assert!(event.message.starts_with("./apps/kustomization.yaml is a"));
        assert!(note(&mut list, Some("apps/kustomization.yaml"), 2).is_none());
        assert!(note(&mut list, Some("web/kustomization.yaml"), 2).is_some());
        assert!(note(&mut list, None, 3).is_none());
        assert!(list.is_empty());
    }
}

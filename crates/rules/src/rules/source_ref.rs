//! What rules of several kinds say about the source that an object refers to.

use crate::context::Context;
use crate::facts::Fact;
use crate::kind::Kind;
use crate::rule::Report;

/// A GitRepository, by namespace and name, that does not exist: a warning where the cluster is
/// known, a note where only files are. `what` does not happen until it does.
pub(super) fn missing_repository(
    pointer: &str,
    (namespace, name): (&str, &str),
    what: &str,
    context: &Context,
    report: &mut Report<'_>,
) {
    let facts = context.facts();
    match facts.object(Kind::GitRepository, namespace, name) {
        Fact::Absent => report.warning(
            pointer,
            format!(
                "GitRepository \"{namespace}/{name}\" does not exist yet: nothing is {what} until \
                 it does."
            ),
        ),
        // Without a namespace in the files a kustomization may well set the right one.
        Fact::Unknown
            if facts.is_files()
                && facts.object(Kind::GitRepository, "default", name) == Fact::Unknown =>
        {
            report.note(
                pointer,
                format!(
                    "GitRepository \"{namespace}/{name}\" is in none of these files; the cluster \
                     may have it."
                ),
            );
        }
        _ => {}
    }
}

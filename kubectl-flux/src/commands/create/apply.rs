//! From a draft to the cluster: findings, create or update, wait.

use flux_api::names;
use kube::api::DynamicObject;
use serde_json::json;

use super::Shared;
use super::draft::Draft;
use crate::cluster::{Cluster, View};
use crate::commands::which::owner;
use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::wait::{self, Goal, Target};

/// How often an update is tried again when others write to the object at the same time.
pub(super) const ATTEMPTS: u32 = 5;

/// What is said when the controller is done with the object.
pub(super) type Report = fn(&DynamicObject) -> Vec<Result<String, String>>;

/// Exports the draft, or applies it and waits; both after saying what looks wrong with it.
pub(super) fn finish(
    draft: &Draft,
    shared: &Shared,
    context: &Context,
    report: Report,
) -> Result<(), Error> {
    review(draft);
    if shared.export {
        return output::data(&output::manifest::export(&draft.manifest()));
    }
    output::generate(format!("generating {}", draft.kind.subject()));
    context.block_on(async {
        let cluster = context.cluster().await?;
        apply_and_wait(draft, context, &cluster, report).await
    })
}

/// Prints what the rules say. Advice never stops anything here: the manifest may be meant for
/// another cluster, and the API server has the last word.
pub(super) fn review(draft: &Draft) {
    let manifest = draft.manifest();
    let review = flux_rules::review(&manifest, None, &flux_rules::Context::default());
    for finding in review.errors().chain(review.warnings()) {
        output::warning(finding);
    }
}

/// Applies the draft and waits until its controller has acted upon it.
pub(super) async fn apply_and_wait(
    draft: &Draft,
    context: &Context,
    cluster: &Cluster,
    report: Report,
) -> Result<(), Error> {
    let subject = draft.kind.subject();
    output::action(format!("applying {subject}"));
    let (object, token) = upsert(draft, cluster).await?;
    let verb = if token.is_some() {
        "updated"
    } else {
        "created"
    };
    output::success(format!("{subject} {verb}"));
    if object.is_suspended() {
        output::warning(format!(
            "{} is suspended: nothing happens until it is resumed",
            draft.kind.name()
        ));
        return Ok(());
    }
    output::waiting(format!("waiting for {subject} reconciliation"));
    let target = Target {
        kind: draft.kind,
        namespace: &draft.namespace,
        name: &draft.name,
    };
    let goal = Goal::Current {
        token: token.as_deref(),
    };
    let object = wait::until(cluster, target, &goal, &object, context.timeout()).await?;
    for line in report(&object) {
        match line {
            Ok(line) => output::success(line),
            Err(line) => return Err(Error::Input(line)),
        }
    }
    Ok(())
}

/// Creates the object or updates the existing one.
///
/// An update asks for a reconciliation and gives the token of that request: where the update
/// changes nothing, such as after a Secret was mended, no controller would notice it.
async fn upsert(
    draft: &Draft,
    cluster: &Cluster,
) -> Result<(DynamicObject, Option<String>), Error> {
    let resource = draft.kind.resource();
    for _ in 0..ATTEMPTS {
        let Some(mut object) = cluster
            .find(draft.kind, &draft.namespace, &draft.name)
            .await?
        else {
            let mut object = DynamicObject::new(&draft.name, &resource)
                .within(&draft.namespace)
                .data(json!({ "spec": draft.spec }));
            if !draft.labels.is_empty() {
                object.metadata.labels = Some(draft.labels.clone());
            }
            let object = cluster.create(&resource, &draft.namespace, &object).await?;
            return Ok((object, None));
        };
        warn_about_owner(&object);
        let spec = object.at("/spec").cloned().unwrap_or_default();
        object.data["spec"] = draft.merged_spec(&spec);
        object
            .metadata
            .labels
            .get_or_insert_default()
            .extend(draft.labels.clone());
        let token = wait::token();
        object
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(names::REQUESTED_AT.to_owned(), token.clone());
        let updated = cluster
            .replace(&resource, &draft.namespace, &draft.name, &object)
            .await?;
        if let Some(object) = updated {
            return Ok((object, Some(token)));
        }
    }
    Err(Error::input(format!(
        "{} {}/{} is being written to by others all the time; try again",
        draft.kind.name(),
        draft.namespace,
        draft.name
    )))
}

/// An object that a Kustomization applies from Git will be set back.
fn warn_about_owner(object: &DynamicObject) {
    if let Some(owner) = owner(object) {
        output::warning(format!(
            "Kustomization {owner} applies this object from Git and will undo the change; change it there"
        ));
    }
}

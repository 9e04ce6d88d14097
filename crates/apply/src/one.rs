//! Applying one object with as few requests as its state allows.
//!
//! | the object | requests |
//! |---|---|
//! | is as it was applied | none |
//! | is known, something changed | the apply |
//! | is not known | a guarded create; where one exists nevertheless, it is read first |
//! | was changed by others, or leaves fields to them | it is read, to name them; then the apply |
//! | cannot be watched | it is read; then the apply |

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use flux_api::inventory::ObjectId;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::applier::{Action, Applier};
use crate::fields;
use crate::ignore;
use crate::live::{Look, expires};
use crate::managers::{Whose, take_over};
use crate::object::{self, Gvk, Owner};
use crate::plan::{Options, Planned};
use crate::request::{self, Answer, RequestError};
use crate::rules::{self, Decision, Marks};
use crate::seen::{Reading, Seen, hash_value};

/// Versions of an object that we wrote less than this ago may be our own within the second that
/// `managedFields` count in.
const SAME_SECOND: Duration = Duration::from_secs(2);

/// What came of one object.
pub(crate) struct Done {
    pub(crate) action: Action,
    pub(crate) warnings: Vec<String>,
    /// What others had done to it since it was applied.
    pub(crate) drift: Option<String>,
}

impl Done {
    fn quietly(action: Action) -> Self {
        Self {
            action,
            warnings: Vec::new(),
            drift: None,
        }
    }
}

/// What all objects of an apply share.
pub(crate) struct Terms<'a> {
    pub(crate) options: &'a Options,
    /// Kinds whose definitions are part of the same set.
    pub(crate) announced: HashSet<Gvk>,
    /// Whether another owner applies an object, too.
    pub(crate) shared: &'a (dyn Fn(&ObjectId, &Owner) -> bool + Sync),
}

impl Applier {
    pub(crate) async fn apply_one(
        &self,
        planned: &Planned,
        terms: &Terms<'_>,
    ) -> Result<Done, RequestError> {
        let owner = &terms.options.owner;
        let hash = hash_value(&planned.object);
        if expires(&planned.object) {
            self.live.note_expiring(&planned.id);
        }
        match self.live.look(&planned.id, owner, hash) {
            Look::Absent { lost: false } => {
                if let Decision::Skip(why) = rules::decide(Marks::of(&planned.object), None) {
                    return Ok(Done::quietly(Action::Skipped(why)));
                }
                if let Some(done) = self.create(planned, hash, terms).await? {
                    return Ok(done);
                }
            }
            Look::There {
                seen,
                settled,
                drifted: false,
            } => {
                let desired = Marks::of(&planned.object);
                if let Decision::Skip(why) = rules::decide(desired, Some(seen.marks)) {
                    return Ok(Done::quietly(Action::Skipped(why)));
                }
                let rightful = seen
                    .owner
                    .as_ref()
                    .is_some_and(|first| first == owner || (terms.shared)(&planned.id, first));
                let as_applied = || settled || self.is_proven(planned, hash, terms);
                if rightful && !terms.options.full && as_applied() {
                    return Ok(Done::quietly(Action::Unchanged));
                }
                if takes_over(&seen, desired, planned).is_none() && planned.ignored.is_empty() {
                    return self.write(planned, hash, Some(&seen), terms).await;
                }
            }
            Look::Blind | Look::Absent { lost: true } | Look::There { drifted: true, .. } => {}
        }
        self.read_and_write(planned, hash, terms).await
    }

    /// Whether the object is what an earlier process applied.
    fn is_proven(&self, planned: &Planned, hash: u64, terms: &Terms<'_>) -> bool {
        let options = terms.options;
        let object = ignore::without(&planned.object, &planned.ignored);
        options.proven && self.live.trust(&planned.id, &options.owner, &object, hash)
    }

    /// Creates an object that is not known; `None` when it exists.
    async fn create(
        &self,
        planned: &Planned,
        hash: u64,
        terms: &Terms<'_>,
    ) -> Result<Option<Done>, RequestError> {
        let answer = self.send(planned, &planned.object, true, terms).await?;
        answer
            .map(|answer| self.conclude(planned, hash, None, answer, terms))
            .transpose()
    }

    async fn read_and_write(
        &self,
        planned: &Planned,
        hash: u64,
        terms: &Terms<'_>,
    ) -> Result<Done, RequestError> {
        let path = planned.path();
        let before = self.live.look(&planned.id, &terms.options.owner, hash);
        let body = match planned.ignored.is_empty() {
            true => request::get_metadata(&self.client, &path).await?,
            false => request::get_whole(&self.client, &path).await?,
        };
        let live = match &body {
            Some(body) => Some(Reading::parse(body, &self.manager)?.seen),
            None => None,
        };
        let desired = Marks::of(&planned.object);
        let marks = live.as_ref().map(|seen| seen.marks);
        if let Decision::Skip(why) = rules::decide(desired, marks) {
            return Ok(Done::quietly(Action::Skipped(why)));
        }
        let (mut drift, mut over) = (None, None);
        if let (Some(body), Some(seen)) = (&body, &live) {
            let metadata: Value = serde_json::from_slice(body)?;
            let managed = &metadata["metadata"]["managedFields"];
            if matches!(
                before,
                Look::There { drifted: true, .. } | Look::Absent { lost: true }
            ) {
                drift = describe(managed, planned, &self.manager);
            }
            if !planned.ignored.is_empty() {
                let ignored = &planned.ignored;
                over = Some(ignore::over(
                    &planned.object,
                    &metadata,
                    ignored,
                    &self.manager,
                ));
            }
            if let Some(whose) = takes_over(seen, desired, planned)
                && let Some(patch) =
                    take_over(&metadata, &self.manager, whose, &planned.gvk.api_version())
            {
                // A lost race only delays the take-over to the next run.
                match request::json_patch(&self.client, &path, &self.manager, &patch).await {
                    Ok(_) => {}
                    Err(RequestError::Api {
                        code: 404 | 409 | 422,
                        ..
                    }) => {}
                    Err(error) => return Err(error),
                }
            }
        } else if matches!(before, Look::Absent { lost: true }) {
            drift = Some("it was deleted".to_owned());
        }
        let object = over.as_ref().unwrap_or(&planned.object);
        let mut done = self
            .write_object(planned, object, hash, live.as_ref(), terms)
            .await?;
        done.drift = drift;
        Ok(done)
    }

    async fn write(
        &self,
        planned: &Planned,
        hash: u64,
        live: Option<&Seen>,
        terms: &Terms<'_>,
    ) -> Result<Done, RequestError> {
        self.write_object(planned, &planned.object, hash, live, terms)
            .await
    }

    /// Applies `object`, which is the planned one or what of it is applied over the live one.
    async fn write_object(
        &self,
        planned: &Planned,
        object: &Value,
        hash: u64,
        live: Option<&Seen>,
        terms: &Terms<'_>,
    ) -> Result<Done, RequestError> {
        let path = planned.path();
        let desired = labelled(&planned.id, object, live, terms);
        let written = self.live.begin(&planned.id);
        let recently = written.is_some_and(|at| at.elapsed() < SAME_SECOND);
        match self.send(planned, &desired, false, terms).await {
            Err(error) if error.is_immutable() => {
                let force = terms.options.force || Marks::of(&planned.object).force;
                let Some(live) = live.filter(|seen| force || seen.marks.force) else {
                    return Err(error);
                };
                self.recreate(planned, live, force, &path).await?;
                let answer = request::apply(&self.client, &path, &self.manager, &desired).await?;
                self.conclude(planned, hash, None, answer, terms)
            }
            answer => {
                let before = live.map(|seen| (seen, recently));
                match answer? {
                    Some(answer) => self.conclude(planned, hash, before, answer, terms),
                    None => Ok(Done::quietly(Action::Unchanged)),
                }
            }
        }
    }

    /// Applies `object`, or creates it; `None` when it is to be created and exists. Tries again
    /// for a moment when the kind's definition has just been established: the endpoint may not
    /// know it yet.
    async fn send(
        &self,
        planned: &Planned,
        object: &Value,
        create: bool,
        terms: &Terms<'_>,
    ) -> Result<Option<Answer>, RequestError> {
        let path = planned.path();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let answer = match create {
                true => request::create(&self.client, &path, &self.manager, object).await,
                false => request::apply(&self.client, &path, &self.manager, object)
                    .await
                    .map(Some),
            };
            match answer {
                Err(error)
                    if error.is_not_found()
                        && terms.announced.contains(&planned.gvk)
                        && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
    }

    /// Notes what the API server answered. `before` is the object as it was, and whether we wrote
    /// it a moment ago.
    fn conclude(
        &self,
        planned: &Planned,
        hash: u64,
        before: Option<(&Seen, bool)>,
        answer: Answer,
        terms: &Terms<'_>,
    ) -> Result<Done, RequestError> {
        let after = Reading::parse(&answer.body, &self.manager)?.seen;
        self.live
            .applied(&planned.id, &terms.options.owner, hash, &after);
        let action = match before {
            _ if answer.created => Action::Created,
            Some((before, recently)) if is_unchanged(before, &after, recently) => Action::Unchanged,
            _ => Action::Configured,
        };
        Ok(Done {
            action,
            warnings: answer.warnings,
            drift: None,
        })
    }

    /// Deletes an object and waits until it is gone; without `force` only as long as it asks for
    /// that itself.
    async fn recreate(
        &self,
        planned: &Planned,
        live: &Seen,
        force: bool,
        path: &str,
    ) -> Result<(), RequestError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut known = live.clone();
        loop {
            match request::delete(&self.client, path, &known).await {
                // Changed since it was seen; its controller may be at work.
                Err(RequestError::Api { code: 409, .. }) if Instant::now() < deadline => {}
                other => {
                    other?;
                    break;
                }
            }
            match self.read(path).await? {
                Some(seen) if seen.uid == live.uid && (force || seen.marks.force) => known = seen,
                Some(seen) if seen.uid == live.uid => {
                    let message = format!(
                        "{} is not to be created again any more: somebody took its annotation away",
                        object::display(&planned.id),
                    );
                    return Err(RequestError::answered(409, "Conflict", message));
                }
                _ => return Ok(()),
            }
        }
        loop {
            let seen = self.read(path).await?;
            if seen.is_none_or(|seen| seen.uid != live.uid) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let message = format!(
                    "{} was deleted to be created again (force) and is still there; look for its finalizers",
                    object::display(&planned.id),
                );
                return Err(RequestError::answered(409, "Timeout", message));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Whose fields are taken over before the apply, if anybody's.
fn takes_over(live: &Seen, desired: Marks, planned: &Planned) -> Option<Whose> {
    if live.predecessors && !live.marks.merge && !desired.merge {
        Some(Whose::Everybody)
    } else if live.is_of_another_version(&planned.gvk.api_version()) {
        Some(Whose::Ourselves)
    } else {
        None
    }
}

/// Who changed what of an object; nothing where only fields were changed that are left to others.
fn describe(managed_fields: &Value, planned: &Planned, manager: &str) -> Option<String> {
    let object = ignore::without(&planned.object, &planned.ignored);
    match fields::writers(managed_fields, &object, manager).as_slice() {
        [] if !planned.ignored.is_empty() => None,
        [] => Some("somebody changed it".to_owned()),
        writers => Some(writers.join("; ")),
    }
}

/// Whether an apply changed nothing. The version alone does not say: a controller may have written
/// the status in between. What we changed shows in the time of our entry, which counts seconds.
fn is_unchanged(before: &Seen, after: &Seen, recently: bool) -> bool {
    let ours = |seen: &Seen| (seen.fields, seen.time, seen.generation);
    before.uid == after.uid
        && (before.version == after.version || (ours(before) == ours(after) && !recently))
}

/// The object as it is applied: with the labels of its first owner where that still applies it.
fn labelled<'a>(
    id: &ObjectId,
    object: &'a Value,
    live: Option<&Seen>,
    terms: &Terms<'_>,
) -> Cow<'a, Value> {
    match live.and_then(|seen| seen.owner.as_ref()) {
        Some(first) if *first != terms.options.owner && (terms.shared)(id, first) => {
            let mut object = object.clone();
            object::set_labels(&mut object, first.labels());
            Cow::Owned(object)
        }
        _ => Cow::Borrowed(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(object: &Value) -> Seen {
        Reading::parse(object.to_string().as_bytes(), &"m".into())
            .unwrap()
            .seen
    }

    #[test]
    fn a_shared_object_keeps_its_first_owner() {
        let owner = |name: &str| Owner {
            name: name.into(),
            namespace: "flux-system".into(),
        };
        let mut object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foo"}});
        let (mut live, id) = (object.clone(), object::id(&object).unwrap());
        object::set_labels(&mut object, owner("second").labels());
        object::set_labels(&mut live, owner("first").labels());
        let live = seen(&live);
        let options = Options::of(owner("second"));
        for (live, is_shared, want) in [
            (None, true, "second"),
            (Some(&live), true, "first"),
            (Some(&live), false, "second"),
        ] {
            let terms = Terms {
                options: &options,
                announced: HashSet::new(),
                shared: &|_, _| is_shared,
            };
            let found = labelled(&id, &object, live, &terms);
            assert_eq!(Owner::of(&found), Some(owner(want)));
        }
    }

    #[test]
    fn what_changed_nothing_is_told_from_what_did() {
        let at = |version: &str, generation: u64, time: &str| {
            seen(&json!({"metadata": {"uid": "u", "resourceVersion": version,
                "generation": generation, "managedFields": [{"manager": "m",
                "operation": "Apply", "time": time, "fieldsV1": {"f:data": {}}}]}}))
        };
        let before = at("5", 1, "1s");
        for (after, recently, want) in [
            (at("5", 1, "1s"), true, true),
            // A status was written in between.
            (at("6", 1, "1s"), false, true),
            (at("6", 1, "1s"), true, false),
            (at("6", 1, "2s"), false, false),
            (at("6", 2, "1s"), false, false),
        ] {
            assert_eq!(is_unchanged(&before, &after, recently), want, "{after:?}");
        }
    }
}

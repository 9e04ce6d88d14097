//! One object against the cluster.

use std::collections::HashMap;

use flux_api::{ObjectId, names};
use flux_apply::mapper::{self, Resource};
use flux_apply::object::{self, Gvk, Owner};
use flux_apply::request::{self, RequestError};
use flux_apply::rules::{self, Decision, Marks};
use flux_apply::{ignore, normalize, plan};
use serde_json::Value;

use super::predict;
use crate::cluster::{Cluster, View};
use crate::commands::build::render::Rendered;
use crate::commands::build::spec::Subject;
use crate::error::Error;
use crate::kind::Kind;

/// What would become of an object.
#[derive(Debug)]
pub(super) enum Verdict {
    Unchanged,
    Created,
    Drifted {
        before: Value,
        after: Value,
    },
    /// Deleted and created again, since it cannot be changed in place.
    Recreated {
        before: Value,
        after: Value,
    },
    /// Left alone; the text says why.
    Skipped(&'static str),
    /// The apply would be refused, or nobody knows.
    Failed(String),
}

/// Who said what would become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Server,
    Here,
}

/// The answer about an object.
#[derive(Debug)]
pub(super) struct Comparison {
    /// `Kind/namespace/name`.
    pub(super) what: String,
    pub(super) verdict: Verdict,
    pub(super) way: Way,
    /// What else the person should know.
    pub(super) note: Option<String>,
}

impl Comparison {
    fn new(id: &ObjectId, verdict: Verdict) -> Self {
        Self {
            what: object::display(id),
            verdict,
            way: Way::Server,
            note: None,
        }
    }
}

/// An object as the operator would apply it.
pub(super) struct Planned {
    pub(super) id: ObjectId,
    gvk: Gvk,
    resource: Resource,
    object: Value,
}

/// Settles identity and namespace of all objects, also of kinds that come with the same change.
///
/// # Errors
/// If discovery cannot be read.
pub(super) async fn plan(
    cluster: &Cluster,
    rendered: Vec<Rendered>,
) -> Result<Vec<(Subject, Vec<Planned>, Vec<Comparison>)>, Error> {
    let mapper = cluster.mapper();
    let announced: HashMap<Gvk, Resource> = rendered
        .iter()
        .flat_map(|rendered| &rendered.objects)
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .flat_map(mapper::served_by)
        .collect();
    let mut all = Vec::new();
    for Rendered { subject, objects } in rendered {
        let owner = owner(&subject);
        let (mut planned, mut failed) = (Vec::new(), Vec::new());
        for mut object in objects {
            let (Some(gvk), Some(mut id)) = (Gvk::of(&object), object::id(&object)) else {
                continue;
            };
            let resource = match announced.get(&gvk) {
                Some(resource) => Some(resource.clone()),
                None => cluster.place_of(&mapper, &gvk).await?,
            };
            let Some(resource) = resource else {
                let (kind, version) = (&gvk.kind, gvk.api_version());
                let why = format!("the cluster does not serve {kind} of {version}");
                failed.push(Comparison::new(&id, Verdict::Failed(why)));
                continue;
            };
            normalize::normalize(&mut object, &owner);
            plan::settle_namespace(&mut object, &mut id, &resource, &subject.namespace);
            planned.push(Planned {
                id,
                gvk,
                resource,
                object,
            });
        }
        all.push((subject, planned, failed));
    }
    Ok(all)
}

fn owner(subject: &Subject) -> Owner {
    Owner {
        name: subject.name.clone(),
        namespace: subject.namespace.clone(),
    }
}

/// What a comparison needs to know besides the object.
pub(super) struct Job<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) subject: &'a Subject,
    /// Namespaces that come with the same change.
    pub(super) namespaces: &'a [String],
}

impl Job<'_> {
    /// Compares an object with the live one.
    ///
    /// # Errors
    /// If the API server cannot be reached; what is wrong with the object is in its verdict.
    pub(super) async fn compare(&self, planned: Planned) -> Result<Comparison, Error> {
        let Planned {
            id,
            gvk,
            resource,
            mut object,
        } = planned;
        let path = request::path(&gvk, &resource, &id.namespace, &id.name);
        let live = match self.cluster.look(&path).await {
            Ok(live) => live,
            Err(error) => return self.failed(&id, error),
        };
        let marks = live.as_ref().map(Marks::of);
        if let Decision::Skip(why) = rules::decide(Marks::of(&object), marks) {
            return Ok(Comparison::new(&id, Verdict::Skipped(why)));
        }
        let Some(live) = live else {
            return self.create(&id, &path, &object).await;
        };
        predict::fill_encrypted(&mut object, &live);
        self.keep_first_owner(&id, &mut object, &live).await;
        let ignored = match ignore::Rules::parse(&self.subject.spec.ignore) {
            Ok(rules) => rules.paths(&gvk, &id, &object),
            Err(error) => return Ok(Comparison::new(&id, Verdict::Failed(error.to_string()))),
        };
        if !ignored.is_empty() {
            object = ignore::over(&object, &live, &ignored, names::APPLY_FIELD_MANAGER);
        }
        let merges = Marks::of(&live).merge || Marks::of(&object).merge;
        let (after, way) = match self.cluster.rehearse_sync(&path, &object).await {
            Ok(after) if merges => (after, Way::Server),
            Ok(after) => (predict::taken_over(after, &live, &object), Way::Server),
            Err(RequestError::Api { code: 403, .. }) => {
                (predict::merged(&live, &object), Way::Here)
            }
            Err(error) if error.is_immutable() => {
                return Ok(Comparison::new(&id, self.immutable(object, live, &error)));
            }
            Err(error) => return self.failed(&id, error),
        };
        let (before, after) = (predict::stripped(live), predict::stripped(after));
        let verdict = if before == after {
            Verdict::Unchanged
        } else {
            Verdict::Drifted { before, after }
        };
        Ok(Comparison {
            way,
            ..Comparison::new(&id, verdict)
        })
    }

    async fn create(&self, id: &ObjectId, path: &str, object: &Value) -> Result<Comparison, Error> {
        let mut comparison = Comparison::new(id, Verdict::Created);
        match self.cluster.rehearse_sync(path, object).await {
            Ok(_) => {}
            // Its namespace or its definition is not there.
            Err(RequestError::Api { code: 404, .. }) => {
                let comes = id.namespace.is_empty() || self.namespaces.contains(&id.namespace);
                comparison.note = (!comes).then(|| {
                    format!(
                        "namespace {:?} does not exist, and is not among the objects",
                        id.namespace
                    )
                });
            }
            Err(RequestError::Api { code: 403, .. }) => comparison.way = Way::Here,
            Err(error) => return self.failed(id, error),
        }
        Ok(comparison)
    }

    /// What happens to an object with a changed field that cannot be changed.
    fn immutable(&self, object: Value, live: Value, error: &RequestError) -> Verdict {
        let is_forced =
            self.subject.spec.force || Marks::of(&object).force || Marks::of(&live).force;
        if !is_forced {
            return Verdict::Failed(format!(
                "{error}; set spec.force, or the annotation {}: {}, to have it deleted and \
                 created again",
                names::FORCE,
                names::ENABLED
            ));
        }
        let after = predict::stripped(predict::merged(&live, &object));
        Verdict::Recreated {
            before: predict::stripped(live),
            after,
        }
    }

    /// An object that two Kustomizations apply keeps the labels of the first.
    async fn keep_first_owner(&self, id: &ObjectId, object: &mut Value, live: &Value) {
        let Some(first) = Owner::of(live).filter(|first| *first != owner(self.subject)) else {
            return;
        };
        let kind = Kind::Kustomization;
        // Who may not read it sees the labels change, which is what would happen without it.
        let Ok(Some(other)) = self.cluster.find(kind, &first.namespace, &first.name).await else {
            return;
        };
        let entries = other.at("/status/inventory/entries");
        let holds = entries.and_then(Value::as_array).is_some_and(|entries| {
            let text = id.to_string();
            entries.iter().any(|entry| entry["id"] == text.as_str())
        });
        if holds {
            object::set_labels(object, first.labels());
        }
    }

    fn failed(&self, id: &ObjectId, error: RequestError) -> Result<Comparison, Error> {
        match error {
            RequestError::Api { code, .. } if code != 401 && code < 500 => {
                Ok(Comparison::new(id, Verdict::Failed(error.to_string())))
            }
            error => Err(self.cluster.failure_of(error)),
        }
    }
}

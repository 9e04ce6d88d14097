//! Applying a set of objects: stages, collected failures.
//!
//! One object that the API server refuses does not keep the others back: every object is tried,
//! all refusals are reported together. Flux stops at the first and applies nothing of the stage
//! (fluxcd/kustomize-controller issues 1231 and 1168 ask for the difference).

use std::collections::HashMap;

use flux_api::inventory::ObjectId;
use futures::{StreamExt, stream};
use kube::Client;
use tokio::time::Instant;

use crate::definitions;
use crate::live::Live;
use crate::managers::Manager;
use crate::mapper::{self, Mapper, Resource};
use crate::object::{self, Gvk, Owner};
use crate::one::{Done, Terms};
use crate::plan::{Options, Plan, Planned};
use crate::stages::{self, Stage};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It did not exist before.
    Created,
    /// Something in it changed.
    Configured,
    /// It was as desired already.
    Unchanged,
    /// An annotation asked to leave it alone.
    Skipped(&'static str),
    /// It was pruned.
    Deleted,
}

impl Action {
    /// The word of the change log; `None` for what is not worth a line.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Created => Some("created"),
            Self::Configured => Some("configured"),
            Self::Deleted => Some("deleted"),
            Self::Unchanged | Self::Skipped(_) => None,
        }
    }
}

/// What could not be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was to be applied. Flux finds refusals by a dry run, and people look for its words.
    Apply,
    /// It was to be deleted.
    Delete,
}

/// An object that was not applied, or not deleted.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was tried.
    pub attempt: Attempt,
    /// Which one.
    pub id: ObjectId,
    /// The API server's reason, for example `Invalid`; may be empty.
    pub reason: String,
    /// What it said.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let attempt = match self.attempt {
            Attempt::Apply => "dry-run",
            Attempt::Delete => "delete",
        };
        write!(f, "{} {attempt} failed", object::display(&self.id))?;
        // The API server gives none for what its schema refuses.
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The result of an apply.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What happened, in the order of application.
    pub changes: Vec<(ObjectId, Action)>,
    /// What the API server warned about.
    pub warnings: Vec<(ObjectId, String)>,
    /// What others had done to objects since they were applied.
    pub drifts: Vec<(ObjectId, String)>,
    /// What was refused.
    pub failures: Vec<Failure>,
    /// What of it was certainly not created.
    pub refused: Vec<ObjectId>,
    /// Whether some of it was because a namespace or a kind is missing, or about to go: nobody tells
    /// when that is over.
    pub awaits_others: bool,
}

/// Applies objects with one client and field manager.
#[derive(Clone)]
pub struct Applier {
    pub(crate) client: Client,
    pub(crate) mapper: Mapper,
    pub(crate) live: Live,
    pub(crate) manager: Manager,
    /// The namespace that the process itself lives in.
    pub(crate) home: Option<String>,
}

impl Applier {
    /// An applier with the rights of `client`; what the table's manager applies is ours.
    pub fn new(client: Client, mapper: Mapper, live: Live) -> Self {
        Self {
            manager: live.manager().clone(),
            client,
            mapper,
            live,
            home: None,
        }
    }

    /// The same, and it never deletes this namespace.
    #[must_use]
    pub fn living_in(self, namespace: Option<String>) -> Self {
        Self {
            home: namespace,
            ..self
        }
    }

    /// The same for the rights of another client.
    #[must_use]
    pub fn with_client(&self, client: Client) -> Self {
        Self {
            client,
            ..self.clone()
        }
    }

    /// What is known of live objects.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Applies what was planned, stage by stage.
    ///
    /// `shared` says whether another owner applies an object, too. Such an object stays labelled
    /// as theirs: two owners that each put their own labels on it would write it for ever.
    pub async fn apply(
        &self,
        plan: Plan,
        options: &Options,
        shared: &(dyn Fn(&ObjectId, &Owner) -> bool + Sync),
    ) -> Outcome {
        let mut outcome = Outcome {
            failures: plan.failures,
            awaits_others: plan.awaits_kind,
            ..Outcome::default()
        };
        let announced: HashMap<Gvk, Resource> = plan
            .objects
            .iter()
            .filter(|p| p.gvk.kind == "CustomResourceDefinition")
            .flat_map(|p| mapper::served_by(&p.object))
            .collect();
        // Of those, the kinds that there are objects of.
        let arriving: HashMap<Gvk, Resource> = plan
            .objects
            .iter()
            .filter_map(|p| announced.get_key_value(&p.gvk))
            .map(|(gvk, resource)| (gvk.clone(), resource.clone()))
            .collect();
        let terms = Terms {
            options,
            shared,
            announced: announced.into_keys().collect(),
        };
        let mut definitions = Vec::new();
        let mut settled = false;
        for (stage, batch) in stages::batches(
            plan.objects,
            |p| p.gvk.kind.as_str(),
            |p| {
                options
                    .early
                    .contains(&(p.gvk.group.clone(), p.gvk.kind.clone()))
            },
        ) {
            if stage > Stage::Definitions && !settled {
                settled = true;
                self.await_definitions(&definitions, options, &mut outcome)
                    .await;
                for (gvk, resource) in &arriving {
                    self.live.follow(gvk, resource).await;
                }
            }
            let results: Vec<_> = stream::iter(batch)
                .map(|planned| async {
                    let result = self.apply_one(&planned, &terms).await;
                    (planned, result)
                })
                .buffered(options.concurrency.max(1))
                .collect()
                .await;
            for (planned, result) in results {
                match result {
                    Ok(Done {
                        action,
                        warnings,
                        drift,
                    }) => {
                        let changed = matches!(action, Action::Created | Action::Configured);
                        outcome.changes.push((planned.id.clone(), action));
                        outcome
                            .warnings
                            .extend(warnings.into_iter().map(|text| (planned.id.clone(), text)));
                        if let Some(drift) = drift {
                            outcome.drifts.push((planned.id.clone(), drift));
                        }
                        if changed && planned.gvk.kind == "CustomResourceDefinition" {
                            definitions.push(planned);
                        }
                    }
                    Err(error) => {
                        let clause = error.namespace_clause(&planned.id.namespace);
                        outcome.awaits_others |= clause.is_some();
                        if !error.is_transient() {
                            outcome.refused.push(planned.id.clone());
                        }
                        let clause = clause.map(|clause| format!(" ({clause})"));
                        outcome.failures.push(Failure {
                            attempt: Attempt::Apply,
                            reason: error.reason().to_owned(),
                            message: format!("{error}{}", clause.unwrap_or_default()),
                            id: planned.id,
                        });
                    }
                }
            }
        }
        if !settled {
            self.await_definitions(&definitions, options, &mut outcome)
                .await;
        }
        outcome
    }

    async fn await_definitions(
        &self,
        definitions: &[Planned],
        options: &Options,
        outcome: &mut Outcome,
    ) {
        let deadline = Instant::now() + options.definition_timeout;
        for Planned { id, object, .. } in definitions {
            let served =
                definitions::await_served(&self.client, &self.mapper, object, deadline).await;
            if let Err(status) = served {
                outcome.failures.push(Failure {
                    attempt: Attempt::Apply,
                    id: id.clone(),
                    reason: "NotEstablished".into(),
                    message: format!("{} {}", status.name(), status.detail()),
                });
            }
        }
    }
}

//! The steps of an uninstallation, each of which can be repeated.

use std::time::Duration;

use flux_api::{ObjectId, names};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::inventory::{Inventory, Part};
use crate::cluster::{Cluster, ClusterError, Scope, Selection, View};
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Pause between looks.
const LOOK: Duration = Duration::from_millis(200);

/// What the steps work with.
pub(super) struct Steps<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) inventory: &'a Inventory,
    deadline: Instant,
    pub(super) is_rehearsal: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        inventory: &'a Inventory,
        timeout: Duration,
        is_rehearsal: bool,
    ) -> Self {
        Self {
            cluster,
            inventory,
            deadline: Instant::now() + timeout,
            is_rehearsal,
        }
    }

    /// Says that something was done, or would be.
    pub(super) fn done(&self, what: &str, verb: &str) {
        let rehearsal = if self.is_rehearsal { " (dry run)" } else { "" };
        output::success(format!("{what} {verb}{rehearsal}"));
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Suspends the Kustomizations that apply our Deployments from Git, such as the root of a
    /// bootstrapped cluster: the operator would bring back what is deleted for as long as it runs.
    ///
    /// # Errors
    /// If they cannot be read or written.
    async fn suspend_roots(&self) -> Result<(), Error> {
        let found = self
            .cluster
            .list(Kind::Kustomization, Scope::All, Selection::default())
            .await;
        let all = match found {
            // Without the definition there is none.
            Err(ClusterError::UnknownKind(_)) => return Ok(()),
            found => found?,
        };
        let ids: Vec<String> = self.inventory.programs.iter().map(id).collect();
        for object in all.iter().filter(|object| applies_any(object, &ids)) {
            if object.is_suspended() {
                continue;
            }
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            if !self.is_rehearsal {
                let patch = json!({ "spec": { "suspend": true } });
                let kind = Kind::Kustomization;
                self.cluster.patch(kind, &namespace, &name, patch).await?;
            }
            self.done(&format!("Kustomization/{namespace}/{name}"), "suspended");
        }
        Ok(())
    }

    /// Deletes the Deployments and waits until none of their pods is left.
    ///
    /// # Errors
    /// If a pod does not end: an operator that still runs would delete what it has applied.
    pub(super) async fn stop_programs(&self) -> Result<(), Error> {
        self.suspend_roots().await?;
        for program in &self.inventory.programs {
            self.delete(program).await?;
        }
        if self.is_rehearsal {
            return Ok(());
        }
        let namespace = &self.inventory.namespace;
        for program in &self.inventory.programs {
            let name = program.object.name_any();
            loop {
                // A run that was under way may have applied it once more.
                let again = self
                    .cluster
                    .find_resource(&program.resource, namespace, &name)
                    .await?;
                if let Some(object) = &again
                    && object.metadata.deletion_timestamp.is_none()
                {
                    let api = self
                        .cluster
                        .dynamic(&program.resource, Scope::Namespace(namespace));
                    self.cluster.delete_exactly(&api, object, false).await?;
                }
                let pods = self.pods(&name).await?;
                if again.is_none() && pods.is_empty() {
                    break;
                }
                if self.is_late() {
                    let pods = if pods.is_empty() {
                        "its Deployment".to_owned()
                    } else {
                        format!("its pods ({})", pods.join(", "))
                    };
                    return Err(Error::input(format!(
                        "{name} does not stop: {pods} in {namespace} namespace must be gone before \
                         the rest is deleted; delete by force what is on a lost node, then try \
                         again"
                    )));
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn pods(&self, name: &str) -> Result<Vec<String>, Error> {
        let labels = format!("app={name}");
        let selection = Selection {
            labels: Some(&labels),
            fields: None,
        };
        let scope = Scope::Namespace(&self.inventory.namespace);
        let pods = self.cluster.list_typed::<Pod>(scope, selection).await?;
        let is_running = |pod: &Pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        };
        let running = pods.iter().filter(|pod| is_running(pod));
        Ok(running.map(ResourceExt::name_any).collect())
    }

    /// Deletes what belongs to the programs.
    pub(super) async fn delete_parts(&self) -> Result<(), Error> {
        for part in &self.inventory.parts {
            self.delete(part).await?;
        }
        Ok(())
    }

    async fn delete(&self, part: &Part) -> Result<(), Error> {
        let namespace = part.object.namespace();
        let scope = namespace.as_deref().map_or(Scope::All, Scope::Namespace);
        let api = self.cluster.dynamic(&part.resource, scope);
        if self
            .cluster
            .delete_exactly(&api, &part.object, self.is_rehearsal)
            .await?
        {
            self.done(&part.display(), "deleted");
        }
        Ok(())
    }

    /// Takes our finalizer off all objects: nobody would any more, and each deletion would hang.
    pub(super) async fn release_objects(&self) -> Result<(), Error> {
        for (kind, object) in &self.inventory.objects {
            self.release(*kind, object).await?;
        }
        Ok(())
    }

    async fn release(&self, kind: Kind, object: &DynamicObject) -> Result<(), Error> {
        let kept: Vec<&String> = object
            .finalizers()
            .iter()
            .filter(|finalizer| *finalizer != names::FINALIZER)
            .collect();
        if kept.len() == object.finalizers().len() {
            return Ok(());
        }
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        if !self.is_rehearsal {
            let patch = json!({"metadata": {"finalizers": kept}});
            let api = self.cluster.objects(kind, Scope::Namespace(&namespace));
            match self.cluster.merge(&api, &name, &patch).await {
                Ok(_) => {}
                // It was being deleted, and waited for this only.
                Err(_) if self.cluster.find(kind, &namespace, &name).await?.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let what = format!("{}/{namespace}/{name}", kind.name());
        self.done(&what, "finalizers deleted");
        Ok(())
    }

    /// Deletes the definitions, and waits until the objects are gone with them.
    pub(super) async fn delete_definitions(&self) -> Result<(), Error> {
        for definition in &self.inventory.definitions {
            self.delete(definition).await?;
        }
        for definition in &self.inventory.definitions {
            self.await_gone(definition).await?;
        }
        Ok(())
    }

    /// Deletes the namespace, and waits until it is gone.
    pub(super) async fn delete_namespace(&self) -> Result<(), Error> {
        let Some(namespace) = &self.inventory.own_namespace else {
            return Ok(());
        };
        self.delete(namespace).await?;
        self.await_gone(namespace).await
    }

    async fn await_gone(&self, part: &Part) -> Result<(), Error> {
        if self.is_rehearsal {
            return Ok(());
        }
        loop {
            let live = self.live(&part.resource, &part.object.name_any()).await?;
            let Some(live) = live.filter(|live| live.uid() == part.object.uid()) else {
                return Ok(());
            };
            if self.is_late() {
                return Err(Error::input(format!(
                    "{} is being deleted and still there: {}",
                    part.display(),
                    why_it_stays(&live)
                )));
            }
            sleep(LOOK).await;
        }
    }

    /// An object that has no namespace.
    async fn live(
        &self,
        resource: &ApiResource,
        name: &str,
    ) -> Result<Option<DynamicObject>, Error> {
        let fields = format!("metadata.name={name}");
        let selection = Selection {
            fields: Some(&fields),
            labels: None,
        };
        let found = self
            .cluster
            .list_resource(resource, Scope::All, selection)
            .await?;
        Ok(found.into_iter().next())
    }
}

/// What the API server says holds a deletion up.
fn why_it_stays(object: &DynamicObject) -> String {
    let conditions = object.data["status"]["conditions"].as_array();
    let messages: Vec<&str> = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["status"] == "True")
        .filter(|condition| {
            condition["type"].as_str().is_some_and(|kind| {
                kind.contains("Remaining") || kind.contains("Failure") || kind == "Terminating"
            })
        })
        .filter_map(|condition| condition["message"].as_str())
        .collect();
    match messages.as_slice() {
        [] => format!("finalizers {:?}", object.finalizers()),
        messages => messages.join("; "),
    }
}

/// How an inventory names a part.
pub(super) fn id(part: &Part) -> String {
    ObjectId {
        namespace: part.object.namespace().unwrap_or_default(),
        name: part.object.name_any(),
        group: part.resource.group.clone(),
        kind: part.resource.kind.clone(),
    }
    .to_string()
}

/// Whether a Kustomization applied one of these.
pub(super) fn applies_any(object: &DynamicObject, ids: &[String]) -> bool {
    let entries = object.at("/status/inventory/entries");
    let entries = entries.and_then(serde_json::Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let found = entry.get("id").and_then(serde_json::Value::as_str);
        found.is_some_and(|found| ids.iter().any(|id| id == found))
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;

    #[test]
    fn the_root_is_known_by_what_it_applied() {
        let resource = ApiResource::erase::<Deployment>(&());
        let object = DynamicObject::new("sync-operator", &resource).within("flux-system");
        let ids = [id(&Part { resource, object })];
        let kustomization = |entry: &str| {
            DynamicObject::new("flux-system", &Kind::Kustomization.resource())
                .data(json!({"status": {"inventory": {"entries": [{"id": entry, "v": "v1"}]}}}))
        };
        let root = kustomization("flux-system_sync-operator_apps_Deployment");
        assert!(applies_any(&root, &ids));
        assert!(!applies_any(
            &kustomization("foo_foo_apps_Deployment"),
            &ids
        ));
    }
}

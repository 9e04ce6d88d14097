//! What there is to take out, and what has to stay.

use flux_api::names;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    Namespace, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};

use crate::cluster::{Cluster, ClusterError, Scope, Selection};
use crate::commands::install::preflight;
use crate::error::Error;
use crate::kind::Kind;

/// What the webhook makes in its namespace while it runs.
const WEBHOOK_SECRET: &str = "admission-webhook-ca";

/// Deployment of Flux, and its Service.
pub(super) const SOURCE_CONTROLLER: &str = "source-controller";

/// An object, with how the API server is asked for it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) resource: ApiResource,
    pub(super) object: DynamicObject,
}

impl Part {
    /// `Kind/namespace/name`.
    pub(super) fn display(&self) -> String {
        let kind = &self.resource.kind;
        let name = self.object.name_any();
        match self.object.namespace() {
            Some(namespace) => format!("{kind}/{namespace}/{name}"),
            None => format!("{kind}/{name}"),
        }
    }
}

/// What an installation consists of.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) namespace: String,
    /// The Deployments, which are stopped first.
    pub(super) programs: Vec<Part>,
    /// Everything else but definitions and the namespace.
    pub(super) parts: Vec<Part>,
    /// Objects of our kinds whose finalizer nobody will remove any more.
    pub(super) objects: Vec<(Kind, DynamicObject)>,
    /// Definitions to delete.
    pub(super) definitions: Vec<Part>,
    /// The namespace, if it may go.
    pub(super) own_namespace: Option<Part>,
    /// What has to stay, and why.
    kept: Vec<String>,
    /// Why the namespace stays, if it does.
    kept_namespace: Option<String>,
}

impl Inventory {
    /// Looks at the cluster; nothing is changed.
    ///
    /// # Errors
    /// If the cluster cannot be read.
    pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Result<Self, Error> {
        let found = preflight::look(cluster, namespace).await?;
        let mut inventory = Self {
            namespace: namespace.to_owned(),
            programs: labelled(cluster, namespace, &[ApiResource::erase::<Deployment>(&())])
                .await?,
            parts: labelled(cluster, namespace, &part_kinds()).await?,
            ..Self::default()
        };
        inventory.add_what_programs_made(cluster).await?;
        inventory.add_definitions(cluster, &found).await?;
        inventory.add_namespace(cluster).await?;
        Ok(inventory)
    }

    /// Webhook configurations, and what lies in the namespace without our label.
    async fn add_what_programs_made(&mut self, cluster: &Cluster) -> Result<(), Error> {
        for resource in [
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ] {
            let labels = "app.kubernetes.io/component=admission-webhook";
            let all = list(cluster, &resource, Scope::All, Some(labels)).await?;
            let is_ours = |part: &Part| {
                let owners = part.object.owner_references();
                let is_it = |owner: &_| {
                    let owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference =
                        owner;
                    owner.kind == "Namespace" && owner.name == self.namespace
                };
                owners.iter().any(is_it)
            };
            self.parts.extend(all.into_iter().filter(is_ours));
        }
        let scope = Scope::Namespace(&self.namespace);
        let secrets = list(cluster, &ApiResource::erase::<Secret>(&()), scope, None).await?;
        let leases = list(cluster, &ApiResource::erase::<Lease>(&()), scope, None).await?;
        let is_made = |part: &Part| {
            part.object.name_any() == WEBHOOK_SECRET
                || (part.resource.kind == "Lease" && is_held_by_us(&part.object))
        };
        let made = secrets.into_iter().chain(leases).filter(is_made);
        let has = |parts: &[Part], part: &Part| {
            parts
                .iter()
                .any(|known| known.object.uid() == part.object.uid())
        };
        for part in made {
            if !has(&self.parts, &part) {
                self.parts.push(part);
            }
        }
        Ok(())
    }

    /// Definitions that we made and nobody else needs, with the objects of all of ours.
    async fn add_definitions(
        &mut self,
        cluster: &Cluster,
        found: &preflight::Found,
    ) -> Result<(), Error> {
        let others = others(found, &self.namespace);
        let resource = definition_resource();
        for definition in cluster.flux_definitions().await? {
            let name = definition.name_any();
            let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.crd_name() == name) else {
                continue;
            };
            if let Some(other) = &others {
                self.kept.push(format!(
                    "CustomResourceDefinition/{name} stays: {other} works with it"
                ));
                continue;
            }
            // Whoever deletes an object later must not wait for us.
            let objects = cluster.list(kind, Scope::All, Selection::default()).await?;
            let is_held =
                |object: &DynamicObject| object.finalizers().iter().any(|f| f == names::FINALIZER);
            if preflight::is_ours(&definition) {
                self.objects
                    .extend(objects.into_iter().map(|object| (kind, object)));
                let object = serde_json::to_value(&definition)
                    .and_then(serde_json::from_value)
                    .map_err(|error| Error::input(format!("{name}: {error}")))?;
                self.definitions.push(Part {
                    resource: resource.clone(),
                    object,
                });
            } else {
                let held = objects.into_iter().filter(is_held);
                self.objects.extend(held.map(|object| (kind, object)));
                self.kept.push(format!(
                    "CustomResourceDefinition/{name} stays: it was installed by another program"
                ));
            }
        }
        Ok(())
    }

    /// The namespace goes only if nothing lives in it that is not of ours.
    async fn add_namespace(&mut self, cluster: &Cluster) -> Result<(), Error> {
        let resource = ApiResource::erase::<Namespace>(&());
        let scope = Scope::All;
        let all = list(cluster, &resource, scope, None).await?;
        let own = all
            .into_iter()
            .find(|part| part.object.name_any() == self.namespace);
        let Some(part) = own else {
            return Ok(());
        };
        if part
            .object
            .labels()
            .get(names::NAME_LABEL)
            .map(String::as_str)
            != Some(names::DISTRIBUTION)
        {
            self.kept_namespace = Some("it was not made by this distribution".to_owned());
            return Ok(());
        }
        let tenants = self.tenants(cluster).await?;
        match tenants.as_slice() {
            [] => self.own_namespace = Some(part),
            [first, others @ ..] => {
                let more = match others.len() {
                    0 => String::new(),
                    number => format!(" and {number} more"),
                };
                self.kept_namespace = Some(format!("{first}{more} would be deleted with it"));
            }
        }
        Ok(())
    }

    /// Workloads and volumes in our namespace that are not ours.
    async fn tenants(&self, cluster: &Cluster) -> Result<Vec<String>, Error> {
        let mut tenants = Vec::new();
        for resource in [
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<StatefulSet>(&()),
            ApiResource::erase::<DaemonSet>(&()),
            ApiResource::erase::<CronJob>(&()),
            ApiResource::erase::<Job>(&()),
            ApiResource::erase::<Pod>(&()),
            ApiResource::erase::<PersistentVolumeClaim>(&()),
        ] {
            let scope = Scope::Namespace(&self.namespace);
            for part in list(cluster, &resource, scope, None).await? {
                // What another object controls goes with that.
                let is_controlled = part
                    .object
                    .owner_references()
                    .iter()
                    .any(|owner| owner.controller == Some(true));
                if !is_controlled && !is_labelled(&part.object) {
                    tenants.push(part.display());
                }
            }
        }
        Ok(tenants)
    }

    /// Leaves to Flux what it needs to go on: the objects of all kinds with their finalizers and
    /// definitions, and the Leases of its controllers. Returns what stands under a name of Flux.
    pub(super) fn leave_to_flux(&mut self, has_source_controller: bool) -> Vec<Part> {
        let in_use: Vec<String> = self
            .objects
            .iter()
            .map(|(kind, _)| kind.crd_name())
            .collect();
        self.objects.clear();
        let is_used = |part: &Part| in_use.iter().any(|name| *name == part.object.name_any());
        let (used, free) = std::mem::take(&mut self.definitions)
            .into_iter()
            .partition(is_used);
        self.definitions = free;
        self.kept.extend(used.iter().map(|part: &Part| {
            format!(
                "{} stays: its objects would be deleted with it",
                part.display()
            )
        }));
        self.parts.retain(|part| {
            part.resource.kind != "Lease"
                || !part
                    .object
                    .name_any()
                    .contains("-controller-leader-election")
        });
        let is_shared = |part: &Part| {
            part.object
                .annotations()
                .contains_key(names::FORM_BEFORE_TAKE_OVER)
                || has_source_controller
                    && part.resource.kind == "Service"
                    && part.object.name_any() == SOURCE_CONTROLLER
        };
        let (shared, ours) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition(is_shared);
        self.parts = ours;
        shared
    }

    /// Whether there is nothing to take out.
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
            && self.parts.is_empty()
            && self.definitions.is_empty()
            && self.own_namespace.is_none()
    }

    /// What stays, and why, a line each.
    pub(super) fn kept(&self, keep_namespace: bool) -> Vec<String> {
        let mut lines = self.kept.clone();
        if let (false, Some(why)) = (keep_namespace, &self.kept_namespace) {
            lines.push(format!("Namespace/{} stays: {why}", self.namespace));
        }
        lines
    }

    /// What the question is about.
    pub(super) fn summary(&self) -> String {
        let goes: Vec<String> = Kind::ALL
            .into_iter()
            .filter_map(|kind| {
                let is_deleted = |part: &Part| part.object.name_any() == kind.crd_name();
                if !self.definitions.iter().any(is_deleted) {
                    return None;
                }
                let count = self.objects.iter().filter(|(k, _)| *k == kind).count();
                (count > 0).then(|| format!("{count} {}", kind.name()))
            })
            .collect();
        if goes.is_empty() {
            return "What was applied from Git stays as it is.".to_owned();
        }
        format!(
            "With the definitions go {}; what they applied stays as it is.",
            goes.join(", ")
        )
    }
}

/// Who else works with our kinds; none if nobody does.
fn others(found: &preflight::Found, namespace: &str) -> Option<String> {
    let is_other = |c: &&preflight::Controller| {
        if c.is_ours {
            c.namespace != namespace
        } else {
            c.replicas > 0 && c.is_replaced()
        }
    };
    let other = found.controllers.iter().find(is_other)?;
    Some(format!("Deployment/{}/{}", other.namespace, other.name))
}

fn is_labelled(object: &DynamicObject) -> bool {
    object.labels().get(names::NAME_LABEL).map(String::as_str) == Some(names::DISTRIBUTION)
}

/// The leader's name is that of its pod.
/// Whether a process of ours holds a Lease, or gave it back and nobody took it since.
pub(super) fn is_held_by_us(lease: &DynamicObject) -> bool {
    let holder = lease.data["spec"]["holderIdentity"].as_str();
    let ours = lease.annotations().get(names::LEASE_HOLDER);
    ours.is_some_and(|ours| matches!(holder, None | Some("")) || holder == Some(ours))
}

fn definition_resource() -> ApiResource {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    ApiResource::erase::<CustomResourceDefinition>(&())
}

/// In the order of deletion.
fn part_kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<ClusterRoleBinding>(&()),
        ApiResource::erase::<ClusterRole>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Secret>(&()),
    ]
}

/// What carries the labels of an installation in this namespace.
async fn labelled(
    cluster: &Cluster,
    namespace: &str,
    resources: &[ApiResource],
) -> Result<Vec<Part>, Error> {
    let labels = format!(
        "{}={},app.kubernetes.io/instance={namespace}",
        names::NAME_LABEL,
        names::DISTRIBUTION
    );
    let mut parts = Vec::new();
    for resource in resources {
        // What has no namespace names it in its label.
        let scope = if resource.kind.starts_with("Cluster") {
            Scope::All
        } else {
            Scope::Namespace(namespace)
        };
        parts.extend(list(cluster, resource, scope, Some(&labels)).await?);
    }
    Ok(parts)
}

async fn list(
    cluster: &Cluster,
    resource: &ApiResource,
    scope: Scope<'_>,
    labels: Option<&str>,
) -> Result<Vec<Part>, ClusterError> {
    let selection = Selection {
        labels,
        fields: None,
    };
    let objects = cluster.list_resource(resource, scope, selection).await?;
    let part = |object| Part {
        resource: resource.clone(),
        object,
    };
    Ok(objects.into_iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn controller(namespace: &str, name: &str, is_ours: bool, replicas: i32) -> preflight::Found {
        preflight::Found {
            controllers: vec![preflight::Controller {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                component: name.to_owned(),
                selector: String::new(),
                is_ours,
                replicas,
                version: String::new(),
                flags: Default::default(),
            }],
            ..preflight::Found::default()
        }
    }

    #[test]
    fn definitions_stay_for_others() {
        for (found, expected) in [
            (controller("flux-system", "sync-operator", true, 1), None),
            (
                controller("other", "admission-webhook", true, 1),
                Some("Deployment/other/admission-webhook"),
            ),
            (
                controller("flux-system", "source-controller", false, 1),
                Some("Deployment/flux-system/source-controller"),
            ),
            (controller("x", "source-controller", false, 0), None),
            (controller("x", "helm-controller", false, 1), None),
        ] {
            assert_eq!(others(&found, "flux-system").as_deref(), expected);
        }
    }

    #[test]
    fn the_question_names_what_goes() {
        let object = |name: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
        };
        let mut inventory = Inventory {
            objects: vec![
                (Kind::GitRepository, object("a")),
                (Kind::GitRepository, object("b")),
            ],
            ..Inventory::default()
        };
        assert_eq!(
            inventory.summary(),
            "What was applied from Git stays as it is."
        );
        inventory.definitions.push(Part {
            resource: definition_resource(),
            object: object(&Kind::GitRepository.crd_name()),
        });
        assert_eq!(
            inventory.summary(),
            "With the definitions go 2 GitRepository; what they applied stays as it is."
        );
    }

    #[test]
    fn leases_of_ours() {
        let lease = |holder: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": {"name": "x", "annotations": {names::LEASE_HOLDER: "pod_1"}},
                "spec": {"holderIdentity": holder}}))
            .unwrap()
        };
        assert!(is_held_by_us(&lease("pod_1")));
        // Given back.
        assert!(is_held_by_us(&lease("")));
        // Flux took it, and keeps the annotation.
        assert!(!is_held_by_us(&lease("source-controller-6d5f-x_1")));
        let mut foreign = lease("");
        foreign.metadata.annotations = None;
        assert!(!is_held_by_us(&foreign));
    }
}

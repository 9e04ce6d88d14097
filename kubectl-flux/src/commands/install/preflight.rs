//! What is in a cluster before anything is written to it, and what of that stands in the way.
//!
//! Two operators must not work on the same objects: each would undo what the other does, and a
//! root sync of one would install it again after it was removed. [`judge`] is pure.

use std::collections::BTreeMap;

use flux_api::{ObjectId, flags, names, takeover};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};

use super::bundle::{OPERATOR, Settings, WEBHOOK};
use super::components;
use crate::cluster::{Cluster, ClusterError, Scope, Selection, View};
use crate::error::Error;
use crate::kind::Kind;

/// A controller of a GitOps installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Controller {
    /// Where it is.
    pub(crate) namespace: String,
    /// Its Deployment.
    pub(crate) name: String,
    /// What it runs: the name of a controller, which shards have in common.
    pub(crate) component: String,
    /// Labels of the objects that it works on; empty for all.
    pub(crate) selector: String,
    /// Whether it is of ours, rather than of upstream.
    pub(crate) is_ours: bool,
    /// Pods that it shall have.
    pub(crate) replicas: i32,
    /// What its labels say.
    pub(crate) version: String,
    /// Flags that must not get lost when another takes its place, with their values.
    pub(crate) flags: BTreeMap<String, String>,
}

impl Controller {
    /// Whether it is of upstream, and does what our operator does.
    pub(crate) fn is_replaced(&self) -> bool {
        !self.is_ours && components::is_replaced(&self.component)
    }
}

/// A Kustomization that installs controllers from Git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether it installs ours, rather than upstream's.
    pub(crate) is_ours: bool,
    /// Whether it has applied upstream's, which Git may have or not any more.
    pub(crate) holds_flux: bool,
    /// Whether it rests.
    pub(crate) is_suspended: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Controllers in all namespaces.
    pub(crate) controllers: Vec<Controller>,
    /// Definitions of our five kinds that somebody else installed.
    pub(crate) foreign: Vec<String>,
    /// Whether our namespace is there, and somebody else made it.
    pub(crate) is_namespace_foreign: bool,
    /// Kustomizations that install controllers.
    pub(crate) roots: Vec<Root>,
    /// Whether Kustomizations are served.
    pub(crate) knows_kustomizations: bool,
}

/// Looks at the cluster; nothing is changed.
///
/// # Errors
/// If the cluster cannot be read: without a look, nothing may be written.
pub(crate) async fn look(cluster: &Cluster, namespace: &str) -> Result<Found, Error> {
    let selection = Selection {
        labels: Some("app.kubernetes.io/part-of=flux"),
        fields: None,
    };
    let deployments = cluster
        .list_typed::<Deployment>(Scope::All, selection)
        .await
        .map_err(explain)?;
    let definitions = cluster.flux_definitions().await.map_err(explain)?;
    let of = |kind: Kind| {
        let name = kind.crd_name();
        definitions.iter().find(move |d| d.name_any() == name)
    };
    let serves_v1 = of(Kind::Kustomization).is_some_and(|definition| {
        let versions = &definition.spec.versions;
        versions.iter().any(|v| v.name == "v1" && v.served)
    });
    let kustomizations = if serves_v1 {
        let all = Selection::default();
        cluster.list(Kind::Kustomization, Scope::All, all).await?
    } else {
        Vec::new()
    };
    let controllers: Vec<Controller> = deployments.iter().map(controller).collect();
    let roots = kustomizations.iter();
    Ok(Found {
        roots: roots
            .filter_map(|root| as_root(root, &controllers))
            .collect(),
        controllers,
        foreign: Kind::ALL
            .into_iter()
            .filter_map(of)
            .filter(|definition| !is_ours(definition))
            .map(ResourceExt::name_any)
            .collect(),
        is_namespace_foreign: is_namespace_foreign(cluster, namespace).await?,
        knows_kustomizations: serves_v1,
    })
}

async fn is_namespace_foreign(cluster: &Cluster, name: &str) -> Result<bool, Error> {
    let fields = format!("metadata.name={name}");
    let selection = Selection {
        fields: Some(&fields),
        labels: None,
    };
    let resource = ApiResource::erase::<Namespace>(&());
    let found = cluster
        .list_resource(&resource, Scope::All, selection)
        .await
        .map_err(explain)?;
    let is_ours = |namespace: &DynamicObject| {
        namespace
            .labels()
            .get(names::NAME_LABEL)
            .map(String::as_str)
            == Some(names::DISTRIBUTION)
    };
    Ok(found.iter().any(|namespace| !is_ours(namespace)))
}

/// Who may not even look is no administrator, and is told so.
fn explain(error: ClusterError) -> Error {
    match error {
        ClusterError::Refused { message, .. } => Error::input(format!(
            "{message}; installing takes the rights of a cluster administrator"
        )),
        other => other.into(),
    }
}

fn controller(deployment: &Deployment) -> Controller {
    let label = |key: &str| deployment.labels().get(key).cloned().unwrap_or_default();
    Controller {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        component: takeover::component(deployment),
        selector: takeover::watch_label_selector(deployment),
        is_ours: label(names::NAME_LABEL) == names::DISTRIBUTION,
        replicas: deployment.spec.replicas.unwrap_or(1),
        version: label("app.kubernetes.io/version"),
        flags: flags::to_keep(flags::arguments(deployment)),
    }
}

/// Whether a definition was installed by us. One that was taken over has the labels of both.
pub(crate) fn is_ours(definition: &CustomResourceDefinition) -> bool {
    let labels = definition.labels();
    labels.get(names::NAME_LABEL).map(String::as_str) == Some(names::DISTRIBUTION)
        && !labels.contains_key(names::COMPONENT_LABEL)
}

/// Whether the inventory of a Kustomization holds our operator.
pub(crate) fn installs_ours(kustomization: &DynamicObject) -> bool {
    installs(kustomization, |id| id.name == OPERATOR)
}

/// Whether the inventory of a Kustomization holds such a Deployment.
fn installs(kustomization: &DynamicObject, wanted: impl Fn(&ObjectId) -> bool) -> bool {
    let entries = kustomization.at("/status/inventory/entries");
    let entries = entries.and_then(serde_json::Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let id: Option<ObjectId> = entry["id"].as_str().and_then(|id| id.parse().ok());
        id.is_some_and(|id| id.group == "apps" && id.kind == "Deployment" && wanted(&id))
    })
}

/// A Kustomization whose inventory holds the Deployment of a controller: of one that is there, or was
/// before somebody deleted it.
fn as_root(kustomization: &DynamicObject, controllers: &[Controller]) -> Option<Root> {
    let is_ours = installs_ours(kustomization);
    let holds_flux = installs(kustomization, |id| {
        let is_it = |c: &&Controller| c.namespace == id.namespace && c.name == id.name;
        let is_there = controllers
            .iter()
            .filter(is_it)
            .any(Controller::is_replaced);
        is_there || components::is_replaced(&id.name)
    });
    (is_ours || holds_flux).then(|| Root {
        namespace: kustomization.namespace().unwrap_or_default(),
        name: kustomization.name_any(),
        is_ours,
        holds_flux,
        is_suspended: kustomization.is_suspended(),
    })
}

/// What stands in the way, one line each; empty if nothing does.
pub(crate) fn judge(found: &Found, settings: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    let ours = [(settings.operator, OPERATOR), (settings.webhook, WEBHOOK)];
    for controller in &found.controllers {
        let Controller {
            namespace, name, ..
        } = controller;
        let is_second = controller.is_ours
            && (settings.shard.is_none() || name == WEBHOOK)
            && *namespace != settings.namespace
            && ours.contains(&(true, name.as_str()));
        if is_second {
            lines.push(format!(
                "Deployment {namespace}/{name} is installed already, in another namespace"
            ));
        }
    }
    if !settings.operator {
        return lines;
    }
    if let Some(selector) = &settings.shard {
        // Whose objects are whose is settled by their labels, and the names here must differ.
        lines.extend(found.rivals(selector).map(|controller| {
            format!(
                "Deployment {}/{} of Flux {} is running and works on objects of this shard, too",
                controller.namespace, controller.name, controller.version
            )
        }));
        let is_here = |c: &&Controller| !c.is_ours && c.namespace == settings.namespace;
        let here = found.controllers.iter().filter(is_here);
        lines.extend(here.map(|controller| {
            format!(
                "Deployment {}/{} is of Flux, whose Service and Leases have the names of ours: \
                 choose another --namespace for a shard",
                controller.namespace, controller.name
            )
        }));
        return lines;
    }
    for controller in found.conflicting() {
        lines.push(format!(
            "Deployment {}/{} of Flux {} is running",
            controller.namespace, controller.name, controller.version
        ));
    }
    for root in found.foreign_roots() {
        lines.push(format!(
            "Kustomization {}/{} installs Flux's controllers from Git",
            root.namespace, root.name
        ));
    }
    for name in &found.foreign {
        lines.push(format!(
            "CustomResourceDefinition {name} was installed by another program"
        ));
    }
    lines
}

impl Found {
    /// Upstream's controllers that run and do what our operator does.
    pub(crate) fn conflicting(&self) -> impl Iterator<Item = &Controller> {
        self.rivals("")
    }

    /// Those of them that may meet at an object with an operator of this `--watch-label-selector`.
    fn rivals(&self, selector: &str) -> impl Iterator<Item = &Controller> {
        let meets = move |c: &&Controller| takeover::overlap(selector, &c.selector);
        let running = self.controllers.iter().filter(|c| c.replicas > 0);
        running.filter(|c| c.is_replaced()).filter(meets)
    }

    /// Kustomizations that would install upstream's controllers again.
    pub(crate) fn foreign_roots(&self) -> impl Iterator<Item = &Root> {
        let is_foreign = |root: &&Root| !root.is_ours && !root.is_suspended;
        self.roots.iter().filter(is_foreign)
    }

    /// Whether upstream's Flux works, or would again.
    pub(crate) fn is_flux_active(&self) -> bool {
        self.conflicting().next().is_some() || self.foreign_roots().next().is_some()
    }

    /// Whether a Kustomization has applied controllers of upstream's, at work or at rest: what Git
    /// lacks of its inventory is pruned once it runs again.
    pub(crate) fn holds_flux(&self, namespace: &str, name: &str) -> bool {
        let is_it = |root: &&Root| root.namespace == namespace && root.name == name;
        self.roots.iter().filter(is_it).any(|root| root.holds_flux)
    }

    /// Forgets what a take-over has put to rest.
    pub(crate) fn flux_is_stopped(&mut self) {
        self.controllers.retain(|c| c.is_ours);
        self.roots.retain(|root| root.is_ours);
    }

    /// Whether one of ours is installed already in a namespace that another run chose.
    pub(crate) fn is_elsewhere(&self, settings: &Settings) -> bool {
        let is_other = |c: &Controller| c.is_ours && c.namespace != settings.namespace;
        self.controllers.iter().any(is_other)
    }

    /// Flags that somebody added to our operator in this namespace or, where there is none yet, to
    /// the controllers of Flux that it replaces.
    pub(crate) fn flags_to_keep(&self, namespace: &str) -> BTreeMap<String, String> {
        let ours = |c: &&Controller| c.is_ours && c.name == OPERATOR && c.namespace == namespace;
        if let Some(ours) = self.controllers.iter().find(ours) {
            return ours.flags.clone();
        }
        let flux = |c: &&Controller| c.is_replaced();
        let mut kept: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.controllers.iter().filter(flux).flat_map(|c| &c.flags) {
            match kept.get_mut(name) {
                // Each controller has its own gates.
                Some(known) if name == "feature-gates" => known.extend([",", value]),
                Some(_) => {}
                None => {
                    kept.insert(name.clone(), value.clone());
                }
            }
        }
        kept
    }

    /// The Kustomization that installs our operator into the namespace, if one does.
    pub(crate) fn own_root(&self, namespace: &str) -> Option<&Root> {
        self.roots
            .iter()
            .find(|root| root.is_ours && root.namespace == namespace)
    }
}

/// The error after the lines of [`judge`]: the choices.
pub(crate) fn stop(found: &Found, settings: &Settings) -> Error {
    if found.is_elsewhere(settings) {
        return Error::input(
            "two installations must not work on the same objects; nothing was changed. Give the \
             namespace of the other by --namespace to update it, or remove it by `kubectl flux \
             uninstall --namespace=...`",
        );
    }
    Error::input(
        "Flux is here, and two must not sync the same objects; nothing was changed. To use the \
         webhook beside it: --webhook --operator=false. To replace it: --take-over, which stops \
         its controllers, keeps all objects, and is undone by `uninstall --give-back`. To work on \
         objects with a label of their own: --watch-label-selector=sharding.fluxcd.io/key=NAME \
         --namespace=ANOTHER, with '!sharding.fluxcd.io/key' for Flux's controllers",
    )
}

#[cfg(test)]
mod tests;

//! `check`: whether the cluster has what Flux needs, and what of it is there.
//!
//! It reports what it finds, whichever program installed it: with upstream's controllers it names
//! those, with ours ours.

mod give_back;

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;

use super::install::bundle::{OPERATOR, WEBHOOK};
use super::install::{components, preflight};
use super::version::{containers, distribution};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Oldest Kubernetes that works, as a range that admits its pre-releases, and in numbers.
const KUBERNETES: (&str, (u64, u64)) = (">=1.33.0-0", (1, 33));

/// Flags of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Check only what has to be there before an installation
    #[arg(long)]
    pre: bool,
    /// Controllers that have to be there; several separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "pre"
    )]
    components: Vec<String>,
    /// More controllers that have to be there
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with = "pre"
    )]
    components_extra: Vec<String>,
    /// Accepted for scripts written for Flux; nothing is asked twice here
    #[arg(long, value_name = "DURATION", hide = true)]
    poll_interval: Option<String>,
    /// Check whether today's Flux could take over: name what it would refuse of the cluster's
    /// objects, or of the manifests of the files and folders that are given
    #[arg(long, conflicts_with = "pre")]
    give_back: bool,
    /// Files and folders with manifests, with --give-back
    #[arg(value_name = "PATH", requires = "give_back")]
    paths: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    if args.give_back {
        return match args.paths.as_slice() {
            [] => context.block_on(give_back::of_cluster(context)),
            paths => give_back::of_files(paths),
        };
    }
    context.block_on(async {
        let cluster = context.cluster().await?;
        output::action("checking prerequisites");
        let kubernetes = check_kubernetes(&cluster.server_version().await?);
        if args.pre {
            if kubernetes {
                output::success("prerequisites checks passed");
            }
            return verdict(kubernetes);
        }
        let deployments = cluster.flux_deployments(context.namespace()).await?;
        describe_distribution(&deployments);
        let named = args.components.iter().chain(&args.components_extra);
        let there = components_of(&deployments);
        let controllers = check_controllers(&deployments, context.namespace())
            & check_components(named.clone(), &there);
        let alone = check_rivals(&cluster, &deployments, context.namespace()).await?;
        let wanted = kinds_of(named.chain(&there));
        let definitions = check_definitions(&cluster, &wanted).await?;
        let passed = kubernetes && controllers && alone && definitions;
        if passed {
            output::success("all checks passed");
        }
        verdict(passed)
    })
}

fn verdict(passed: bool) -> Result<(), Error> {
    if passed { Ok(()) } else { Err(Error::Check) }
}

/// `git_version` is like `v1.36.1` or `v1.35.2-gke.100`.
fn check_kubernetes(git_version: &str) -> bool {
    let version = git_version.trim_start_matches('v');
    let (range, oldest) = KUBERNETES;
    let passed = major_minor(version).is_some_and(|found| found >= oldest);
    if passed {
        output::success(format!("Kubernetes {version} {range}"));
    } else {
        output::failure(format!(
            "Kubernetes version {git_version} does not match {range}"
        ));
    }
    passed
}

fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(minor.len());
    Some((major, minor.get(..digits)?.parse().ok()?))
}

fn describe_distribution(deployments: &[Deployment]) {
    let Some(labels) = deployments
        .iter()
        .find_map(|found| found.metadata.labels.as_ref())
    else {
        return;
    };
    output::action("checking version in cluster");
    if let Some(name) = distribution(deployments) {
        output::success(format!("distribution: {name}"));
    }
    let bootstrapped = labels.contains_key(flux_api::names::OWNER_NAME_LABEL);
    output::success(format!("bootstrapped: {bootstrapped}"));
}

/// Controllers may also run outside the cluster, where they cannot be seen from here: that there
/// are none is worth a word and no failure.
fn check_controllers(deployments: &[Deployment], namespace: &str) -> bool {
    output::action("checking controllers");
    if deployments.is_empty() {
        output::warning(format!(
            "no controllers are installed in the {namespace:?} namespace; those that run outside \
             the cluster cannot be seen from here"
        ));
        return true;
    }
    let mut passed = true;
    for deployment in deployments {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        match not_ready(deployment) {
            None => output::success(format!("{name}: deployment ready")),
            Some(reason) => {
                passed = false;
                output::failure(format!("{name}: deployment not ready: {reason}"));
            }
        }
        for (_, image) in containers(deployment) {
            output::action(image);
        }
    }
    passed
}

/// Whether the controllers that were named are there: as Deployments of upstream, or inside of ours.
fn check_components<'a>(named: impl Iterator<Item = &'a String>, there: &[String]) -> bool {
    let mut passed = true;
    for name in named.filter(|name| !name.is_empty()) {
        if !there.contains(name) {
            passed = false;
            output::failure(format!("{name}: not installed"));
        }
    }
    passed
}

/// The kinds that have to be defined for these controllers. Those about images are extra
/// components of Flux: they may be missing where nobody works on them.
fn kinds_of<'a>(components: impl Iterator<Item = &'a String>) -> Vec<Kind> {
    let components: BTreeSet<&str> = components.map(String::as_str).collect();
    let is_wanted = |kind: &Kind| match kind {
        Kind::GitRepository | Kind::Kustomization => true,
        kind => components.contains(kind.controller()),
    };
    Kind::ALL.into_iter().filter(is_wanted).collect()
}

fn components_of(deployments: &[Deployment]) -> Vec<String> {
    let mut found = Vec::new();
    for deployment in deployments {
        let name = deployment.name_any();
        let pod = deployment.spec.template.spec.as_ref();
        let containers = pod.map(|pod| pod.containers.as_slice()).unwrap_or_default();
        let args = containers
            .iter()
            .filter_map(|container| container.args.as_deref());
        let named = args
            .flatten()
            .find_map(|arg| arg.strip_prefix("--controllers="));
        match named {
            Some(names) => found.extend(names.split(',').map(str::to_owned)),
            None if name == OPERATOR => found.extend(components::HERE.map(str::to_owned)),
            None => {}
        }
        found.push(name);
    }
    found
}

/// Our operator and upstream's controllers must not both run, wherever they are. Where the webhook
/// is installed, the API server must know of it.
async fn check_rivals(
    cluster: &Cluster,
    deployments: &[Deployment],
    namespace: &str,
) -> Result<bool, Error> {
    let has = |name: &str| deployments.iter().any(|d| d.name_any() == name);
    if has(WEBHOOK) && !cluster.has_webhook(WEBHOOK).await? {
        output::warning(format!(
            "{WEBHOOK}: not registered with the API server, which does not ask it; its log says why"
        ));
    }
    if !has(OPERATOR) {
        return Ok(true);
    }
    let found = preflight::look(cluster, namespace).await?;
    let mut passed = true;
    for rival in found.conflicting() {
        passed = false;
        output::failure(format!(
            "{}/{}: runs beside {OPERATOR}, and each undoes what the other does; scale one of them \
             to 0",
            rival.namespace, rival.name
        ));
    }
    Ok(passed)
}

/// Why a Deployment is not what its specification says.
fn not_ready(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Some("no status yet".to_owned());
    };
    if status.observed_generation < deployment.metadata.generation {
        return Some("its last change has not been acted upon".to_owned());
    }
    let (updated, available) = (
        status.updated_replicas.unwrap_or_default(),
        status.available_replicas.unwrap_or_default(),
    );
    if updated < wanted || available < wanted {
        return Some(format!(
            "{available} of {wanted} replicas are available, {updated} are new"
        ));
    }
    None
}

async fn check_definitions(cluster: &Cluster, wanted: &[Kind]) -> Result<bool, Error> {
    output::action("checking crds");
    let definitions = cluster.flux_definitions().await?;
    let mut passed = true;
    for kind in wanted {
        let name = kind.crd_name();
        if !definitions
            .iter()
            .any(|found| found.metadata.name.as_ref() == Some(&name))
        {
            passed = false;
            output::failure(format!(
                "{name}: not installed; kubectl flux install brings it"
            ));
        }
    }
    for definition in &definitions {
        match describe_definition(definition) {
            Ok(line) => output::success(line),
            Err(line) => {
                passed = false;
                output::failure(line);
            }
        }
    }
    Ok(passed)
}

/// `name/version`, with the stored version and the others that are served.
fn describe_definition(definition: &CustomResourceDefinition) -> Result<String, String> {
    let name = definition.metadata.name.as_deref().unwrap_or_default();
    let status = definition.status.as_ref();
    let stored = status
        .and_then(|status| status.stored_versions.as_deref())
        .unwrap_or_default();
    let Some(current) = stored.last() else {
        return Err(format!("no stored versions for {name}"));
    };
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let established = conditions
        .iter()
        .any(|c| c.type_ == "Established" && c.status == "True");
    if !established {
        return Err(format!("{name}/{current}: not established yet"));
    }
    let others: Vec<&str> = definition
        .spec
        .versions
        .iter()
        .filter(|version| version.served && version.name != *current)
        .map(|version| version.name.as_str())
        .collect();
    if !definition
        .spec
        .versions
        .iter()
        .any(|version| version.served && version.name == *current)
    {
        return Err(format!("{name}/{current}: stored but not served"));
    }
    Ok(match others.as_slice() {
        [] => format!("{name}/{current}"),
        others => format!("{name}/{current} (also served: {})", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn versions_of_kubernetes() {
        for (text, expected) in [
            ("1.36.1", Some((1, 36))),
            ("1.33.0-alpha.1", Some((1, 33))),
            ("1.35+", Some((1, 35))),
            ("x", None),
        ] {
            assert_eq!(major_minor(text), expected, "{text}");
        }
        assert!(check_kubernetes("v1.33.0-rc.1"));
        assert!(!check_kubernetes("v1.32.9"));
        assert!(!check_kubernetes(""));
    }

    fn deployment(status: Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "sync-operator", "generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn components_are_deployments_or_parts_of_ours() {
        let of = |name: &str, args: &[&str]| -> Deployment {
            let pod = json!({"containers": [{"name": "x", "args": args}]});
            serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {"selector": {}, "template": {"spec": pod}},
            }))
            .unwrap()
        };
        let all = [of("helm-controller", &[]), of("sync-operator", &["--x"])];
        for (name, is_there) in [
            ("helm-controller", true),
            ("image-reflector-controller", true),
            ("notification-controller", false),
        ] {
            assert_eq!(components_of(&all).contains(&name.to_owned()), is_there);
        }
        let some = [of(
            "sync-operator",
            &["--controllers=source-controller,kustomize-controller"],
        )];
        let found = components_of(&some);
        assert_eq!(
            found,
            ["source-controller", "kustomize-controller", "sync-operator"]
        );
        assert!(!check_components(
            [&"helm-controller".to_owned()].into_iter(),
            &found
        ));
    }

    #[test]
    fn definitions_are_wanted_by_controllers() {
        for (components, expected) in [
            (&["source-controller", "kustomize-controller"][..], 2),
            (&[], 2),
            (&["image-reflector-controller"], 4),
            (&components::HERE, 5),
        ] {
            let components: Vec<String> = components.iter().map(|c| (*c).to_owned()).collect();
            assert_eq!(
                kinds_of(components.iter()).len(),
                expected,
                "{components:?}"
            );
        }
    }

    #[test]
    fn deployments() {
        let ready = json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(not_ready(&deployment(ready)), None);
        let old = json!({"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(not_ready(&deployment(old)).is_some());
        let few = json!({"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1});
        assert_eq!(
            not_ready(&deployment(few)).unwrap(),
            "1 of 2 replicas are available, 1 are new"
        );
    }

    fn definition(stored: &[&str], served: &[(&str, bool)]) -> CustomResourceDefinition {
        let versions: Vec<Value> = served
            .iter()
            .map(|(name, served)| json!({"name": name, "served": served, "storage": false}))
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": "x.flux"},
            "spec": {"group": "flux", "names": {"kind": "X", "plural": "xs"},
                     "scope": "Namespaced", "versions": versions},
            "status": {"storedVersions": stored,
                       "conditions": [{"type": "Established", "status": "True"}]},
        }))
        .unwrap()
    }

    #[test]
    fn definitions() {
        let only = definition(&["v1"], &[("v1", true)]);
        assert_eq!(describe_definition(&only).unwrap(), "x.flux/v1");
        let old = definition(&["v1beta2", "v1"], &[("v1", true), ("v1beta2", true)]);
        assert_eq!(
            describe_definition(&old).unwrap(),
            "x.flux/v1 (also served: v1beta2)"
        );
        let gone = definition(&["v1beta1"], &[("v1", true), ("v1beta1", false)]);
        assert!(
            describe_definition(&gone)
                .unwrap_err()
                .contains("not served")
        );
        let none = definition(&[], &[("v1", true)]);
        assert_eq!(
            describe_definition(&none).unwrap_err(),
            "no stored versions for x.flux"
        );
    }
}

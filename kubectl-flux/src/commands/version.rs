//! `version`: of this program, and of what runs in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::VERSION;
use crate::context::Context;
use crate::error::Error;
use crate::output;
use crate::output::manifest::{self, Format};

/// Names by which the controllers of this project are told from upstream's.
const OUR_DEPLOYMENTS: [&str; 2] = ["sync-operator", "admission-webhook"];

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show only the version of this program
    #[arg(long)]
    client: bool,
    /// Format: json or yaml
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse)]
    output: Option<Format>,
}

/// Runs the command. Without the cluster it starts neither a runtime nor a client.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let mut versions = vec![("flux".to_owned(), VERSION.to_owned())];
    if !args.client {
        let deployments = context.block_on(async {
            let cluster = context.cluster().await?;
            Ok(cluster.flux_deployments(context.namespace()).await?)
        })?;
        if deployments.is_empty() {
            return Err(Error::input(format!(
                "no controllers are installed in the {:?} namespace; --client shows the version of \
                 this program alone",
                context.namespace()
            )));
        }
        versions.extend(of_cluster(&deployments));
    }
    output::data(&render(&versions, args.output)?)
}

/// The distribution, then the controllers by name.
fn of_cluster(deployments: &[Deployment]) -> Vec<(String, String)> {
    let mut controllers: BTreeMap<String, String> = BTreeMap::new();
    for deployment in deployments {
        for (name, image) in containers(deployment) {
            controllers.insert(name.to_owned(), tag(image).to_owned());
        }
    }
    let distribution = distribution(deployments).map(|name| ("distribution".to_owned(), name));
    distribution.into_iter().chain(controllers).collect()
}

/// What is installed, by name and version: `flux-v2.9.0` for upstream's.
pub(super) fn distribution(deployments: &[Deployment]) -> Option<String> {
    let name = |deployment: &Deployment| deployment.metadata.name.clone();
    let is_ours = deployments
        .iter()
        .filter_map(name)
        .any(|name| OUR_DEPLOYMENTS.contains(&name.as_str()));
    let label = |deployment: &Deployment| {
        let labels = deployment.metadata.labels.as_ref()?;
        labels.get("app.kubernetes.io/version").cloned()
    };
    let version = deployments.iter().find_map(label)?;
    let project = if is_ours { "flux-sync" } else { "flux" };
    Some(format!("{project}-{version}"))
}

/// Name and image of each container; the name of the Deployment where there is only one.
pub(super) fn containers(deployment: &Deployment) -> Vec<(&str, &str)> {
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let spec = deployment.spec.template.spec.as_ref();
    let containers = spec
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let is_only = containers.len() == 1;
    containers
        .iter()
        .map(|container| {
            let name = if is_only {
                name
            } else {
                container.name.as_str()
            };
            (name, container.image.as_deref().unwrap_or_default())
        })
        .collect()
}

/// The tag of an image, without the digest.
fn tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

fn render(versions: &[(String, String)], format: Option<Format>) -> Result<String, Error> {
    let map: BTreeMap<&str, &str> = versions
        .iter()
        .map(|(name, version)| (name.as_str(), version.as_str()))
        .collect();
    match format {
        None => Ok(versions
            .iter()
            .map(|(name, version)| format!("{name}: {version}\n"))
            .collect()),
        Some(Format::Json) => manifest::json(&json!(map)),
        Some(Format::Yaml) => Ok(flux_lang::yaml::to_string(&json!(map))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(name: &str, image: &str) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"app.kubernetes.io/version": "v2.9.0"}},
            "spec": {"selector": {}, "template": {"spec": {"containers": [
                {"name": "manager", "image": image}]}}},
        }))
        .unwrap()
    }

    #[test]
    fn versions_of_controllers() {
        let deployments = [
            deployment(
                "source-controller",
                "ghcr.io/fluxcd/source-controller:v1.9.1",
            ),
            deployment("kustomize-controller", "localhost:5000/kc:v1.9.4@sha256:00"),
            deployment("bare", "localhost:5000/bare"),
        ];
        let found = of_cluster(&deployments);
        let expected = [
            ("distribution", "flux-v2.9.0"),
            ("bare", "latest"),
            ("kustomize-controller", "v1.9.4"),
            ("source-controller", "v1.9.1"),
        ];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn formats() {
        let versions = [("flux".to_owned(), "v1".to_owned())];
        assert_eq!(render(&versions, None).unwrap(), "flux: v1\n");
        assert_eq!(render(&versions, Some(Format::Yaml)).unwrap(), "flux: v1\n");
        assert_eq!(
            render(&versions, Some(Format::Json)).unwrap(),
            "{\n  \"flux\": \"v1\"\n}\n"
        );
    }
}

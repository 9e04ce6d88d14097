//! The flags that `install` and `bootstrap` share: what is installed, and how.

use std::collections::BTreeMap;

use clap::ArgAction;
use clap::builder::ValueParser;
use serde_json::{Value, json};

use super::bundle::Settings;
use super::components::{self, Choice};
use super::preflight::Found;
use crate::VERSION;
use crate::cli::{SecretText, values};
use crate::error::Error;
use crate::output;

/// What is installed, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Controllers to run, by Flux's names; several separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    components: Vec<String>,
    /// Controllers to run in addition to Flux's default ones; several separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    components_extra: Vec<String>,
    /// Install the admission webhook
    #[arg(long, value_name = "bool", default_value = "true", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        value_parser = ValueParser::new(values::boolean))]
    webhook: bool,
    /// Pods of the operator; of several, one leads
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = replicas)]
    replicas: u32,
    /// Registry, and folder in it, that holds the images
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// User and password of the registry, as user:password; needs --image-pull-secret
    #[arg(long, value_name = "LOGIN")]
    registry_creds: Option<SecretText>,
    /// Secret in the namespace with which the images are pulled
    #[arg(long, value_name = "NAME")]
    image_pull_secret: Option<String>,
    /// Act upon the objects of all namespaces
    #[arg(long, value_name = "bool", default_value = "true", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        value_parser = ValueParser::new(values::boolean))]
    watch_all_namespaces: bool,
    /// Act upon objects with these labels only, such as sharding.fluxcd.io/key=NAME: the others may
    /// be Flux's, or those of another installation
    #[arg(long, value_name = "LABELS")]
    watch_label_selector: Option<String>,
    /// Restrict traffic to the pods by network policies
    #[arg(long, value_name = "bool", default_value = "true", default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = ArgAction::Set,
        value_parser = ValueParser::new(values::boolean))]
    network_policy: bool,
    /// What the controllers log: trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL", value_parser = values::log_level)]
    log_level: Option<String>,
    /// Domain of the cluster's names
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
    /// Keys of taints that the pods tolerate; several separated by commas
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    toleration_keys: Vec<String>,
    /// Version to install; this program has its own only
    #[arg(short = 'v', long, value_name = "VERSION")]
    version: Option<String>,
    /// Replace an installation of Flux: stop its controllers, take over its definitions
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Accepted for scripts written for Flux
    #[arg(long, hide = true)]
    force: bool,
}

fn replicas(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number @ 1..=9) => Ok(number),
        _ => Err("a number from 1 to 9 is needed".to_owned()),
    }
}

/// What the flags ask for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What is installed.
    pub(crate) settings: Settings,
    /// The controllers in it.
    pub(crate) choice: Choice,
    /// The Secret of `--registry-creds`; not part of what is exported.
    pub(crate) pull_secret: Option<Value>,
}

impl Flags {
    /// Makes sense of the flags, without a cluster.
    ///
    /// # Errors
    /// For values that cannot be carried out.
    pub(crate) fn wanted(&self, namespace: &str, operator: bool) -> Result<Wanted, Error> {
        self.check_version()?;
        if self.force {
            output::warning(
                "--force has no effect: it is --take-over that replaces an installation",
            );
        }
        let choice = components::choose(&self.components, &self.components_extra)?;
        let settings = Settings {
            namespace: namespace.to_owned(),
            operator,
            webhook: self.webhook,
            registry: given(&self.registry),
            image_pull_secret: given(&self.image_pull_secret),
            log_level: self.log_level.clone(),
            cluster_domain: given(&self.cluster_domain),
            network_policy: self.network_policy,
            tolerations: self.toleration_keys.clone(),
            replicas: self.replicas,
            controllers: choice.controllers.clone(),
            shard: given(&self.watch_label_selector),
            all_namespaces: self.watch_all_namespaces,
            kept: BTreeMap::new(),
        };
        let pull_secret = self.pull_secret(&settings)?;
        Ok(Wanted {
            settings,
            choice,
            pull_secret,
        })
    }

    fn check_version(&self) -> Result<(), Error> {
        match self.version.as_deref() {
            None | Some("" | "latest" | VERSION) => Ok(()),
            Some(version) if !version.starts_with('v') => Err(Error::input(format!(
                "targeted version '{version}' must be prefixed with 'v'"
            ))),
            Some(version) => Err(Error::input(format!(
                "targeted version '{version}' is not compatible with your current version of flux \
                 ({VERSION}), which installs its own; use that version's kubectl-flux"
            ))),
        }
    }

    /// A Secret for pulling images, in Docker's format.
    fn pull_secret(&self, settings: &Settings) -> Result<Option<Value>, Error> {
        let login = self.registry_creds.as_ref().map(SecretText::reveal);
        let Some(login) = login.filter(|login| !login.is_empty()) else {
            return Ok(None);
        };
        let Some(name) = &settings.image_pull_secret else {
            return Err(Error::input(
                "--registry-creds requires --image-pull-secret to be set",
            ));
        };
        let Some((user, password)) = login.split_once(':') else {
            return Err(Error::input(
                "invalid --registry-creds format, expected 'user:password'",
            ));
        };
        let registry = settings.registry.as_deref().unwrap_or_default();
        let host = registry.split('/').next().unwrap_or_default();
        let config = json!({"auths": {host: {"username": user, "password": password}}});
        Ok(Some(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": settings.namespace,
                "labels": {
                    flux_api::names::NAME_LABEL: flux_api::names::DISTRIBUTION,
                    "app.kubernetes.io/instance": settings.namespace,
                },
            },
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config.to_string()},
        })))
    }
}

impl Wanted {
    /// Keeps the flags that somebody added to what is there, and says so.
    pub(crate) fn keep(&mut self, found: &Found) {
        if !self.settings.operator {
            return;
        }
        let kept = found.flags_to_keep(&self.settings.namespace);
        if !kept.is_empty() {
            let flags: Vec<_> = kept.iter().map(|(k, v)| format!("--{k}={v}")).collect();
            output::note(format!(
                "keeping flags of the controllers here: {}",
                flags.join(" ")
            ));
        }
        self.settings.kept = kept;
    }

    /// Says what of Flux is asked for and not here; one line.
    pub(crate) fn say_what_is_lacking(&self) {
        if self.settings.operator
            && let Some(line) = self.choice.lacking()
        {
            output::warning(line);
        }
    }

    /// Whether the cluster can pull the images.
    ///
    /// # Errors
    /// Without a registry: with what to do.
    pub(crate) fn check_images(&self) -> Result<(), Error> {
        let settings = &self.settings;
        if settings.registry.is_some() || !(settings.operator || settings.webhook) {
            return Ok(());
        }
        let images: Vec<String> = [
            (settings.operator, "sync-operator"),
            (settings.webhook, "admission-webhook"),
        ]
        .into_iter()
        .filter(|(is_wanted, _)| *is_wanted)
        .map(|(_, name)| format!("REGISTRY/{name}:{VERSION}"))
        .collect();
        Err(Error::input(format!(
            "the images of {VERSION} are not published: build and push {} (README.md, \"On your own \
             cluster\", says how), then give --registry=REGISTRY",
            images.join(" and ")
        )))
    }

    /// Names of the Deployments that are installed.
    pub(crate) fn deployments(objects: &[Value]) -> Vec<String> {
        objects
            .iter()
            .filter(|object| object["kind"] == "Deployment")
            .filter_map(|object| object["metadata"]["name"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

fn given(flag: &Option<String>) -> Option<String> {
    flag.clone().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn wanted(words: &[&str]) -> Result<Wanted, String> {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(words));
        let flags = line.map_err(|error| error.to_string())?.flags;
        flags
            .wanted("flux-system", true)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_settings() {
        let found = wanted(&[
            "--registry=r.example/x",
            "--registry-creds=me:pa55:word",
            "--image-pull-secret=pull",
            "--webhook=false",
            "--network-policy=false",
            "--components-extra=image-reflector-controller,image-automation-controller",
            "--toleration-keys=a,b",
            "--replicas=2",
            "--version=latest",
        ])
        .unwrap();
        let settings = &found.settings;
        assert!(settings.operator && !settings.webhook && !settings.network_policy);
        assert_eq!((settings.tolerations.len(), settings.replicas), (2, 2));
        assert_eq!(settings.controllers, None);
        let secret = found.pull_secret.as_ref().unwrap();
        assert_eq!(
            secret["stringData"][".dockerconfigjson"],
            r#"{"auths":{"r.example":{"password":"pa55:word","username":"me"}}}"#
        );
        assert!(found.check_images().is_ok());
    }

    #[test]
    fn mistakes() {
        for (words, expected) in [
            (
                &["--registry-creds=a:b"][..],
                "--registry-creds requires --image-pull-secret to be set",
            ),
            (
                &["--registry-creds=a", "--image-pull-secret=p"],
                "invalid --registry-creds format, expected 'user:password'",
            ),
            (
                &["--version=2.9.0"],
                "targeted version '2.9.0' must be prefixed with 'v'",
            ),
            (&["-v", "v2.9.0"], "is not compatible with your current"),
            (&["--replicas=0"], "a number from 1 to 9"),
            (&["--components=helm-controller"], "is required"),
        ] {
            let error = wanted(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn images_have_to_come_from_somewhere() {
        let error = wanted(&["--webhook=false"]).unwrap().check_images();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("REGISTRY/sync-operator:v"), "{error}");
        assert!(!error.contains("admission-webhook"), "{error}");
    }
}

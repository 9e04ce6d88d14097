//! Flags of Flux's controllers for which there is nothing to do here. They are accepted, so that the
//! arguments of a Deployment can be taken over as they are, and each is said to have no effect.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Whether a flag is followed by a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Bool,
}

use Takes::{Bool, Value};

/// The flags, and why they are not needed.
const FLAGS: &[(&str, Takes, &str)] = &[
    ("kube-api-qps", Value, PACE),
    ("kube-api-burst", Value, PACE),
    (
        "leader-election-release-on-cancel",
        Bool,
        "Leases are always given back",
    ),
    (
        "watch-configs-label-selector",
        Value,
        "whatever is referred to is watched",
    ),
    ("token-cache-max-size", Value, CLOUD),
    ("token-cache-max-duration", Value, CLOUD),
    ("ssh-kex-algos", Value, SSH),
    ("ssh-hostkey-algos", Value, SSH),
    ("default-decryption-service-account", Value, CLOUD),
    ("default-kubeconfig-service-account", Value, KUBECONFIG),
    ("insecure-kubeconfig-exec", Bool, KUBECONFIG),
    ("insecure-kubeconfig-tls", Bool, KUBECONFIG),
    ("sops-vault-configmap", Value, "Vault is not supported yet"),
    ("gc-interval", Value, TAGS),
    ("storage-value-log-file-size", Value, TAGS),
    ("storage-compression-threshold", Value, TAGS),
    ("helm-cache-max-size", Value, HELM),
    ("helm-cache-ttl", Value, HELM),
    ("helm-cache-purge-interval", Value, HELM),
    ("helm-index-limit", Value, HELM),
    ("helm-chart-limit", Value, HELM),
    ("helm-chart-file-limit", Value, HELM),
];

const PACE: &str = "the number of requests follows the state of the API server";
const CLOUD: &str = "cloud identities are not supported yet";
const SSH: &str = "only current algorithms are built in";
const KUBECONFIG: &str = "remote clusters are not supported yet";
const TAGS: &str = "tags are kept in small files";
const HELM: &str = "there is no Helm here";

/// Those that were given.
#[derive(Clone, Debug, Default)]
pub struct Needless(Vec<&'static str>);

impl Needless {
    /// What is to be said about them, one sentence each.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let given = |(name, _, why): &(&'static str, Takes, &str)| {
            let is_given = self.0.contains(name);
            is_given.then(|| format!("--{name} has no effect here: {why}"))
        };
        FLAGS.iter().filter_map(given)
    }
}

impl clap::Args for Needless {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.iter().map(|(name, takes, _)| {
            let arg = Arg::new(*name).long(*name).hide(true);
            match takes {
                Value => arg.num_args(1).action(ArgAction::Append),
                Bool => arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .action(ArgAction::Append),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Needless {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given =
            |name: &&'static str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let names = FLAGS.iter().map(|(name, _, _)| *name);
        Ok(Self(names.filter(is_given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

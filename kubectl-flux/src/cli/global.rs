//! Flags that every command has: which cluster, as whom, which namespace, how long.

use std::path::PathBuf;

use clap::Args;
use flux_api::GoDuration;

use super::values;
use crate::output::color::When;

/// Flags of all commands. Those about the cluster are kubectl's and mean the same.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global Flags")]
pub(crate) struct Global {
    /// Namespace of the resources [default: flux-system]
    #[arg(short = 'n', long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// How long to wait for a result
    #[arg(long, global = true, value_name = "DURATION", default_value = "5m0s",
        value_parser = values::duration)]
    pub(crate) timeout: GoDuration,
    /// Work in the namespace of the kubeconfig context instead of flux-system
    #[arg(long, global = true)]
    pub(crate) ns_follows_kube_context: bool,
    /// Colours: auto, always or never; auto means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto",
        value_parser = When::parse)]
    pub(crate) color: When,
    /// Print generated objects
    #[arg(long, global = true, hide = true)]
    pub(crate) verbose: bool,

    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Address of the API server; also -s, where a command has no other use for that
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Name the API server's certificate must carry
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
    /// File of the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Do not check the API server's certificate
    #[arg(long, global = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Bearer token to authenticate with
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<SecretText>,
    /// File of the client certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// File of the client key
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, global = true, value_name = "UID")]
    pub(crate) as_uid: Option<String>,
    /// Extra fact about the impersonated user, as key=value; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) as_user_extra: Vec<String>,
    /// Level of verbosity, from 6 on with all requests to the API server; also -v, where a command
    /// has no other use for that
    #[arg(long = "v", global = true, value_name = "LEVEL")]
    pub(crate) verbosity: Option<u8>,
    /// Longest time for one request; 0 for no limit
    #[arg(long, global = true, value_name = "DURATION")]
    pub(crate) request_timeout: Option<String>,
    /// Do not ask the API server for compressed answers
    #[arg(long, global = true)]
    pub(crate) disable_compression: bool,

    /// Accepted for scripts written for Flux; requests are not limited here
    #[arg(long, global = true, value_name = "QPS", hide = true)]
    pub(crate) kube_api_qps: Option<f32>,
    /// Accepted for scripts written for Flux; requests are not limited here
    #[arg(long, global = true, value_name = "BURST", hide = true)]
    pub(crate) kube_api_burst: Option<i32>,
    /// Accepted for scripts written for kubectl; nothing is cached on disk
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// A value that must not be shown.
#[derive(Clone, Default)]
pub(crate) struct SecretText(String);

impl SecretText {
    /// The value itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretText {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(secret)")
    }
}

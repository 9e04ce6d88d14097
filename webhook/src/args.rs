//! The command line, and what it means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use flux_api::GoDuration;
use flux_rules::{IngressNginx, Release, Settings};
use tracing_subscriber::EnvFilter;

use crate::certificates::{Clock, Periods};
use crate::clients::{Clients, ClientsError};
use crate::endpoint::{Endpoint, EndpointError};
use crate::preview::{PreviewUrlError, Previews};

/// Admission webhook for Flux objects and Ingress.
///
/// Talks to the cluster of KUBECONFIG, or to the one it runs in.
#[derive(Clone, Debug, Parser)]
#[command(name = "flux-admission-webhook", version)]
pub struct Args {
    /// Address to serve on, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,

    /// Namespace of this program: its CA and its Service are there
    #[arg(long, env = "POD_NAMESPACE", default_value = "flux-system")]
    pub namespace: String,

    /// Address by which the API server reaches this process from outside a cluster
    #[arg(long, value_name = "https://HOST:PORT", conflicts_with = "service")]
    pub url: Option<String>,

    /// Service by which the API server reaches this program
    #[arg(long, value_name = "NAME", default_value = "admission-webhook")]
    pub service: String,

    /// Port of the Service
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub service_port: u16,

    /// What the API server does when nobody answers
    #[arg(long, value_enum, default_value_t = FailurePolicy::Ignore)]
    pub failure_policy: FailurePolicy,

    /// Name of both webhook configurations
    #[arg(long, default_value = "admission-webhook")]
    pub name: String,

    /// Release of the ingress-nginx in this cluster, e.g. 1.12.1: what it refuses is denied
    #[arg(long, value_name = "RELEASE")]
    pub ingress_nginx_version: Option<Release>,

    /// Whether that ingress-nginx validates path types, if not as its release does by default
    #[arg(long, value_name = "BOOL", requires = "ingress_nginx_version")]
    pub ingress_nginx_strict_path_type: Option<bool>,

    /// Whether that ingress-nginx allows snippets, if not as its release does by default
    #[arg(long, value_name = "BOOL", requires = "ingress_nginx_version")]
    pub ingress_nginx_allow_snippets: Option<bool>,

    /// Look into Secrets: which keys they have, what known_hosts says. Needs the right to read them
    #[arg(long)]
    pub inspect_secret_keys: bool,

    /// Address of the operator, which knows all tags that a policy could select
    #[arg(long, value_name = "http://HOST:PORT")]
    pub preview_url: Option<String>,

    /// File with a token for the operator
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/run/secrets/flux-sync.io/preview/token"
    )]
    pub preview_token_file: PathBuf,

    /// Answer reviews only of clients with a certificate of these authorities (PEM). It is read at
    /// the start
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// Common name that such a certificate must have; several are possible [default: any]
    #[arg(long, value_name = "NAME", requires = "client_ca_file")]
    pub client_name: Vec<String>,

    /// Do not look at the objects that are there already
    #[arg(long)]
    pub no_scan: bool,

    /// Life of the certificate authority, which is replaced after two thirds of it
    #[arg(long, value_name = "DURATION", default_value = "8760h")]
    pub ca_lifetime: GoDuration,

    /// Life of a serving certificate, which is replaced after two thirds of it
    #[arg(long, value_name = "DURATION", default_value = "168h")]
    pub certificate_lifetime: GoDuration,

    /// How far before now certificates become valid, for clocks that are behind
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub certificate_backdate: GoDuration,

    /// How long a new authority is announced before it signs
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub ca_announcement: GoDuration,

    /// How often certificates are looked at
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub certificate_check_interval: GoDuration,

    /// How far the clock of certificates is ahead; for tests
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0s",
        hide = true,
        allow_hyphen_values = true,
        value_parser = offset
    )]
    pub clock_offset: time::Duration,

    /// Seconds to go on serving after a request to stop, so that everybody notices
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub shutdown_delay: u64,

    /// Remove both webhook configurations when stopping
    #[arg(long)]
    pub remove_configurations_on_exit: bool,

    /// error, warn, info, debug or trace; or a filter such as info,kube=debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
}

/// A duration, or one with a minus before it.
fn offset(text: &str) -> Result<time::Duration, String> {
    let (behind, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let duration: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    let ahead = span(&duration);
    Ok(if behind { -ahead } else { ahead })
}

fn span(duration: &GoDuration) -> time::Duration {
    time::Duration::try_from(duration.as_std()).unwrap_or(time::Duration::MAX)
}

/// What the API server does when the webhook does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum FailurePolicy {
    /// Goes on: advice is missed, nothing else.
    Ignore,
    /// Refuses the request.
    Fail,
}

impl FailurePolicy {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}

impl Args {
    /// How the API server reaches this program.
    ///
    /// # Errors
    /// [`EndpointError`] if `--url` is not an https address.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        match &self.url {
            Some(url) => Endpoint::url(url),
            None => Ok(Endpoint::service(
                &self.service,
                &self.namespace,
                self.service_port,
            )),
        }
    }

    /// What the administrator declares.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let controller = self.ingress_nginx_version.map(|release| IngressNginx {
            release,
            strict_path_type: self.ingress_nginx_strict_path_type,
            allow_snippets: self.ingress_nginx_allow_snippets,
        });
        Settings {
            ingress_nginx: controller,
        }
    }

    /// The operator, as far as it is to be asked.
    ///
    /// # Errors
    /// [`PreviewUrlError`] if `--preview-url` is no such address.
    pub fn previews(&self) -> Result<Option<Previews>, PreviewUrlError> {
        let made = |url: &String| Previews::new(url, self.preview_token_file.clone());
        self.preview_url.as_ref().map(made).transpose()
    }

    /// The clients that are answered, if not everybody is.
    ///
    /// # Errors
    /// [`ClientsError`] if their authorities cannot be read.
    pub fn clients(&self) -> Result<Option<Clients>, ClientsError> {
        let read = |file: &PathBuf| Clients::read(file, &self.client_name);
        self.client_ca_file.as_ref().map(read).transpose()
    }

    /// How long certificates last.
    #[must_use]
    pub fn periods(&self) -> Periods {
        Periods {
            authority: span(&self.ca_lifetime),
            leaf: span(&self.certificate_lifetime),
            backdated: span(&self.certificate_backdate),
            announced: span(&self.ca_announcement),
        }
    }

    /// How often certificates are looked at.
    #[must_use]
    pub fn certificate_check(&self) -> Duration {
        self.certificate_check_interval
            .as_std()
            .max(Duration::from_millis(100))
    }

    /// The time that certificates go by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock {
            ahead: self.clock_offset,
        }
    }

    /// How long to go on serving after a request to stop.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        Duration::from_secs(self.shutdown_delay)
    }

    /// The filter of the log; an unreadable one counts as `info`.
    #[must_use]
    pub fn log_filter(&self) -> EnvFilter {
        // The client logs every refusal as an error, which is for its caller to judge.
        let quiet = format!("{},kube_client::client::builder=off", self.log_level);
        EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("flux-admission-webhook").chain(args.iter().copied()))
    }

    #[test]
    fn flags_mean_what_they_say() {
        let args = parse(&[
            "--listen=127.0.0.1:0",
            "--url=https://127.0.0.1:9443",
            "--failure-policy=Fail",
            "--ingress-nginx-version=1.12.1",
            "--ingress-nginx-strict-path-type=false",
        ])
        .expect("valid");
        assert_eq!(args.failure_policy, FailurePolicy::Fail);
        let behind = parse(&["--clock-offset=-2h"]).expect("valid").clock();
        assert_eq!(behind.ahead, -time::Duration::hours(2));
        assert_eq!(args.endpoint().expect("an address").names(), ["127.0.0.1"]);
        let controller = args.settings().ingress_nginx.expect("declared");
        assert_eq!(controller.release, Release(1, 12, 1));
        assert!(!controller.validates_path_type());
    }

    #[test]
    fn defaults_serve_in_a_cluster() {
        let args = parse(&["--namespace=flux-system"]).expect("valid");
        assert_eq!(args.failure_policy, FailurePolicy::Ignore);
        assert_eq!(args.name, "admission-webhook");
        let names = args.endpoint().expect("a service").names();
        assert!(
            names.contains(&"admission-webhook.flux-system.svc".to_owned()),
            "{names:?}"
        );
    }

    #[test]
    fn misuse_is_refused() {
        for args in [
            &["--url=https://a", "--service=b"][..],
            &["--ingress-nginx-version=latest"],
            &["--ingress-nginx-allow-snippets=true"],
            &["--failure-policy=Maybe"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}

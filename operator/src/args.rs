//! Command line of the operator. Flags that Flux's controllers have keep their names and forms; those
//! that mean nothing here are accepted with a word ([`needless`], [`gates`]).

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use flux_api::GoDuration;
use flux_git::DigestAlgorithm;

use crate::controllers::ControllerName;
use crate::selector::LabelSelector;
use address::Address;
use gates::Gate;
use needless::Needless;

pub mod address;
pub mod gates;
pub mod needless;

/// Syncs a cluster from Git and updates images through Git.
///
/// Uses the kubeconfig of KUBECONFIG or ~/.kube/config, or the service account inside a cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "flux-sync-operator", version, args_override_self = true)]
pub struct Args {
    /// Which of Flux's controllers run in this process [default: all].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME",
          default_values_t = ControllerName::ALL, hide_default_value = true)]
    pub controllers: Vec<ControllerName>,

    /// Namespace that this process runs in: its Leases are there, and Flux is looked for there.
    #[arg(long, env = "RUNTIME_NAMESPACE", default_value = "flux-system")]
    pub runtime_namespace: String,

    /// Works only on objects whose labels match, for example sharding.fluxcd.io/key=shard1.
    #[arg(
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub watch_label_selector: LabelSelector,

    /// Works on objects of all namespaces, or with false only of its own.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub watch_all_namespaces: bool,

    /// Works only while it holds the Leases of its controllers, so that several replicas can run.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = ArgAction::Set)]
    pub enable_leader_election: bool,

    /// How long others wait for a leader that does not answer before they take its place.
    #[arg(long, default_value = "15s")]
    pub leader_election_lease_duration: GoDuration,

    /// How long a leader tries to renew its Leases before it stops; less than the lease duration.
    #[arg(long, default_value = "10s")]
    pub leader_election_renew_deadline: GoDuration,

    /// How often those who wait look whether the Leases are free.
    #[arg(long, default_value = "2s")]
    pub leader_election_retry_period: GoDuration,

    /// UID of the pod that this process runs in: after a crash its Leases are still its own [default:
    /// each process stands for election anew].
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,

    /// Scales Flux's own controllers to 0 first, instead of refusing to start beside them.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = ArgAction::Set)]
    pub take_over: bool,

    /// Folder for Git mirrors and artifacts; it can be lost at any time.
    #[arg(long, env = "STORAGE_PATH", default_value = "/data")]
    pub storage_path: PathBuf,

    /// Address of the artifact server.
    #[arg(long, env = "STORAGE_ADDRESS", default_value = ":9090")]
    pub storage_addr: Address,

    /// Host (and port) under which others reach the artifact server [default: --storage-addr, with
    /// the name of this host where that is all interfaces].
    #[arg(long, env = "STORAGE_ADV_ADDR")]
    pub storage_adv_addr: Option<String>,

    /// How long an artifact stays after it was made, also if there are newer ones.
    #[arg(long, default_value = "60s")]
    pub artifact_retention_ttl: GoDuration,

    /// Newest artifacts of a source that stay however old they are, the current one among them.
    #[arg(long, default_value_t = 2)]
    pub artifact_retention_records: usize,

    /// Algorithm of the digests of artifacts: sha256, sha384 or sha512; for Flux's others, sha1 and
    /// blake3, sha256 is taken.
    #[arg(long, default_value = "sha256", hide_possible_values = true,
          value_parser = ["sha256", "sha384", "sha512", "sha1", "blake3"])]
    pub artifact_digest_algo: String,

    /// Address of /healthz and /readyz.
    #[arg(long, default_value = ":9440")]
    pub health_addr: Address,

    /// Address of /metrics.
    #[arg(long, env = "METRICS_ADDR", default_value = ":8080")]
    pub metrics_addr: Address,

    /// Address at which the admission webhook may ask which tag a policy would select [default:
    /// nowhere].
    #[arg(long)]
    pub preview_addr: Option<Address>,

    /// Address of Flux's notification-controller, which is told of all events [default: it is not].
    #[arg(long, env = "EVENTS_ADDR", value_name = "URL")]
    pub events_addr: Option<String>,

    /// Objects of one kind that are reconciled at once.
    #[arg(long, default_value_t = 4)]
    pub concurrent: u16,

    /// Requests of one Kustomization that are under way at once.
    #[arg(long, default_value_t = 4)]
    pub concurrent_ssa: usize,

    /// Kinds, as group/Kind, that are applied before all others but definitions, namespaces, cluster
    /// roles and classes.
    #[arg(long, value_delimiter = ',', value_name = "GROUP/KIND", value_parser = group_kind)]
    pub custom_apply_stage_kinds: Vec<(String, String)>,

    /// Field manager whose changes to applied objects are taken back, as those of kubectl are; may be
    /// given several times.
    #[arg(long, value_name = "NAME")]
    pub override_manager: Vec<String>,

    /// When changes that others make to applied objects are corrected.
    #[arg(long, value_enum, default_value = "at-once")]
    pub drift_correction: DriftCorrection,

    /// How long an object that waits for another waits at most before it looks again; what it waits
    /// for wakes it earlier.
    #[arg(long, default_value = "30s")]
    pub requeue_dependency: GoDuration,

    /// How long is waited after the first failure of an object, and twice as long after each further
    /// one.
    #[arg(long, default_value = "750ms")]
    pub min_retry_delay: GoDuration,

    /// How long is waited after failures at most.
    #[arg(long, default_value = "15m")]
    pub max_retry_delay: GoDuration,

    /// By how many percent intervals are made longer or shorter, so that not all end at once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub interval_jitter_percentage: u8,

    /// How often the download of an artifact is tried, where sources are another process's.
    #[arg(long, default_value_t = 9)]
    pub http_retry: u32,

    /// The kustomize program [default: the one in PATH].
    #[arg(long, env = "KUSTOMIZE")]
    pub kustomize: Option<PathBuf>,

    /// Lets bases of a kustomization be fetched from elsewhere.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = ArgAction::Set)]
    pub remote_bases: bool,

    /// Refuses bases from elsewhere, which is the default here; with false, which is Flux's default,
    /// they are fetched.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", conflicts_with = "remote_bases")]
    pub no_remote_bases: Option<bool>,

    /// Feature gates by Flux's names, NAME=true or NAME=false. Of use are StrictPostBuildSubstitutions:
    /// variables that are not set fail the build [default: true], AdditiveCELDependencyCheck:
    /// readyExpr is asked in addition to the usual check [default: false], and
    /// DisableFailFastBehavior: health checks go on until their timeout when an object has failed
    /// [default: false].
    #[arg(long, value_delimiter = ',', value_name = "NAME=BOOL")]
    pub feature_gates: Vec<Gate>,

    /// Refuses references to sources and image repositories of other namespaces.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = ArgAction::Set)]
    pub no_cross_namespace_refs: bool,

    /// Lets image updates use ImagePolicies of other namespaces whose ImageRepository grants the
    /// automation's namespace access (accessFrom).
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = ArgAction::Set)]
    pub cross_namespace_policies: bool,

    /// Secret of the operator's own namespace with age keys, for Kustomizations that decrypt and name
    /// no Secret.
    #[arg(long, value_name = "NAME")]
    pub sops_age_secret: Option<String>,

    /// ServiceAccount as which Kustomizations are applied that name none [default: the operator's
    /// own rights].
    #[arg(long, value_name = "NAME")]
    pub default_service_account: Option<String>,

    /// What is logged: trace, debug, info, warn or error.
    #[arg(long, default_value = "info")]
    pub log_level: tracing::Level,

    /// How it is logged.
    #[arg(long, value_enum, default_value = "json")]
    pub log_encoding: LogEncoding,

    /// Flags of Flux's controllers that mean nothing here.
    #[command(flatten)]
    pub needless: Needless,
}

/// When drift is corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriftCorrection {
    /// As soon as it is seen, at most three times a minute per object.
    AtOnce,
    /// At the next interval.
    Interval,
}

impl Args {
    /// What becomes of variables in manifests that are not set.
    pub fn unset(&self) -> flux_build::Unset {
        match gates::is_on(&self.feature_gates, gates::STRICT_SUBSTITUTIONS, true) {
            true => flux_build::Unset::Error,
            false => flux_build::Unset::Empty,
        }
    }

    /// Whether `readyExpr` is asked in addition to the usual check instead of in its place.
    pub fn additive_expressions(&self) -> bool {
        gates::is_on(
            &self.feature_gates,
            gates::ADDITIVE_READY_EXPRESSIONS,
            false,
        )
    }

    /// Whether a health check ends when an object has failed.
    pub fn fails_early(&self) -> bool {
        !gates::is_on(&self.feature_gates, gates::PATIENT_HEALTH_CHECKS, false)
    }

    /// Whether bases may be fetched from elsewhere.
    pub fn fetches_remote_bases(&self) -> bool {
        self.remote_bases || self.no_remote_bases == Some(false)
    }

    /// See [`Args::requeue_dependency`].
    pub fn dependency_retry(&self) -> Duration {
        self.requeue_dependency.as_std().max(Duration::from_secs(1))
    }

    /// What is to be said about flags that have no effect, one sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let gates = self.feature_gates.iter().filter_map(Gate::remark);
        let digest = DigestAlgorithm::from_str(&self.artifact_digest_algo).err();
        let digest = digest.map(|why| format!("--artifact-digest-algo has no effect here: {why}"));
        gates.chain(self.needless.remarks()).chain(digest).collect()
    }

    /// By which artifacts are digested.
    pub fn digest_algorithm(&self) -> DigestAlgorithm {
        self.artifact_digest_algo.parse().unwrap_or_default()
    }
}

/// A kind and its group, which is empty for the core kinds.
fn group_kind(text: &str) -> Result<(String, String), String> {
    let (group, kind) = text.split_once('/').unwrap_or(("", text));
    match kind.is_empty() || kind.contains('/') {
        true => Err(format!(
            "'{text}' is no kind; write it as in rbac.authorization.k8s.io/Role"
        )),
        false => Ok((group.to_owned(), kind.to_owned())),
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogEncoding {
    /// One JSON object a line.
    Json,
    /// For people, coloured on a terminal.
    #[value(alias = "text")]
    Console,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        let args = Args::parse_from(["x", "--storage-path", "/tmp/x", "--log-encoding=console"]);
        assert_eq!(args.storage_addr.to_string(), ":9090");
        assert_eq!(args.log_encoding, LogEncoding::Console);
        assert_eq!(args.unset(), flux_build::Unset::Error);
        let gates = "--feature-gates=StrictPostBuildSubstitutions=false,ExternalArtifact=true";
        assert_eq!(
            Args::parse_from(["x", gates]).unset(),
            flux_build::Unset::Empty
        );
        assert!(!args.additive_expressions() && args.fails_early());
        let gates = "--feature-gates=DisableFailFastBehavior=true";
        assert!(!Args::parse_from(["x", gates]).fails_early());
        let gates = "--feature-gates=AdditiveCELDependencyCheck=true";
        assert!(Args::parse_from(["x", gates]).additive_expressions());
        assert!(Args::try_parse_from(["x", "--feature-gates=A=maybe"]).is_err());
        assert!(Args::try_parse_from(["x", "--log-level=loud"]).is_err());
        assert_eq!(args.controllers, ControllerName::ALL);
        assert!(args.watch_all_namespaces && !args.enable_leader_election);
    }

    #[test]
    fn flags_of_flux_are_read_as_flux_writes_them() {
        let args = Args::parse_from([
            "x",
            "--controllers=source-controller,image-reflector-controller",
            "--controllers=image-automation-controller",
            "--watch-all-namespaces=false",
            "--watch-label-selector=!sharding.fluxcd.io/key",
            "--enable-leader-election",
            "--leader-election-lease-duration=35s",
            "--custom-apply-stage-kinds=rbac.authorization.k8s.io/Role,Secret",
            "--override-manager=helm",
            "--override-manager=terraform",
            "--artifact-retention-ttl=5m",
            "--artifact-retention-records=3",
            "--artifact-digest-algo=sha512",
        ]);
        let early = &args.custom_apply_stage_kinds;
        let kind = |group: &str, kind: &str| (group.to_owned(), kind.to_owned());
        let expected = [
            kind("rbac.authorization.k8s.io", "Role"),
            kind("", "Secret"),
        ];
        assert_eq!(early, &expected);
        assert_eq!(args.override_manager, ["helm", "terraform"]);
        assert_eq!(args.artifact_retention_ttl.as_std().as_secs(), 300);
        assert_eq!(args.artifact_retention_records, 3);
        assert_eq!(args.digest_algorithm(), DigestAlgorithm::Sha512);
        use ControllerName::{ImageAutomation, ImageReflector, Source};
        assert_eq!(args.controllers, [Source, ImageReflector, ImageAutomation]);
        assert!(!args.watch_all_namespaces && args.enable_leader_election);
        let lease = args.leader_election_lease_duration.as_std();
        assert_eq!(lease, std::time::Duration::from_secs(35));
        for bad in [
            "--controllers=helm-controller",
            "--watch-label-selector=a in b",
            "--custom-apply-stage-kinds=a/b/c",
            "--artifact-digest-algo=md5",
        ] {
            assert!(Args::try_parse_from(["x", bad]).is_err(), "{bad}");
        }
    }

    /// The arguments that the Deployments of Flux 2.9 have, and those that people add to them.
    #[test]
    fn arguments_of_deployments_of_flux_are_accepted() {
        let of = |args: &[&str]| Args::try_parse_from([&["x"], args].concat()).unwrap();
        let installed = of(&[
            "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--watch-all-namespaces=true",
            "--log-level=info",
            "--log-encoding=json",
            "--enable-leader-election",
            "--storage-path=/data",
            "--storage-adv-addr=source-controller.$(RUNTIME_NAMESPACE).svc.cluster.local.",
        ]);
        assert!(installed.remarks().is_empty());
        let locked = of(&[
            "--no-cross-namespace-refs=true",
            "--no-remote-bases=true",
            "--default-service-account=default",
            "--requeue-dependency=5s",
            "--interval-jitter-percentage=10",
            "--min-retry-delay=1s",
            "--max-retry-delay",
            "5m",
            "--metrics-addr=:8080",
        ]);
        assert!(locked.no_cross_namespace_refs && !locked.fetches_remote_bases());
        assert_eq!(locked.dependency_retry(), Duration::from_secs(5));
        assert!(locked.remarks().is_empty());
        assert!(of(&["--no-remote-bases=false"]).fetches_remote_bases());
        assert!(!of(&["--no-cross-namespace-refs=false"]).no_cross_namespace_refs);
        let tuned = of(&[
            "--kube-api-qps=500",
            "--kube-api-burst",
            "1000",
            "--leader-election-release-on-cancel",
            "--artifact-digest-algo=blake3",
            "--insecure-kubeconfig-tls=true",
            "--feature-gates=GitShallowClone=true,ExternalArtifcat=true",
        ]);
        let remarks = tuned.remarks().join("\n");
        for part in [
            "feature gate GitShallowClone has no effect",
            "feature gate ExternalArtifcat is not known",
            "--kube-api-qps has no effect",
            "--kube-api-burst has no effect",
            "--leader-election-release-on-cancel has no effect",
            "--artifact-digest-algo has no effect",
            "--insecure-kubeconfig-tls has no effect",
        ] {
            assert!(remarks.contains(part), "{remarks}");
        }
        assert_eq!(remarks.lines().count(), 7);
    }
}

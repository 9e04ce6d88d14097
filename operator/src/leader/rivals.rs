//! Flux's own controllers: two must not work on the same objects, so a start beside them is
//! refused, or with `--take-over` they are put to sleep first.
//!
//! What taking over changes on each of their Deployments: [`flux_api::takeover`].

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flux_api::{flags, lease, takeover};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use kube_runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::lease_name;
use crate::args::Args;
use crate::client::asked;
use crate::controllers::ControllerName;
use crate::watch::Reconnect;

/// How long Flux's controllers get to finish what they do.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between two looks at them.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes sure that nobody else works on our objects.
///
/// # Errors
/// When Flux's controllers run and are not to be taken over, with the ways to go on; when they do
/// not end; when the API server cannot be asked.
pub async fn settle(client: &Client, args: &Args) -> anyhow::Result<()> {
    let found = deployments(client, args).await?;
    if found.is_none() {
        tracing::warn!("no right to list Deployments: cannot see whether Flux's controllers run");
    }
    let (awake, ending) = sorted(found.unwrap_or_default());
    if args.take_over {
        let lost = lost(&awake, args);
        anyhow::ensure!(lost.is_empty(), unguarded(&lost));
        for deployment in &awake {
            sleep(client, deployment).await?;
        }
        let all: Vec<_> = awake.into_iter().chain(ending).collect();
        return wait_until_gone(client, args, &all).await;
    }
    let leases = foreign_leases(client, args).await?;
    // A controller that was just stopped without giving its Lease back looks alive for a while.
    let is_free =
        awake.is_empty() && (leases.is_empty() || wait_for_expiry(client, args, &leases).await?);
    anyhow::ensure!(
        is_free,
        refusal(&awake, &leases, args, "nothing was changed")
    );
    match ending.is_empty() {
        true => Ok(()),
        false => wait_until_gone(client, args, &ending).await,
    }
}

/// Waits until one of Flux's controllers wakes up that nothing keeps from our objects, and returns why
/// this process has to end then. The Leases of another namespace are not ours, so they do not.
pub async fn watch(client: &Client, args: &Args) -> anyhow::Error {
    // Confined to one namespace, that one is all that can be seen.
    let everywhere: Api<Deployment> = Api::all(client.clone());
    let own = Api::namespaced(client.clone(), &args.runtime_namespace);
    for api in [everywhere, own] {
        let config = watcher::Config::default().labels(takeover::SELECTOR);
        let changes = watcher(api, config).backoff(Reconnect::default());
        let mut changes = pin!(changes.applied_objects());
        while let Some(change) = changes.next().await {
            match change {
                Ok(found) if replicas(&found) > 0 && is_rival(&found, args) => {
                    if !waits_for_us(&found, args) {
                        let done = "this process ends, so that two never do";
                        return anyhow::anyhow!(refusal(&[found], &[], args, done));
                    }
                }
                Ok(_) => {}
                Err(error) if is_forbidden(&error) => break,
                Err(error) => tracing::debug!("cannot watch Deployments: {error}"),
            }
        }
    }
    // The start has said so.
    std::future::pending().await
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 403,
        _ => false,
    }
}

/// Whether a controller of Flux's wants one of our Leases, and so stands by while we work.
fn waits_for_us(deployment: &Deployment, args: &Args) -> bool {
    let elects = flags::arguments(deployment).any(|arg| {
        matches!(
            arg,
            "--enable-leader-election" | "--enable-leader-election=true"
        )
    });
    let selector = takeover::watch_label_selector(deployment);
    args.enable_leader_election
        && elects
        && deployment.metadata.namespace.as_ref() == Some(&args.runtime_namespace)
        && selector == args.watch_label_selector.as_str()
}

/// Those that run, and those that do not any more but have pods: somebody, an attempt of ours before
/// this one maybe, has put them to sleep a moment ago.
fn sorted(found: Vec<Deployment>) -> (Vec<Deployment>, Vec<Deployment>) {
    let (awake, mut asleep): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|deployment| replicas(deployment) > 0);
    asleep.retain(|deployment| pods(deployment) > 0);
    (awake, asleep)
}

/// The Deployments of Flux's controllers that would work on our objects if they run; none without the
/// right to look.
async fn deployments(client: &Client, args: &Args) -> anyhow::Result<Option<Vec<Deployment>>> {
    let params = ListParams::default().labels(takeover::SELECTOR);
    let everywhere: Api<Deployment> = Api::all(client.clone());
    let found = match everywhere.list(&params).await {
        // Confined to one namespace, that one is all that can be seen.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let api: Api<Deployment> = Api::namespaced(client.clone(), &args.runtime_namespace);
            match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
                list => list,
            }
        }
        list => list,
    };
    let found = found
        .map_err(asked)
        .context("cannot list Deployments to see whether Flux's controllers run")?;
    let rivals = found.items.into_iter().filter(|d| is_rival(d, args));
    Ok(Some(rivals.collect()))
}

/// Whether a controller of Flux's would work on our objects if it runs.
fn is_rival(deployment: &Deployment, args: &Args) -> bool {
    let (component, selector) = (
        takeover::component(deployment),
        args.watch_label_selector.as_str(),
    );
    args.controllers.iter().any(|c| c.as_str() == component)
        && takeover::overlap(selector, &takeover::watch_label_selector(deployment))
}

/// Flags by which Flux's controllers restrict the owners of objects, and that we do not have: what
/// was confined must not be applied with all rights from now on.
fn lost(deployments: &[Deployment], args: &Args) -> BTreeSet<String> {
    let kept = deployments
        .iter()
        .flat_map(|d| flags::to_keep(flags::arguments(d)));
    let is_lost = |(name, value): &(String, String)| match name.as_str() {
        "no-cross-namespace-refs" => !args.no_cross_namespace_refs,
        "no-remote-bases" => args.fetches_remote_bases(),
        "default-service-account" => args.default_service_account.as_ref() != Some(value),
        _ => false,
    };
    let lost = kept.filter(is_lost);
    lost.map(|(name, value)| format!("--{name}={value}"))
        .collect()
}

fn unguarded(lost: &BTreeSet<String>) -> String {
    let flags: Vec<_> = lost.iter().map(String::as_str).collect();
    let flags = flags.join(" ");
    format!(
        "Flux's controllers run with {flags}, and this program does not: what they restrict would be \
         applied without restriction; nothing was changed. Start this program with {flags}, too, or \
         remove the flags from Flux's Deployments first"
    )
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// Pods that there are, those that finish what they do among them where the API server counts them.
fn pods(deployment: &Deployment) -> i32 {
    let status = deployment.status.as_ref();
    let of = |count: Option<i32>| count.unwrap_or_default();
    status.map_or(0, |s| of(s.replicas) + of(s.terminating_replicas))
}

/// Live Leases of our controllers that none of our processes holds.
async fn foreign_leases(client: &Client, args: &Args) -> anyhow::Result<Vec<Lease>> {
    let api: Api<Lease> = Api::namespaced(client.clone(), &args.runtime_namespace);
    let mut foreign = Vec::new();
    for name in lease_names(args) {
        let found = match api.get_opt(&name).await {
            Err(kube::Error::Api(status)) if status.code == 403 && !args.enable_leader_election => {
                tracing::warn!(
                    lease = name,
                    "no right to read the Lease: cannot see whether Flux's controller runs"
                );
                continue;
            }
            found => found
                .map_err(asked)
                .with_context(|| format!("cannot read Lease {name}"))?,
        };
        // Where we have an election ourselves, waiting for another of us is what it is for.
        let rival = |lease: &Lease| {
            let live = lease
                .spec
                .as_ref()
                .is_some_and(|s| lease::is_live(s, Timestamp::now()));
            live && !(args.enable_leader_election && lease::is_held_by_us(lease))
        };
        foreign.extend(found.filter(rival));
    }
    Ok(foreign)
}

fn lease_names(args: &Args) -> Vec<String> {
    let mut controllers: Vec<ControllerName> = args.controllers.clone();
    controllers.sort_unstable();
    controllers.dedup();
    controllers
        .iter()
        .map(|c| lease_name(c.as_str(), args.watch_label_selector.as_str()))
        .collect()
}

/// Waits until Leases run out; false as soon as one of them is renewed.
async fn wait_for_expiry(client: &Client, args: &Args, seen: &[Lease]) -> anyhow::Result<bool> {
    let renewed_at = |lease: &Lease| lease.spec.as_ref().and_then(|s| s.renew_time.clone());
    loop {
        let live = foreign_leases(client, args).await?;
        if live.is_empty() {
            return Ok(true);
        }
        let renewed = live.iter().any(|lease| {
            let before = seen.iter().find(|l| l.name_any() == lease.name_any());
            before.is_none_or(|before| renewed_at(before) != renewed_at(lease))
        });
        if renewed {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Puts a Deployment to sleep and writes down what it was.
async fn sleep(client: &Client, deployment: &Deployment) -> anyhow::Result<()> {
    let (namespace, name) = (
        deployment.namespace().unwrap_or_default(),
        deployment.name_any(),
    );
    let before = replicas(deployment);
    let annotations = takeover::annotations(deployment.annotations(), before);
    let patch = json!({
        "metadata": {"annotations": annotations, "resourceVersion": deployment.resource_version()},
        "spec": {"replicas": 0},
    });
    let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let patched = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    if let Err(kube::Error::Api(status)) = &patched {
        anyhow::ensure!(
            status.code != 403,
            forbidden(&namespace, &name, &status.message)
        );
    }
    patched
        .map_err(asked)
        .with_context(|| format!("cannot scale Deployment {namespace}/{name} to 0"))?;
    tracing::info!(deployment = %format!("{namespace}/{name}"), replicas = before, "scaled to 0");
    Ok(())
}

/// Waits until the pods are gone and nobody else holds a Lease.
async fn wait_until_gone(
    client: &Client,
    args: &Args,
    deployments: &[Deployment],
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let mut left = Vec::new();
        for deployment in deployments {
            let (namespace, name) = (
                deployment.namespace().unwrap_or_default(),
                deployment.name_any(),
            );
            let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
            let now = api.get_opt(&name).await.map_err(asked)?;
            let pods = now.as_ref().map(pods).unwrap_or_default();
            if pods > 0 {
                left.push(format!("Deployment {namespace}/{name} ({pods} pods)"));
            }
        }
        for lease in foreign_leases(client, args).await? {
            left.push(held_by(&lease));
        }
        if left.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(
            start.elapsed() < PATIENCE,
            "Flux's controllers did not end within {} s: {}",
            PATIENCE.as_secs(),
            left.join(", ")
        );
        tokio::time::sleep(PAUSE).await;
    }
}

fn held_by(lease: &Lease) -> String {
    let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.clone());
    format!(
        "Lease {} (held by {})",
        lease.name_any(),
        holder.unwrap_or_default()
    )
}

/// Why a Deployment cannot be put to sleep, and how to go on. Where the operator is split, what
/// fetches has no such right on purpose: who may change Deployments of Flux may do everything.
fn forbidden(namespace: &str, name: &str, answer: &str) -> String {
    format!(
        "cannot scale Deployment {namespace}/{name} to 0: the account of this process may not change \
         Deployments ({answer}). Ways to go on without --take-over here:\n  \
         `kubectl flux install --take-over`, or `bootstrap`, with your own rights: puts Flux's Deployments to \
         sleep with the same notes, which `kubectl flux uninstall --give-back` reads\n  \
         `kubectl -n {namespace} scale deployment {name} --replicas=0` for each of them: leaves no notes, so \
         that --give-back passes over it, and whoever applies Flux's manifests wakes it again"
    )
}

/// Why this process does not work beside others, what it did about it, and how to go on.
fn refusal(deployments: &[Deployment], leases: &[Lease], args: &Args, done: &str) -> String {
    let running: Vec<String> = deployments
        .iter()
        .map(|d| {
            let (namespace, count) = (d.namespace().unwrap_or_default(), replicas(d));
            format!(
                "Deployment {namespace}/{} (replicas: {count})",
                d.name_any()
            )
        })
        .chain(leases.iter().map(held_by))
        .collect();
    let shard = match args.watch_label_selector.as_str() {
        "" => {
            "--watch-label-selector=sharding.fluxcd.io/key=NAME works on objects with that label only; run Flux's controllers with --watch-label-selector='!sharding.fluxcd.io/key' then"
        }
        _ => "another --watch-label-selector works on other objects",
    };
    format!(
        "other controllers work on the same objects: {}; {done}. Ways to go on:\n  \
         --take-over scales Flux's Deployments to 0, remembers their replicas, and goes on with their objects as they are\n  \
         --controllers=NAME,... runs only what nobody else runs\n  {shard}",
        running.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn deployment(args: &[&str]) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "kustomize-controller", "namespace": "flux-system"},
            "spec": {
                "selector": {},
                "template": {"spec": {"containers": [{"name": "manager", "args": args}]}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn what_was_put_to_sleep_may_have_pods_still() {
        let of = |replicas: i32, status: serde_json::Value| {
            let mut deployment = deployment(&[]);
            deployment.spec.replicas = Some(replicas);
            deployment.status = Some(serde_json::from_value(status).unwrap());
            let (awake, ending) = sorted(vec![deployment]);
            (awake.len(), ending.len())
        };
        assert_eq!(of(1, json!({"replicas": 1})), (1, 0));
        assert_eq!(of(0, json!({"replicas": 1})), (0, 1));
        assert_eq!(of(0, json!({"terminatingReplicas": 1})), (0, 1));
        assert_eq!(of(0, json!({})), (0, 0));
    }

    #[test]
    fn only_who_wants_the_same_lease_waits_for_it() {
        const ELECT: &str = "--enable-leader-election";
        let ours = Args::parse_from(["x", ELECT]);
        let elsewhere = Args::parse_from(["x", ELECT, "--runtime-namespace=gitops"]);
        let without = Args::parse_from(["x"]);
        let shard = "--watch-label-selector=sharding.fluxcd.io/key=one";
        for (args, flux, expected) in [
            (&ours, &[ELECT][..], true),
            (&ours, &[], false),
            (&ours, &[ELECT, shard], false),
            (&elsewhere, &[ELECT], false),
            (&without, &[ELECT], false),
        ] {
            assert_eq!(waits_for_us(&deployment(flux), args), expected, "{flux:?}");
        }
    }

    #[test]
    fn restrictions_of_flux_are_not_lost() {
        let flux = [
            deployment(&["--no-cross-namespace-refs=true", "--log-level=info"]),
            deployment(&[
                "--no-cross-namespace-refs",
                "--no-remote-bases=true",
                "--default-service-account=default",
            ]),
        ];
        let of = |args: &[&str]| {
            let args = Args::parse_from([&["x"], args].concat());
            lost(&flux, &args).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(
            of(&["--remote-bases", "--default-service-account=other"]),
            [
                "--default-service-account=default",
                "--no-cross-namespace-refs=true",
                "--no-remote-bases=true"
            ]
        );
        assert!(
            of(&[
                "--no-cross-namespace-refs",
                "--default-service-account=default"
            ])
            .is_empty()
        );
        let text = unguarded(&lost(&flux, &Args::parse_from(["x"])));
        assert!(
            text.contains("Start this program with --default-service-account=default --no-cross")
        );
    }

    #[test]
    fn the_refusal_names_the_ways_to_go_on() {
        let args = Args::parse_from(["x"]);
        let text = refusal(&[deployment(&[])], &[], &args, "nothing was changed");
        for part in [
            "Deployment flux-system/kustomize-controller (replicas: 1)",
            "--take-over",
            "--controllers=",
            "--watch-label-selector=",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

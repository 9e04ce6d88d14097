//! `logs`: what the controllers write, filtered and in one form, whichever program wrote it.

mod line;

use std::future::ready;

use futures::stream::SelectAll;
use futures::{AsyncBufReadExt, Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;

use crate::cli::values;
use crate::cluster::{self, Cluster, Scope, Selection};
use crate::context::Context;
use crate::error::Error;
use crate::output;
use flux_api::GoDuration;
use line::{Filter, Line};

/// Flags of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only lines of this level: trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL", value_parser = values::log_level)]
    level: Option<String>,
    /// Only lines about objects of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only lines about the object of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Go on showing lines as they are written
    #[arg(short = 'f', long)]
    follow: bool,
    /// Lines of each controller to begin with; -1 for all
    #[arg(long, value_name = "NUMBER", default_value_t = -1)]
    tail: i64,
    /// Namespace of the controllers
    #[arg(long, value_name = "NAME", default_value = "flux-system")]
    flux_namespace: String,
    /// Lines about the objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only lines that are at most this old
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    since: Option<GoDuration>,
    /// Only lines after this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "since")]
    since_time: Option<jiff::Timestamp>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let filter = Filter {
        level: args.level.as_deref(),
        kind: args.kind.as_deref(),
        name: args.name.as_deref(),
        namespace: (!args.all_namespaces).then(|| context.namespace()),
    };
    context.block_on(async {
        let cluster = context.cluster().await?;
        let pods = pods(&cluster, &args.flux_namespace).await?;
        if args.follow {
            return follow(&cluster, &pods, args, &filter).await;
        }
        let mut logs = Vec::new();
        let mut failures = Vec::new();
        for pod in &pods {
            let api = cluster.typed::<Pod>(Scope::Namespace(&args.flux_namespace));
            match api.logs(&pod.name, &params(args, pod)).await {
                Ok(text) => logs.push(text),
                Err(error) => failures.push(unreadable(args, pod, &error)),
            }
        }
        output::data(&line::merged(&logs, &filter))?;
        super::which::report(failures)
    })
}

/// A pod, and its container with the controller.
struct Logged {
    name: String,
    container: Option<String>,
}

fn params(args: &Args, pod: &Logged) -> LogParams {
    LogParams {
        container: pod.container.clone(),
        follow: args.follow,
        tail_lines: (args.tail >= 0).then_some(args.tail),
        since_seconds: args
            .since
            .as_ref()
            .map(|since| i64::try_from(since.as_std().as_secs()).unwrap_or(i64::MAX)),
        since_time: args.since_time,
        ..LogParams::default()
    }
}

/// The container with the controller: `manager` for Flux and for us. Others of the pod were put
/// there by somebody else.
fn container(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let manager = containers.iter().find(|one| one.name == "manager");
    Some(manager.or(containers.first())?.name.clone())
}

fn unreadable(args: &Args, pod: &Logged, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::input(format!(
        "cannot read the log of pod {}/{}: {}",
        args.flux_namespace,
        pod.name,
        cluster::chain(error)
    ))
}

/// The pods of the controllers, Flux's or ours.
async fn pods(cluster: &Cluster, namespace: &str) -> Result<Vec<Logged>, Error> {
    let mut all = Vec::new();
    // Upstream's pods carry no label of the distribution, only that of their Deployment.
    for deployment in cluster.flux_deployments(namespace).await? {
        let selector = deployment.spec.selector.match_labels;
        let labels: Vec<String> = selector
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let labels = labels.join(",");
        let selection = Selection {
            labels: Some(&labels),
            fields: None,
        };
        let pods: Vec<Pod> = cluster
            .list_typed(Scope::Namespace(namespace), selection)
            .await?;
        all.extend(pods.iter().map(|pod| Logged {
            name: pod.name_any(),
            container: container(pod),
        }));
    }
    if all.is_empty() {
        return Err(Error::input(format!(
            "no Flux pods found in {namespace} namespace"
        )));
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all.dedup_by(|one, other| one.name == other.name);
    Ok(all)
}

/// Shows lines as they come. A log that cannot be read ends the command only when all others have
/// ended, and makes it fail.
async fn follow(
    cluster: &Cluster,
    pods: &[Logged],
    args: &Args,
    filter: &Filter<'_>,
) -> Result<(), Error> {
    let mut streams = SelectAll::new();
    let mut failed = 0;
    let mut fail = |error: Error| {
        failed += 1;
        output::failure(error);
    };
    for pod in pods {
        let api = cluster.typed::<Pod>(Scope::Namespace(&args.flux_namespace));
        match api.log_stream(&pod.name, &params(args, pod)).await {
            Ok(stream) => streams.push(until_broken(stream.lines()).map(move |line| (pod, line))),
            Err(error) => fail(unreadable(args, pod, &error)),
        }
    }
    while let Some((pod, line)) = streams.next().await {
        match line {
            Ok(line) => {
                let line = Line::parse(&line);
                if filter.fits(&line) {
                    output::data(&line.text())?;
                }
            }
            Err(error) => fail(unreadable(args, pod, &error)),
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Error::input(format!(
            "{failed} of {} logs could not be read to their end",
            pods.len()
        ))),
    }
}

/// The lines up to the first error, with that.
fn until_broken<S>(lines: S) -> impl Stream<Item = std::io::Result<String>> + Unpin
where
    S: Stream<Item = std::io::Result<String>> + Unpin,
{
    lines.scan(false, |is_broken, line| {
        let line = (!*is_broken).then_some(line);
        *is_broken = matches!(line, Some(Err(_)));
        ready(line)
    })
}

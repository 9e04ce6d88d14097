//! `logs`: what the controllers write, filtered and in one form, whichever program wrote it.

mod line;

use std::collections::BTreeMap;

use futures::stream::SelectAll;
use futures::{AsyncBufReadExt, StreamExt};
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
    #[arg(long, value_name = "LEVEL")]
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
        // Lines of all controllers in the order of time.
        let mut lines: BTreeMap<(String, usize), String> = BTreeMap::new();
        let mut failures = Vec::new();
        for pod in &pods {
            let api = cluster.typed::<Pod>(Scope::Namespace(&args.flux_namespace));
            match api.logs(pod, &params(args)).await {
                Ok(text) => {
                    for line in text.lines().map(Line::parse) {
                        if filter.fits(&line) {
                            lines.insert((line.time.clone(), lines.len()), line.text());
                        }
                    }
                }
                Err(error) => failures.push(Error::input(format!(
                    "cannot read the log of pod {}/{pod}: {}",
                    args.flux_namespace,
                    cluster::chain(&error)
                ))),
            }
        }
        let text: String = lines.into_values().collect();
        output::data(&text)?;
        super::which::report(failures)
    })
}

fn params(args: &Args) -> LogParams {
    LogParams {
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

/// The pods of the controllers, Flux's or ours.
async fn pods(cluster: &Cluster, namespace: &str) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
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
        names.extend(pods.iter().map(ResourceExt::name_any));
    }
    if names.is_empty() {
        return Err(Error::input(format!(
            "no Flux pods found in {namespace} namespace"
        )));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

async fn follow(
    cluster: &Cluster,
    pods: &[String],
    args: &Args,
    filter: &Filter<'_>,
) -> Result<(), Error> {
    let mut streams = SelectAll::new();
    for pod in pods {
        let api = cluster.typed::<Pod>(Scope::Namespace(&args.flux_namespace));
        let stream = api.log_stream(pod, &params(args)).await;
        match stream {
            Ok(stream) => streams.push(stream.lines()),
            Err(error) => output::warning(format!(
                "cannot read the log of pod {}/{pod}: {}",
                args.flux_namespace,
                cluster::chain(&error)
            )),
        }
    }
    while let Some(line) = streams.next().await {
        let line = Line::parse(&line.map_err(Error::Output)?);
        if filter.fits(&line) {
            output::data(&line.text())?;
        }
    }
    Ok(())
}

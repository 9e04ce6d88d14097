//! `diff kustomization`: what would change in the cluster if a local folder were applied.
//!
//! The API server is asked to apply each object without keeping the result. Where the person has no
//! right to do so, the comparison is made here ([`predict`]), and that is said.

mod compare;
mod deletions;
mod predict;
mod text;

use std::collections::BTreeMap;

use flux_api::ObjectId;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;

use super::build::render::Request;
use super::build::spec::Subject;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::output::color;
use crate::output::progress::Progress;
use compare::{Comparison, Verdict, Way};
use deletions::Deletion;

/// Requests under way at once.
const CONCURRENCY: usize = 6;

/// What can be compared.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Diff {
    /// Compare a Kustomization, built from a local folder, with the cluster
    #[command(visible_alias = "ks")]
    Kustomization(Args),
}

/// Flags of `diff kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    request: Request,
    /// Show that work is under way, on a terminal
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = crate::cli::values::boolean,
        action = clap::ArgAction::Set, value_name = "bool")]
    progress_bar: bool,
    /// Treat a Kustomization that is not in the cluster as one without differences
    #[arg(long)]
    ignore_not_found: bool,
}

/// A Kustomization and what would become of its objects.
struct Change {
    subject: Subject,
    comparisons: Vec<Comparison>,
    deletions: Vec<Deletion>,
}

/// Runs the command: 0 means no difference, 1 differences, 2 that there is no answer.
pub(crate) fn run(what: &Diff, context: &Context) -> Result<(), Error> {
    let Diff::Kustomization(args) = what;
    args.request.check()?;
    let Some(changes) = context.block_on(changes(args, context))? else {
        output::note(format!(
            "Kustomization {:?} is not in the cluster: nothing is compared",
            args.request.name()
        ));
        return Ok(());
    };
    output::data(&text::render(&changes, color::on_output()))?;
    conclude(&changes)
}

async fn changes(args: &Args, context: &Context) -> Result<Option<Vec<Change>>, Error> {
    let cluster = context.cluster().await?;
    if args.ignore_not_found && !args.request.has_file() {
        let (kind, namespace) = (Kind::Kustomization, context.namespace());
        let found = cluster.find(kind, namespace, args.request.name()).await?;
        if found.is_none() {
            return Ok(None);
        }
    }
    let progress = args.progress_bar.then(Progress::start);
    let say = |text: &str| {
        if let Some(progress) = &progress {
            progress.show(text);
        }
    };
    say("building");
    let rendered = args.request.render(Some(&cluster), context).await?;
    let planned = compare::plan(&cluster, rendered).await?;
    let wanted: BTreeMap<ObjectId, (String, String)> = planned
        .iter()
        .flat_map(|(subject, objects, _)| {
            let owner = (subject.namespace.clone(), subject.name.clone());
            let ids = objects.iter().map(|object| object.id.clone());
            ids.map(move |id| (id, owner.clone()))
        })
        .collect();
    let mut all = Vec::new();
    for (subject, objects, mut failed) in planned {
        say(&format!("comparing {} objects", objects.len()));
        let found = find(&cluster, &subject).await?;
        let namespaces: Vec<String> = wanted
            .keys()
            .filter(|id| id.kind == "Namespace" && id.group.is_empty())
            .map(|id| id.name.clone())
            .collect();
        let job = compare::Job {
            cluster: &cluster,
            subject: &subject,
            namespaces: &namespaces,
        };
        let mut comparisons: Vec<Comparison> = stream::iter(objects)
            .map(|object| job.compare(object))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        comparisons.append(&mut failed);
        let deletions = match found {
            Some(found) => deletions::of(&cluster, &subject, &found, &wanted).await?,
            None => Vec::new(),
        };
        all.push(Change {
            subject,
            comparisons,
            deletions,
        });
    }
    Ok(Some(all))
}

async fn find(cluster: &Cluster, subject: &Subject) -> Result<Option<DynamicObject>, Error> {
    let (namespace, name) = (&subject.namespace, &subject.name);
    Ok(cluster.find(Kind::Kustomization, namespace, name).await?)
}

/// Says what there is to say besides the differences, and decides about the exit code.
fn conclude(changes: &[Change]) -> Result<(), Error> {
    let comparisons = || changes.iter().flat_map(|change| &change.comparisons);
    let deletions = || changes.iter().flat_map(|change| &change.deletions);
    let here = comparisons().filter(|c| c.way == Way::Here).count();
    if here > 0 {
        output::warning(format!(
            "no right to patch {here} of the objects: those are compared on this side, without \
             what defaults and admission webhooks would do"
        ));
    }
    for comparison in comparisons() {
        if let Some(note) = &comparison.note {
            output::warning(note);
        }
    }
    let mut failed = 0;
    for comparison in comparisons() {
        if let Verdict::Failed(why) = &comparison.verdict {
            failed += 1;
            output::failure(format!("{}: {why}", comparison.what));
        }
    }
    let count = |fits: fn(&Verdict) -> bool| comparisons().filter(|c| fits(&c.verdict)).count();
    let created = count(|verdict| matches!(verdict, Verdict::Created));
    let changed = count(|v| matches!(v, Verdict::Drifted { .. } | Verdict::Recreated { .. }));
    let deleted = deletions().filter(|deletion| deletion.kept.is_none());
    let (cascade, direct): (Vec<_>, Vec<_>) = deleted.partition(|d| d.because.is_some());
    let total = created + changed + cascade.len() + direct.len();
    if total > 0 {
        let along = match cascade.len() {
            0 => String::new(),
            along => format!(", {along} more along with them"),
        };
        output::action(format!(
            "{created} created, {changed} changed, {} deleted{along}",
            direct.len()
        ));
    }
    if failed > 0 {
        return Err(Error::Input(format!(
            "{failed} of the objects cannot be applied or compared"
        )));
    }
    if total > 0 {
        output::warning("identified at least one change, exiting with non-zero exit code");
        return Err(Error::Answer);
    }
    Ok(())
}

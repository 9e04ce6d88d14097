//! `events`: what happened to Flux objects, oldest first.

mod rows;
mod subjects;

use std::collections::HashMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Event;
use kube::runtime::{WatchStreamExt, watcher};

use crate::cluster::{self, Cluster, ClusterError, Scope, Selection};
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, table::Table};
use subjects::{Subject, Wanted};

/// Flags of `events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show the events of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Go on showing events as they happen
    #[arg(short = 'w', long)]
    watch: bool,
    /// Show only the events of this object and of what it depends on
    #[arg(long = "for", value_name = "KIND[/NAME]")]
    subject: Option<String>,
    /// Show only events of these types: Normal, Warning
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    for type_ in &args.types {
        if !["Normal", "Warning"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(type_))
        {
            return Err(Error::input(format!(
                "type '{type_}' not supported. Supported types are Normal, Warning"
            )));
        }
    }
    let subject = args.subject.as_deref().map(Subject::parse).transpose()?;
    context.block_on(async {
        let cluster = context.cluster().await?;
        let wanted = match subject {
            None => Wanted::everything(),
            Some(subject) if args.all_namespaces => Wanted::named(subject),
            Some(subject) => Wanted::chain(subject, context.namespace(), &cluster).await?,
        };
        let view = View {
            types: &args.types,
            with_namespace: args.all_namespaces || wanted.spans_namespaces(context.namespace()),
            all_namespaces: args.all_namespaces,
            wanted,
        };
        if args.watch {
            follow(&view, &cluster, context).await
        } else {
            show(&view, &cluster, context).await
        }
    })
}

/// What is shown and how.
struct View<'a> {
    types: &'a [String],
    wanted: Wanted,
    with_namespace: bool,
    all_namespaces: bool,
}

impl View<'_> {
    fn scopes<'n>(&'n self, namespace: &'n str) -> Vec<Scope<'n>> {
        if self.all_namespaces {
            return vec![Scope::All];
        }
        self.wanted
            .namespaces(namespace)
            .into_iter()
            .map(Scope::Namespace)
            .collect()
    }

    /// Whether a scope is another namespace than that of the command.
    fn is_elsewhere(&self, scope: Scope<'_>, context: &Context) -> bool {
        matches!(scope, Scope::Namespace(name) if name != context.namespace())
    }

    fn fits(&self, event: &Event) -> bool {
        let type_ = event.type_.as_deref().unwrap_or_default();
        self.wanted.fits(&event.involved_object)
            && (self.types.is_empty() || self.types.iter().any(|t| t.eq_ignore_ascii_case(type_)))
    }

    fn table<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> Table {
        let mut table = Table::new(rows::headers(self.with_namespace)).for_output();
        let now = jiff::Timestamp::now();
        for event in events {
            table.push(rows::row(event, now, self.with_namespace));
        }
        table
    }
}

async fn show(view: &View<'_>, cluster: &Cluster, context: &Context) -> Result<(), Error> {
    let mut events: Vec<Event> = Vec::new();
    for scope in view.scopes(context.namespace()) {
        match cluster
            .list_typed::<Event>(scope, Selection::default())
            .await
        {
            Ok(found) => events.extend(found),
            // A chain may lead to where one may not look.
            Err(error @ ClusterError::Refused { .. }) if view.is_elsewhere(scope, context) => {
                output::warning(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    events.retain(|event| view.fits(event));
    if events.is_empty() {
        // Flux reports this with its failure symbol, and success to scripts.
        output::failure(if view.all_namespaces {
            "No events found.".to_owned()
        } else {
            format!("No events found in {} namespace.", context.namespace())
        });
        return Ok(());
    }
    events.sort_by_key(rows::order);
    output::data(&view.table(&events).render(true))
}

/// Shows what there is, then each event as it comes, in the same columns.
async fn follow(view: &View<'_>, cluster: &Cluster, context: &Context) -> Result<(), Error> {
    let mut streams = futures::stream::SelectAll::new();
    for scope in view.scopes(context.namespace()) {
        let api = cluster.typed::<Event>(scope);
        streams.push(
            watcher(api, watcher::Config::default())
                .default_backoff()
                .boxed(),
        );
    }
    // Versions shown already: after an interruption the watch lists everything again. Entries are
    // as many as the cluster keeps events.
    let mut shown: HashMap<String, String> = HashMap::new();
    let mut backlog: Vec<Event> = Vec::new();
    let mut widths = Vec::new();
    let mut with_headers = true;
    while let Some(change) = streams.next().await {
        match change {
            Ok(watcher::Event::Init | watcher::Event::Delete(_)) => continue,
            Ok(watcher::Event::InitApply(event)) => {
                if view.fits(&event) && is_new(&mut shown, &event) {
                    backlog.push(event);
                }
                continue;
            }
            Ok(watcher::Event::InitDone) => backlog.sort_by_key(rows::order),
            Ok(watcher::Event::Apply(event)) => {
                if view.fits(&event) && is_new(&mut shown, &event) {
                    backlog.push(event);
                }
            }
            Err(error) => {
                output::warning(cluster::chain(&error));
                continue;
            }
        }
        if !backlog.is_empty() {
            let table = view.table(&backlog);
            output::data(&table.render_aligned(with_headers, &mut widths))?;
            with_headers = false;
            backlog.clear();
        }
    }
    Ok(())
}

fn is_new(shown: &mut HashMap<String, String>, event: &Event) -> bool {
    let key = event.metadata.uid.clone().unwrap_or_default();
    let version = event.metadata.resource_version.clone().unwrap_or_default();
    shown
        .insert(key, version.clone())
        .is_none_or(|before| before != version)
}

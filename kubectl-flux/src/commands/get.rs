//! `get`: objects and their state, as tables or as JSON and YAML.

mod rows;
mod selector;
mod watch;

use clap::Subcommand;
use flux_api::names;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::cluster::{ClusterError, Scope, Selection, View, hint};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::table::Table;
use crate::output::{self, manifest};
use rows::Style;
use selector::StatusSelector;

/// `get` with everything below it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    what: What,
}

/// Flags of all `get` commands.
#[derive(Debug, clap::Args)]
struct Flags {
    /// List the objects of all namespaces
    #[arg(short = 'A', long, global = true)]
    all_namespaces: bool,
    /// Leave the line of headers out
    #[arg(long, alias = "no-headers", global = true)]
    no_header: bool,
    /// List only objects with these labels
    #[arg(
        short = 'l',
        long,
        alias = "selector",
        global = true,
        value_name = "SELECTOR"
    )]
    label_selector: Option<String>,
    /// List only objects in this state, such as ready=false or ready!=true
    #[arg(long, global = true, value_name = "TYPE=STATUS")]
    status_selector: Option<String>,
    /// List only objects that are not ready
    #[arg(long, global = true)]
    not_ready: bool,
    /// List only suspended objects
    #[arg(long, global = true)]
    suspended: bool,
    /// Go on showing changes as they happen, each with what happened
    #[arg(short = 'w', long, global = true)]
    watch: bool,
    /// Format: json, yaml, name or wide
    #[arg(short = 'o', long, global = true, value_name = "FORMAT", value_parser = format)]
    output: Option<Format>,
}

/// Forms of `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
    Name,
    Wide,
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        "yaml" => Ok(Format::Yaml),
        "name" => Ok(Format::Name),
        "wide" => Ok(Format::Wide),
        _ => Err(format!(
            "format '{text}' not supported, must be one of: json, yaml, name, wide"
        )),
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// List everything
    All(All),
    /// List sources
    #[command(subcommand, visible_alias = "source")]
    Sources(Sources),
    /// List Kustomizations
    #[command(visible_alias = "ks", alias = "kustomization")]
    Kustomizations(Kustomizations),
    /// List what is scanned, chosen and updated
    #[command(subcommand, visible_alias = "image")]
    Images(Images),
}

#[derive(Debug, Subcommand)]
enum Sources {
    /// List all sources
    All(All),
    /// List Git repositories
    #[command(aliases = ["gitrepository", "gitrepositories"])]
    Git(Names),
}

#[derive(Debug, Subcommand)]
enum Images {
    /// List everything about images
    All(All),
    /// List image repositories
    #[command(alias = "repositories")]
    Repository(Names),
    /// List policies
    #[command(alias = "policies")]
    Policy(Names),
    /// List automations
    #[command(alias = "updates")]
    Update(Names),
}

impl What {
    /// The one kind that is asked for.
    ///
    /// # Errors
    /// If it is more than one.
    fn single(&self) -> Result<(Kind, &[String]), Error> {
        match self {
            Self::All(_) | Self::Sources(Sources::All(_)) | Self::Images(Images::All(_)) => Err(
                Error::input("expected a single resource type, but found all"),
            ),
            Self::Sources(Sources::Git(args)) => Ok((Kind::GitRepository, &args.names)),
            Self::Kustomizations(args) => Ok((Kind::Kustomization, &args.names.names)),
            Self::Images(Images::Repository(args)) => Ok((Kind::ImageRepository, &args.names)),
            Self::Images(Images::Policy(args)) => Ok((Kind::ImagePolicy, &args.names)),
            Self::Images(Images::Update(args)) => Ok((Kind::ImageUpdateAutomation, &args.names)),
        }
    }

    fn shows_source(&self) -> bool {
        matches!(self, Self::Kustomizations(args) if args.show_source)
    }
}

/// No arguments of its own.
#[derive(Debug, clap::Args)]
struct All {}

#[derive(Debug, clap::Args)]
struct Names {
    /// Names of the objects; all if there is none
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Kustomizations {
    #[command(flatten)]
    names: Names,
    /// Show the source of each
    #[arg(long)]
    show_source: bool,
}

/// Runs one of them.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), Error> {
    const IMAGES: &[Kind] = &[
        Kind::ImageRepository,
        Kind::ImagePolicy,
        Kind::ImageUpdateAutomation,
    ];
    let query = Query::new(&args.flags, context)?;
    if query.watch {
        let (kind, names) = args.what.single()?;
        let style = query.style(false, args.what.shows_source());
        return context.block_on(watch::run(&query, kind, names, style, context));
    }
    let several = |kinds: &[Kind]| context.block_on(list_several(&query, kinds, context));
    let one = |kind: Kind, names: &[String], show_source: bool| {
        context.block_on(list_one(&query, kind, names, show_source, context))
    };
    match &args.what {
        What::All(_) => several(&Kind::ALL),
        What::Sources(Sources::All(_)) => several(&[Kind::GitRepository]),
        What::Images(Images::All(_)) => several(IMAGES),
        What::Sources(Sources::Git(args)) => one(Kind::GitRepository, &args.names, false),
        What::Kustomizations(args) => one(Kind::Kustomization, &args.names.names, args.show_source),
        What::Images(Images::Repository(args)) => one(Kind::ImageRepository, &args.names, false),
        What::Images(Images::Policy(args)) => one(Kind::ImagePolicy, &args.names, false),
        What::Images(Images::Update(args)) => one(Kind::ImageUpdateAutomation, &args.names, false),
    }
}

/// What is asked for and how it is shown.
struct Query<'a> {
    scope: Scope<'a>,
    labels: Option<&'a str>,
    status: Option<StatusSelector>,
    not_ready: bool,
    suspended: bool,
    watch: bool,
    format: Option<Format>,
    with_headers: bool,
}

impl<'a> Query<'a> {
    fn new(flags: &'a Flags, context: &'a Context) -> Result<Self, Error> {
        let scope = if flags.all_namespaces {
            Scope::All
        } else {
            Scope::Namespace(context.namespace())
        };
        Ok(Self {
            scope,
            labels: flags
                .label_selector
                .as_deref()
                .filter(|text| !text.is_empty()),
            status: flags
                .status_selector
                .as_deref()
                .map(StatusSelector::parse)
                .transpose()?,
            not_ready: flags.not_ready,
            suspended: flags.suspended,
            watch: flags.watch,
            format: flags.output,
            with_headers: !flags.no_header,
        })
    }

    fn selection(&self) -> Selection<'a> {
        Selection {
            labels: self.labels,
            fields: None,
        }
    }

    fn keep(&self, objects: &mut Vec<DynamicObject>) {
        objects.retain(|object| self.fits(object));
    }

    fn fits(&self, object: &DynamicObject) -> bool {
        let is_ready = || {
            object
                .condition(names::READY)
                .is_some_and(|ready| ready.is_true())
        };
        self.status
            .as_ref()
            .is_none_or(|status| status.fits(object))
            && !(self.not_ready && is_ready())
            && (!self.suspended || object.is_suspended())
    }

    /// The place that was searched, as Flux's messages name it.
    fn place(&self) -> String {
        match self.scope {
            Scope::All => "any".to_owned(),
            Scope::Namespace(name) => format!("{name:?}"),
        }
    }

    fn style(&self, with_kind: bool, show_source: bool) -> Style {
        Style {
            with_namespace: matches!(self.scope, Scope::All),
            with_kind,
            show_source,
            wide: self.format == Some(Format::Wide),
        }
    }

    fn table(&self, kind: Kind, objects: &[DynamicObject], style: Style) -> String {
        let mut table = Table::new(rows::headers(kind, style));
        for object in objects {
            table.push(rows::row(kind, object, style));
        }
        table.render(self.with_headers)
    }
}

async fn list_one(
    query: &Query<'_>,
    kind: Kind,
    names: &[String],
    show_source: bool,
    context: &Context,
) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    let mut objects = match (names, query.scope, query.labels) {
        // Whoever may read an object may not be allowed to list.
        ([name], Scope::Namespace(namespace), None) => {
            Vec::from_iter(cluster.find(kind, namespace, name).await?)
        }
        _ => cluster.list(kind, query.scope, query.selection()).await?,
    };
    let mut missing = None;
    if !names.is_empty() {
        missing = names.iter().find(|name| {
            !objects
                .iter()
                .any(|o| o.metadata.name.as_ref() == Some(*name))
        });
        objects.retain(|object| {
            object
                .metadata
                .name
                .as_ref()
                .is_some_and(|n| names.contains(n))
        });
    }
    query.keep(&mut objects);
    if objects.is_empty() && missing.is_none() {
        return Err(Error::input(format!(
            "no {} objects found in {} namespace",
            kind.name(),
            query.place()
        )));
    }
    if !objects.is_empty() {
        let text = match query.format {
            None | Some(Format::Wide) => {
                query.table(kind, &objects, query.style(false, show_source))
            }
            Some(Format::Name) => objects.iter().map(|object| line(kind, object)).collect(),
            Some(format) => {
                let single = names.len() == 1;
                document(format, vec![(kind, objects)], single)?
            }
        };
        output::data(&text)?;
    }
    match missing {
        None => Ok(()),
        Some(name) => {
            let elsewhere = match query.scope {
                Scope::All => Vec::new(),
                Scope::Namespace(_) => cluster.namespaces_with(kind, name).await,
            };
            Err(Error::input(format!(
                "{} object '{name}' not found in {} namespace{}",
                kind.name(),
                query.place(),
                hint(&elsewhere)
            )))
        }
    }
}

/// Several kinds in one go. A kind that cannot be read does not hide the others, but it makes the
/// command fail.
async fn list_several(query: &Query<'_>, kinds: &[Kind], context: &Context) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for (kind, answer) in cluster
        .list_each(kinds, query.scope, query.selection())
        .await
    {
        match answer {
            Ok(mut objects) => {
                query.keep(&mut objects);
                if !objects.is_empty() {
                    found.push((kind, objects));
                }
            }
            Err(error) => failures.push(error),
        }
    }
    if found.is_empty() && failures.is_empty() {
        output::note(format!(
            "No Flux objects found in {} namespace.",
            query.place()
        ));
        return Ok(());
    }
    let text = match query.format {
        None | Some(Format::Wide) => found
            .iter()
            .map(|(kind, objects)| query.table(*kind, objects, query.style(true, false)) + "\n")
            .collect(),
        Some(Format::Name) => found
            .iter()
            .flat_map(|(kind, objects)| objects.iter().map(|object| line(*kind, object)))
            .collect(),
        Some(format) => document(format, found, false)?,
    };
    output::data(&text)?;
    report(failures)
}

/// Reports the failures; what all kinds failed for is said once. The last is for the caller.
fn report(mut failures: Vec<ClusterError>) -> Result<(), Error> {
    failures.dedup_by_key(|error| error.to_string());
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    failures.iter().for_each(output::failure);
    Err(last.into())
}

fn line(kind: Kind, object: &DynamicObject) -> String {
    format!(
        "{}/{}\n",
        kind.crd_name(),
        object.metadata.name.as_deref().unwrap_or_default()
    )
}

/// JSON or YAML as kubectl prints it: one object, or a List of them.
fn document(
    format: Format,
    found: Vec<(Kind, Vec<DynamicObject>)>,
    single: bool,
) -> Result<String, Error> {
    let mut items: Vec<Value> = found
        .into_iter()
        .flat_map(|(kind, objects)| objects.into_iter().map(move |object| whole(kind, object)))
        .collect();
    let value = match items.pop() {
        Some(only) if single && items.is_empty() => only,
        last => {
            items.extend(last);
            json!({
                "apiVersion": "v1",
                "kind": "List",
                "items": items,
                "metadata": { "resourceVersion": "" },
            })
        }
    };
    match format {
        Format::Yaml => Ok(flux_lang::yaml::to_string(&value)),
        _ => manifest::json(&value),
    }
}

/// The object with its type, and without the bookkeeping of field managers.
fn whole(kind: Kind, mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let mut value = object.data;
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.name());
    value["metadata"] = json!(object.metadata);
    value
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::{Format, document};
    use crate::kind::Kind;

    fn object(name: &str) -> DynamicObject {
        DynamicObject::new(name, &Kind::Kustomization.resource())
            .within("foo")
            .data(json!({"spec": {"prune": true}}))
    }

    #[test]
    fn one_object_is_printed_as_itself() {
        let text = document(
            Format::Yaml,
            vec![(Kind::Kustomization, vec![object("a")])],
            true,
        )
        .unwrap();
        assert_eq!(
            text,
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
             metadata:\n  name: a\n  namespace: foo\nspec:\n  prune: true\n"
        );
    }

    #[test]
    fn several_objects_are_a_list() {
        let found = vec![(Kind::Kustomization, vec![object("a"), object("b")])];
        let list: serde_json::Value =
            serde_json::from_str(&document(Format::Json, found, false).unwrap()).unwrap();
        assert_eq!(list["kind"], "List");
        assert_eq!(list["items"][1]["metadata"]["name"], "b");
        let single = vec![(Kind::Kustomization, vec![object("a")])];
        assert!(
            document(Format::Json, single, false)
                .unwrap()
                .contains("\"List\"")
        );
    }
}

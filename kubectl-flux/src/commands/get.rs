//! `get`: objects and their state, as tables or in the forms that kubectl has.

mod format;
mod list;
mod overview;
mod rows;
mod selector;
mod watch;

use clap::Subcommand;
use flux_api::names;
use kube::api::DynamicObject;

use crate::cluster::{Scope, Selection, View};
use crate::context::Context;
use crate::error::Error;
use crate::kind::{self, Kind};
use format::Format;
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
    /// List only objects with these values of fields, such as metadata.name=apps
    #[arg(long, global = true, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Show the labels of each object in a last column
    #[arg(long, global = true)]
    show_labels: bool,
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
    /// Format: json, yaml, name, wide, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...
    #[arg(short = 'o', long, global = true, value_name = "FORMAT", value_parser = Format::parse)]
    output: Option<Format>,
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
    /// List objects by kind/name; the word is left out
    #[command(name = crate::cli::OBJECTS, hide = true)]
    Objects(Objects),
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
    fn single(&self) -> Result<(Kind, Vec<String>), Error> {
        let (kind, names) = match self {
            Self::All(_) | Self::Sources(Sources::All(_)) | Self::Images(Images::All(_)) => {
                return Err(Error::input(
                    "expected a single resource type, but found all",
                ));
            }
            Self::Sources(Sources::Git(args)) => (Kind::GitRepository, &args.names),
            Self::Kustomizations(args) => (Kind::Kustomization, &args.names.names),
            Self::Images(Images::Repository(args)) => (Kind::ImageRepository, &args.names),
            Self::Images(Images::Policy(args)) => (Kind::ImagePolicy, &args.names),
            Self::Images(Images::Update(args)) => (Kind::ImageUpdateAutomation, &args.names),
            Self::Objects(args) => {
                return match <[_; 1]>::try_from(args.by_kind()?) {
                    Ok([only]) => Ok(only),
                    Err(_) => Err(Error::input(
                        "expected a single resource type, but found several",
                    )),
                };
            }
        };
        Ok((kind, names.clone()))
    }

    fn shows_source(&self) -> bool {
        matches!(self, Self::Kustomizations(args) if args.show_source)
    }
}

/// No arguments of its own.
#[derive(Debug, clap::Args)]
struct All {}

/// Objects of any kinds.
#[derive(Debug, clap::Args)]
struct Objects {
    /// Objects, such as ks/apps
    #[arg(value_name = "KIND/NAME")]
    objects: Vec<String>,
}

impl Objects {
    /// The names by kind, in the order in which they were typed.
    fn by_kind(&self) -> Result<Vec<(Kind, Vec<String>)>, Error> {
        let mut found: Vec<(Kind, Vec<String>)> = Vec::new();
        for word in &self.objects {
            let (kind, name) = kind::object(word)?;
            match found.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, names)) => names.push(name),
                None => found.push((kind, vec![name])),
            }
        }
        Ok(found)
    }
}

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
        return context.block_on(watch::run(&query, kind, &names, style, context));
    }
    let several = |kinds: &[Kind]| context.block_on(list::several(&query, kinds, context));
    let one = |kind: Kind, names: &[String], show_source: bool| {
        context.block_on(list::one(&query, kind, names, show_source, context))
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
        What::Objects(args) => context.block_on(list::mixed(&query, &args.by_kind()?, context)),
    }
}

/// What is asked for and how it is shown.
struct Query<'a> {
    scope: Scope<'a>,
    labels: Option<&'a str>,
    fields: Option<&'a str>,
    show_labels: bool,
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
            fields: flags
                .field_selector
                .as_deref()
                .filter(|text| !text.is_empty()),
            show_labels: flags.show_labels,
            status: flags
                .status_selector
                .as_deref()
                .map(StatusSelector::parse)
                .transpose()?,
            not_ready: flags.not_ready,
            suspended: flags.suspended,
            watch: flags.watch,
            format: flags.output.clone(),
            with_headers: !flags.no_header,
        })
    }

    fn selection(&self) -> Selection<'a> {
        Selection {
            labels: self.labels,
            fields: self.fields,
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
            show_labels: self.show_labels,
        }
    }
}

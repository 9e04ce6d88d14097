//! The five kinds as words after a verb (`source git NAME`, `kustomization NAME`, ...), and the
//! choice of objects of one kind by names, by labels, or all. Shared by the verbs that treat every
//! kind alike.

use clap::Subcommand;
use flux_api::names;
use futures::future::join_all;
use kube::ResourceExt;
use kube::api::DynamicObject;

use crate::cluster::{Cluster, Scope, Selection};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;

/// A kind, followed by the arguments of the verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Which<A: clap::Args> {
    /// Sources
    #[command(subcommand, alias = "sources")]
    Source(Source<A>),
    /// Kustomizations
    #[command(visible_alias = "ks", alias = "kustomizations")]
    Kustomization(A),
    /// Image repositories, policies and automations
    #[command(subcommand, alias = "images")]
    Image(Image<A>),
}

/// The kinds of sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Source<A: clap::Args> {
    /// Git repositories
    Git(A),
}

/// The kinds about images.
#[derive(Debug, Subcommand)]
pub(crate) enum Image<A: clap::Args> {
    /// Image repositories that are scanned
    Repository(A),
    /// Policies that choose a tag
    Policy(A),
    /// Automations that commit chosen tags
    Update(A),
}

impl<A: clap::Args> Which<A> {
    /// The kind and the arguments.
    pub(crate) fn split(self) -> (Kind, A) {
        match self {
            Self::Source(Source::Git(args)) => (Kind::GitRepository, args),
            Self::Kustomization(args) => (Kind::Kustomization, args),
            Self::Image(Image::Repository(args)) => (Kind::ImageRepository, args),
            Self::Image(Image::Policy(args)) => (Kind::ImagePolicy, args),
            Self::Image(Image::Update(args)) => (Kind::ImageUpdateAutomation, args),
        }
    }
}

/// Which objects of the kind.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Choice {
    /// Names of the objects
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All objects of the kind in the namespace
    #[arg(long)]
    pub(crate) all: bool,
    /// All objects of the kind with these labels
    #[arg(
        short = 'l',
        long,
        alias = "label-selector",
        value_name = "SELECTOR",
        conflicts_with = "names"
    )]
    pub(crate) selector: Option<String>,
    /// In all namespaces, with --all or --selector
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

/// What a choice led to.
pub(crate) struct Chosen {
    /// Objects that are there, in the order of the names or of the API server.
    pub(crate) objects: Vec<DynamicObject>,
    /// One error for each name that is not, with where else it is.
    pub(crate) missing: Vec<Error>,
}

impl Choice {
    /// Whether anything was chosen; asked before the cluster is.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), Error> {
        if self.all || !self.names.is_empty() || self.labels().is_some() {
            return Ok(());
        }
        Err(Error::input(format!(
            "{} name is required, or --all, or a --selector",
            kind.name()
        )))
    }

    fn labels(&self) -> Option<&str> {
        self.selector.as_deref().filter(|text| !text.is_empty())
    }

    /// Looks the objects up. Each name is looked up, whatever becomes of the others.
    ///
    /// # Errors
    /// When nothing is found where all were wanted, or the API server cannot be asked.
    pub(crate) async fn find(
        &self,
        kind: Kind,
        cluster: &Cluster,
        context: &Context,
    ) -> Result<Chosen, Error> {
        let namespace = context.namespace();
        if !self.names.is_empty() {
            if self.all_namespaces {
                return Err(Error::input(
                    "names are looked up in one namespace: give either names or --all-namespaces",
                ));
            }
            let found = join_all(
                self.names
                    .iter()
                    .map(|name| cluster.get(kind, namespace, name)),
            )
            .await;
            let mut chosen = Chosen {
                objects: Vec::new(),
                missing: Vec::new(),
            };
            for answer in found {
                match answer {
                    Ok(object) => chosen.objects.push(object),
                    Err(error) => chosen.missing.push(error.into()),
                }
            }
            return Ok(chosen);
        }
        let labels = self.labels();
        let scope = match self.all_namespaces {
            true => Scope::All,
            false => Scope::Namespace(namespace),
        };
        let selection = Selection {
            labels,
            fields: None,
        };
        let objects = cluster.list(kind, scope, selection).await?;
        if objects.is_empty() {
            let place = match self.all_namespaces {
                true => "any namespace".to_owned(),
                false => format!("{namespace} namespace"),
            };
            return Err(Error::input(format!(
                "no {} objects found in {place}",
                kind.name()
            )));
        }
        Ok(Chosen {
            objects,
            missing: Vec::new(),
        })
    }
}

/// Namespace and name of an object, as requests want them.
pub(crate) fn place(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The Kustomization that applies an object from Git, as `namespace/name`; none where the object
/// applies itself, as the root of a bootstrapped cluster does.
pub(crate) fn owner(object: &DynamicObject) -> Option<String> {
    let labels = object.metadata.labels.as_ref()?;
    let name = labels.get(names::OWNER_NAME_LABEL)?;
    let namespace = labels.get(names::OWNER_NAMESPACE_LABEL)?;
    let is_itself = object.metadata.name.as_ref() == Some(name)
        && object.metadata.namespace.as_ref() == Some(namespace);
    (!is_itself).then(|| format!("{namespace}/{name}"))
}

/// Reports all failures but the last, which is for the caller to return; `Ok` when there is none.
///
/// # Errors
/// The last failure.
pub(crate) fn report(mut failures: Vec<Error>) -> Result<(), Error> {
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    failures.iter().for_each(crate::output::failure);
    Err(last)
}

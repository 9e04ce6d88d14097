//! `build kustomization`: what the operator would apply, from a local folder. The folder is only
//! read.

mod files;
mod spec;

use std::path::PathBuf;

use clap::Subcommand;
use flux_api::names;
use flux_build::{BuildOptions, Decryption, Object, Unset};
use serde_json::{Map, Value};

use crate::cli::values;
use crate::context::Context;
use crate::error::Error;
use crate::output;
use files::Folder;
use spec::Subject;

/// What can be built.
#[derive(Debug, Subcommand)]
pub(crate) enum Build {
    /// Build a Kustomization from a local folder
    #[command(visible_alias = "ks")]
    Kustomization(Args),
}

/// Flags of `build kustomization`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the Kustomization
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder with the manifests
    #[arg(
        long,
        value_name = "DIR",
        default_value = "",
        hide_default_value = true
    )]
    path: String,
    /// File with the Kustomization; the cluster's if not given
    #[arg(long, value_name = "FILE")]
    kustomization_file: Option<String>,
    /// Paths to leave out, as in .gitignore
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    ignore_paths: Vec<String>,
    /// Do not ask the cluster: variables of substituteFrom are left out
    #[arg(long)]
    dry_run: bool,
    /// Fail if a variable without a default value is not set
    #[arg(long)]
    strict_substitute: bool,
    /// Build the Kustomizations among the objects, too
    #[arg(short = 'r', long)]
    recursive: bool,
    /// Where sources are on this machine
    #[arg(long, value_name = "KIND/NAMESPACE/NAME=DIR", value_delimiter = ',')]
    local_sources: Vec<String>,
    /// Has no effect: nothing is ever written to the folder
    #[arg(long, hide = true)]
    in_memory_build: bool,
}

/// Runs the command.
pub(crate) fn run(what: &Build, context: &Context) -> Result<(), Error> {
    let Build::Kustomization(args) = what;
    let Some((name, rest)) = args.names.split_first() else {
        return Err(Error::input("kustomization name is required"));
    };
    values::ignore_extra(rest);
    let path = PathBuf::from(&args.path);
    if args.path.is_empty() || !path.is_dir() {
        return Err(Error::input(format!(
            "invalid resource path {:?}",
            args.path
        )));
    }
    if args.dry_run && args.kustomization_file.is_none() {
        return Err(Error::input("dry-run mode requires a kustomization file"));
    }
    if let Some(file) = &args.kustomization_file
        && !PathBuf::from(file).is_file()
    {
        return Err(Error::input(format!("invalid kustomization file {file:?}")));
    }
    let text = context.block_on(build(args, name, path, context))?;
    output::data(&text)
}

async fn build(args: &Args, name: &str, path: PathBuf, context: &Context) -> Result<String, Error> {
    let namespace = context.namespace();
    let cluster = match args.dry_run {
        true => None,
        false => Some(context.cluster().await?),
    };
    let subject = match &args.kustomization_file {
        Some(file) => spec::of_file(file, namespace, name)?,
        None => spec::of_cluster(cluster.as_ref(), namespace, name).await?,
    };
    let mut open = vec![(subject, path)];
    let mut seen = Vec::new();
    let mut text = String::new();
    while let Some((subject, path)) = open.pop() {
        let folder = Folder::read(&path, &args.ignore_paths)?;
        let substitute_from = match &cluster {
            Some(cluster) => spec::variables(cluster, &subject).await?,
            None => Vec::new(),
        };
        let unset = match args.strict_substitute {
            true => Unset::Error,
            false => Unset::Empty,
        };
        let options = BuildOptions {
            kustomize: std::env::var_os("KUSTOMIZE").map(PathBuf::from),
            timeout: context.timeout(),
            substitute_from,
            unset,
            decryption: Decryption::Mask,
            ..BuildOptions::default()
        };
        let Folder { files, directory } = folder;
        let objects = flux_build::build(
            &files,
            &directory,
            &subject.spec,
            &subject.namespace,
            &options,
        )
        .await
        .map_err(|error| Error::input(error.to_string()))?;
        seen.push((subject.namespace.clone(), subject.name.clone()));
        let mut inner = Vec::new();
        for Object { mut value, .. } in objects {
            if args.recursive
                && let Some(found) = spec::of_object(&value, &subject.namespace)?
                && !seen.contains(&(found.namespace.clone(), found.name.clone()))
            {
                let path = local_source(&args.local_sources, &found)?;
                inner.push((found, path));
            }
            own(&mut value, &subject);
            text.push_str(&flux_lang::yaml::to_string(&value));
            text.push_str("---\n");
        }
        open.extend(inner.into_iter().rev());
    }
    Ok(text)
}

/// The folder of a Kustomization among the objects.
fn local_source(sources: &[String], subject: &Subject) -> Result<PathBuf, Error> {
    let reference = &subject.spec.source_ref;
    let namespace = reference.namespace.as_ref().unwrap_or(&subject.namespace);
    let key = format!("{}/{namespace}/{}", reference.kind, reference.name);
    let found = sources
        .iter()
        .filter_map(|source| source.split_once('='))
        .find(|(name, _)| *name == key);
    let Some((_, folder)) = found else {
        return Err(Error::input(format!(
            "cannot get local path for {key} of kustomization {}: give --local-sources {key}=DIR",
            subject.name
        )));
    };
    let inside = subject.spec.path.as_deref().unwrap_or_default();
    Ok(PathBuf::from(folder).join(inside.trim_start_matches('/')))
}

/// The labels that say who applies an object.
fn own(value: &mut Value, subject: &Subject) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    let empty = || Value::Object(Map::new());
    let Some(metadata) = object
        .entry("metadata")
        .or_insert_with(empty)
        .as_object_mut()
    else {
        return;
    };
    let labels = metadata.entry("labels").or_insert_with(empty);
    if !labels.is_object() {
        *labels = empty();
    }
    if let Some(labels) = labels.as_object_mut() {
        for (label, text) in [
            (names::OWNER_NAME_LABEL, &subject.name),
            (names::OWNER_NAMESPACE_LABEL, &subject.namespace),
        ] {
            labels.insert(label.to_owned(), Value::String(text.clone()));
        }
    }
}

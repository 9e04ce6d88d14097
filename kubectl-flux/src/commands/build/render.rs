//! Kustomizations as objects, from local folders: what `build` prints and `diff` compares.

use std::path::PathBuf;

use flux_build::{BuildOptions, Decryption, Object, Unset};
use serde_json::Value;

use super::files::Folder;
use super::sources::Sources;
use super::spec::{self, Subject};
use crate::cli::values;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Error;

/// What is built, as it was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Request {
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
    /// Fail if a variable without a default value is not set
    #[arg(long)]
    strict_substitute: bool,
    /// Go on with the Kustomizations among the objects
    #[arg(short = 'r', long)]
    recursive: bool,
    /// Where sources are on this machine
    #[arg(long, value_name = "KIND/NAMESPACE/NAME=DIR", value_delimiter = ',')]
    local_sources: Vec<String>,
    /// Has no effect: nothing is ever written to the folder
    #[arg(long, hide = true)]
    in_memory_build: bool,
}

/// A Kustomization and what it applies, without the marks of who does.
pub(crate) struct Rendered {
    /// The Kustomization.
    pub(crate) subject: Subject,
    /// Its objects, in kustomize's order.
    pub(crate) objects: Vec<Value>,
}

impl Request {
    /// Refuses what makes no sense, before anything is read or asked.
    ///
    /// # Errors
    /// If the name is missing, or a path leads nowhere.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some((_, rest)) = self.names.split_first() else {
            return Err(Error::input("kustomization name is required"));
        };
        values::ignore_extra(rest);
        if self.path.is_empty() || !PathBuf::from(&self.path).is_dir() {
            return Err(Error::input(format!(
                "invalid resource path {:?}",
                self.path
            )));
        }
        match &self.kustomization_file {
            Some(file) if !PathBuf::from(file).is_file() => {
                Err(Error::input(format!("invalid kustomization file {file:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Name of the Kustomization; empty only before [`Request::check`].
    pub(crate) fn name(&self) -> &str {
        self.names.first().map(String::as_str).unwrap_or_default()
    }

    /// Whether the Kustomization comes from a file.
    pub(crate) fn has_file(&self) -> bool {
        self.kustomization_file.is_some()
    }

    /// Builds the Kustomization, and with `--recursive` those among its objects.
    ///
    /// # Errors
    /// The first thing that cannot be built, with its place.
    pub(crate) async fn render(
        &self,
        cluster: Option<&Cluster>,
        context: &Context,
    ) -> Result<Vec<Rendered>, Error> {
        let namespace = context.namespace();
        let subject = match &self.kustomization_file {
            Some(file) => spec::of_file(file, namespace, self.name())?,
            None => spec::of_cluster(cluster, namespace, self.name()).await?,
        };
        let mut open = vec![(subject, PathBuf::from(&self.path))];
        let mut seen = Vec::new();
        let mut done: Vec<Rendered> = Vec::new();
        while let Some((subject, path)) = open.pop() {
            let objects = self
                .objects(&subject, path, cluster, &done, context)
                .await?;
            seen.push((subject.namespace.clone(), subject.name.clone()));
            let mut inner = Vec::new();
            for value in objects.iter().filter(|_| self.recursive) {
                if let Some(found) = spec::of_object(value, &subject.namespace)?
                    && !seen.contains(&(found.namespace.clone(), found.name.clone()))
                {
                    let path = self.local_source(&found)?;
                    inner.push((found, path));
                }
            }
            open.extend(inner.into_iter().rev());
            done.push(Rendered { subject, objects });
        }
        Ok(done)
    }

    async fn objects(
        &self,
        subject: &Subject,
        path: PathBuf,
        cluster: Option<&Cluster>,
        done: &[Rendered],
        context: &Context,
    ) -> Result<Vec<Value>, Error> {
        let components = &subject.spec.components;
        let Folder { files, directory } = Folder::read(&path, &self.ignore_paths, components)?;
        let sources = Sources {
            rendered: done,
            cluster,
            folder: Some(&path),
        };
        let options = BuildOptions {
            kustomize: std::env::var_os("KUSTOMIZE").map(PathBuf::from),
            timeout: context.timeout(),
            substitute_from: sources.variables(subject).await?,
            unset: match self.strict_substitute {
                true => Unset::Error,
                false => Unset::Empty,
            },
            decryption: Decryption::Mask,
            ..BuildOptions::default()
        };
        let (spec, namespace) = (&subject.spec, &subject.namespace);
        flux_build::build(&files, &directory, spec, namespace, &options)
            .await
            .map(|all| all.into_iter().map(|Object { value, .. }| value).collect())
            .map_err(|error| Error::input(error.to_string()))
    }

    /// The folder of a Kustomization among the objects.
    fn local_source(&self, subject: &Subject) -> Result<PathBuf, Error> {
        let reference = &subject.spec.source_ref;
        let namespace = reference.namespace.as_ref().unwrap_or(&subject.namespace);
        let key = format!("{}/{namespace}/{}", reference.kind, reference.name);
        let found = self
            .local_sources
            .iter()
            .filter_map(|source| source.split_once('='))
            .find(|(name, _)| *name == key);
        let Some((_, folder)) = found else {
            return Err(Error::input(format!(
                "cannot get local path for {key} of kustomization {}: give --local-sources \
                 {key}=DIR",
                subject.name
            )));
        };
        let inside = subject.spec.path.as_deref().unwrap_or_default();
        Ok(PathBuf::from(folder).join(inside.trim_start_matches('/')))
    }
}

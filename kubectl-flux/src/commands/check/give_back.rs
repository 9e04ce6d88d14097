//! `check --give-back`: what today's Flux would refuse of what is here, should it take over again.

use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::commands::migrate::cluster::{Stored, manifest};
use crate::commands::migrate::files;
use crate::commands::migrate::refused::{self, Mend, TODAY};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// Looks at the objects of the cluster.
///
/// # Errors
/// If it cannot be read, or something would be refused.
pub(super) async fn of_cluster(context: &Context) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    output::action("checking what Flux would refuse in the cluster");
    let mut problems = 0;
    for definition in cluster.flux_definitions().await? {
        let Some(stored) = Stored::of(&definition) else {
            continue;
        };
        let name = definition.name_any();
        if !stored.old.is_empty() {
            problems += 1;
            output::failure(format!(
                "{name}: objects may still be stored as {}; run kubectl flux migrate",
                stored.old.join(", ")
            ));
        }
        problems += of_objects(&cluster, &stored).await?;
    }
    conclude(problems, "objects")
}

async fn of_objects(cluster: &Cluster, stored: &Stored) -> Result<usize, Error> {
    let mut problems = 0;
    for object in stored.objects(cluster).await? {
        let manifest = manifest(stored, &object);
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let namespace = object.namespace().unwrap_or_default();
        let what = format!("{kind}/{namespace}/{}", object.name_any());
        let old = stored.old_managers(&object);
        if !old.is_empty() {
            problems += 1;
            output::failure(format!(
                "{what}: managers of its fields refer to {}; run kubectl flux migrate",
                old.join(", ")
            ));
        }
        for finding in refused::findings(&manifest, "", TODAY) {
            problems += 1;
            let advice = match finding.mend {
                Mend::ByHand => "",
                _ => "; kubectl flux migrate -f PATH mends its manifest",
            };
            output::failure(format!("{what}: {}{advice}", finding.problem));
        }
    }
    Ok(problems)
}

/// Looks at manifests in files.
///
/// # Errors
/// If a file cannot be read, or something would be refused.
pub(super) fn of_files(paths: &[std::path::PathBuf]) -> Result<(), Error> {
    output::action("checking what Flux would refuse in the files");
    let extensions = [".yaml".to_owned(), ".yml".to_owned()];
    let mut problems = 0;
    for path in paths {
        for file in files::read(path, &extensions)? {
            match files::problems(&file.text) {
                Ok(found) => {
                    problems += found.len();
                    for note in found {
                        output::failure(format!("{}:{}: {}", file.shown, note.line, note.what));
                    }
                }
                Err(error) => output::warning(format!("{}: {error}; not checked", file.shown)),
            }
        }
    }
    if problems > 0 {
        output::action("kubectl flux migrate -f PATH mends what can be mended");
    }
    conclude(problems, "manifests")
}

fn conclude(problems: usize, what: &str) -> Result<(), Error> {
    if problems > 0 {
        return Err(Error::Check);
    }
    output::success(format!("Flux would accept all {what}"));
    Ok(())
}

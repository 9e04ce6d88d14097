//! `--export DIR` and `--dry-run`: what a bootstrap would write, without writing it where it counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::files::{self, Layout, Sync};
use crate::cluster::Cluster;
use crate::disk;
use crate::error::Error;
use crate::output;
use crate::unified::unified;

/// The three files: path, text, and whether one that is there belongs to the user.
pub(super) struct Files(Vec<(String, String, bool)>);

impl Files {
    /// Of an installation and a sync.
    pub(super) fn new(
        layout: &Layout,
        controllers: &[&str],
        objects: &[Value],
        sync: &Sync,
    ) -> Self {
        Self(vec![
            (
                layout.components(),
                files::components(controllers, objects),
                false,
            ),
            (layout.sync(), sync.text(), false),
            (layout.kustomization(), files::kustomization(), true),
        ])
    }

    /// Writes the files below a folder.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let paths = self.0.iter().map(|(path, ..)| folder.join(path));
        let mut written = Vec::new();
        for (path, (_, text, is_users)) in paths.zip(&self.0) {
            if *is_users && path.exists() {
                output::success(format!("{} is kept as it is", path.display()));
                continue;
            }
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|source| Error::File {
                what: "cannot write",
                path: parent.display().to_string(),
                source,
            })?;
            written.push((path, text));
        }
        let files: Vec<(&Path, &str)> = written
            .iter()
            .map(|(path, text)| (path.as_path(), text.as_str()))
            .collect();
        disk::write("cannot write", &files)?;
        for (path, _) in files {
            output::success(format!("{} written", path.display()));
        }
        Ok(())
    }

    /// Says what would change in the repository; differences go to standard output.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub(super) fn compare(&self, found: &BTreeMap<String, String>) -> Result<(), Error> {
        for (path, text, is_users) in &self.0 {
            match found.get(path) {
                None => {
                    let lines = text.lines().count();
                    output::action(format!("{path} would be added ({lines} lines)"));
                }
                Some(_) if *is_users => output::success(format!("{path} is kept as it is")),
                Some(before) if before == text => {
                    output::success(format!("{path} is up to date"));
                }
                Some(before) => {
                    output::action(format!("{path} would be changed"));
                    output::data(&unified(path, before, text))?;
                }
            }
        }
        Ok(())
    }
}

/// Lets the API server try what would be installed, and says how it went.
///
/// # Errors
/// The first refusal.
pub(super) async fn of_cluster(
    cluster: &Cluster,
    objects: &[Value],
    namespace: &str,
) -> Result<(), Error> {
    cluster.rehearse(objects).await?;
    output::success(format!(
        "the API server would take the {} objects of the components in {namespace:?} namespace",
        objects.len()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Files;

    #[test]
    fn what_belongs_to_the_user_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str, is_users| (path.to_owned(), text.to_owned(), is_users);
        let files = |text: &str| {
            Files(vec![
                file("a/made.yaml", text, false),
                file("a/own.yaml", text, true),
            ])
        };
        files("one\n").write(folder.path()).unwrap();
        files("two\n").write(folder.path()).unwrap();
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
        assert_eq!(read("a/made.yaml"), "two\n");
        assert_eq!(read("a/own.yaml"), "one\n");
        assert_eq!(
            std::fs::read_dir(folder.path().join("a")).unwrap().count(),
            2
        );
    }
}

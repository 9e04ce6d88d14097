//! One archive with everything for a cluster that reaches no registry and no web server.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{Images, VERSION, image_name};
use crate::image::{Tree, archive as oci};

/// How to use it; `{version}` and the names of images are filled in.
const README: &str = include_str!("offline.md");

/// Packs images, manifests and further files under their names, with a text on how to load them.
/// Not compressed: what is large in it already is.
pub(super) fn archive(images: &Images, files: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>> {
    let top = format!("flux-v{VERSION}");
    let mut tree = Tree::new();
    let mut add = |name: &str, content: Vec<u8>| {
        tree.file(&format!("{top}/{name}"), 0o644, content);
    };
    let plugin = files.first().map(|(name, _)| name.clone());
    let text = readme(images, &plugin.unwrap_or_default());
    add("README.md", text.into_bytes());
    let names = images.all().map(|(name, image)| (image_name(name), image));
    let named = names
        .each_ref()
        .map(|(name, image)| (name.as_str(), *image));
    add("images.tar", oci::pack(&named)?);
    for (name, content) in manifests()? {
        add(&format!("manifests/{name}"), content);
    }
    for (name, content) in files {
        add(&name, content);
    }
    Ok(tree.archive()?)
}

fn readme(images: &Images, plugin: &str) -> String {
    let copies: String = images
        .all()
        .iter()
        .map(|(name, _)| {
            let image = image_name(name);
            format!("skopeo copy oci-archive:images.tar:{image} docker://$REGISTRY/{image}\n")
        })
        .collect();
    let digests: String = images
        .all()
        .iter()
        .map(|(name, image)| format!("| `{name}` | `{}` |\n", image.digest()))
        .collect();
    README
        .replace("{version}", &format!("v{VERSION}"))
        .replace("{plugin}", plugin)
        .replace("{copies}", copies.trim_end())
        .replace("{digests}", digests.trim_end())
}

/// The files of `manifests/`, as `kubectl apply -k` takes them.
fn manifests() -> Result<Vec<(String, Vec<u8>)>> {
    let root = super::root().join("manifests");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let context = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                found.push((
                    relative(&root, &path),
                    fs::read(&path).with_context(context)?,
                ));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use super::*;
    use crate::image::{Image, Settings};

    #[test]
    fn the_manifests_are_those_of_the_tree() {
        let names: Vec<String> = manifests()
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(
            names.contains(&"kustomization.yaml".to_owned()),
            "{names:?}"
        );
        let crd = "crds/source.toolkit.fluxcd.io_gitrepositories.yaml".to_owned();
        assert!(names.contains(&crd), "{names:?}");
    }

    #[test]
    fn holds_what_its_text_names() {
        let image = |name: &str| {
            let labels = vec![("name".to_owned(), name.to_owned())];
            let settings = Settings {
                labels,
                ..Settings::default()
            };
            Image::new(&settings, Vec::new())
        };
        let images = Images {
            operator: image("operator"),
            webhook: image("webhook"),
        };
        let files = vec![("kubectl-flux_x.tar.gz".to_owned(), b"plugin".to_vec())];
        let archive = archive(&images, files).unwrap();
        let mut texts = BTreeMap::new();
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            texts.insert(path, content);
        }
        let file = |name: &str| &texts[&format!("flux-v{VERSION}/{name}")];
        assert_eq!(file("kubectl-flux_x.tar.gz"), b"plugin");
        assert!(!file("images.tar").is_empty());
        assert!(!file("manifests/operator.yaml").is_empty());
        let readme = String::from_utf8(file("README.md").clone()).unwrap();
        assert!(!readme.contains(['{', '}']), "{readme}");
        assert!(readme.contains(images.operator.digest()), "{readme}");
        assert!(
            readme.contains("tar -xzf kubectl-flux_x.tar.gz"),
            "{readme}"
        );
    }
}

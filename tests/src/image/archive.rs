//! Images in one file: a tar archive that is an OCI layout, as `skopeo`, `ctr images import` and
//! `podman load` read it, and has the `manifest.json` that `docker load` wants.

use serde_json::{Value, json};

use super::{Error, Image, Result, Tree};

/// Packs images under their names (`registry/name:tag`); blobs that they share are in it once.
///
/// # Errors
/// When a name is too long for tar, which none is.
pub fn pack(images: &[(&str, &Image)]) -> Result<Vec<u8>> {
    let mut tree = Tree::new();
    tree.file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#);
    for (_, image) in images {
        let manifest = (image.digest(), image.manifest());
        for (digest, content) in image.blobs().chain([manifest]) {
            tree.file(&blob(digest), 0o644, content);
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": images.iter().map(|(name, image)| entry(name, image)).collect::<Vec<_>>(),
    });
    tree.file("index.json", 0o644, index.to_string());
    let docker: Value = images
        .iter()
        .map(|(name, image)| docker(name, image))
        .collect();
    tree.file("manifest.json", 0o644, docker.to_string());
    tree.archive().map_err(|source| Error::Pack {
        what: "the archive of images".to_owned(),
        source,
    })
}

fn entry(name: &str, image: &Image) -> Value {
    let mut descriptor = image.manifest_descriptor();
    descriptor["annotations"] = json!({
        // By which skopeo picks one of several, and under which containerd stores it.
        "org.opencontainers.image.ref.name": name,
        "io.containerd.image.name": complete(name),
    });
    descriptor
}

/// A name with its registry: without one it is Docker Hub's, as all runtimes read it.
fn complete(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

fn docker(name: &str, image: &Image) -> Value {
    let mut blobs = image.blobs().map(|(digest, _)| blob(digest));
    json!({
        "Config": blobs.next(),
        "RepoTags": [name],
        "Layers": blobs.collect::<Vec<_>>(),
    })
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use super::{super::*, *};

    fn image(version: &str) -> Image {
        let layer = Tree::new()
            .file("etc/shared", 0o644, "shared")
            .pack(Compression::BEST)
            .unwrap();
        let settings = Settings {
            architecture: "amd64".to_owned(),
            labels: vec![("version".to_owned(), version.to_owned())],
            ..Settings::default()
        };
        Image::new(&settings, vec![layer])
    }

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    #[test]
    fn both_formats_name_the_same_blobs_by_their_digests() {
        let (one, two) = (image("1"), image("2"));
        let archive = pack(&[("r.example/one:v1", &one), ("r.example/two:v2", &two)]).unwrap();
        let files = files(&archive);

        let mut blobs = 0;
        for (path, content) in &files {
            if let Some(hex) = path.strip_prefix("blobs/sha256/")
                && !hex.is_empty()
            {
                assert_eq!(digest(content), format!("sha256:{hex}"));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 5, "two manifests, two configurations, one layer");

        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let first = &index["manifests"][0];
        assert_eq!(first["digest"], one.digest());
        assert_eq!(
            first["annotations"]["io.containerd.image.name"],
            "r.example/one:v1"
        );
        assert_eq!(
            first["annotations"]["org.opencontainers.image.ref.name"],
            "r.example/one:v1"
        );
        let manifest = &files[&blob(two.digest())];
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        assert_eq!(manifest["annotations"]["version"], "2");

        let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(docker[1]["RepoTags"], json!(["r.example/two:v2"]));
        let config = docker[1]["Config"].as_str().unwrap();
        let config: Value = serde_json::from_slice(&files[config]).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], two.layers()[0].diff_id());
        assert!(files.contains_key(docker[1]["Layers"][0].as_str().unwrap()));
    }

    #[test]
    fn names_without_a_registry_are_those_of_docker_hub() {
        for (name, expected) in [
            ("sync-operator:v1", "docker.io/library/sync-operator:v1"),
            ("team/x:v1", "docker.io/team/x:v1"),
            ("localhost/x:v1", "localhost/x:v1"),
            ("localhost:5000/x:v1", "localhost:5000/x:v1"),
            ("r.example/team/x:v1", "r.example/team/x:v1"),
        ] {
            assert_eq!(complete(name), expected);
        }
    }
}

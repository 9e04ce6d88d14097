//! `manifests/images.json`: by which digests the plugin pins the images that it installs.
//!
//! ```json
//! {"digests": {"admission-webhook": "sha256:...", "sync-operator": "sha256:..."}}
//! ```
//!
//! The names are those of the images in the manifests, without registry and tag. There are no
//! digests in it between releases: who builds images of their own pins nothing. A copy of an image
//! in another registry has the same digest.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The content of the file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// Name of an image to the digest of its manifest.
    pub digests: BTreeMap<String, String>,
}

impl Pins {
    /// Where it is in this tree.
    pub fn file() -> PathBuf {
        super::root().join("manifests/images.json")
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the file is missing or something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Writes it unless it says the same already; whether it did.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<bool> {
        if Self::read(path).is_ok_and(|old| old == *self) {
            return Ok(false);
        }
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, format!("{text}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_this_tree_names_no_other_images() {
        let pins = Pins::read(&Pins::file()).unwrap();
        for (name, digest) in &pins.digests {
            assert!(["admission-webhook", "sync-operator"].contains(&name.as_str()));
            assert!(
                digest.starts_with("sha256:") && digest.len() == 71,
                "{digest}"
            );
        }
    }

    #[test]
    fn written_only_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.json");
        let mut pins = Pins::default();
        assert!(pins.write(&file).unwrap());
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "{\n  \"digests\": {}\n}\n"
        );
        assert!(!pins.write(&file).unwrap());
        pins.digests
            .insert("sync-operator".into(), "sha256:0".into());
        assert!(pins.write(&file).unwrap());
        assert_eq!(Pins::read(&file).unwrap(), pins);
    }
}

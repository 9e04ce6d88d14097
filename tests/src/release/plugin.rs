//! The plugin as people install it: an archive, and the manifest with which krew does it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::VERSION;
use crate::image::{Tree, layer};

/// Name of the program.
const PLUGIN: &str = "kubectl-flux";
/// What kubectl calls to complete `kubectl flux`.
const COMPLETION: &str = "kubectl_complete-flux";

/// A file of the archive: name, mode, content.
pub(super) type File = (&'static str, u32, Vec<u8>);

/// The plugin, its companion for completion, and the licence.
pub(super) fn files(plugin: &Path) -> Result<Vec<File>> {
    let content = fs::read(plugin).with_context(|| format!("cannot read {}", plugin.display()))?;
    let output = Command::new(plugin)
        .args(["completion", "kubectl"])
        .output()
        .with_context(|| format!("cannot run {}", plugin.display()))?;
    ensure!(
        output.status.success() && output.stdout.starts_with(b"#!"),
        "{} completion kubectl printed no script",
        plugin.display()
    );
    let licence = fs::read(super::root().join("LICENSE")).context("cannot read LICENSE")?;
    Ok(vec![
        ("LICENSE", 0o644, licence),
        (PLUGIN, 0o755, content),
        (COMPLETION, 0o755, output.stdout),
    ])
}

/// A `.tar.gz` with the files side by side.
pub(super) fn archive(files: &[File]) -> Result<Vec<u8>> {
    let mut tree = Tree::new();
    for (name, mode, content) in files {
        tree.file(name, *mode, content.as_slice());
    }
    Ok(layer::gzip(&tree.archive()?, 9)?)
}

/// Where the archive will be found. Without an address it is its name: krew then takes the file
/// with `--archive`.
pub(super) fn address(url: Option<&str>, name: &str) -> String {
    match url {
        Some(url) => format!("{}/{name}", url.trim_end_matches('/')),
        None => name.to_owned(),
    }
}

/// The plugin manifest of krew (krew.googlecontainertools.github.com/v1alpha2).
pub(super) fn krew(address: &str, sha256: &str, platform: &str) -> String {
    let (os, arch) = platform.split_once('_').unwrap_or((platform, ""));
    let manifest = json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "flux"},
        "spec": {
            "version": format!("v{VERSION}"),
            "shortDescription": "Flux's objects: create, reconcile, preview",
            "description": "Creates, shows and reconciles the objects of Flux, says what is wrong \
                            with them, and installs a compact operator for them.\n",
            "caveats": format!(
                "For completion of `kubectl flux`, put {COMPLETION} of the archive into a folder \
                 of PATH.\n"
            ),
            "platforms": [{
                "selector": {"matchLabels": {"os": os, "arch": arch}},
                "uri": address,
                "sha256": sha256,
                "bin": PLUGIN,
                "files": [{"from": "*", "to": "."}],
            }],
        },
    });
    // It cannot fail for values of JSON.
    serde_yaml::to_string(&manifest).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn krew_finds_the_archive_and_the_program_in_it() {
        let address = address(Some("https://example.org/v0/"), "kubectl-flux_x.tar.gz");
        let text = krew(&address, &"0".repeat(64), "linux_arm64");
        let manifest: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let spec = &manifest["spec"];
        assert!(
            spec["shortDescription"].as_str().unwrap().len() <= 50,
            "krew's limit"
        );
        let platform = &spec["platforms"][0];
        assert_eq!(
            platform["uri"],
            "https://example.org/v0/kubectl-flux_x.tar.gz"
        );
        assert_eq!(platform["bin"], PLUGIN);
        assert_eq!(platform["selector"]["matchLabels"]["arch"], "arm64");
        // krew reads versions as semver with a `v`.
        assert!(spec["version"].as_str().unwrap().starts_with("v0."));
    }

    #[test]
    fn the_archive_is_the_same_for_the_same_files() {
        let files = vec![
            (PLUGIN, 0o755, b"program".to_vec()),
            (COMPLETION, 0o755, vec![]),
        ];
        assert_eq!(archive(&files).unwrap(), archive(&files).unwrap());
    }
}

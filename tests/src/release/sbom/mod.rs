//! Bills of materials, CycloneDX 1.6 in JSON: what each published program is made of, so that
//! scanners find the components that a vulnerability is in.
//!
//! For our programs that is what cargo really links for this selection of features and this
//! platform, without what only compiles or tests them ([`cargo`]); for kustomize what Go wrote into
//! the program ([`golang`]); for images the files of the C library, too ([`libraries`]).
//! No time and no random serial number: the same release has the same bill.

mod cargo;
mod golang;
mod libraries;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Programs, VERSION};
use crate::image::{
    hex,
    product::{ADMISSION_WEBHOOK, SYNC_OPERATOR},
};

/// Something that a program is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Component {
    /// What it is known by: a package URL (purl), or a path.
    reference: String,
    name: String,
    version: String,
    /// `library`, `application` or `file`.
    kind: &'static str,
    /// SPDX expression, if known.
    licence: Option<String>,
    /// SHA-256 in hexadecimal digits, if known.
    sha256: Option<String>,
    /// References of what it uses directly.
    uses: Vec<String>,
}

impl Component {
    fn new(kind: &'static str, reference: &str, name: &str, version: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            kind,
            licence: None,
            sha256: None,
            uses: Vec::new(),
        }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "type": self.kind,
            "bom-ref": self.reference,
            "name": self.name,
            "version": self.version,
        });
        if self.reference.starts_with("pkg:") {
            value["purl"] = json!(self.reference);
        }
        if let Some(licence) = &self.licence {
            value["licenses"] = json!([{"expression": licence}]);
        }
        if let Some(sha256) = &self.sha256 {
            value["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
        }
        value
    }
}

/// The bills of plugin and images, with the names of what they are about.
///
/// # Errors
/// When cargo does not answer, or a program is none of those expected.
pub fn all(programs: &Programs) -> Result<Vec<(&'static str, Value)>> {
    let trees = cargo::trees(&[
        "flux-sync-operator",
        "flux-admission-webhook",
        "kubectl-flux",
    ])?;
    let [operator, webhook, plugin] = trees;
    let kustomize = golang::components(&programs.kustomize)?;
    let operator_files = [programs.operator.as_path(), &programs.kustomize];
    let parts = [operator, kustomize, libraries::components(&operator_files)?].concat();
    let webhook_files = [programs.webhook.as_path()];
    let webhook = [webhook, libraries::components(&webhook_files)?].concat();
    Ok(vec![
        (SYNC_OPERATOR, bill("container", SYNC_OPERATOR, None, parts)),
        (
            ADMISSION_WEBHOOK,
            bill("container", ADMISSION_WEBHOOK, None, webhook),
        ),
        (
            "kubectl-flux",
            bill(
                "application",
                "kubectl-flux",
                Some(sum(&programs.plugin)?),
                plugin,
            ),
        ),
    ])
}

fn sum(path: &Path) -> Result<String> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(&content))
}

/// The document about one artefact. Components of the same reference are one.
fn bill(kind: &str, name: &str, sha256: Option<String>, components: Vec<Component>) -> Value {
    let mut merged: BTreeMap<String, Component> = BTreeMap::new();
    for component in components {
        match merged.get_mut(&component.reference) {
            Some(there) => there.uses.extend(component.uses),
            None => {
                merged.insert(component.reference.clone(), component);
            }
        }
    }
    for component in merged.values_mut() {
        component.uses.sort();
        component.uses.dedup();
    }
    let mut subject = json!({
        "type": kind,
        "bom-ref": name,
        "name": name,
        "version": VERSION,
        "licenses": [{"expression": "Apache-2.0"}],
    });
    if let Some(sha256) = sha256 {
        subject["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    // What nothing else uses is what the artefact itself holds.
    let used: Vec<&String> = merged.values().flat_map(|one| &one.uses).collect();
    let top: Vec<&String> = merged.keys().filter(|name| !used.contains(name)).collect();
    let mut dependencies = vec![json!({"ref": name, "dependsOn": top})];
    dependencies.extend(
        merged
            .values()
            .map(|one| json!({"ref": one.reference, "dependsOn": one.uses})),
    );
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": merged.values().map(Component::json).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_component_stands_once_and_every_reference_leads_somewhere() {
        let mut a = Component::new("application", "pkg:cargo/a@1", "a", "1");
        a.uses = vec!["pkg:cargo/b@2".to_owned()];
        let b = Component::new("library", "pkg:cargo/b@2", "b", "2");
        let bill = bill("container", "image", None, vec![a.clone(), b.clone(), b, a]);
        assert_eq!(bill["components"].as_array().unwrap().len(), 2);
        assert_eq!(
            bill["dependencies"],
            json!([
                {"ref": "image", "dependsOn": ["pkg:cargo/a@1"]},
                {"ref": "pkg:cargo/a@1", "dependsOn": ["pkg:cargo/b@2"]},
                {"ref": "pkg:cargo/b@2", "dependsOn": []},
            ])
        );
    }
}

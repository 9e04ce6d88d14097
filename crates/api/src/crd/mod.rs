//! The CustomResourceDefinitions, made from the Rust types.
//!
//! The types describe `v1`. The older versions are served with the same fields, so that nothing of
//! an old manifest is pruned when it is stored as `v1` (conversion `None`), and with the limits that
//! Flux's own schema of that version has: [`versions`] is the table of what differs.
//!
//! The files under `manifests/crds/` are [`files`], written by `cargo run -p flux-api --example
//! crds`.

mod columns;
mod schema;
mod versions;

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::CustomResourceExt;

use crate::names::{DISABLED, DISTRIBUTION, NAME_LABEL, PART_OF, PART_OF_LABEL, SUBSTITUTE};
use crate::{GitRepository, ImagePolicy, ImageRepository, ImageUpdateAutomation, Kustomization};

/// The version that is stored, and that the Rust types describe.
pub const STORED: &str = "v1";

/// Older versions that are served too, newest first.
pub const DEPRECATED: [&str; 2] = ["v1beta2", "v1beta1"];

/// The definitions of all kinds, in the order of their names.
pub fn all() -> Vec<CustomResourceDefinition> {
    let derived = [
        ImagePolicy::crd(),
        ImageRepository::crd(),
        ImageUpdateAutomation::crd(),
        Kustomization::crd(),
        GitRepository::crd(),
    ];
    derived.into_iter().map(complete).collect()
}

/// A definition as YAML, with a final newline and without a leading `---`.
pub fn yaml(crd: &CustomResourceDefinition) -> String {
    #[expect(
        clippy::expect_used,
        reason = "a definition is maps with text keys, lists and scalars"
    )]
    serde_yaml::to_string(crd).expect("a definition can be written as YAML")
}

/// The files to install the definitions from, by name: one per kind, and `kustomization.yaml`.
pub fn files() -> BTreeMap<String, String> {
    const HEADER: &str =
        "# Made by `cargo run -p flux-api --example crds`; change the types.\n---\n";

    let mut kustomization = String::from(HEADER);
    kustomization
        .push_str("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
    let mut files = BTreeMap::new();
    for crd in all() {
        let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        // Writing to a String does not fail.
        let _ = writeln!(kustomization, "- {name}");
        files.insert(name, format!("{HEADER}{}", yaml(&crd)));
    }
    files.insert("kustomization.yaml".to_owned(), kustomization);
    files
}

/// Adds to a derived definition what the derive does not know: columns, older versions, metadata.
fn complete(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    // Flux replaces variables in what it applies, and would do so in patterns and descriptions.
    crd.metadata.annotations = Some([(SUBSTITUTE.to_owned(), DISABLED.to_owned())].into());
    let labels = [(NAME_LABEL, DISTRIBUTION), (PART_OF_LABEL, PART_OF)];
    crd.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let spec = &mut crd.spec;
    let (group, kind) = (spec.group.clone(), spec.names.kind.clone());
    spec.names.list_kind = Some(format!("{kind}List"));
    spec.conversion = Some(CustomResourceConversion {
        strategy: "None".to_owned(),
        webhook: None,
    });
    spec.versions = std::mem::take(&mut spec.versions)
        .into_iter()
        .flat_map(|derived| {
            let stored = stored_version(&kind, derived);
            let older = DEPRECATED.map(|version| older_version(&group, &kind, version, &stored));
            std::iter::once(stored).chain(older)
        })
        .collect();
    crd
}

fn stored_version(
    kind: &str,
    mut version: CustomResourceDefinitionVersion,
) -> CustomResourceDefinitionVersion {
    if let Some(root) = version
        .schema
        .as_mut()
        .and_then(|s| s.open_api_v3_schema.as_mut())
    {
        schema::tidy(root);
        schema::complete_root(root);
    }
    version.additional_printer_columns = Some(columns::of(kind, STORED));
    version
}

fn older_version(
    group: &str,
    kind: &str,
    name: &str,
    stored: &CustomResourceDefinitionVersion,
) -> CustomResourceDefinitionVersion {
    let mut version = stored.clone();
    name.clone_into(&mut version.name);
    version.storage = false;
    version.deprecated = Some(true);
    version.deprecation_warning = Some(format!(
        "{group}/{name} {kind} is deprecated; write apiVersion: {group}/{STORED}"
    ));
    version.additional_printer_columns = Some(columns::of(kind, name));
    if let Some(root) = version
        .schema
        .as_mut()
        .and_then(|s| s.open_api_v3_schema.as_mut())
    {
        versions::differ(kind, name, root);
    }
    version
}

#[cfg(test)]
mod tests;

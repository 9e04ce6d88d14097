//! Feature gates by Flux's names. Manifests are taken over as they are, so none is refused; one that
//! changes nothing here is said to.

use std::str::FromStr;

/// A gate that is switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    name: String,
    on: bool,
}

/// Variables that are not set fail the build.
pub const STRICT_SUBSTITUTIONS: &str = "StrictPostBuildSubstitutions";

/// `readyExpr` is asked in addition to the usual check, not in its place.
pub const ADDITIVE_READY_EXPRESSIONS: &str = "AdditiveCELDependencyCheck";

/// A health check goes on until its timeout when an object has failed.
pub const PATIENT_HEALTH_CHECKS: &str = "DisableFailFastBehavior";

/// The gates that are heeded.
const HEEDED: &[&str] = &[
    STRICT_SUBSTITUTIONS,
    ADDITIVE_READY_EXPRESSIONS,
    PATIENT_HEALTH_CHECKS,
];

/// What the gates of Flux are about that nothing is to be done for.
const NOT_NEEDED: &[(&str, &str)] = &[
    (
        "CacheSecretsAndConfigMaps",
        "no content of Secrets is cached",
    ),
    (
        "CancelHealthCheckOnNewRevision",
        "a new revision always ends a health check",
    ),
    ("DirectSourceFetch", "sources are read inside the process"),
    (
        "DisableConfigWatchers",
        "what a Kustomization refers to is watched at no cost",
    ),
    ("DisableStatusPollerCache", "health comes from watches"),
    (
        "ExternalArtifact",
        "this kind of source is not supported yet",
    ),
    ("FluxStorage", "tags are always kept in files"),
    (
        "GitAllBranchReferences",
        "the push branch is always looked at",
    ),
    (
        "GitForcePushBranch",
        "the push branch is always the base plus one commit",
    ),
    (
        "GitShallowClone",
        "mirrors are shallow where the server allows it",
    ),
    ("GitSparseCheckout", "nothing is checked out"),
    ("GroupChangeLog", "changes are always told of together"),
    (
        "MigrateAPIVersion",
        "managed fields always move to the API version that is applied",
    ),
    (
        "ObjectLevelWorkloadIdentity",
        "cloud identities are not supported yet",
    ),
];

impl Gate {
    /// What is to be said about it, if it changes nothing.
    pub fn remark(&self) -> Option<String> {
        let name = &self.name;
        if HEEDED.contains(&name.as_str()) {
            return None;
        }
        Some(match NOT_NEEDED.iter().find(|(gate, _)| gate == name) {
            Some((_, why)) => format!("feature gate {name} has no effect here: {why}"),
            None => format!("feature gate {name} is not known"),
        })
    }
}

/// Whether a gate is on; of several words about it the last counts.
pub fn is_on(gates: &[Gate], name: &str, default: bool) -> bool {
    let given = gates.iter().rev().find(|gate| gate.name == name);
    given.map_or(default, |gate| gate.on)
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, "true"));
        let on = value
            .parse()
            .map_err(|_| format!("'{value}' is neither true nor false"))?;
        let name = name.to_owned();
        Ok(Self { name, on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_and_remarked_upon() {
        let of = |text: &str| text.parse::<Gate>().unwrap();
        let gates = ["A=true", "A=false", "B"].map(of);
        assert!(!is_on(&gates, "A", true) && is_on(&gates, "B", false) && is_on(&gates, "C", true));
        assert!("A=maybe".parse::<Gate>().is_err());
        for (gate, remark) in [
            ("StrictPostBuildSubstitutions=false", None),
            ("AdditiveCELDependencyCheck", None),
            (
                "GitShallowClone=true",
                Some("has no effect here: mirrors are shallow"),
            ),
            ("StrictPostBuildSubstitution=false", Some("is not known")),
        ] {
            let said = of(gate).remark();
            assert_eq!(said.is_some(), remark.is_some(), "{gate}");
            assert!(
                said.unwrap_or_default()
                    .contains(remark.unwrap_or_default())
            );
        }
    }
}

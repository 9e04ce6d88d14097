//! Identifiers of applied objects, as Flux stores them in `status.inventory`.
//!
//! The form is `<namespace>_<name>_<group>_<kind>`, with an empty namespace for objects that belong
//! to none and an empty group for the core group. A colon in a name, as RBAC allows it, is written
//! `__`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object without regard to the version it was written in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Namespace; empty for objects that belong to none.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// Why a text is no [`ObjectId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("inventory id {text:?} is not of the form <namespace>_<name>_<group>_<kind>")]
pub struct ObjectIdError {
    text: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.replace(':', "__");
        write!(f, "{}_{name}_{}_{}", self.namespace, self.group, self.kind)
    }
}

impl FromStr for ObjectId {
    type Err = ObjectIdError;

    /// Namespace, group and kind cannot hold an underscore, so they are cut off from the ends and
    /// the rest is the name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = || {
            let (namespace, rest) = text.split_once('_')?;
            let (rest, kind) = rest.rsplit_once('_')?;
            let (name, group) = rest.rsplit_once('_')?;
            let id = Self {
                namespace: namespace.to_owned(),
                name: name.replace("__", ":"),
                group: group.to_owned(),
                kind: kind.to_owned(),
            };
            (!name.is_empty() && !kind.is_empty()).then_some(id)
        };
        parts().ok_or_else(|| ObjectIdError {
            text: text.to_owned(),
        })
    }
}

/// An entry of an inventory.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct ResourceRef {
    /// The object: `<namespace>_<name>_<group>_<kind>`.
    pub id: String,

    /// API version it was applied in.
    pub v: String,
}

impl ResourceRef {
    /// The entry of an object that was applied in the given API version (without the group).
    pub fn new(id: &ObjectId, version: impl Into<String>) -> Self {
        Self {
            id: id.to_string(),
            v: version.into(),
        }
    }

    /// The object that the entry names.
    pub fn object(&self) -> Result<ObjectId, ObjectIdError> {
        self.id.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(namespace: &str, name: &str, group: &str, kind: &str) -> ObjectId {
        ObjectId {
            namespace: namespace.into(),
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
        }
    }

    #[test]
    fn forms() {
        let table = [
            (
                "foo_foo_apps_Deployment",
                id("foo", "foo", "apps", "Deployment"),
            ),
            ("foo_foo__Service", id("foo", "foo", "", "Service")),
            ("_foo__Namespace", id("", "foo", "", "Namespace")),
            (
                "_system__node_rbac.authorization.k8s.io_ClusterRole",
                id(
                    "",
                    "system:node",
                    "rbac.authorization.k8s.io",
                    "ClusterRole",
                ),
            ),
            (
                "_a____b___rbac.authorization.k8s.io_ClusterRole",
                id("", "a::b:", "rbac.authorization.k8s.io", "ClusterRole"),
            ),
            (
                "ns_under_score__ConfigMap",
                id("ns", "under_score", "", "ConfigMap"),
            ),
        ];
        for (text, id) in table {
            assert_eq!(text.parse(), Ok(id.clone()));
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn not_an_id() {
        for text in [
            "",
            "foo",
            "foo_bar",
            "foo_bar_baz",
            "foo___Service",
            "foo_bar__",
        ] {
            let error = text.parse::<ObjectId>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("<namespace>_<name>_<group>_<kind>"),
                "{text}"
            );
        }
    }

    #[test]
    fn entries() {
        let deployment = id("foo", "foo", "apps", "Deployment");
        let entry = ResourceRef::new(&deployment, "v1");
        assert_eq!(
            serde_json::to_value(&entry).unwrap(),
            serde_json::json!({ "id": "foo_foo_apps_Deployment", "v": "v1" })
        );
        assert_eq!(entry.object(), Ok(deployment));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn round_trip(
            namespace in "([a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?)?",
            name in "[a-z0-9:.-]{1,12}",
            group in "([a-z]{1,5}(\\.[a-z]{1,5}){0,2})?",
            kind in "[A-Z][A-Za-z]{0,8}",
        ) {
            let id = id(&namespace, &name, &group, &kind);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn never_panics(text in ".{0,20}") {
            let _ = text.parse::<ObjectId>();
        }
    }
}

//! What is known about a cluster besides the object under review.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::index::Key;
use crate::kind::Kind;
use crate::secret::Secret;

/// An answer about the cluster. "Not known" is not "not there": only the latter can be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// Nobody looked, or nobody may look.
    Unknown,
    /// It is certain that there is none.
    Absent,
    /// This is it.
    Present(T),
}

impl<T> Fact<T> {
    /// The value, if there is one.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// The same answer with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Unknown => Fact::Unknown,
            Self::Absent => Fact::Absent,
            Self::Present(value) => Fact::Present(change(value)),
        }
    }
}

/// An IngressClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// `metadata.name`
    pub name: String,
    /// `spec.controller`, e.g. `k8s.io/ingress-nginx`
    pub controller: String,
    /// Whether it serves Ingresses that name no class.
    pub default: bool,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, empty if it has none.
    pub name: String,
    /// Its number.
    pub number: i64,
}

/// Tags that a scan of an image repository found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Those that are known.
    pub known: Vec<String>,
    /// How many there are.
    pub total: usize,
}

impl Tags {
    /// What the status of an ImageRepository says: the alphabetically last ten at most.
    #[must_use]
    pub fn scanned(repository: &Value) -> Fact<Self> {
        crate::objects::scanned_tags(repository)
    }
}

/// Kinds without rules of which only the existence matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Other {
    /// `v1` ConfigMap
    ConfigMap,
    /// `v1` ServiceAccount
    ServiceAccount,
}

impl Other {
    /// The name as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::ServiceAccount => "ServiceAccount",
        }
    }
}

/// Questions that rules ask about a cluster. Every answer may be [`Fact::Unknown`], and is unless
/// an implementation says otherwise.
///
/// Rules ask about the object's own namespace and about what the object names explicitly, never
/// for lists across namespaces: an answer to a forged review must not tell what its sender could
/// not see.
pub trait Facts: Send + Sync {
    /// All IngressClasses.
    fn ingress_classes(&self) -> Fact<Vec<IngressClass>> {
        Fact::Unknown
    }

    /// The ports of a Service. `Present` with no ports for an ExternalName without any.
    fn service(&self, _namespace: &str, _name: &str) -> Fact<Vec<ServicePort>> {
        Fact::Unknown
    }

    /// The result of the last scan of an ImageRepository; `Absent` if there is no such object,
    /// `Unknown` also if it was not scanned yet.
    fn tags(&self, _namespace: &str, _name: &str) -> Fact<Tags> {
        Fact::Unknown
    }

    /// A Secret, as far as somebody may know it.
    fn secret(&self, _namespace: &str, _name: &str) -> Fact<Secret> {
        Fact::Unknown
    }

    /// Whether an object without rules exists.
    fn exists(&self, _other: Other, _namespace: &str, _name: &str) -> Fact<()> {
        Fact::Unknown
    }

    /// The labels of a namespace.
    fn namespace(&self, _name: &str) -> Fact<BTreeMap<String, String>> {
        Fact::Unknown
    }

    /// An object of a kind with rules.
    fn object(&self, _kind: Kind, _namespace: &str, _name: &str) -> Fact<Arc<Value>> {
        Fact::Unknown
    }

    /// Some objects of a kind that have this key: [`LISTED`] at most.
    fn indexed(&self, _kind: Kind, _key: Key) -> Fact<Vec<Arc<Value>>> {
        Fact::Unknown
    }

    /// Whether these are files, which name objects that a cluster may have already.
    fn is_files(&self) -> bool {
        false
    }
}

/// How many objects [`Facts::indexed`] gives at most: an answer must not take longer because a
/// cluster is large.
pub const LISTED: usize = 32;

/// Nothing is known: rules speak about the object alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl Facts for Nothing {}

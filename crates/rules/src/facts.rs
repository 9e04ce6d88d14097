//! What is known about a cluster besides the object under review.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::subject::Subject;

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

/// Questions that rules ask about a cluster. Every answer may be [`Fact::Unknown`], and is unless
/// an implementation says otherwise.
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

    /// Whether a Secret exists.
    fn secret(&self, _namespace: &str, _name: &str) -> Fact<()> {
        Fact::Unknown
    }
}

/// Nothing is known: rules speak about the object alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl Facts for Nothing {}

/// Facts from a set of objects: the manifests of a folder, or a list asked from a cluster.
#[derive(Clone, Debug)]
pub struct Objects {
    objects: BTreeMap<(String, String, String), Value>,
    complete: bool,
}

impl Objects {
    /// These objects are all there are: what is not among them does not exist.
    pub fn complete(objects: impl IntoIterator<Item = Value>) -> Self {
        Self::new(objects, true)
    }

    /// There may be others: what is not among them is unknown.
    pub fn partial(objects: impl IntoIterator<Item = Value>) -> Self {
        Self::new(objects, false)
    }

    fn new(objects: impl IntoIterator<Item = Value>, complete: bool) -> Self {
        let key = |object: &Value| {
            let subject = Subject::new(object);
            let kind = object
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or_default();
            // An IngressClass has no namespace; nobody asks for one either.
            (
                kind.to_owned(),
                subject.namespace().to_owned(),
                subject.name().to_owned(),
            )
        };
        let objects = objects
            .into_iter()
            .map(|object| (key(&object), object))
            .collect();
        Self { objects, complete }
    }

    fn missing<T>(&self) -> Fact<T> {
        if self.complete {
            Fact::Absent
        } else {
            Fact::Unknown
        }
    }

    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects
            .get(&(kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }
}

impl Facts for Objects {
    fn ingress_classes(&self) -> Fact<Vec<IngressClass>> {
        let classes: Vec<_> = self
            .objects
            .iter()
            .filter(|((kind, ..), _)| kind == "IngressClass")
            .map(|(_, object)| ingress_class(object))
            .collect();
        if classes.is_empty() && !self.complete {
            Fact::Unknown
        } else {
            Fact::Present(classes)
        }
    }

    fn service(&self, namespace: &str, name: &str) -> Fact<Vec<ServicePort>> {
        self.find("Service", namespace, name).map_or_else(
            || self.missing(),
            |object| {
                let ports = Subject::new(object).list("/spec/ports").iter();
                Fact::Present(ports.filter_map(service_port).collect())
            },
        )
    }

    fn tags(&self, namespace: &str, name: &str) -> Fact<Tags> {
        self.find("ImageRepository", namespace, name)
            .map_or_else(|| self.missing(), scanned_tags)
    }

    fn secret(&self, namespace: &str, name: &str) -> Fact<()> {
        self.find("Secret", namespace, name)
            .map_or_else(|| self.missing(), |_| Fact::Present(()))
    }
}

fn ingress_class(object: &Value) -> IngressClass {
    let subject = Subject::new(object);
    let text = |pointer: &str| subject.text(pointer).unwrap_or_default().to_owned();
    IngressClass {
        name: text("/metadata/name"),
        controller: text("/spec/controller"),
        default: subject.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true"),
    }
}

fn service_port(port: &Value) -> Option<ServicePort> {
    Some(ServicePort {
        name: port
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        number: port.get("port")?.as_i64()?,
    })
}

/// The tags that the status of an ImageRepository names: at most ten, the alphabetically last.
fn scanned_tags(repository: &Value) -> Fact<Tags> {
    let subject = Subject::new(repository);
    if !subject.has("/status/lastScanResult/tagCount") {
        return Fact::Unknown;
    }
    let known: Vec<String> = subject
        .list("/status/lastScanResult/latestTags")
        .iter()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    let total = subject
        .get("/status/lastScanResult/tagCount")
        .and_then(Value::as_u64)
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(known.len());
    Fact::Present(Tags {
        total: total.max(known.len()),
        known,
    })
}

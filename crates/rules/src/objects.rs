//! Facts from a set of objects: the manifests of a folder, or lists asked from a cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::facts::{Fact, Facts, IngressClass, LISTED, Other, ServicePort, Tags};
use crate::index::{self, Key};
use crate::kind::Kind;
use crate::secret::Secret;
use crate::subject::Subject;

/// Objects by kind, namespace and name: who asks has texts, and shall not have to copy them.
type Shelves = BTreeMap<String, BTreeMap<String, BTreeMap<String, Arc<Value>>>>;

/// Which kinds are known completely, so that what is not among the objects does not exist.
#[derive(Clone, Debug)]
enum Complete {
    All,
    None,
    Kinds(BTreeSet<String>),
}

/// Facts from a set of objects.
#[derive(Clone, Debug)]
pub struct Objects {
    objects: Shelves,
    index: HashMap<(Kind, Key), Vec<Arc<Value>>>,
    complete: Complete,
    files: bool,
}

impl Objects {
    /// These objects are all there are: what is not among them does not exist.
    pub fn complete(objects: impl IntoIterator<Item = Value>) -> Self {
        Self::new(objects.into_iter().map(Arc::new), Complete::All, false)
    }

    /// There may be others: what is not among them is unknown.
    pub fn partial(objects: impl IntoIterator<Item = Value>) -> Self {
        Self::new(objects.into_iter().map(Arc::new), Complete::None, false)
    }

    /// The objects that files define; a cluster may have others.
    pub fn of_files(objects: impl IntoIterator<Item = Arc<Value>>) -> Self {
        Self::new(objects, Complete::None, true)
    }

    /// The objects of a cluster and, instead of those or in addition, what will be there. Only
    /// objects of the kinds given are known completely.
    pub fn of_cluster(
        objects: impl IntoIterator<Item = Arc<Value>>,
        kinds: impl IntoIterator<Item = String>,
    ) -> Self {
        Self::new(objects, Complete::Kinds(kinds.into_iter().collect()), false)
    }

    fn new(objects: impl IntoIterator<Item = Arc<Value>>, complete: Complete, files: bool) -> Self {
        let mut shelves = Shelves::new();
        for object in objects {
            let (kind, namespace, name) = id(&object);
            let shelf = shelves.entry(kind.to_owned()).or_default();
            let shelf = shelf.entry(namespace.to_owned()).or_default();
            shelf.insert(name.to_owned(), object);
        }
        let mut index: HashMap<(Kind, Key), Vec<Arc<Value>>> = HashMap::new();
        let all = shelves.values().flat_map(BTreeMap::values);
        for object in all.flat_map(BTreeMap::values) {
            let Some(kind) = Kind::of(object).or_else(|| bare_kind(object)) else {
                continue;
            };
            for key in index::keys(kind, object) {
                index
                    .entry((kind, key))
                    .or_default()
                    .push(Arc::clone(object));
            }
        }
        Self {
            objects: shelves,
            index,
            complete,
            files,
        }
    }

    /// Whether an object of this kind, name and namespace is there; one without a namespace is in
    /// whatever namespace is asked for, since a kustomization may put it there.
    #[must_use]
    pub fn mentions(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.find(kind, namespace, name).is_some()
            || self
                .find(kind, "default", name)
                .is_some_and(|object| !Subject::new(object).has("/metadata/namespace"))
    }

    /// Namespaces and names of all objects of a kind.
    pub fn names<'a>(&'a self, kind: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let namespaces = self.objects.get(kind).into_iter().flatten();
        namespaces.flat_map(|(namespace, objects)| {
            let names = objects.keys();
            names.map(|name| (namespace.as_str(), name.as_str()))
        })
    }

    /// Names of the objects of a kind in a namespace.
    pub fn names_in<'a>(&'a self, kind: &str, namespace: &str) -> impl Iterator<Item = &'a str> {
        let objects = self.objects.get(kind).and_then(|all| all.get(namespace));
        objects.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    fn missing<T>(&self, kind: &str) -> Fact<T> {
        let complete = match &self.complete {
            Complete::All => true,
            Complete::None => false,
            Complete::Kinds(kinds) => kinds.contains(kind),
        };
        if complete {
            Fact::Absent
        } else {
            Fact::Unknown
        }
    }

    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(kind)?.get(namespace)?.get(name)
    }

    fn fact(&self, kind: &str, namespace: &str, name: &str) -> Fact<&Arc<Value>> {
        self.find(kind, namespace, name)
            .map_or_else(|| self.missing(kind), Fact::Present)
    }
}

/// The kind of an object that does not say its API version, as in the examples of rules.
fn bare_kind(object: &Value) -> Option<Kind> {
    if object.get("apiVersion").is_some() {
        return None;
    }
    let name = object.get("kind")?.as_str()?;
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// Kind, namespace and name.
fn id(object: &Value) -> (&str, &str, &str) {
    let subject = Subject::new(object);
    let kind = object.get("kind").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    // kustomize's own file is another kind.
    let kind = if kind == "Kustomization"
        && subject
            .get("/apiVersion")
            .and_then(Value::as_str)
            .is_some_and(|version| version.starts_with("kustomize.config.k8s.io/"))
    {
        "kustomization file"
    } else {
        kind
    };
    let namespace = match kind {
        "IngressClass" | "Namespace" => "",
        _ => subject.namespace(),
    };
    (kind, namespace, subject.name())
}

impl Facts for Objects {
    fn ingress_classes(&self) -> Fact<Vec<IngressClass>> {
        let classes = self.objects.get("IngressClass").into_iter();
        let classes = classes.flat_map(BTreeMap::values);
        let classes: Vec<_> = classes
            .flat_map(BTreeMap::values)
            .map(|object| ingress_class(object))
            .collect();
        if classes.is_empty() && self.missing::<()>("IngressClass") == Fact::Unknown {
            Fact::Unknown
        } else {
            Fact::Present(classes)
        }
    }

    fn service(&self, namespace: &str, name: &str) -> Fact<Vec<ServicePort>> {
        self.fact("Service", namespace, name).map(|object| {
            let ports = Subject::new(object).list("/spec/ports").iter();
            ports.filter_map(service_port).collect()
        })
    }

    fn tags(&self, namespace: &str, name: &str) -> Fact<Tags> {
        self.find("ImageRepository", namespace, name).map_or_else(
            || self.missing("ImageRepository"),
            |found| scanned_tags(found),
        )
    }

    fn secret(&self, namespace: &str, name: &str) -> Fact<Secret> {
        self.fact("Secret", namespace, name)
            .map(|object| Secret::read(object))
    }

    fn exists(&self, other: Other, namespace: &str, name: &str) -> Fact<()> {
        self.fact(other.name(), namespace, name).map(|_| ())
    }

    fn namespace(&self, name: &str) -> Fact<BTreeMap<String, String>> {
        self.fact("Namespace", "", name).map(|object| {
            let labels = Subject::new(object)
                .get("/metadata/labels")
                .and_then(Value::as_object);
            labels
                .into_iter()
                .flatten()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        })
    }

    fn object(&self, kind: Kind, namespace: &str, name: &str) -> Fact<Arc<Value>> {
        self.fact(kind.name(), namespace, name).map(Arc::clone)
    }

    fn indexed(&self, kind: Kind, key: Key) -> Fact<Vec<Arc<Value>>> {
        match self.index.get(&(kind, key)) {
            Some(found) => Fact::Present(found.iter().take(LISTED).cloned().collect()),
            None => match self.missing::<()>(kind.name()) {
                Fact::Unknown => Fact::Unknown,
                _ => Fact::Present(Vec::new()),
            },
        }
    }

    fn is_files(&self) -> bool {
        self.files
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
pub(crate) fn scanned_tags(repository: &Value) -> Fact<Tags> {
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

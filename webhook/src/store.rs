//! Watch caches of the kinds that there are rules for, small enough for a large cluster.
//!
//! Objects are kept as the JSON of what rules read, which is a fraction of what it is as a tree;
//! one is parsed when somebody asks for it. Keys lead to objects, so that no question costs more
//! because a cluster is large.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use flux_rules::{Fact, Key, Kind, LISTED};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::broadcast;

/// Changes that a slow listener may be behind before it has to look at everything again.
const BACKLOG: usize = 1024;

/// Written by kubectl, as long as the object itself, and read by no rule.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Namespace and name.
type Id = Arc<(Box<str>, Box<str>)>;

/// An object that was created, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// All caches.
#[derive(Debug)]
pub struct Store {
    shelves: HashMap<Kind, Shelf>,
    changes: broadcast::Sender<Change>,
}

/// The objects of one kind.
#[derive(Debug, Default)]
struct Shelf {
    content: RwLock<Content>,
    complete: AtomicBool,
}

#[derive(Debug, Default)]
struct Content {
    objects: HashMap<Id, Entry>,
    index: HashMap<Key, Vec<Id>>,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    keys: Box<[Key]>,
}

impl Content {
    fn put(&mut self, kind: Kind, namespace: &str, name: &str, object: &Value) {
        let id: Id = Arc::new((namespace.into(), name.into()));
        self.take(&id);
        let keys = flux_rules::keys(kind, object).into_boxed_slice();
        for key in &keys {
            self.index.entry(*key).or_default().push(Arc::clone(&id));
        }
        let text = object.to_string().into_boxed_str();
        self.objects.insert(id, Entry { text, keys });
    }

    fn take(&mut self, id: &Id) {
        let Some(old) = self.objects.remove(id) else {
            return;
        };
        for key in &old.keys {
            if let Some(ids) = self.index.get_mut(key) {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    self.index.remove(key);
                }
            }
        }
    }

    fn get(&self, id: &Id) -> Option<Arc<Value>> {
        let entry = self.objects.get(id)?;
        serde_json::from_str(&entry.text).ok().map(Arc::new)
    }
}

impl Store {
    /// Empty caches that nobody fills yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let shelves = Kind::ALL.map(|kind| (kind, Shelf::default()));
        Arc::new(Self {
            shelves: shelves.into(),
            changes: broadcast::Sender::new(BACKLOG),
        })
    }

    /// Starts watching; the watches end with the runtime.
    #[must_use]
    pub fn start(client: &Client) -> Arc<Self> {
        let store = Self::new();
        for kind in Kind::ALL {
            tokio::spawn(follow(client.clone(), kind, Arc::clone(&store)));
        }
        store
    }

    /// The changes from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn shelf(&self, kind: Kind) -> Option<&Shelf> {
        self.shelves.get(&kind)
    }

    /// Whether all objects of a kind are known.
    #[must_use]
    pub fn is_complete(&self, kind: Kind) -> bool {
        self.shelf(kind)
            .is_some_and(|shelf| shelf.complete.load(Ordering::Acquire))
    }

    /// Fills a cache by hand: for measurements and tests without a cluster.
    pub fn fill(&self, kind: Kind, objects: impl IntoIterator<Item = Value>) {
        let mut content = Content::default();
        for object in objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
            let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
            content.put(kind, namespace, name, &object);
        }
        self.replace(kind, content);
    }

    fn replace(&self, kind: Kind, content: Content) {
        if let Some(shelf) = self.shelf(kind) {
            *write(&shelf.content) = content;
            shelf.complete.store(true, Ordering::Release);
        }
    }

    /// An object.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Fact<Arc<Value>> {
        let Some(shelf) = self.shelf(kind).filter(|_| self.is_complete(kind)) else {
            return Fact::Unknown;
        };
        let id = Arc::new((namespace.into(), name.into()));
        read(&shelf.content)
            .get(&id)
            .map_or(Fact::Absent, Fact::Present)
    }

    /// Some objects with a key.
    #[must_use]
    pub fn indexed(&self, kind: Kind, key: Key) -> Fact<Vec<Arc<Value>>> {
        let Some(shelf) = self.shelf(kind).filter(|_| self.is_complete(kind)) else {
            return Fact::Unknown;
        };
        let content = read(&shelf.content);
        let ids = content.index.get(&key).map_or(&[][..], Vec::as_slice);
        let found = ids.iter().take(LISTED).filter_map(|id| content.get(id));
        Fact::Present(found.collect())
    }

    /// Namespaces and names of all objects of a kind.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<(String, String)> {
        let Some(shelf) = self.shelf(kind) else {
            return Vec::new();
        };
        let content = read(&shelf.content);
        let ids = content.objects.keys();
        ids.map(|id| (id.0.to_string(), id.1.to_string())).collect()
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// What rules read of an object.
fn trimmed(kind: Kind, mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let metadata = serde_json::json!({
        "name": object.metadata.name,
        "namespace": object.metadata.namespace,
        "uid": object.metadata.uid,
        "labels": object.metadata.labels,
        "annotations": object.metadata.annotations,
        "deletionTimestamp": object.metadata.deletion_timestamp,
    });
    let mut value = serde_json::json!({
        "apiVersion": format!("{}/v1", kind.group()),
        "kind": kind.name(),
        "metadata": metadata,
        "spec": object.data.get("spec"),
    });
    if kind == Kind::ImageRepository
        && let Some(scan) = object.data.pointer("/status/lastScanResult")
    {
        value["status"] = serde_json::json!({"lastScanResult": scan});
    }
    value
}

async fn follow(client: Client, kind: Kind, store: Arc<Store>) {
    let gvk = GroupVersionKind::gvk(kind.group(), "v1", kind.name());
    let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut events = watcher::watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut listed = Content::default();
    let mut complained = false;
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            // A kind that is not installed yet, or rights that are missing: once is enough.
            Err(error) => {
                if !complained {
                    tracing::warn!(kind = kind.name(), %error, "cannot watch; rules that need this kind are silent");
                }
                complained = true;
                continue;
            }
        };
        let names =
            |object: &DynamicObject| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            Event::Init => listed = Content::default(),
            Event::InitApply(object) => {
                let (namespace, name) = names(&object);
                listed.put(kind, &namespace, &name, &trimmed(kind, object));
            }
            Event::InitDone => {
                store.replace(kind, std::mem::take(&mut listed));
                complained = false;
            }
            Event::Apply(object) => {
                let (namespace, name) = names(&object);
                if let Some(shelf) = store.shelf(kind) {
                    let value = trimmed(kind, object);
                    write(&shelf.content).put(kind, &namespace, &name, &value);
                }
                store.changed(kind, namespace, name);
            }
            Event::Delete(object) => {
                let (namespace, name) = names(&object);
                if let Some(shelf) = store.shelf(kind) {
                    let id = Arc::new((namespace.as_str().into(), name.as_str().into()));
                    write(&shelf.content).take(&id);
                }
                store.changed(kind, namespace, name);
            }
        }
    }
}

impl Store {
    fn changed(&self, kind: Kind, namespace: String, name: String) {
        // Without a listener nobody needs to know.
        let _ = self.changes.send(Change {
            kind,
            namespace,
            name,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ingress(name: &str, host: &str) -> Value {
        json!({"kind": "Ingress", "metadata": {"namespace": "web", "name": name},
            "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}]}})
    }

    #[test]
    fn objects_are_found_by_name_and_by_key() {
        let store = Store::new();
        assert_eq!(store.get(Kind::Ingress, "web", "a"), Fact::Unknown);
        store.fill(Kind::Ingress, [ingress("a", "x"), ingress("b", "x")]);
        assert_eq!(store.get(Kind::Ingress, "web", "c"), Fact::Absent);
        let found = store
            .get(Kind::Ingress, "web", "a")
            .present()
            .expect("there");
        assert_eq!(*found, ingress("a", "x"));
        let indexed = |host| {
            store
                .indexed(Kind::Ingress, Key::host(host))
                .present()
                .map(|found| found.len())
        };
        assert_eq!((indexed("x"), indexed("y")), (Some(2), Some(0)));
    }

    #[test]
    fn keys_follow_changes() {
        let mut content = Content::default();
        content.put(Kind::Ingress, "web", "a", &ingress("a", "x"));
        content.put(Kind::Ingress, "web", "a", &ingress("a", "y"));
        assert!(!content.index.contains_key(&Key::host("x")));
        assert!(content.index.contains_key(&Key::host("y")));
        content.take(&Arc::new(("web".into(), "a".into())));
        assert!(content.index.is_empty() && content.objects.is_empty());
    }
}

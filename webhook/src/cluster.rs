//! What rules may ask about the cluster, from watch caches.
//!
//! A cache answers "unknown" until it is complete: rules then speak about the object alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flux_rules::{Fact, Facts, IngressClass, Key, Kind, Secret, ServicePort, Tags};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::networking::v1::IngressClass as Class;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::secrets::Secrets;
use crate::store::Store as Objects;

/// Marks the class of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Watch caches of the kinds that rules ask about.
pub struct Caches {
    classes: Cache<Class>,
    services: Cache<Service>,
    namespaces: Cache<PartialObjectMeta<Namespace>>,
    objects: Arc<Objects>,
    secrets: Option<Arc<Secrets>>,
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches")
            .field("waiting_for", &self.waiting_for())
            .finish()
    }
}

struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    complete: Arc<AtomicBool>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    fn get(&self, namespace: &str, name: &str) -> Fact<Arc<K>> {
        if !self.is_complete() {
            return Fact::Unknown;
        }
        self.store
            .get(&ObjectRef::new(name).within(namespace))
            .map_or(Fact::Absent, Fact::Present)
    }
}

impl Caches {
    /// Starts watching; the watches end with the runtime. Secrets are looked at only where that
    /// is wanted, since whoever may see their keys may see everything in them.
    #[must_use]
    pub fn start(client: &Client, objects: Arc<Objects>, inspect_secrets: bool) -> Arc<Self> {
        Arc::new(Self {
            classes: cache(client, |_: &mut Class| {}),
            services: cache(client, |service: &mut Service| {
                service.metadata.annotations = None;
                service.metadata.labels = None;
                service.status = None;
                if let Some(spec) = &mut service.spec {
                    spec.selector = None;
                }
            }),
            namespaces: cache(client, |namespace: &mut PartialObjectMeta<Namespace>| {
                namespace.metadata.annotations = None;
            }),
            objects,
            secrets: inspect_secrets.then(|| Secrets::start(client)),
        })
    }

    /// The kinds whose caches are not complete yet.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let caches = [
            ("IngressClass", self.classes.is_complete()),
            ("Service", self.services.is_complete()),
            ("Namespace", self.namespaces.is_complete()),
        ];
        let kinds = Kind::ALL.map(|kind| (kind.name(), self.objects.is_complete(kind)));
        caches
            .into_iter()
            .chain(kinds)
            .filter(|(_, complete)| !complete)
            .map(|(kind, _)| kind)
            .collect()
    }
}

/// Watches all objects of a kind, without what nobody asks for.
fn cache<K>(client: &Client, trim: fn(&mut K)) -> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync,
{
    let (store, writer) = reflector::store();
    let events = watcher::watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            trim(object);
        })
        .reflect(writer);
    let complete = Arc::new(AtomicBool::new(false));
    tokio::spawn(follow::<K>(events, Arc::clone(&complete)));
    Cache { store, complete }
}

async fn follow<K: Resource<DynamicType = ()>>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    complete: Arc<AtomicBool>,
) {
    let kind = K::kind(&()).into_owned();
    let mut events = std::pin::pin!(events);
    let mut complained = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitDone) => {
                complete.store(true, Ordering::Release);
                complained = false;
            }
            Ok(_) => {}
            // A kind that is not installed yet, or rights that are missing: once is enough.
            Err(error) if !complained => {
                complained = true;
                tracing::warn!(kind, %error, "cannot watch; rules that need this kind are silent");
            }
            Err(error) => tracing::debug!(kind, %error, "still cannot watch"),
        }
    }
}

impl Facts for Caches {
    fn ingress_classes(&self) -> Fact<Vec<IngressClass>> {
        if !self.classes.is_complete() {
            return Fact::Unknown;
        }
        let classes = self.classes.store.state();
        Fact::Present(classes.iter().map(|class| ingress_class(class)).collect())
    }

    fn service(&self, namespace: &str, name: &str) -> Fact<Vec<ServicePort>> {
        match self.services.get(namespace, name) {
            Fact::Unknown => Fact::Unknown,
            Fact::Absent => Fact::Absent,
            Fact::Present(service) => Fact::Present(service_ports(&service)),
        }
    }

    fn tags(&self, namespace: &str, name: &str) -> Fact<Tags> {
        match self.objects.get(Kind::ImageRepository, namespace, name) {
            Fact::Unknown => Fact::Unknown,
            Fact::Absent => Fact::Absent,
            Fact::Present(repository) => Tags::scanned(&repository),
        }
    }

    fn secret(&self, namespace: &str, name: &str) -> Fact<Secret> {
        self.secrets
            .as_ref()
            .map_or(Fact::Unknown, |secrets| secrets.get(namespace, name))
    }

    fn namespace(&self, name: &str) -> Fact<BTreeMap<String, String>> {
        if !self.namespaces.is_complete() {
            return Fact::Unknown;
        }
        self.namespaces
            .store
            .get(&ObjectRef::new(name))
            .map_or(Fact::Absent, |found| Fact::Present(found.labels().clone()))
    }

    fn object(&self, kind: Kind, namespace: &str, name: &str) -> Fact<Arc<Value>> {
        self.objects.get(kind, namespace, name)
    }

    fn indexed(&self, kind: Kind, key: Key) -> Fact<Vec<Arc<Value>>> {
        self.objects.indexed(kind, key)
    }
}

fn ingress_class(class: &Class) -> IngressClass {
    IngressClass {
        name: class.name_any(),
        controller: class
            .spec
            .as_ref()
            .and_then(|spec| spec.controller.clone())
            .unwrap_or_default(),
        default: class
            .annotations()
            .get(DEFAULT_CLASS)
            .is_some_and(|value| value == "true"),
    }
}

fn service_ports(service: &Service) -> Vec<ServicePort> {
    let ports = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    ports
        .iter()
        .map(|port| ServicePort {
            name: port.name.clone().unwrap_or_default(),
            number: i64::from(port.port),
        })
        .collect()
}

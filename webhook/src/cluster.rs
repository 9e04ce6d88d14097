//! What rules may ask about the cluster, from watch caches.
//!
//! A cache answers "unknown" until it is complete: rules then speak about the object alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flux_api::ImageRepository;
use flux_rules::{Fact, Facts, IngressClass, ServicePort, Tags};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::IngressClass as Class;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

/// Marks the class of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Watch caches of the kinds that rules ask about.
pub struct Caches {
    classes: Cache<Class>,
    services: Cache<Service>,
    repositories: Cache<ImageRepository>,
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
    /// Starts watching; the watches end with the runtime.
    #[must_use]
    pub fn start(client: &Client) -> Arc<Self> {
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
            repositories: cache(client, |repository: &mut ImageRepository| {
                repository.metadata.annotations = None;
                repository.metadata.labels = None;
                if let Some(status) = &mut repository.status {
                    status.conditions = Vec::new();
                }
            }),
        })
    }

    /// The kinds whose caches are not complete yet.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let caches = [
            ("IngressClass", self.classes.is_complete()),
            ("Service", self.services.is_complete()),
            ("ImageRepository", self.repositories.is_complete()),
        ];
        caches
            .into_iter()
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
        match self.repositories.get(namespace, name) {
            Fact::Unknown => Fact::Unknown,
            Fact::Absent => Fact::Absent,
            Fact::Present(repository) => scanned(&repository).map_or(Fact::Unknown, Fact::Present),
        }
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

fn scanned(repository: &ImageRepository) -> Option<Tags> {
    let scan = repository.status.as_ref()?.last_scan_result.as_ref()?;
    let total = usize::try_from(scan.tag_count).unwrap_or_default();
    Some(Tags {
        total: total.max(scan.latest_tags.len()),
        known: scan.latest_tags.clone(),
    })
}

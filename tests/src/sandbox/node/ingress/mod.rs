//! Serves Ingresses of the class `nginx`: a small bridge from the objects to Debian's nginx.
//!
//! A stand-in for ingress-nginx, which cannot be built everywhere: nginx itself is the real one,
//! and the lines for locations and rewrites are those that ingress-nginx documents, but nothing of
//! its other annotations, TLS or load balancing is here. In passing it tells the resolver for pods
//! the addresses of Services.

mod render;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    thread,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt, reflector,
        watcher::{self, watcher},
    },
};
use rustix::process::Signal;
use tokio::sync::oneshot;

use super::{
    super::{
        control_plane,
        error::{Error, Result},
        paths,
        process::{Process, Stop, Supervisor},
        programs::debian,
        wait,
    },
    config::CLUSTER_DOMAIN,
    find,
    network::Network,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// nginx and what keeps its configuration current.
#[derive(Debug)]
pub(super) struct Bridge {
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the thread works with.
struct Work {
    kubeconfig: PathBuf,
    dir: PathBuf,
    /// Where the resolver finds the addresses of Services.
    names: PathBuf,
    nginx: Arc<Process>,
}

impl Bridge {
    /// Starts nginx on port 80 of the network, with its files in `dir`.
    pub(super) async fn start(
        dir: PathBuf,
        names: PathBuf,
        kubeconfig: &Path,
        network: &Network,
        supervisor: &Supervisor,
    ) -> Result<Self> {
        paths::create_dir(&dir)?;
        let config = dir.join("nginx.conf");
        paths::write(&config, &render::main(&dir))?;
        paths::write(&dir.join(render::SERVERS), &render::servers(&[], &[]))?;
        let mut command = network.inside(&find(debian::NGINX));
        command.arg("-c").arg(&config).arg("-p").arg(&dir);
        command.args(["-e", "stderr"]);
        let nginx = supervisor.spawn("nginx", Stop::Kill, &mut command)?;
        wait::until("nginx", DEADLINE, Some(&nginx), async || {
            super::network::file_exists(&dir.join("nginx.pid"))
        })
        .await?;
        let work = Work {
            kubeconfig: kubeconfig.to_owned(),
            dir,
            names,
            nginx,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        // It outlives the runtime of whoever started the sandbox, which may be a single test's.
        let thread = thread::Builder::new()
            .name("ingress".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                if let Ok(runtime) = runtime {
                    runtime.block_on(async {
                        tokio::select! {
                            _ = work.run() => {}
                            _ = stopped => {}
                        }
                    });
                }
            })
            .map_err(|source| Error::Run {
                program: "the Ingress bridge".to_owned(),
                source,
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Work {
    /// Follows both kinds for as long as the sandbox lives.
    async fn run(&self) -> Result<()> {
        let client = control_plane::client(&self.kubeconfig).await?;
        let (ingresses, ingress_events) = watch(Api::<Ingress>::all(client.clone()));
        let (services, service_events) = watch(Api::<Service>::all(client));
        let mut events = pin!(stream::select(ingress_events, service_events));
        let (mut served, mut named) = (String::new(), String::new());
        while events.next().await.is_some() {
            let services = sorted(&services);
            let servers = render::servers(&sorted(&ingresses), &services);
            let names = names(&services);
            // A write that fails shows itself: requests are not answered as the objects say.
            if servers != served && paths::write(&self.dir.join(render::SERVERS), &servers).is_ok()
            {
                self.nginx.id().signal(Signal::HUP);
                served = servers;
            }
            if names != named && paths::write(&self.names.join("services"), &names).is_ok() {
                named = names;
            }
        }
        Ok(())
    }
}

/// A cache of all objects of a kind, and a stream with an item for each of its changes.
fn watch<K>(api: Api<K>) -> (reflector::Store<K>, impl Stream<Item = ()> + use<K>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .map(|_| ());
    (store, events)
}

/// In an order that does not depend on when an object was seen.
fn sorted<K>(store: &reflector::Store<K>) -> Vec<Arc<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let objects = store.state().into_iter();
    let named: BTreeMap<_, _> = objects
        .map(|object| ((object.namespace(), object.name_any()), object))
        .collect();
    named.into_values().collect()
}

/// Lines of a hosts file.
fn names(services: &[Arc<Service>]) -> String {
    services
        .iter()
        .filter_map(|service| {
            let address = render::cluster_ip(service)?;
            let (name, namespace) = (service.name_any(), service.namespace()?);
            Some(format!(
                "{address} {name}.{namespace}.svc.{CLUSTER_DOMAIN}\n"
            ))
        })
        .collect()
}

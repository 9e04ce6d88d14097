//! The end of a process: what its last runs had to tell is told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use flux_api::GitRepository;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::ListParams};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::cluster::{Cluster, NAMESPACE};
use super::faulty::{Fault, Faulty};

const SOURCE: &str = "app";
const FAILED: &str = "GitOperationFailed";

type Heard = Arc<Mutex<Vec<Value>>>;

/// What is heard under an address like that of Flux's notification-controller, which has a hard time
/// with failures: it takes one at the second attempt, and only after the Lease was given back.
async fn listener(client: Client) -> (String, Heard) {
    async fn hear(
        State((leases, busy, heard)): State<(Api<Lease>, Arc<AtomicBool>, Heard)>,
        Json(event): Json<Value>,
    ) -> StatusCode {
        if event["reason"] == FAILED {
            if busy.swap(false, Ordering::Relaxed) {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            while is_held(&leases).await {}
        }
        heard.lock().unwrap().push(event);
        StatusCode::OK
    }
    async fn is_held(leases: &Api<Lease>) -> bool {
        let lease = leases.get("source-controller-leader-election").await;
        let holder = lease.unwrap().spec.unwrap().holder_identity;
        holder.is_some_and(|holder| !holder.is_empty())
    }
    let heard = Heard::default();
    let leases = Api::namespaced(client, "flux-system");
    let router = Router::new().route("/", post(hear)).with_state((
        leases,
        Arc::new(AtomicBool::new(true)),
        heard.clone(),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

#[tokio::test]
async fn the_last_run_before_the_end_is_told_of() {
    let cluster = Cluster::start().await;
    let (address, heard) = listener(cluster.client.clone()).await;
    let told = format!("--events-addr={address}");
    let arguments = ["--enable-leader-election", told.as_str()];
    let operator = cluster.operator("ending", 0, &arguments).await;
    operator.readyz(true).await;
    let server = Faulty::start(&cluster.env, Fault::Slow).await;
    let spec = json!({"url": server.url("process/app.git"), "interval": "10m",
        "ref": {"branch": "main"}});
    let (version, kind) = ("source.toolkit.fluxcd.io/v1", "GitRepository");
    let object = json!({"spec": spec});
    cluster
        .create(version, kind, Some(NAMESPACE), SOURCE, object)
        .await;
    cluster
        .says::<GitRepository>(SOURCE, "Unknown", &["new generation"])
        .await;

    // While the run is under way the end is asked for, and only then does it get its answer.
    operator.process.id().signal(Signal::TERM);
    operator
        .says("stopping: runs under way are finished first")
        .await;
    server.set(Fault::Garbage);
    assert!(operator.ended().await.success());
    let ready = cluster
        .says::<GitRepository>(SOURCE, "False", &["unable to clone"])
        .await;
    let failures = ListParams::default().fields(&format!("reason={FAILED},type=Warning"));
    let events = cluster.api::<Event>().list(&failures).await.unwrap().items;
    let messages: Vec<_> = events.iter().filter_map(|e| e.message.as_deref()).collect();
    assert_eq!(messages, [ready.message.as_str()]);
    let heard = heard.lock().unwrap().clone();
    let last = heard.last().map(|event| &event["message"]);
    assert_eq!(last, Some(&json!(ready.message)), "{heard:?}");
    cluster.env.stop().await;
}

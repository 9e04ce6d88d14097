//! The server in process: TLS, routes, limits, exchange of certificates. No cluster.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use flux_admission_webhook::certificates::{Authority, Periods, Served};
use flux_admission_webhook::clients::Clients;
use flux_admission_webhook::decisions::Decisions;
use flux_admission_webhook::metrics::Metrics;
use flux_admission_webhook::readiness::Readiness;
use flux_admission_webhook::server::{self, App};
use flux_rules::{Context, Settings};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    base: String,
    served: Arc<Served>,
    readiness: Arc<Readiness>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn authority() -> Authority {
    Authority::generate(OffsetDateTime::now_utc(), &Periods::default()).expect("an authority")
}

fn leaf(authority: &Authority, served: &Served) {
    let names = ["127.0.0.1".to_owned()];
    served.swap(
        authority
            .leaf(&names, OffsetDateTime::now_utc(), &Periods::default())
            .expect("a leaf"),
    );
}

async fn start(authority: &Authority) -> Server {
    start_for(authority, None).await
}

async fn start_for(authority: &Authority, clients: Option<Clients>) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let served = Arc::new(Served::default());
    leaf(authority, &served);
    let readiness = Arc::new(Readiness::new(Arc::clone(&served), None, None));
    let metrics = Arc::new(Metrics::default());
    let decisions = Decisions::new("flux-system", Settings::default());
    let mut app = App::new(
        Context::default(),
        decisions,
        metrics,
        Arc::clone(&readiness),
    );
    if clients.is_some() {
        app = app.for_known_clients();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel();
    let acceptor = server::tls(Arc::clone(&served), clients).expect("TLS");
    let task = tokio::spawn(server::serve(
        listener,
        acceptor,
        server::router(app),
        async move {
            let _ = stopped.await;
        },
    ));
    Server {
        base,
        served,
        readiness,
        stop,
        task,
    }
}

fn client(authority: &Authority) -> Client {
    let certificate = Certificate::from_pem(authority.certificate().as_bytes()).expect("PEM");
    Client::builder()
        .tls_certs_only([certificate])
        .build()
        .expect("a client")
}

fn review(url: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "1", "operation": "CREATE", "object": {
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "a", "namespace": "b"}, "spec": {"url": url, "interval": "5m"},
        }},
    })
}

#[tokio::test]
async fn reviews_are_answered_over_http_1_and_2() {
    let authority = authority();
    let server = start(&authority).await;
    for version in [reqwest::Version::HTTP_2, reqwest::Version::HTTP_11] {
        let certificate = Certificate::from_pem(authority.certificate().as_bytes()).expect("PEM");
        let builder = Client::builder().tls_certs_only([certificate]);
        let builder = if version == reqwest::Version::HTTP_11 {
            builder.http1_only()
        } else {
            builder
        };
        let client = builder.build().expect("a client");
        let request = client.post(format!("{}/mutate", server.base));
        let answer = request
            .json(&review("git@github.com:o/r"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.version(), version);
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["response"]["allowed"], false);
        assert_eq!(answer["response"]["uid"], "1");
    }
}

#[tokio::test]
async fn a_new_authority_is_served_without_a_restart() {
    let (first, second) = (authority(), authority());
    let server = start(&first).await;
    let health = format!("{}/healthz", server.base);
    assert!(client(&first).get(&health).send().await.is_ok());
    assert!(client(&second).get(&health).send().await.is_err());
    leaf(&second, &server.served);
    assert!(client(&second).get(&health).send().await.is_ok());
    assert!(client(&first).get(&health).send().await.is_err());
}

#[tokio::test]
async fn bodies_have_a_limit_and_every_answer_is_a_review() {
    let authority = authority();
    let server = start(&authority).await;
    let client = client(&authority);
    let url = format!("{}/validate", server.base);
    for (body, code) in [
        (vec![b' '; 8 * 1024 * 1024 + 1], 413),
        (b"junk".to_vec(), 400),
    ] {
        let answer = client
            .post(&url)
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["response"]["status"]["code"], code);
    }
}

#[tokio::test]
async fn readiness_and_metrics_are_told() {
    let authority = authority();
    let server = start(&authority).await;
    let client = client(&authority);
    let status = async |path: &str| {
        let answer = client
            .get(format!("{}{path}", server.base))
            .send()
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(
        status("/readyz").await,
        (503, "it does not listen yet\n".to_owned())
    );
    server.readiness.listening();
    assert_eq!(status("/readyz").await.0, 200);
    let url = format!("{}/validate", server.base);
    let sent = client
        .post(url)
        .json(&review("ssh://git@a/b"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), 200);
    let metrics = status("/metrics").await.1;
    assert!(
        metrics.contains(r#"flux_admission_findings_total{rule="GR07"} 1"#),
        "{metrics}"
    );
    server.readiness.stopping();
    assert_eq!(status("/readyz").await.0, 503);
}

#[tokio::test]
async fn stopping_ends_the_server() {
    let authority = authority();
    let server = start(&authority).await;
    let client = client(&authority);
    let health = format!("{}/healthz", server.base);
    assert!(client.get(&health).send().await.is_ok());
    server.stop.send(()).expect("still running");
    server.task.await.expect("a clean end");
    assert!(client.get(&health).send().await.is_err());
}

/// An authority for clients, PEM, and a client of it with this name.
fn identity(name: &str) -> (String, Identity) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer).expect("signed").pem();
    let pem = certificate + &key.serialize_pem();
    (authority, Identity::from_pem(pem.as_bytes()).expect("PEM"))
}

#[tokio::test]
async fn reviews_can_be_for_known_clients_only() {
    let authority = authority();
    let (known, api_server) = identity("api-server");
    let file = std::env::temp_dir().join(format!("clients-{}.pem", std::process::id()));
    std::fs::write(&file, known).expect("a file");
    let read = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Clients::read(&file, &names).expect("authorities")
    };
    let status = async |server: &Server, identity: Option<Identity>, path: &str| {
        let certificate = Certificate::from_pem(authority.certificate().as_bytes()).expect("PEM");
        let mut builder = Client::builder().tls_certs_only([certificate]);
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        let client = builder.build().expect("a client");
        let request = client.post(format!("{}{path}", server.base));
        let answer = request.json(&review("ssh://git@a/b")).send().await;
        answer.map(|answer| answer.status().as_u16()).ok()
    };
    let server = start_for(&authority, Some(read(&[]))).await;
    let reviewed = status(&server, Some(api_server.clone()), "/validate").await;
    assert_eq!(reviewed, Some(200));
    assert_eq!(status(&server, None, "/validate").await, Some(403));
    // Probes have no certificate.
    assert_eq!(status(&server, None, "/healthz").await, Some(405));
    let (_, stranger) = identity("api-server");
    assert_eq!(status(&server, Some(stranger), "/validate").await, None);

    let server = start_for(&authority, Some(read(&["another"]))).await;
    let reviewed = status(&server, Some(api_server), "/validate").await;
    assert_eq!(reviewed, Some(403));
    std::fs::remove_file(&file).expect("there");
    assert!(Clients::read(&file, &[]).is_err());
}

//! What Flux's notification-controller is told, on which statuses of commits hang.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::post};
use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::wait;
use serde_json::{Value, json};

use super::cluster::{Cluster, PATIENCE};

type Messages = Arc<Mutex<Vec<Value>>>;

/// A receiver of events; its address, and what it was sent.
async fn receiver() -> (String, Messages) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let messages = Messages::default();
    let take = |State(messages): State<Messages>, Json(message): Json<Value>| async move {
        messages.lock().unwrap().push(message);
    };
    let router = Router::new()
        .route("/", post(take))
        .with_state(messages.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, messages)
}

#[tokio::test]
async fn every_commit_gets_its_status() {
    let cluster = Cluster::start().await;
    let (address, messages) = receiver().await;
    let flag = format!("--events-addr={address}");
    let operator = cluster.operator("operator", 0, &[&flag]).await;
    operator.readyz(true).await;
    let copy = cluster.source("app").await;
    cluster.kustomization("app", "app", json!({})).await;
    cluster
        .patch::<Kustomization>("app", json!({"spec": {"path": "./app"}}))
        .await;
    let updates = async |revision: &str| {
        let about = |message: &&Value| {
            let metadata = &message["metadata"];
            message["involvedObject"]["kind"] == "Kustomization"
                && metadata["kustomize.toolkit.fluxcd.io/revision"] == revision
                && metadata["kustomize.toolkit.fluxcd.io/commit_status"] == "update"
        };
        wait::until("an event", PATIENCE, Some(&operator.process), async || {
            let all = messages.lock().unwrap();
            let found = all.iter().filter(about).count();
            (found > 0)
                .then_some(found)
                .ok_or_else(|| format!("{all:#?}"))
        })
        .await
        .unwrap()
    };
    let mut pushed = 0;
    let mut push = async |path: &str, text: &str| {
        copy.write(path, text).unwrap();
        let revision = format!("main@sha1:{}", copy.commit_and_push("feat: next").unwrap());
        pushed += 1;
        let annotations = json!({"reconcile.fluxcd.io/requestedAt": pushed.to_string()});
        let patch = json!({"metadata": {"annotations": annotations}});
        cluster.patch::<GitRepository>("app", patch).await;
        revision
    };
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n";
    let first = push("app/app.yaml", manifest).await;
    assert_eq!(updates(&first).await, 1);

    // A check that is required of a commit must pass also where the commit changes nothing.
    let second = push("README.md", "about").await;
    assert_eq!(updates(&second).await, 1);
    operator.process.stop();
    cluster.env.stop().await;
}

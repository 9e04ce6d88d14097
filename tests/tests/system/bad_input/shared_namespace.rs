//! The layout of the walk: the repository that sets an application up and that of the application
//! both hold its Namespace.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use flux_api::{GitRepository, Kustomization};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{WatchEvent, WatchParams},
};
use serde_json::json;

use super::{
    manifests::{config_map, deployment},
    scene::Scene,
};

/// Runs of each of the two: what five minutes hold at the walk's interval of one.
const ROUNDS: usize = 5;

/// Counts how often a Namespace is written, while its events come.
async fn count(namespaces: Api<Namespace>, name: String, writes: Arc<AtomicUsize>) {
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let stream = namespaces.watch(&params, "0").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    while let Ok(Some(event)) = stream.try_next().await {
        if matches!(event, WatchEvent::Added(_) | WatchEvent::Modified(_)) {
            writes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn a_namespace_in_two_repositories_is_not_fought_over() {
    let scene = Scene::start("walk").await;
    let foo = format!("{}-foo", scene.namespace);
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {foo}\n");
    let place = format!("metadata:\n  namespace: {foo}\n");
    let within = |text: String| text.replacen("metadata:\n", &place, 1);
    let (setup, apps) = (scene.repository("fluxcd"), scene.repository("apps"));
    let settings = within(config_map("settings", "1"));
    let revision = setup.commit(&[
        ("foo/namespace.yaml", Some(&namespace)),
        ("foo/settings.yaml", Some(&settings)),
    ]);
    let web = within(deployment("foo", "foo"));
    let other = apps.commit(&[
        ("foo/namespace.yaml", Some(&namespace)),
        ("foo/deployment.yaml", Some(&web)),
    ]);
    let namespaces: Api<Namespace> = Api::all(scene.env.client().await.unwrap());
    let writes = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn(count(namespaces.clone(), foo.clone(), writes.clone()));
    scene.source("fluxcd", &setup).await;
    scene.source("apps", &apps).await;
    let path = json!({"interval": "1m"});
    scene
        .kustomization("fluxcd", "fluxcd", "./foo", path.clone())
        .await;
    scene.kustomization("apps", "apps", "./foo", path).await;
    scene.applied("fluxcd", &revision).await;
    scene.applied("apps", &other).await;
    for round in 0..ROUNDS {
        // A commit to one of them and a poll of both, as somebody works on the application.
        let settings = within(config_map("settings", &format!("{round}")));
        setup.commit(&[("foo/settings.yaml", Some(&settings))]);
        for source in ["fluxcd", "apps"] {
            scene.reconcile::<GitRepository>(source).await;
        }
        for name in ["fluxcd", "apps"] {
            scene.reconcile::<Kustomization>(name).await;
        }
    }
    let written = writes.load(Ordering::Relaxed);
    eprintln!("{written} writes to the Namespace in {ROUNDS} runs of two Kustomizations");
    assert!((1..=10).contains(&written), "{written}");
    counting.abort();
    for name in ["fluxcd", "apps"] {
        scene.delete::<Kustomization>(name).await;
    }
    scene.others_go_on().await;
}

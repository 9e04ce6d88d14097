//! `events` of a chain of objects over two namespaces: what is shown, in which order, and what is
//! not.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::Place;

const CHAIN: &str = "
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: code, namespace: SOURCES}
spec: {url: 'https://example.test/code', interval: 1m, ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infra, namespace: OWN}
spec: {interval: 1h, prune: true, path: ./infra, sourceRef: {kind: GitRepository, name: code, namespace: SOURCES}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: OWN}
spec: {interval: 1h, prune: true, path: ./apps, dependsOn: [{name: infra}], sourceRef: {kind: GitRepository, name: code, namespace: SOURCES}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: app, namespace: OWN}
spec: {image: example.test/app, interval: 1m}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: app, namespace: OWN}
spec: {imageRepositoryRef: {name: app}, policy: {semver: {range: '>=1.0.0'}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: all, namespace: OWN}
spec:
  interval: 1m
  sourceRef: {kind: GitRepository, name: code, namespace: SOURCES}
  git: {checkout: {ref: {branch: main}}, commit: {author: {name: a, email: a@example.test}}}
  update: {strategy: Setters, path: ./}
";

const GIT: &str = "source.toolkit.fluxcd.io/v1";
const APPLY: &str = "kustomize.toolkit.fluxcd.io/v1";
const IMAGE: &str = "image.toolkit.fluxcd.io/v1";

/// An event of one of the objects, at a minute of a morning.
fn event(namespace: &str, api: &str, object: &str, minute: u8, message: &str) -> Value {
    let (kind, name) = object.split_once('/').unwrap();
    let type_ = match message.contains("failed") {
        true => "Warning",
        false => "Normal",
    };
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("event-{minute}"), "namespace": namespace},
        "involvedObject": {"apiVersion": api, "kind": kind, "name": name, "namespace": namespace},
        "type": type_, "reason": "Told", "message": message, "count": 1,
        "lastTimestamp": format!("2026-01-01T08:{minute:02}:00Z"),
    })
}

/// The last column, line by line.
fn messages(table: &str) -> Vec<&str> {
    let rows = table.lines().skip(1);
    rows.filter_map(|row| row.trim_end().rsplit('\t').next())
        .map(str::trim_end)
        .collect()
}

#[tokio::test]
async fn a_chain_is_told_from_the_repository_on() {
    let place = Place::new("plugin-events").await;
    let own = place.namespace.as_str();
    let sources = place.env.namespace("plugin-events-sources").await.unwrap();
    let chain = CHAIN.replace("SOURCES", &sources).replace("OWN", own);
    let apply = async |text: &str| {
        let applied = place.env.kubectl_with_input(&["apply", "-f", "-"], text);
        applied.await.unwrap().success().unwrap();
    };
    apply(&chain).await;
    let items = [
        event(own, APPLY, "Kustomization/apps", 30, "apps failed"),
        event(&sources, GIT, "GitRepository/code", 10, "code fetched"),
        event(&sources, GIT, "GitRepository/other", 11, "other fetched"),
        event(own, APPLY, "Kustomization/infra", 20, "infra applied"),
        event(own, APPLY, "Kustomization/other", 21, "other applied"),
        event(own, "apps/v1", "Deployment/apps", 22, "scaled"),
        event(own, IMAGE, "ImageRepository/app", 12, "tags failed"),
        event(own, IMAGE, "ImagePolicy/app", 13, "tag chosen"),
        event(own, IMAGE, "ImageUpdateAutomation/all", 14, "pushed"),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    apply(&list.to_string()).await;

    let shown = async |words: &[&str]| {
        let args = [&["events"], words].concat();
        place.flux(&args).await.success().unwrap()
    };
    let all = shown(&["--for", "ks/apps"]).await;
    assert_eq!(
        messages(&all),
        ["code fetched", "infra applied", "apps failed"],
        "{all}"
    );
    assert!(all.starts_with("NAMESPACE"), "{all}");
    let image = shown(&["--for", "ImageUpdateAutomation/all"]).await;
    let expected = ["code fetched", "tags failed", "tag chosen", "pushed"];
    assert_eq!(messages(&image), expected, "{image}");
    let bad = shown(&["--for", "imageupdateautomation/all", "--types=Warning"]).await;
    assert_eq!(messages(&bad), ["tags failed"], "{bad}");
    let namespace = shown(&[]).await;
    assert_eq!(
        messages(&namespace).len(),
        6,
        "Flux's own alone: {namespace}"
    );
    assert!(namespace.starts_with("LAST SEEN"), "{namespace}");

    // What comes later lines up with what is there.
    let mut child = place
        .plugin(&["events", "--for", "ks/apps", "--watch"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..4 {
        lines.next_line().await.unwrap().unwrap();
    }
    let late = event(
        &sources,
        GIT,
        "GitRepository/code",
        40,
        "code fetched again",
    );
    apply(&late.to_string()).await;
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.contains("code fetched again"), "{line}");
    child.kill().await.unwrap();

    let none = place.flux(&["events", "--for", "ks/nothing"]).await;
    assert!(none.stderr.contains("No events found"), "{none}");
    let foreign = place.flux(&["events", "--for", "pod/x"]).await;
    let said = foreign.failure().unwrap();
    assert!(
        said.contains("'pod' is not a recognized Flux kind"),
        "{said}"
    );
}

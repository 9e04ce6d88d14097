//! Objects whose kind moves on to another API version.

use flux_api::GitRepository;
use flux_tests::sandbox::wait;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{cluster::PATIENCE, scene::Scene};

const APPS: &str = "apps";

/// A definition of Widgets whose versions have these fields, the last of which is stored.
fn definition(group: &str, versions: &[(&str, &[&str])]) -> String {
    let last = versions.last().map(|(name, _)| *name);
    let version = |(name, fields): &(&str, &[&str])| {
        let text = |field: &&str| ((*field).to_owned(), json!({"type": "string"}));
        let fields: serde_json::Map<_, _> = fields.iter().map(text).collect();
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": fields}}});
        json!({"name": name, "served": true, "storage": Some(*name) == last,
            "schema": {"openAPIV3Schema": schema}})
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "versions": versions,
            "names": {"kind": "Widget", "plural": "widgets"}}})
    .to_string()
}

fn widget(group: &str, version: &str, name: &str, spec: Value) -> String {
    json!({"apiVersion": format!("{group}/{version}"), "kind": "Widget",
        "metadata": {"name": name}, "spec": spec})
    .to_string()
}

/// One object moves while both versions are served, the other when the old one is not any more.
#[tokio::test]
async fn what_left_git_together_with_the_old_version_is_gone() {
    let scene = Scene::start("versions").await;
    let group = format!("{}.example.com", scene.namespace);
    let repository = scene.repository(APPS);
    let commit = async |files: &[(&str, String)]| {
        let files: Vec<_> = files.iter().map(|(p, text)| (*p, Some(&**text))).collect();
        let revision = repository.commit(&files);
        scene.request::<GitRepository>(APPS).await;
        scene.applied(APPS, &revision).await;
    };
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    let (v1, v2) = (&["a", "b", "gone"][..], &["a", "b", "gone", "new"][..]);
    let old = |name| widget(&group, "v1", name, json!({"a": "1", "gone": "1"}));
    let new = |name| widget(&group, "v2", name, json!({"a": "2", "new": "2"}));
    commit(&[
        ("crd.yaml", definition(&group, &[("v1", v1), ("v2", v2)])),
        ("early.yaml", old("early")),
        ("late.yaml", old("late")),
    ])
    .await;
    let kind = GroupVersionKind::gvk(&group, "v2", "Widget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
    let client = scene.env.client().await.unwrap();
    let widgets: Api<DynamicObject> = Api::namespaced_with(client, &scene.namespace, &resource);
    for name in ["early", "late"] {
        let theirs = Patch::Merge(json!({"spec": {"b": "theirs"}}));
        let params = PatchParams::default();
        widgets.patch(name, &params, &theirs).await.unwrap();
    }

    commit(&[("early.yaml", new("early"))]).await;
    commit(&[
        ("crd.yaml", definition(&group, &[("v2", v2)])),
        ("late.yaml", new("late")),
    ])
    .await;
    for name in ["early", "late"] {
        let found = widgets.get(name).await.unwrap();
        let expected = json!({"a": "2", "b": "theirs", "new": "2"});
        assert_eq!(found.data["spec"], expected, "{name}");
        let entries = found.metadata.managed_fields.unwrap_or_default();
        let ours = entries.iter().filter(|entry| {
            let manager = entry.manager.as_deref();
            manager == Some("kustomize-controller") && entry.subresource.is_none()
        });
        let versions: Vec<_> = ours.filter_map(|entry| entry.api_version.clone()).collect();
        assert_eq!(versions, [format!("{group}/v2")]);
    }
    scene.others_go_on().await;
}

/// Its kind is not there when the first run begins, and its version is not when the last one ends.
#[tokio::test]
async fn what_comes_with_its_definition_is_followed_and_pruned_in_any_version() {
    let scene = Scene::start("defined").await;
    let group = format!("{}.example.com", scene.namespace);
    let repository = scene.repository(APPS);
    let versions = [("v1", &["a"][..]), ("v2", &["a"][..])];
    let (both, last) = (
        definition(&group, &versions),
        definition(&group, &versions[1..]),
    );
    let object = widget(&group, "v1", "app", json!({"a": "1"}));
    let revision = repository.commit(&[("crd.yaml", Some(&both)), ("app.yaml", Some(&object))]);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene.applied(APPS, &revision).await;
    let kind = GroupVersionKind::gvk(&group, "v2", "Widget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
    let client = scene.env.client().await.unwrap();
    let widgets: Api<DynamicObject> = Api::namespaced_with(client, &scene.namespace, &resource);
    let theirs = Patch::Merge(json!({"spec": {"a": "theirs"}}));
    widgets
        .patch("app", &PatchParams::default(), &theirs)
        .await
        .unwrap();
    wait::until("the change is undone", PATIENCE, None, async || {
        let found = widgets
            .get("app")
            .await
            .map_err(|error| error.to_string())?;
        let undone = found.data["spec"]["a"] == "1";
        undone.then_some(()).ok_or(found.data["spec"].to_string())
    })
    .await
    .unwrap();

    let revision = repository.commit(&[("crd.yaml", Some(&last)), ("app.yaml", None)]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
    assert!(widgets.get_opt("app").await.unwrap().is_none());
    scene.others_go_on().await;
}

//! Health by rule and by expression, on a live server.

use std::time::Instant;

use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::wait;
use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Event},
};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

use super::{
    cluster::PATIENCE,
    manifests::{condition, config_map},
    scene::Scene,
};

const APPS: &str = "apps";

const AUTOSCALER: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";

const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1'}]}
";

#[tokio::test]
async fn an_autoscaler_waits_for_what_it_scales() {
    let scene = Scene::start("autoscaler").await;
    let repository = scene.repository(APPS);
    repository.commit(&[("hpa.yaml", Some(AUTOSCALER))]);
    scene.source(APPS, &repository).await;
    // Its controller looks every 15 seconds; until then nothing is wrong with it.
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene
        .until::<HorizontalPodAutoscaler, _>("web", "finds nothing to scale", |object| {
            let conditions = object["status"]["conditions"].to_string();
            let found = conditions.contains("FailedGetScale");
            found.then_some(()).ok_or(conditions)
        })
        .await;
    let wait = json!({"wait": true, "timeout": "5m"});
    scene.kustomization(APPS, APPS, "./", wait.clone()).await;
    let name = format!("HorizontalPodAutoscaler/{}/web", scene.namespace);
    scene
        .says::<Kustomization>(APPS, "Unknown", "Progressing", &["health checks"])
        .await;
    let fields = json!({"wait": true, "timeout": "1s"});
    scene.kustomization(APPS, APPS, "./", fields).await;
    let words = [
        name.as_str(),
        "the HPA controller was unable to get the target's current scale",
    ];
    scene
        .says::<Kustomization>(APPS, "False", "HealthCheckFailed", &words)
        .await;

    let revision = repository.commit(&[("web.yaml", Some(WEB))]);
    scene.kustomization(APPS, APPS, "./", wait).await;
    scene.request::<GitRepository>(APPS).await;
    // Without metrics, as many clusters are.
    scene.applied(APPS, &revision).await;
}

#[tokio::test]
async fn expressions_judge_health_and_readiness() {
    let scene = Scene::start("expressions").await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(&[
        ("first/app.yaml", Some(&config_map("first", "v1.2"))),
        ("second/app.yaml", Some(&config_map("second", "1"))),
    ]);
    scene.source(APPS, &repository).await;
    let fields = json!({"timeout": "5m", "wait": true, "healthCheckExprs": [{
        "apiVersion": "v1", "kind": "ConfigMap",
        "current": "data.value.split('.')[0] == 'v1' && has(data.done)",
        "failed": "has(data.done) && data.done == 'never'"}]});
    scene.kustomization("first", APPS, "./first", fields).await;
    let ready = "dep.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True') && \
                 self.metadata.name == 'second'";
    let depends = json!({"dependsOn": [{"name": "first", "readyExpr": ready}]});
    scene
        .kustomization("second", APPS, "./second", depends)
        .await;
    scene
        .says::<Kustomization>("first", "Unknown", "Progressing", &["health checks"])
        .await;
    scene
        .says::<Kustomization>("second", "False", "DependencyNotReady", &["first"])
        .await;
    assert_eq!(scene.value("second").await, None);

    // Seen by a watch, not at the next look.
    let done = json!({"data": {"done": "yes"}});
    scene.patch::<ConfigMap>("first", done).await;
    scene.applied("second", &revision).await;
    scene.applied("first", &revision).await;

    let unknown = json!({"timeout": "1s", "wait": true, "healthCheckExprs": [{
        "apiVersion": "v1", "kind": "ConfigMap", "current": "quantity(data.value) > 1"}]});
    scene.kustomization("first", APPS, "./first", unknown).await;
    let words = ["there is no 'quantity'", "strings, sets and encoders"];
    scene
        .says::<Kustomization>("first", "False", "HealthCheckFailed", &words)
        .await;
    let broken = json!({"wait": true, "healthCheckExprs": [{
        "apiVersion": "v1", "kind": "ConfigMap", "current": "data.value =="}]});
    scene.kustomization("first", APPS, "./first", broken).await;
    scene
        .says::<Kustomization>(
            "first",
            "False",
            "InvalidCELExpression",
            &["failed to parse"],
        )
        .await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn ten_that_depend_on_each_other_follow_at_once() {
    const LENGTH: usize = 10;
    let scene = Scene::start("ten").await;
    let repository = scene.repository(APPS);
    let name = |number: usize| format!("link-{number}");
    for number in 0..LENGTH {
        let file = format!("{number}/app.yaml");
        let content = config_map(&name(number), "1");
        repository.copy.write(&file, &content).unwrap();
    }
    let revision = repository.commit(&[]);
    scene.source(APPS, &repository).await;
    scene.ready::<GitRepository>(APPS).await;
    for number in (0..LENGTH).rev() {
        let depends: Vec<_> = number.checked_sub(1).map(name).into_iter().collect();
        let depends: Vec<_> = depends.iter().map(|name| json!({"name": name})).collect();
        let fields = json!({"dependsOn": depends, "suspend": number == 0});
        let path = format!("./{number}");
        scene
            .kustomization(&name(number), APPS, &path, fields)
            .await;
    }
    let last = name(LENGTH - 1);
    scene
        .says::<Kustomization>(&last, "False", "DependencyNotReady", &["not ready"])
        .await;
    let start = Instant::now();
    let resumed = json!({"spec": {"suspend": false}});
    scene.patch::<Kustomization>(&name(0), resumed).await;
    scene.applied(&last, &revision).await;
    let took = start.elapsed();
    eprintln!(
        "a chain of {LENGTH} was ready after {took:?}, {:?} each",
        took / 10
    );
    for number in 0..LENGTH {
        let object = scene
            .api::<Kustomization>()
            .get(&name(number))
            .await
            .unwrap();
        let applied = &object.data["status"]["lastAppliedRevision"];
        assert_eq!(*applied, revision, "{}", name(number));
    }
}

/// An object that is left alone is not waited for; while others are, Healthy does not say what was
/// so before, and an event about a revision names it.
#[tokio::test]
async fn what_is_left_alone_is_not_waited_for() {
    let scene = Scene::start("left-alone").await;
    let repository = scene.repository(APPS);
    let web = WEB.replace("replicas: 0", "replicas: 1");
    let alone = web.replace(
        "  name: web\n",
        "  name: web\n  annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}\n",
    );
    // Applied once; there is no node that runs it.
    let revision = repository.commit(&[("web.yaml", Some(&web))]);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene.applied(APPS, &revision).await;

    let wait = json!({"wait": true, "timeout": "2s"});
    scene.kustomization(APPS, APPS, "./", wait).await;
    let what = "shows that health is not known";
    scene
        .until::<Kustomization, _>(APPS, what, |object| {
            let healthy = condition(object, "Healthy");
            (healthy["status"] == "Unknown")
                .then_some(())
                .ok_or_else(|| healthy.to_string())
        })
        .await;
    let words = ["health check failed after 2s: timeout waiting for: [Deployment/"];
    scene
        .says::<Kustomization>(APPS, "False", "HealthCheckFailed", &words)
        .await;
    let events = scene.api::<Event>();
    let failed = async || {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        all.into_iter()
            .find(|event| event.data["reason"] == "HealthCheckFailed")
            .ok_or_else(|| "none yet".to_owned())
    };
    let event = wait::until("the event", PATIENCE, None, failed)
        .await
        .unwrap();
    assert_eq!(
        event.annotations()["kustomize.toolkit.fluxcd.io/revision"],
        revision
    );

    let revision = repository.commit(&[("web.yaml", Some(&alone))]);
    scene.request::<GitRepository>(APPS).await;
    scene.applied(APPS, &revision).await;
}

#[tokio::test]
async fn what_changes_during_a_wait_is_applied_at_once() {
    let scene = Scene::start("unwell").await;
    let repository = scene.repository(APPS);
    repository.commit(&[
        ("app.yaml", Some(&config_map("app", "${value}"))),
        ("left.yaml", Some(&config_map("left", "1"))),
    ]);
    let variables = async |value: &str| {
        let data = json!({"data": {"value": value}});
        scene.fields::<ConfigMap>("variables", data).await;
    };
    variables("one").await;
    scene.source(APPS, &repository).await;
    let never = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "never"});
    let fields = json!({
        "timeout": "10m",
        "healthChecks": [never],
        "postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "variables"}]}});
    scene.kustomization(APPS, APPS, "./", fields).await;
    let waits = async || {
        let words = ["health checks"];
        scene
            .says::<Kustomization>(APPS, "Unknown", "Progressing", &words)
            .await;
    };
    let becomes = async |value: &str| {
        scene
            .until::<ConfigMap, _>("app", "has the value", |object| {
                let found = &object["data"]["value"];
                (*found == value)
                    .then_some(())
                    .ok_or_else(|| found.to_string())
            })
            .await;
        waits().await;
    };
    waits().await;
    becomes("one").await;
    variables("two").await;
    becomes("two").await;
    scene
        .patch::<ConfigMap>("app", json!({"data": {"value": "foreign"}}))
        .await;
    becomes("two").await;
    scene
        .patch::<GitRepository>(APPS, json!({"spec": {"ignore": "left.yaml"}}))
        .await;
    scene.gone::<ConfigMap>("left").await;
    waits().await;
    scene.others_go_on().await;
}

//! Objects that are made anew: what cannot be changed in place, and Jobs that go when they are done.

use flux_api::Kustomization;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod, Service},
    rbac::v1::RoleBinding,
};
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::scene::Scene;

const APPS: &str = "apps";

/// One object of each kind that says in its own way what cannot be changed; `VALUE` is that.
const KINDS: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: VALUE}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}], ADDRESS}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: 'web:1', command: [VALUE]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 0
  serviceName: VALUE
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1'}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: web}
spec:
  storageClassName: VALUE
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
";

async fn uid<K: Resource<DynamicType = ()>>(scene: &Scene) -> String {
    let object = scene.api::<K>().get("web").await.unwrap();
    object.uid().unwrap()
}

async fn uids(scene: &Scene) -> Vec<String> {
    vec![
        uid::<RoleBinding>(scene).await,
        uid::<Service>(scene).await,
        uid::<Pod>(scene).await,
        uid::<StatefulSet>(scene).await,
        uid::<PersistentVolumeClaim>(scene).await,
    ]
}

#[tokio::test]
async fn what_cannot_be_changed_is_made_anew_where_that_is_asked_for() {
    let scene = Scene::start("replacing").await;
    let repository = scene.repository(APPS);
    let text =
        |value: &str, address: &str| KINDS.replace("VALUE", value).replace("ADDRESS", address);
    let revision = repository.commit(&[("all.yaml", Some(&text("one", "")))]);
    scene.source(APPS, &repository).await;
    scene.kustomization(APPS, APPS, "./", json!({})).await;
    scene.applied(APPS, &revision).await;
    let before = uids(&scene).await;

    let revision = repository.commit(&[("all.yaml", Some(&text("two", "clusterIP: None")))]);
    scene.request::<flux_api::GitRepository>(APPS).await;
    let refused = [
        "RoleBinding",
        "Service",
        "Pod",
        "StatefulSet",
        "PersistentVolumeClaim",
    ]
    .map(|kind| format!("{kind}/{}/web", scene.namespace));
    let words = refused.each_ref().map(String::as_str);
    scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;
    assert_eq!(uids(&scene).await, before);

    scene
        .kustomization(APPS, APPS, "./", json!({"force": true}))
        .await;
    scene.applied(APPS, &revision).await;
    let after = uids(&scene).await;
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after),
        "{before:?} {after:?}"
    );
}

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec:
  ttlSecondsAfterFinished: 0
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers: [{name: web, image: 'web:1'}]
";

#[tokio::test]
async fn a_job_that_goes_when_it_is_done_is_not_run_again_at_once() {
    let scene = Scene::start("expiring").await;
    let repository = scene.repository(APPS);
    let revision = repository.commit(&[("job.yaml", Some(JOB))]);
    scene.source(APPS, &repository).await;
    let fields = json!({"wait": true, "timeout": "5m"});
    scene.kustomization(APPS, APPS, "./", fields).await;
    scene
        .says::<Kustomization>(APPS, "Unknown", "Progressing", &["health checks"])
        .await;

    // What its controller does when it is complete.
    scene.delete::<Job>("web").await;
    scene.applied(APPS, &revision).await;
    scene.others_go_on().await;
    let job = scene.api::<Job>().get_opt("web").await.unwrap();
    assert!(job.is_none(), "{job:?}");
}

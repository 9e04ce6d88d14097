//! What Flux's controllers have left in a cluster, as an operator finds it when it starts: sources with
//! their artifacts, Kustomizations with inventory and history, and what those have applied.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::{GitRepository, Kustomization};
use flux_tests::{
    env::Env,
    sandbox::{
        Options,
        wait::{self, free_port},
    },
};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

const APPS: &str = "apps";
const PATIENCE: Duration = Duration::from_secs(60);

/// The one that was applied with kubectl before it was in Git.
const FOREIGN: &str = "ConfigMap/older-than-flux";

/// Manifests as they are in Git.
fn manifests(namespace: &str) -> Vec<Value> {
    let labels = json!({"app": "web"});
    let meta = |name: &str| json!({"name": name, "namespace": namespace});
    let rbac = "rbac.authorization.k8s.io";
    vec![
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "gadgets.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"kind": "Gadget", "plural": "gadgets"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]}}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": {"name": "gadgets-reader"},
            "rules": [{"apiGroups": ["example.com"], "resources": ["gadgets"], "verbs": ["get"]}]}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta("web"),
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "gadgets-reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("web"),
            "data": {"value": "1"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("older-than-flux"),
            "data": {"value": "1"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("web"),
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("web"),
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}),
    ]
}

fn kind_of(manifest: &Value) -> (GroupVersionKind, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (api_version, kind) = (text(&manifest["apiVersion"]), text(&manifest["kind"]));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    (gvk, text(&manifest["metadata"]["name"]))
}

/// An entry of an inventory in Flux's form.
fn entry(manifest: &Value) -> Value {
    let (gvk, name) = kind_of(manifest);
    let namespace = manifest["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default();
    let id = format!("{namespace}_{name}_{}_{}", gvk.group, gvk.kind);
    json!({"id": id, "v": gvk.version})
}

/// A cluster in which Flux was at work.
struct Cluster {
    env: Env,
    client: Client,
    namespace: String,
}

impl Cluster {
    async fn start() -> Self {
        let options = Options {
            git: true,
            ..Options::default()
        };
        let env = Env::with(options).await.unwrap();
        Self {
            client: env.client().await.unwrap(),
            namespace: env.namespace("inherited").await.unwrap(),
            env,
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn api_of(&self, manifest: &Value) -> (Api<DynamicObject>, String) {
        let (gvk, name) = kind_of(manifest);
        let resource = ApiResource::from_gvk(&gvk);
        let api = match manifest["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        (api, name)
    }

    /// The metadata of what the manifests are about, by `Kind/name`.
    async fn metadata(&self, manifests: &[Value]) -> BTreeMap<String, ObjectMeta> {
        let mut found = BTreeMap::new();
        for manifest in manifests {
            let (api, name) = self.api_of(manifest);
            let object = api.get(&name).await.unwrap();
            let kind = manifest["kind"].as_str().unwrap();
            found.insert(format!("{kind}/{name}"), object.metadata);
        }
        found
    }

    /// Applies an object as Flux does.
    async fn apply(&self, manifest: &Value) {
        let (api, name) = self.api_of(manifest);
        let mut object = manifest.clone();
        object["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": APPS,
            "kustomize.toolkit.fluxcd.io/namespace": self.namespace});
        let flux = PatchParams::apply("kustomize-controller").force();
        let patch = Patch::Apply(object);
        api.patch(&name, &flux, &patch).await.unwrap();
    }

    /// Has an object been there since before server-side apply, and kubectl write to it since.
    async fn age(&self, manifest: &Value) {
        let (api, name) = self.api_of(manifest);
        let mut object: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
        object.data["data"]["older"] = json!("1");
        api.create(&PostParams::default(), &object).await.unwrap();
        let forget = Patch::Merge(json!({"metadata": {"managedFields": [{}]}}));
        let params = PatchParams::default();
        api.patch(&name, &params, &forget).await.unwrap();
        self.apply(manifest).await;
        let kubectl = PatchParams {
            field_manager: Some("kubectl-client-side-apply".to_owned()),
            ..PatchParams::default()
        };
        let last = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
        let change = json!({"metadata": {"annotations": last}, "data": {"kubectl": "1"}});
        let patch = Patch::Merge(change);
        let object = api.patch(&name, &kubectl, &patch).await.unwrap();
        let managers = managers(&object.metadata);
        for manager in ["before-first-apply", "kubectl-client-side-apply"] {
            assert!(managers.iter().any(|m| m == manager), "{managers:?}");
        }
    }

    /// Creates an object of Flux with the finalizer and a status.
    async fn create<K>(&self, name: &str, spec: Value, status: Value, controller: &str)
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "spec": spec,
            "metadata": {"name": name, "finalizers": ["finalizers.fluxcd.io"]}});
        let params = PatchParams::apply("kubectl").force();
        let patch = Patch::Apply(object);
        self.api::<K>().patch(name, &params, &patch).await.unwrap();
        let params = PatchParams {
            field_manager: Some(controller.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"status": status}));
        let api = self.api::<K>();
        api.patch_status(name, &params, &patch).await.unwrap();
    }

    /// Waits until the API server's own controllers are done with definition and Deployment.
    async fn settled(&self, manifests: &[Value]) {
        wait::until("nothing more to be done", PATIENCE, None, async || {
            for manifest in manifests {
                let (api, name) = self.api_of(manifest);
                let wanted = match manifest["kind"].as_str() {
                    Some("CustomResourceDefinition") => "InitialNamesAccepted",
                    Some("Deployment") => "NewReplicaSetAvailable",
                    _ => continue,
                };
                let object = api.get(&name).await.map_err(|error| error.to_string())?;
                let conditions = object.data["status"]["conditions"].to_string();
                if !conditions.contains(wanted) {
                    return Err(conditions);
                }
            }
            Ok(())
        })
        .await
        .unwrap();
    }
}

fn managers(metadata: &ObjectMeta) -> Vec<String> {
    let entries = metadata.managed_fields.clone().unwrap_or_default();
    let managers = entries.into_iter().filter_map(|entry| entry.manager);
    managers.collect()
}

#[tokio::test]
async fn what_flux_has_left_is_taken_over_as_it_is() {
    let cluster = Cluster::start().await;
    let git = cluster.env.git().unwrap();
    git.create_repository("inherited/apps").unwrap();
    let copy = git.work_copy("inherited/apps").unwrap();
    let manifests = manifests(&cluster.namespace);
    for (number, manifest) in manifests.iter().enumerate() {
        let file = format!("apps/{number}.yaml");
        copy.write(&file, &manifest.to_string()).unwrap();
    }
    let commit = copy.commit_and_push("feat: apps").unwrap();
    let revision = format!("main@sha1:{commit}");
    for manifest in &manifests {
        match manifest["metadata"]["name"] == "older-than-flux" {
            true => cluster.age(manifest).await,
            false => cluster.apply(manifest).await,
        }
    }
    let condition = |type_: &str, reason: &str, message: String| {
        json!({"type": type_, "status": "True", "observedGeneration": 1, "reason": reason,
            "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    let stored = format!("stored artifact for revision '{revision}'");
    let path = format!("gitrepository/{}/{APPS}/{commit}.tar.gz", cluster.namespace);
    let host = "source-controller.flux-system.svc.cluster.local.";
    let status = json!({"observedGeneration": 1,
        "artifact": {"digest": digest, "path": path, "revision": revision, "size": 1234,
            "url": format!("http://{host}/{path}"), "lastUpdateTime": "2026-01-01T00:00:00Z"},
        "conditions": [condition("Ready", "Succeeded", stored.clone()),
            condition("ArtifactInStorage", "Succeeded", stored)]});
    let spec = json!({"interval": "1h", "url": git.https_url("inherited/apps"),
        "ref": {"branch": "main"}});
    cluster
        .create::<GitRepository>(APPS, spec, status, "source-controller")
        .await;
    let inventory: Vec<Value> = manifests.iter().map(entry).collect();
    let past = json!({"digest": digest, "totalReconciliations": 3,
        "firstReconciled": "2026-01-01T00:00:00Z", "lastReconciled": "2026-01-02T00:00:00Z",
        "lastReconciledDuration": "412.5ms", "lastReconciledStatus": "ReconciliationSucceeded",
        "metadata": {"revision": revision}});
    let applied = format!("Applied revision: {revision}");
    let status = json!({"observedGeneration": 1, "lastAppliedRevision": revision,
        "lastAttemptedRevision": revision, "history": [past],
        "inventory": {"entries": inventory},
        "conditions": [condition("Ready", "ReconciliationSucceeded", applied),
            condition("Healthy", "Succeeded", "Health check passed in 25ms".to_owned())]});
    let source = json!({"kind": "GitRepository", "name": APPS});
    let spec = json!({"interval": "2s", "prune": true, "wait": true, "path": "./apps",
        "sourceRef": source, "timeout": "1m"});
    cluster
        .create::<Kustomization>(APPS, spec, status, "gotk-kustomize-controller")
        .await;
    cluster.settled(&manifests).await;
    let before = cluster.metadata(&manifests).await;
    let kustomizations = cluster.api::<Kustomization>();
    let object_before = kustomizations.get(APPS).await.unwrap();

    let ports = [(); 3].map(|()| free_port().unwrap());
    let data = cluster.env.sandbox().dir().join("data");
    let arguments = [
        format!("--storage-path={}", data.display()),
        format!("--storage-addr=127.0.0.1:{}", ports[0]),
        format!("--health-addr=127.0.0.1:{}", ports[1]),
        format!("--metrics-addr=127.0.0.1:{}", ports[2]),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let operator = cluster.env.start_operator(&arguments).await.unwrap();
    // Past the tenth interval, at which everything is applied whatever is known of it.
    let metrics = format!("http://127.0.0.1:{}/metrics", ports[2]);
    wait::until("twelve runs", PATIENCE * 2, Some(&operator), async || {
        let answer = reqwest::get(&metrics).await.map_err(|e| e.to_string())?;
        let text = answer.text().await.map_err(|e| e.to_string())?;
        let start = r#"gotk_reconcile_duration_seconds_count{kind="Kustomization""#;
        let line = text.lines().find(|line| line.starts_with(start));
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
        let enough = count.is_some_and(|count| count >= 12);
        enough.then_some(()).ok_or_else(|| format!("{line:?}"))
    })
    .await
    .unwrap();

    let after = cluster.metadata(&manifests).await;
    for (object, before) in &before {
        let after = &after[object];
        assert_eq!(after.uid, before.uid, "{object} was made anew");
        assert_eq!(after.labels, before.labels, "{object}");
        if object == FOREIGN {
            assert_eq!(managers(after), ["kustomize-controller"], "{object}");
            assert_eq!(after.annotations, None, "{object}");
        } else {
            assert_eq!(after, before, "{object} was written to");
        }
    }
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = cluster.api();
    let older = maps.get("older-than-flux").await.unwrap();
    let data = older.data.unwrap_or_default();
    assert_eq!(data, BTreeMap::from([("value".to_owned(), "1".to_owned())]));

    let object = kustomizations.get(APPS).await.unwrap();
    assert_eq!(object.metadata.uid, object_before.metadata.uid);
    assert_eq!(
        object.metadata.finalizers,
        object_before.metadata.finalizers
    );
    let status = serde_json::to_value(object.status.unwrap()).unwrap();
    let ids = |entries: &[Value]| {
        let mut ids: Vec<_> = entries
            .iter()
            .map(|entry| entry["id"].to_string())
            .collect();
        ids.sort_unstable();
        ids
    };
    let found = status["inventory"]["entries"].as_array().unwrap();
    assert_eq!(ids(found), ids(&inventory));
    let history = status["history"].as_array().unwrap();
    assert!(history.len() == 2 && history[1] == past, "{history:?}");
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    assert!(
        status["conditions"].as_array().unwrap().iter().any(ready),
        "{status}"
    );

    let source = cluster.api::<GitRepository>().get(APPS).await.unwrap();
    assert_eq!(source.finalizers(), ["finalizers.fluxcd.io"]);
    let artifact = source.status.unwrap().artifact.unwrap();
    assert_eq!((artifact.path, artifact.revision), (path, revision));
    assert_ne!(artifact.digest, digest, "of a tarball that is there");
    assert!(!artifact.url.contains(host), "{}", artifact.url);
    let events = cluster
        .api::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| event.message.clone())
        .collect();
    let bad = |message: &&String| {
        ["created", "deleted"]
            .iter()
            .any(|word| message.contains(word))
    };
    assert_eq!(told.iter().find(bad), None);
    cluster.env.stop().await;
}

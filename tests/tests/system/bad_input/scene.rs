//! What a test begins with: a namespace in which something works, and few words for applying
//! objects, committing files, and waiting for what comes of it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use base64::Engine as _;
use flux_api::{GitRepository, Kustomization};
use flux_tests::{
    env::Env,
    sandbox::{
        GitServer,
        git::{Access, ClientKey, WorkCopy},
    },
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::RwLockReadGuard;

use super::{
    cluster::{Cluster, Operator},
    manifests::config_map,
};

/// Name of the repository, source, Kustomization and ConfigMap that are well in every scene.
const BYSTANDER: &str = "bystander";

/// A namespace with something that works, and the operator running as long as the scene lives.
pub(super) struct Scene {
    pub(super) env: &'static Env,
    pub(super) namespace: String,
    client: Client,
    bystander: Repository,
    running: Option<RwLockReadGuard<'static, Operator>>,
}

/// A repository on the sandbox's server, with a clone to make commits in.
pub(super) struct Repository {
    /// `owner/name`.
    pub(super) name: String,
    pub(super) copy: WorkCopy,
}

impl Repository {
    /// Writes files, removes those that are given without content, and pushes; the revision in
    /// Flux's form.
    pub(super) fn commit(&self, files: &[(&str, Option<&str>)]) -> String {
        for (path, content) in files {
            match content {
                Some(content) => self.copy.write(path, content).unwrap(),
                None => self.copy.remove(path).unwrap(),
            }
        }
        format!(
            "main@sha1:{}",
            self.copy.commit_and_push("feat: next").unwrap()
        )
    }
}

impl Scene {
    /// A namespace of this name and a number, in which a Kustomization begins to work.
    pub(super) async fn start(name: &str) -> Self {
        let (cluster, running) = Cluster::running().await;
        Self::with(cluster, name, Some(running)).await
    }

    /// The same for a test that has the cluster to itself.
    pub(super) async fn alone(cluster: &'static Cluster, name: &str) -> Self {
        Self::with(cluster, name, None).await
    }

    async fn with(
        cluster: &'static Cluster,
        name: &str,
        running: Option<RwLockReadGuard<'static, Operator>>,
    ) -> Self {
        let env = &cluster.env;
        let namespace = env.namespace(name).await.unwrap();
        let scene = Self {
            env,
            client: env.client().await.unwrap(),
            bystander: create_repository(env, &namespace, BYSTANDER),
            namespace,
            running,
        };
        let content = config_map(BYSTANDER, "first");
        scene.bystander.commit(&[("app.yaml", Some(&content))]);
        scene.source(BYSTANDER, &scene.bystander).await;
        scene
            .kustomization(BYSTANDER, BYSTANDER, "./", json!({}))
            .await;
        scene
    }

    /// Where the operator keeps artifacts, for tests that do not have the cluster to themselves.
    pub(super) fn artifacts(&self) -> PathBuf {
        self.running.as_ref().unwrap().artifacts()
    }

    /// The Git server.
    pub(super) fn git(&self) -> &'static GitServer {
        self.env.git().unwrap()
    }

    /// An empty repository of this test.
    pub(super) fn repository(&self, name: &str) -> Repository {
        create_repository(self.env, &self.namespace, name)
    }

    /// A key pair of this test.
    pub(super) fn key(&self, name: &str) -> ClientKey {
        let name = format!("{}-{name}", self.namespace);
        self.git().client_key(&name).unwrap()
    }

    /// Registers a deploy key.
    pub(super) fn add_deploy_key(&self, repository: &Repository, key: &ClientKey, access: Access) {
        self.git()
            .add_deploy_key(&repository.name, &key.public, access)
            .unwrap();
    }

    /// The objects of a kind in the scene's namespace.
    pub(super) fn api<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<K>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Applies an object with this spec; fields that an earlier call set and this one does not
    /// are removed.
    pub(super) async fn apply<K: Resource<DynamicType = ()>>(&self, name: &str, spec: Value) {
        self.apply_fields::<K>(name, json!({"spec": spec})).await;
    }

    /// Applies an object that has no spec: these fields stand beside its metadata.
    pub(super) async fn fields<K: Resource<DynamicType = ()>>(&self, name: &str, fields: Value) {
        self.apply_fields::<K>(name, fields).await;
    }

    async fn apply_fields<K: Resource<DynamicType = ()>>(&self, name: &str, mut object: Value) {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"] = json!({"name": name, "namespace": self.namespace});
        let params = PatchParams::apply("flux-tests").force();
        self.api::<K>()
            .patch(name, &params, &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// Changes fields of an object by a merge patch.
    pub(super) async fn patch<K: Resource<DynamicType = ()>>(&self, name: &str, patch: Value) {
        self.api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Begins to delete an object.
    pub(super) async fn delete<K: Resource<DynamicType = ()>>(&self, name: &str) {
        self.api::<K>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// A GitRepository that follows branch main over HTTPS, without credentials.
    pub(super) async fn source(&self, name: &str, repository: &Repository) {
        let url = self.git().https_url(&repository.name);
        let spec = json!({"interval": "10m", "url": url, "ref": {"branch": "main"}});
        self.apply::<GitRepository>(name, spec).await;
    }

    /// A GitRepository that follows branch main over SSH with a Secret of its own name.
    pub(super) async fn ssh_source(&self, name: &str, repository: &Repository) {
        let spec = json!({
            "interval": "10m",
            "url": self.git().ssh_url(&repository.name),
            "ref": {"branch": "main"},
            "secretRef": {"name": name},
        });
        self.apply::<GitRepository>(name, spec).await;
    }

    /// A Secret with these entries and no others.
    pub(super) async fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        let encode = |text| base64::engine::general_purpose::STANDARD.encode(text);
        let data: BTreeMap<_, _> = entries.iter().map(|(k, v)| (*k, encode(v))).collect();
        self.apply_fields::<Secret>(name, json!({"data": data}))
            .await;
    }

    /// A Secret for SSH, with these lines of known_hosts.
    pub(super) async fn ssh_secret(&self, name: &str, key: &ClientKey, known_hosts: &str) {
        let identity = std::fs::read_to_string(&key.private).unwrap();
        let entries = [
            ("identity", identity.as_str()),
            ("known_hosts", known_hosts),
        ];
        self.secret(name, &entries).await;
    }

    /// A pruning Kustomization; `fields` are added to its spec.
    pub(super) async fn kustomization(&self, name: &str, source: &str, path: &str, fields: Value) {
        let mut spec = json!({
            "interval": "10m",
            "path": path,
            "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": source},
        });
        for (field, value) in fields.as_object().unwrap() {
            spec[field] = value.clone();
        }
        self.apply::<Kustomization>(name, spec).await;
    }

    /// Asks for a reconciliation; the value of the annotation.
    pub(super) async fn request<K: Resource<DynamicType = ()>>(&self, name: &str) -> String {
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let token = REQUESTS.fetch_add(1, Ordering::Relaxed).to_string();
        let annotations = json!({"reconcile.fluxcd.io/requestedAt": token});
        self.patch::<K>(name, json!({"metadata": {"annotations": annotations}}))
            .await;
        token
    }

    /// The value of a ConfigMap of [`config_map`]; `None` when there is no such ConfigMap.
    pub(super) async fn value(&self, name: &str) -> Option<String> {
        let object = self.api::<ConfigMap>().get_opt(name).await.unwrap()?;
        object.data["data"]["value"].as_str().map(str::to_owned)
    }

    /// Brings a commit through a source and a Kustomization that have nothing to do with what is
    /// tested.
    pub(super) async fn others_go_on(&self) {
        let content = config_map(BYSTANDER, "second");
        let revision = self.bystander.commit(&[("app.yaml", Some(&content))]);
        self.request::<GitRepository>(BYSTANDER).await;
        self.applied(BYSTANDER, &revision).await;
        assert_eq!(self.value(BYSTANDER).await.as_deref(), Some("second"));
    }
}

fn create_repository(env: &Env, owner: &str, name: &str) -> Repository {
    let git = env.git().unwrap();
    let name = format!("{owner}/{name}");
    git.create_repository(&name).unwrap();
    let copy = git.work_copy(&name).unwrap();
    Repository { name, copy }
}

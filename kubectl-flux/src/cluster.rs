//! The API server, as the commands see it. No other module sends requests.

pub(crate) mod apply;
mod compare;
mod config;
mod errors;
mod listed;
mod object;
mod requests;
mod resources;
mod storage;
mod warnings;

use futures::future::join_all;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta,
};
use kube::client::ClientBuilder;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;
use tower::util::MapResponseLayer;

pub(crate) use config::context_namespace;
use errors::check_name;
pub(crate) use errors::{ClusterError, hint, together};
pub(crate) use flux_apply::words::chain;
use listed::{Lean, PAGE, pages};
pub(crate) use object::{ConditionView, View};

use crate::VERSION;
use crate::cli::Global;
use crate::kind::Kind;

/// Name under which the API server books our writes: that of Flux's command line. A name that begins
/// with `kubectl` would not do: an apply from Git undoes what kubectl wrote by hand, our requests to
/// reconcile among it.
const FIELD_MANAGER: &str = "flux";

/// Which namespaces a request covers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// One namespace.
    Namespace(&'a str),
    /// All of them.
    All,
}

/// What a list is restricted to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection<'a> {
    /// Label selector in kubectl's syntax.
    pub(crate) labels: Option<&'a str>,
    /// Field selector in kubectl's syntax.
    pub(crate) fields: Option<&'a str>,
}

/// A connection to the API server.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// Address of the API server, for messages.
    server: String,
}

impl Cluster {
    /// Builds the client. The server is not contacted yet.
    ///
    /// # Errors
    /// If no cluster is configured, or the configuration cannot be used.
    pub(crate) async fn connect(global: &Global) -> Result<Self, ClusterError> {
        install_tls_provider();
        let mut config = config::load(global).await?;
        if let Ok(agent) = format!("kubectl-flux/{VERSION}").parse() {
            config.headers.push((http_header(), agent));
        }
        let server = config.cluster_url.to_string();
        let client = ClientBuilder::try_from(config)
            .map_err(|error| ClusterError::new(error, &server))?
            .with_layer(&MapResponseLayer::new(warnings::echo))
            .with_layer(&requests::Show::at(global.verbosity.unwrap_or_default()))
            .build();
        Ok(Self { client, server })
    }

    /// Puts the failure of a request into words.
    fn error(&self, error: kube::Error) -> ClusterError {
        ClusterError::new(error, &self.server)
    }

    /// The same for requests about a kind that the server may not know.
    fn error_of(&self, kind: Kind, error: kube::Error) -> ClusterError {
        ClusterError::of(kind, error, &self.server)
    }

    /// The objects of a kind.
    pub(crate) fn objects(&self, kind: Kind, scope: Scope<'_>) -> Api<DynamicObject> {
        self.dynamic(&kind.resource(), scope)
    }

    /// The objects of any resource.
    pub(crate) fn dynamic(&self, resource: &ApiResource, scope: Scope<'_>) -> Api<DynamicObject> {
        match scope {
            Scope::Namespace(name) => Api::namespaced_with(self.client.clone(), name, resource),
            Scope::All => Api::all_with(self.client.clone(), resource),
        }
    }

    /// The objects of a built-in kind that live in namespaces.
    pub(crate) fn typed<K>(&self, scope: Scope<'_>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match scope {
            Scope::Namespace(name) => Api::namespaced(self.client.clone(), name),
            Scope::All => Api::all(self.client.clone()),
        }
    }

    /// One object, or `None` if there is none of that name.
    pub(crate) async fn find(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        check_name(name)?;
        self.try_get(&kind.resource(), namespace, name)
            .await
            .map_err(|error| self.error_of(kind, error))
    }

    /// One object of any resource that lives in namespaces, or `None`.
    pub(crate) async fn find_resource(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        check_name(name)?;
        self.try_get(resource, namespace, name)
            .await
            .map_err(|error| self.error(error))
    }

    async fn try_get(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<DynamicObject>> {
        match self
            .dynamic(resource, Scope::Namespace(namespace))
            .get(name)
            .await
        {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if errors::is_missing_object(&status) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One object; its absence is an error that says where such an object does exist.
    pub(crate) async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<DynamicObject, ClusterError> {
        match self.find(kind, namespace, name).await? {
            Some(object) => Ok(object),
            None => Err(ClusterError::NotFound {
                what: format!("{} {name:?} not found", kind.crd_name()),
                namespace: namespace.to_owned(),
                elsewhere: self.namespaces_with(kind, name).await,
            }),
        }
    }

    /// Namespaces that have an object of that kind and name. Best effort: it serves a hint, and
    /// whoever may not list the whole cluster gets none.
    pub(crate) async fn namespaces_with(&self, kind: Kind, name: &str) -> Vec<String> {
        let fields = format!("metadata.name={name}");
        let selection = Selection {
            fields: Some(&fields),
            labels: None,
        };
        let objects = self
            .list(kind, Scope::All, selection)
            .await
            .unwrap_or_default();
        objects
            .into_iter()
            .filter_map(|object| object.metadata.namespace)
            .collect()
    }

    /// All objects of a kind that fit, without their managed fields.
    pub(crate) async fn list(
        &self,
        kind: Kind,
        scope: Scope<'_>,
        selection: Selection<'_>,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api = self.objects(kind, scope);
        let found = pages(&self.client, api.resource_url(), selection).await;
        let found: Vec<Lean> = found.map_err(|error| self.error_of(kind, error))?;
        Ok(found.into_iter().map(|Lean(object)| object).collect())
    }

    /// Lists several kinds at once; the answers are in the order of the kinds. Kinds that are not
    /// installed have none, unless no kind is: who asks for all asks for those that there are.
    pub(crate) async fn list_each(
        &self,
        kinds: &[Kind],
        scope: Scope<'_>,
        selection: Selection<'_>,
    ) -> Vec<(Kind, Result<Vec<DynamicObject>, ClusterError>)> {
        let asked = kinds
            .iter()
            .map(|kind| async move { (*kind, self.list(*kind, scope, selection).await) });
        errors::installed(join_all(asked).await)
    }

    /// All objects of a built-in namespaced kind that fit.
    pub(crate) async fn list_typed<K>(
        &self,
        scope: Scope<'_>,
        selection: Selection<'_>,
    ) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api = self.typed::<K>(scope);
        pages(&self.client, api.resource_url(), selection)
            .await
            .map_err(|error| self.error(error))
    }

    /// All objects of any resource that fit, in pages.
    pub(crate) async fn list_resource(
        &self,
        resource: &ApiResource,
        scope: Scope<'_>,
        selection: Selection<'_>,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api = self.dynamic(resource, scope);
        pages(&self.client, api.resource_url(), selection)
            .await
            .map_err(|error| self.error(error))
    }

    /// All objects of a resource in the whole cluster, as manifests have them.
    pub(crate) async fn list_values(
        &self,
        resource: &ApiResource,
    ) -> Result<Vec<serde_json::Value>, ClusterError> {
        let objects = self
            .list_resource(resource, Scope::All, Selection::default())
            .await?;
        let value = |mut object: DynamicObject| {
            object.metadata.managed_fields = None;
            object.types = Some(TypeMeta {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
            });
            serde_json::to_value(object).ok()
        };
        Ok(objects.into_iter().filter_map(value).collect())
    }

    /// Namespaces and names of all Secrets; their contents are not asked for.
    pub(crate) async fn secret_names(&self) -> Result<Vec<(String, String)>, ClusterError> {
        let api: Api<Secret> = Api::all(self.client.clone());
        let mut params = ListParams::default().limit(PAGE);
        let mut names = Vec::new();
        loop {
            let page = api
                .list_metadata(&params)
                .await
                .map_err(|error| self.error(error))?;
            names.extend(
                page.items
                    .into_iter()
                    .filter_map(|object| Some((object.metadata.namespace?, object.metadata.name?))),
            );
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(names),
            }
        }
    }

    /// Sets an annotation, leaving everything else alone.
    pub(crate) async fn annotate(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        (key, value): (&str, &str),
    ) -> Result<DynamicObject, ClusterError> {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        self.patch(kind, namespace, name, patch).await
    }

    /// Changes fields of an object by a merge patch (RFC 7386).
    pub(crate) async fn patch(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: serde_json::Value,
    ) -> Result<DynamicObject, ClusterError> {
        check_name(name)?;
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        self.objects(kind, Scope::Namespace(namespace))
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .map_err(|error| self.error_of(kind, error))
    }

    /// Deletes an object, without waiting for its finalizers.
    pub(crate) async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), ClusterError> {
        check_name(name)?;
        self.objects(kind, Scope::Namespace(namespace))
            .delete(name, &DeleteParams::default())
            .await
            .map(drop)
            .map_err(|error| self.error_of(kind, error))
    }

    /// Creates an object.
    pub(crate) async fn create(
        &self,
        resource: &ApiResource,
        namespace: &str,
        object: &DynamicObject,
    ) -> Result<DynamicObject, ClusterError> {
        self.dynamic(resource, Scope::Namespace(namespace))
            .create(&write_params(), object)
            .await
            .map_err(|error| self.error(error))
    }

    /// Replaces an object; `None` if somebody else wrote to it since it was read.
    pub(crate) async fn replace(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        object: &DynamicObject,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        match self
            .dynamic(resource, Scope::Namespace(namespace))
            .replace(name, &write_params(), object)
            .await
        {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Merges a patch into an object.
    pub(crate) async fn merge(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        patch: &serde_json::Value,
    ) -> Result<DynamicObject, ClusterError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        api.patch(name, &params, &Patch::Merge(patch))
            .await
            .map_err(|error| self.error(error))
    }

    /// Whether webhooks of this configuration are asked at all.
    pub(crate) async fn has_webhook(&self, name: &str) -> Result<bool, ClusterError> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let found = api.get_opt(name).await.map_err(|error| self.error(error))?;
        Ok(found.is_some_and(|found| found.webhooks.is_some_and(|all| !all.is_empty())))
    }

    /// Version of the API server, such as `v1.36.1`.
    pub(crate) async fn server_version(&self) -> Result<String, ClusterError> {
        let version = self.client.apiserver_version().await;
        Ok(version.map_err(|error| self.error(error))?.git_version)
    }

    /// The definitions of all Flux resources, whichever program installed them.
    pub(crate) async fn flux_definitions(
        &self,
    ) -> Result<Vec<CustomResourceDefinition>, ClusterError> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let all = pages(&self.client, api.resource_url(), Selection::default()).await;
        let mut all: Vec<CustomResourceDefinition> = all.map_err(|error| self.error(error))?;
        all.retain(|definition| definition.spec.group.ends_with(".toolkit.fluxcd.io"));
        Ok(all)
    }

    /// The Deployments of a namespace that carry Flux's label.
    pub(crate) async fn flux_deployments(
        &self,
        namespace: &str,
    ) -> Result<Vec<Deployment>, ClusterError> {
        let labels = Some("app.kubernetes.io/part-of=flux");
        self.list_typed(
            Scope::Namespace(namespace),
            Selection {
                labels,
                fields: None,
            },
        )
        .await
    }

    /// Names of all namespaces.
    pub(crate) async fn namespaces(&self) -> Result<Vec<String>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let all = pages(&self.client, api.resource_url(), Selection::default()).await;
        let all: Vec<Namespace> = all.map_err(|error| self.error(error))?;
        Ok(all
            .into_iter()
            .filter_map(|namespace| namespace.metadata.name)
            .collect())
    }
}

fn write_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Makes ring the provider of TLS. A provider that is there already does as well.
pub(crate) fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn http_header() -> http::HeaderName {
    http::header::USER_AGENT
}

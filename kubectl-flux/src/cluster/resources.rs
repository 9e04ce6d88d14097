//! Resources of whatever kind, by the words people use for them.

use kube::api::{ApiResource, DynamicObject};
use kube::core::discovery::Scope as KindScope;
use kube::discovery::Discovery;

use super::{Cluster, ClusterError, Scope, errors};

/// Short names of kubectl that plural and kind do not tell. Discovery's own are not passed on by
/// the client library.
const SHORT: &[(&str, &str)] = &[
    ("cm", "configmaps"),
    ("cj", "cronjobs"),
    ("crd", "customresourcedefinitions"),
    ("deploy", "deployments"),
    ("ds", "daemonsets"),
    ("gitrepo", "gitrepositories"),
    ("hpa", "horizontalpodautoscalers"),
    ("ing", "ingresses"),
    ("ks", "kustomizations"),
    ("netpol", "networkpolicies"),
    ("ns", "namespaces"),
    ("pdb", "poddisruptionbudgets"),
    ("po", "pods"),
    ("pvc", "persistentvolumeclaims"),
    ("rs", "replicasets"),
    ("sa", "serviceaccounts"),
    ("sts", "statefulsets"),
    ("svc", "services"),
];

impl Cluster {
    /// The resource a person means by `deploy`, `deployments`, `Deployment` or `deployments.apps`,
    /// and whether it lives in namespaces; `None` if the API server serves no such thing.
    pub(crate) async fn resource(
        &self,
        word: &str,
        api_version: Option<&str>,
    ) -> Result<Option<(ApiResource, bool)>, ClusterError> {
        let found = Discovery::new(self.client.clone()).run_aggregated().await;
        let discovery = found.map_err(|error| self.error(error))?;
        let (word, group) = match word.split_once('.') {
            Some((word, group)) => (word.to_ascii_lowercase(), Some(group)),
            None => (word.to_ascii_lowercase(), None),
        };
        let word = SHORT
            .iter()
            .find(|(short, _)| *short == word)
            .map_or(word.as_str(), |(_, plural)| plural);
        for candidates in discovery.groups_alphabetical() {
            if group.is_some_and(|group| group != candidates.name()) {
                continue;
            }
            let resources = match api_version {
                Some(wanted) => candidates
                    .versions()
                    .filter(|version| version_of(candidates.name(), version) == wanted)
                    .flat_map(|version| candidates.versioned_resources(version))
                    .collect(),
                None => candidates.recommended_resources(),
            };
            for (resource, capabilities) in resources {
                let kind = resource.kind.to_ascii_lowercase();
                if resource.plural == word || kind == word {
                    let namespaced = capabilities.scope == KindScope::Namespaced;
                    return Ok(Some((resource, namespaced)));
                }
            }
        }
        Ok(None)
    }

    /// One object of any resource, in a namespace or cluster-wide, or `None`.
    pub(crate) async fn find_anywhere(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<DynamicObject>, ClusterError> {
        errors::check_name(name)?;
        let scope = namespace.map_or(Scope::All, Scope::Namespace);
        match self.dynamic(resource, scope).get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if errors::is_missing_object(&status) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }
}

fn version_of(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

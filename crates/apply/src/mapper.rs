//! Which URL path and scope a kind has on this API server.
//!
//! Discovery is asked one group version at a time and only for those in use: asking for all of
//! them, as generic clients do, costs dozens of requests on a cluster with many CRDs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::object::Gvk;

/// How long an answer "there is no such kind" is believed. A CRD that arrives between two runs
/// must be seen by the second, while a run that applies a hundred objects of a missing kind
/// should ask once.
const MISS_TTL: Duration = Duration::from_secs(2);

/// Where objects of one kind live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Plural name, as it stands in URLs.
    pub plural: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

/// Resources by kind of one group version.
type Kinds = Arc<HashMap<String, Resource>>;

/// A cache of discovery, shared by everybody who applies.
#[derive(Clone)]
pub struct Mapper {
    client: Client,
    cache: Arc<Mutex<HashMap<String, (Kinds, Instant)>>>,
}

impl Mapper {
    /// An empty cache over `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            cache: Arc::default(),
        }
    }

    /// The resource of a kind, or `None` when the API server does not serve it.
    ///
    /// # Errors
    /// When discovery itself fails for another reason than an unknown group version.
    pub async fn resource(&self, gvk: &Gvk) -> Result<Option<Resource>, kube::Error> {
        let api_version = gvk.api_version();
        let mut cache = self.cache.lock().await;
        if let Some((kinds, asked)) = cache.get(&api_version) {
            if let Some(found) = kinds.get(&gvk.kind) {
                return Ok(Some(found.clone()));
            }
            if asked.elapsed() < MISS_TTL {
                return Ok(None);
            }
        }
        let kinds = Arc::new(self.discover(&api_version).await?);
        let found = kinds.get(&gvk.kind).cloned();
        cache.insert(api_version, (kinds, Instant::now()));
        Ok(found)
    }

    /// Forgets what was learned of a group version: a CRD was just created or changed.
    pub async fn forget(&self, api_version: &str) {
        self.cache.lock().await.remove(api_version);
    }

    async fn discover(&self, api_version: &str) -> Result<HashMap<String, Resource>, kube::Error> {
        let list = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        match list {
            Ok(list) => Ok(list
                .resources
                .into_iter()
                .filter(|r| !r.name.contains('/'))
                .map(|r| {
                    (
                        r.kind,
                        Resource {
                            plural: r.name,
                            namespaced: r.namespaced,
                        },
                    )
                })
                .collect()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(HashMap::new()),
            Err(error) => Err(error),
        }
    }
}

/// The resources that a CustomResourceDefinition will serve once it is established, so that a set
/// which brings both a definition and objects of it can be planned before anything is applied.
pub fn served_by(crd: &Value) -> Vec<(Gvk, Resource)> {
    let spec = &crd["spec"];
    let (Some(group), Some(kind), Some(plural)) = (
        spec["group"].as_str(),
        spec["names"]["kind"].as_str(),
        spec["names"]["plural"].as_str(),
    ) else {
        return Vec::new();
    };
    let resource = Resource {
        plural: plural.to_owned(),
        namespaced: spec["scope"] != "Cluster",
    };
    let versions = spec["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    versions
        .iter()
        .filter(|v| v["served"] != false)
        .filter_map(|v| v["name"].as_str())
        .map(|version| {
            let gvk = Gvk {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
            };
            (gvk, resource.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_announces_what_it_serves() {
        let crd = json!({"kind": "CustomResourceDefinition", "spec": {
            "group": "example.org", "scope": "Cluster",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": true}, {"name": "v1alpha1", "served": false}]}});
        let served = served_by(&crd);
        assert_eq!(served.len(), 1);
        let (gvk, resource) = &served[0];
        assert_eq!(gvk.api_version(), "example.org/v1");
        assert_eq!(
            (resource.plural.as_str(), resource.namespaced),
            ("things", false)
        );
        assert!(served_by(&json!({})).is_empty());
    }
}

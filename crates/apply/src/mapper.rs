//! Which URL path and scope a kind has on this API server.
//!
//! Discovery is asked one group version at a time and only for those in use: asking for all of
//! them, as generic clients do, costs dozens of requests on a cluster with many CRDs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;

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

/// Resources by kind.
type Kinds = HashMap<String, Resource>;

/// What is known of one group version.
#[derive(Default)]
struct Known {
    kinds: Kinds,
    /// When the API server said so.
    asked: Option<Instant>,
    /// Held by whoever asks: the others wait for that answer.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Known {
    /// What it says of a kind, as far as that is believed.
    fn answer(&self, kind: &str) -> Option<Option<Resource>> {
        let found = self.kinds.get(kind).cloned();
        let recent = self.asked.is_some_and(|at| at.elapsed() < MISS_TTL);
        (found.is_some() || recent).then_some(found)
    }
}

/// A cache of discovery, shared by everybody who applies. A group whose API server does not answer
/// holds up those who ask for its kinds, and nobody else.
#[derive(Clone)]
pub struct Mapper {
    client: Client,
    cache: Arc<Mutex<HashMap<String, Known>>>,
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
        let asking = {
            let mut cache = self.cache();
            let known = cache.entry(api_version.clone()).or_default();
            if let Some(answer) = known.answer(&gvk.kind) {
                return Ok(answer);
            }
            known.asking.clone()
        };
        let _turn = asking.lock().await;
        // Whoever had the turn before may have asked.
        let answered = |known: &Known| known.answer(&gvk.kind);
        if let Some(answer) = self.cache().get(&api_version).and_then(answered) {
            return Ok(answer);
        }
        let kinds = self.discover(&api_version).await?;
        let found = kinds.get(&gvk.kind).cloned();
        let mut cache = self.cache();
        let known = cache.entry(api_version).or_default();
        (known.kinds, known.asked) = (kinds, Some(Instant::now()));
        Ok(found)
    }

    /// The resource of a kind in whatever version of its group serves it, that of `gvk` first.
    ///
    /// # Errors
    /// When discovery itself fails.
    pub async fn resource_in_any_version(
        &self,
        gvk: &Gvk,
    ) -> Result<Option<(Gvk, Resource)>, kube::Error> {
        if let Some(resource) = self.resource(gvk).await? {
            return Ok(Some((gvk.clone(), resource)));
        }
        let groups = self.client.list_api_groups().await?.groups;
        let group = groups.into_iter().find(|group| group.name == gvk.group);
        for version in group.into_iter().flat_map(|group| group.versions) {
            let other = Gvk {
                version: version.version,
                ..gvk.clone()
            };
            if let Some(resource) = self.resource(&other).await? {
                return Ok(Some((other, resource)));
            }
        }
        Ok(None)
    }

    /// Forgets what was learned of a group version: a CRD was just created or changed.
    pub fn forget(&self, api_version: &str) {
        self.cache().remove(api_version);
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn discover(&self, api_version: &str) -> Result<Kinds, kube::Error> {
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

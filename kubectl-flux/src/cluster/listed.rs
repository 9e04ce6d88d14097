//! Lists, page by page, and how much of the objects in them is kept.

use std::fmt;

use flux_api::LeanMetadata;
use kube::Client;
use kube::api::{DynamicObject, ListParams, ObjectList, Request, TypeMeta};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Selection;

/// Objects per page of a list: bounds what one answer costs the API server and us.
pub(super) const PAGE: u32 = 500;

/// Reads the list at an address of the API server to its end, page by page.
pub(super) async fn pages<K>(
    client: &Client,
    url: &str,
    selection: Selection<'_>,
) -> kube::Result<Vec<K>>
where
    K: Clone + DeserializeOwned,
{
    let list = Request::new(url);
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = selection.labels.map(str::to_owned);
    params.field_selector = selection.fields.map(str::to_owned);
    let mut all = Vec::new();
    loop {
        let request = list.list(&params).map_err(kube::Error::BuildRequest)?;
        let page: ObjectList<K> = client.request(request).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// An object of any kind without `managedFields`, see [`flux_api::lean`].
#[derive(Clone, Debug)]
pub(super) struct Lean(pub(super) DynamicObject);

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields).map(Self)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = DynamicObject;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut api_version, mut kind) = (None, None);
        let mut metadata = LeanMetadata::default();
        let mut data = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "apiVersion" => api_version = Some(map.next_value()?),
                "kind" => kind = Some(map.next_value()?),
                "metadata" => metadata = map.next_value()?,
                _ => {
                    data.insert(key, map.next_value()?);
                }
            }
        }
        let types = api_version.zip(kind);
        Ok(DynamicObject {
            types: types.map(|(api_version, kind)| TypeMeta { api_version, kind }),
            metadata: metadata.into(),
            data: Value::Object(data),
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::Lean;

    #[test]
    fn nothing_is_lost_but_the_managed_fields() {
        let mut object = json!({
            "apiVersion": "image.toolkit.fluxcd.io/v1",
            "kind": "ImagePolicy",
            "metadata": {
                "annotations": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": 0, "deletionTimestamp": "2026-01-02T00:00:00Z",
                "finalizers": ["x"], "generateName": "n", "generation": 2, "labels": {"c": "d"},
                "name": "n", "namespace": "ns", "resourceVersion": "7", "uid": "u",
                "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "k", "uid": "v"}],
            },
            "spec": {"a": [1, {"b": null}]},
            "status": {},
        });
        let whole: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        object["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": {"f:spec": {}}}]);
        let lean: Lean = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(lean.0, whole);
        let bare: Lean = serde_json::from_str("{}").unwrap();
        assert_eq!(bare.0.types, None);
    }
}

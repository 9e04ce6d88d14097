//! Looking at single objects, and what an apply would make of them. Nothing here changes anything.

use flux_api::names;
use flux_apply::object::Gvk;
use flux_apply::request::{self, RequestError};
use flux_apply::{Mapper, mapper};
use serde_json::Value;

use super::{Cluster, ClusterError};
use crate::error::Error;

impl Cluster {
    /// A cache of discovery for one run.
    pub(crate) fn mapper(&self) -> Mapper {
        Mapper::new(self.client.clone())
    }

    /// Where objects of a kind live; `None` if the API server does not serve it.
    ///
    /// # Errors
    /// If discovery cannot be read.
    pub(crate) async fn place_of(
        &self,
        mapper: &Mapper,
        gvk: &Gvk,
    ) -> Result<Option<mapper::Resource>, Error> {
        let found = mapper.resource(gvk).await;
        found.map_err(|error| self.error(error).into())
    }

    /// The object at a path, or `None`.
    ///
    /// # Errors
    /// As the API server refuses, or if it cannot be reached.
    pub(crate) async fn look(&self, path: &str) -> Result<Option<Value>, RequestError> {
        request::get(&self.client, path).await
    }

    /// The metadata of the object at a path as JSON, or `None`.
    ///
    /// # Errors
    /// As [`Cluster::look`].
    pub(crate) async fn look_at_metadata(
        &self,
        path: &str,
    ) -> Result<Option<bytes::Bytes>, RequestError> {
        request::get_metadata(&self.client, path).await
    }

    /// What an apply by the operator would make of an object.
    ///
    /// # Errors
    /// What the apply would fail with.
    pub(crate) async fn rehearse_sync(
        &self,
        path: &str,
        object: &Value,
    ) -> Result<Value, RequestError> {
        request::rehearse(&self.client, path, names::APPLY_FIELD_MANAGER, object).await
    }

    /// Puts a failure into words that is not about an object alone.
    pub(crate) fn failure_of(&self, error: RequestError) -> Error {
        match error {
            RequestError::Transport(error) => self.error(*error).into(),
            RequestError::Api {
                code: 401, message, ..
            } => ClusterError::Unauthorized(message).into(),
            error => Error::input(error.to_string()),
        }
    }
}

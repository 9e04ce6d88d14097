//! `spec.serviceAccountName`: applying with the rights of a tenant instead of the operator's own.
//!
//! A client per account is made once and kept; what kinds the API server has is learned once for
//! all of them.

use std::collections::HashMap;

use flux_api::Kustomization;
use flux_api::names::reason;
use flux_apply::Applier;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, ResourceExt};
use tokio::sync::Mutex;

use super::run::Run;
use crate::client::{ConnectError, Connector};
use crate::conclusion::Verdict;
use crate::context::Context;

/// Accounts that are kept at once; beyond it all are made anew. A client costs some 100 KiB.
const MOST: usize = 500;

/// Appliers by user.
pub struct Accounts {
    connector: Connector,
    appliers: Mutex<HashMap<String, Applier>>,
}

impl Accounts {
    /// Nobody is known yet.
    pub fn new(connector: Connector) -> Self {
        let appliers = Mutex::default();
        Self {
            connector,
            appliers,
        }
    }

    /// The applier of a user.
    async fn applier(&self, user: &str, own: &Applier) -> Result<Applier, ConnectError> {
        let mut known = self.appliers.lock().await;
        if let Some(applier) = known.get(user) {
            return Ok(applier.clone());
        }
        let client = self.connector.connect(Some(user)).await?;
        let applier = own.with_client(client);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(user.to_owned(), applier.clone());
        Ok(applier)
    }
}

/// The account as which a Kustomization is applied: its own, or the default one.
pub fn account<'o>(object: &'o Kustomization, context: &'o Context) -> Option<&'o str> {
    let own = object.spec.service_account_name.as_deref();
    own.filter(|name| !name.is_empty())
        .or(context.args.default_service_account.as_deref())
        .filter(|name| !name.is_empty())
}

/// What applies, prunes and checks a Kustomization.
///
/// # Errors
/// [`ConnectError`].
pub async fn applier(object: &Kustomization, context: &Context) -> Result<Applier, ConnectError> {
    match account(object, context) {
        None => Ok(context.applier.clone()),
        Some(name) => {
            let namespace = object.namespace().unwrap_or_default();
            let user = format!("system:serviceaccount:{namespace}:{name}");
            context.accounts.applier(&user, &context.applier).await
        }
    }
}

/// The account of a Kustomization when it does not exist: nothing can be pruned with its rights.
/// When that cannot be found out it is taken to exist.
pub async fn missing_account(object: &Kustomization, context: &Context) -> Option<String> {
    let name = account(object, context)?;
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &namespace);
    match api.get_opt(name).await {
        Ok(None) => Some(format!("{namespace}/{name}")),
        _ => None,
    }
}

impl Run<'_> {
    /// What applies, prunes and checks this Kustomization.
    pub(super) async fn applier(&self) -> Result<Applier, Verdict> {
        applier(self.object, self.context)
            .await
            .map_err(|error| self.failed(reason::RECONCILIATION_FAILED, error.to_string()))
    }
}

//! How a registry is reached: credentials, certificates, proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use flux_api::ImageRepository;
use flux_api::names::reason;
use flux_registry::{ClientOptions, Credentials, Proxy, Reference};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, ResourceExt};

use crate::conclusion::{Retry, Verdict};
use crate::context::Context;
use crate::key::Key;
use crate::words::api_error;

/// The options of a client for an ImageRepository.
///
/// # Errors
/// The verdict to conclude with.
pub async fn options(
    object: &ImageRepository,
    reference: &Reference,
    timeout: Duration,
    context: &Context,
) -> Result<ClientOptions, Verdict> {
    let spec = &object.spec;
    if let Some(provider) = spec.provider.as_ref().filter(|p| p.as_str() != "generic") {
        return Err(Verdict::Stalled {
            reason: "NotSupported",
            message: format!(
                "spec.provider {provider} is not supported yet; use generic with a pull secret in spec.secretRef"
            ),
        });
    }
    let namespace = object.namespace().unwrap_or_default();
    let mut secrets: Vec<String> = spec.secret_ref.iter().map(|r| r.name.clone()).collect();
    if let Some(account) = &spec.service_account_name {
        let found = pull_secrets(&namespace, account, context).await?;
        context.pull_secrets.set(&Key::of(object), found.clone());
        secrets.extend(found);
    }
    let mut credentials = Credentials::anonymous();
    for name in secrets {
        let data = secret(&namespace, &name, context).await?;
        let found = Credentials::from_secret(&data, reference)
            .map_err(|error| denied(format!("Secret \"{namespace}/{name}\": {error}")))?;
        if credentials.is_anonymous() {
            credentials = found;
        }
    }
    let (mut ca, mut client_cert) = (None, None);
    if let Some(reference) = &spec.cert_secret_ref {
        let data = secret(&namespace, &reference.name, context).await?;
        let either = |new: &str, old: &str| data.get(new).or_else(|| data.get(old)).cloned();
        ca = either("ca.crt", "caFile");
        client_cert = either("tls.crt", "certFile").zip(either("tls.key", "keyFile"));
        if ca.is_none() && client_cert.is_none() {
            return Err(denied(format!(
                "Secret \"{namespace}/{}\" of spec.certSecretRef has neither ca.crt nor tls.crt with tls.key",
                reference.name
            )));
        }
    }
    let proxy = match &spec.proxy_secret_ref {
        Some(reference) => {
            let data = secret(&namespace, &reference.name, context).await?;
            let text = |key: &str| {
                data.get(key)
                    .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
            };
            let Some(address) = text("address") else {
                return Err(denied(format!(
                    "Secret \"{namespace}/{}\" of spec.proxySecretRef has no key address",
                    reference.name
                )));
            };
            let login = text("username").map(|user| (user, text("password").unwrap_or_default()));
            Some(Proxy { address, login })
        }
        None => None,
    };
    Ok(ClientOptions {
        credentials,
        ca,
        client_cert,
        proxy,
        insecure: spec.insecure,
        timeout,
    })
}

async fn pull_secrets(
    namespace: &str,
    account: &str,
    context: &Context,
) -> Result<Vec<String>, Verdict> {
    let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), namespace);
    match api.get_opt(account).await {
        Ok(Some(account)) => Ok(account
            .image_pull_secrets
            .unwrap_or_default()
            .into_iter()
            .map(|reference| reference.name)
            .collect()),
        Ok(None) => Err(denied(format!(
            "ServiceAccount \"{namespace}/{account}\" of spec.serviceAccountName does not exist"
        ))),
        Err(error) => Err(denied(format!(
            "ServiceAccount \"{namespace}/{account}\" of spec.serviceAccountName cannot be read: {}",
            api_error(&error)
        ))),
    }
}

async fn secret(
    namespace: &str,
    name: &str,
    context: &Context,
) -> Result<BTreeMap<String, Vec<u8>>, Verdict> {
    context
        .secret(namespace, name)
        .await
        .map_err(|error| denied(error.to_string()))
}

fn denied(message: String) -> Verdict {
    Verdict::Failed {
        reason: reason::AUTHENTICATION_FAILED,
        message,
        retry: Retry::Backoff,
    }
}

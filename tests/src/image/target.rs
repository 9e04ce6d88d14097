//! A registry of somebody's, by the name that people give it.

use std::{env, path::Path};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Certificate, Client, header};

use super::{Image, push::Remote};

/// Variable with what is sent as the header `Authorization`, for example `Basic ...`.
const AUTHORIZATION: &str = "REGISTRY_AUTHORIZATION";

/// A registry and a folder in it.
#[derive(Debug)]
pub struct Target {
    remote: Remote,
    host: String,
    /// Empty, or ends in a slash.
    folder: String,
}

impl Target {
    /// The target `registry.example.org/folder`. Its credentials are those of the variable
    /// `REGISTRY_AUTHORIZATION`, its authority that of the file or one that the system trusts.
    ///
    /// # Errors
    /// When the name has a scheme, the file is no certificate, or the variable no header.
    pub fn open(name: &str, insecure: bool, ca_file: Option<&Path>) -> Result<Self> {
        let (host, folder) = match name.trim_end_matches('/').split_once('/') {
            Some((host, folder)) => (host, format!("{folder}/")),
            None => (name, String::new()),
        };
        ensure!(
            !host.is_empty() && !name.contains("://"),
            "the registry is written without a scheme: registry.example.org/flux"
        );
        let scheme = if insecure { "http" } else { "https" };
        let remote = Remote::new(format!("{scheme}://{host}"), client(ca_file)?);
        Ok(Self {
            remote,
            host: host.to_owned(),
            folder,
        })
    }

    /// Pushes an image; its name with registry and tag.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<String> {
        let (host, path) = (&self.host, format!("{}{repository}", self.folder));
        self.remote
            .push(&path, tag, image)
            .await
            .with_context(|| format!("cannot push {repository} to {host}"))?;
        Ok(format!("{host}/{path}:{tag}"))
    }
}

fn client(ca_file: Option<&Path>) -> Result<Client> {
    let mut builder = Client::builder();
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    if let Ok(value) = env::var(AUTHORIZATION) {
        let mut value = header::HeaderValue::try_from(value)
            .with_context(|| format!("{AUTHORIZATION} cannot be a header"))?;
        value.set_sensitive(true);
        builder = builder.default_headers([(header::AUTHORIZATION, value)].into_iter().collect());
    }
    Ok(builder.build()?)
}

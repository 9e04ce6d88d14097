//! `release push`: for people who build images of their own.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use flux_tests::{
    image::{Compression, push::Remote},
    release::{self, Images, Programs},
};
use reqwest::{Certificate, Client, header};

/// Variable with what is sent as the header `Authorization`.
const AUTHORIZATION: &str = "REGISTRY_AUTHORIZATION";

/// Flags of `push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    ready: super::Ready,
    /// Registry and folder in it, `registry.example.org/flux`, as `kubectl flux install
    /// --registry` takes it
    ///
    /// A registry that wants credentials gets the content of the variable
    /// REGISTRY_AUTHORIZATION, for example `Basic ...` or `Bearer ...`.
    #[arg(value_name = "REGISTRY")]
    registry: String,
    /// Speak HTTP instead of HTTPS
    #[arg(long)]
    insecure: bool,
    /// File with the certificate authority of the registry, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Assembles and pushes.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (host, folder) = match args.registry.trim_end_matches('/').split_once('/') {
        Some((host, folder)) => (host, format!("{folder}/")),
        None => (args.registry.as_str(), String::new()),
    };
    ensure!(
        !host.is_empty() && !args.registry.contains("://"),
        "the registry is written without a scheme: registry.example.org/flux"
    );
    let scheme = if args.insecure { "http" } else { "https" };
    let remote = Remote::new(format!("{scheme}://{host}"), client(args)?);

    let ready = args.ready.binaries.clone();
    let images = tokio::task::spawn_blocking(move || {
        let programs = Programs::find_or_build(ready.as_deref())?;
        Images::assemble(&programs, Compression::BEST)
    })
    .await??;
    let tag = format!("v{}", release::VERSION);
    for (name, image) in images.all() {
        remote
            .push(&format!("{folder}{name}"), &tag, image)
            .await
            .with_context(|| format!("cannot push {name} to {host}"))?;
        println!("{host}/{folder}{name}:{tag}@{}", image.digest());
    }
    Ok(())
}

fn client(args: &Args) -> Result<Client> {
    let mut builder = Client::builder();
    if let Some(file) = &args.ca_file {
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

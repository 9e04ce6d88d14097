//! `release push`: for people who build images of their own.

use std::path::PathBuf;

use anyhow::Result;
use flux_tests::{
    image::{Compression, target::Target},
    release::{self, Images, Programs},
};

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
    let target = Target::open(&args.registry, args.insecure, args.ca_file.as_deref())?;
    let ready = args.ready.binaries.clone();
    let images = tokio::task::spawn_blocking(move || {
        let programs = Programs::find_or_build(ready.as_deref())?;
        Images::assemble(&programs, Compression::BEST)
    })
    .await??;
    let tag = format!("v{}", release::VERSION);
    for (name, image) in images.all() {
        let pushed = target.push(name, &tag, image).await?;
        println!("{pushed}@{}", image.digest());
    }
    Ok(())
}

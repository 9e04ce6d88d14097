//! `release`: makes what is published, without a container engine.
//!
//! Only arguments and output are here; the work is done by [`flux_tests::release`].

mod push;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use flux_tests::{
    image::Compression,
    release::{self, Images, Programs},
};

/// Makes archives of the plugin, images and bills of materials.
#[derive(Debug, Parser)]
#[command(name = "release", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build everything and write it into a folder; writes manifests/images.json, too.
    All(AllArgs),
    /// Assemble the two images and push them to a registry.
    Push(push::Args),
    /// Print how large images and programs are.
    Sizes(Ready),
}

#[derive(Debug, Args)]
struct Ready {
    /// Folder with ready programs, instead of building them with the profiles `dist` and `dist-plugin`
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct AllArgs {
    #[command(flatten)]
    ready: Ready,
    /// Where the release is written
    #[arg(long, value_name = "FOLDER", default_value = "target/published")]
    out: PathBuf,
    /// Where the files will be downloaded from, for krew's manifest
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    // The first and only one: nothing else installs a provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match Cli::parse().command {
        Command::All(args) => all(&args),
        Command::Push(args) => push::run(&args).await,
        Command::Sizes(args) => sizes(args.binaries.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(args: &AllArgs) -> Result<()> {
    let images = release::make(
        &args.out,
        args.ready.binaries.as_deref(),
        args.url.as_deref(),
    )?;
    if args.url.is_none() {
        eprintln!("release: without --url, krew installs the plugin with --archive only");
    }
    show_images(&images);
    println!("\n{}", args.out.display());
    Ok(())
}

/// The figures of docs/performance.md.
fn sizes(ready: Option<&Path>) -> Result<()> {
    let programs = Programs::find_or_build(ready)?;
    println!("| program | bytes |\n|---|---|");
    for path in programs.all() {
        let name = path.file_name().unwrap_or_default().display();
        println!("| `{name}` | {} |", std::fs::metadata(path)?.len());
    }
    println!();
    show_images(&Images::assemble(&programs, Compression::BEST)?);
    Ok(())
}

fn show_images(images: &Images) {
    println!("| image | bytes, compressed | MiB | of layers |\n|---|---|---|---|");
    for (name, image) in images.all() {
        let mib = image.size() as f64 / f64::from(1 << 20);
        let layers: Vec<String> = image
            .layers()
            .iter()
            .map(|layer| layer.size().to_string())
            .collect();
        println!(
            "| `{name}` | {} | {mib:.1} | {} |",
            image.size(),
            layers.join(" + ")
        );
    }
    println!();
    for (name, image) in images.all() {
        println!("{}@{}", release::image_name(name), image.digest());
    }
}

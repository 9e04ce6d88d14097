//! What is in our two images, the same as the `Dockerfile` says.
//!
//! Neither holds a shell, a package manager or a writable file of root's; both run as 65532 with a
//! read-only file system. The operator's has three layers, those that change least below, so that
//! an upgrade fetches its program alone.

use std::path::Path;

use super::{
    Compression, Error, Image, Result, Settings, Tree,
    elf::{self, Libraries, Machine},
};

/// Name of the operator's image.
pub const SYNC_OPERATOR: &str = "sync-operator";
/// Name of the webhook's image.
pub const ADMISSION_WEBHOOK: &str = "admission-webhook";

/// The user and group that the programs run as, which is nobody's on any node.
const USER: u64 = 65532;

/// Where programs are; the only folder in `PATH`.
const PROGRAMS: &str = "usr/local/bin";

/// The authorities that TLS servers are checked against: where rustls and Go both look first.
pub const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The bundle of Debian's package `ca-certificates` on this machine.
pub const HOST_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Files and choices that the images are made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// `flux-sync-operator`.
    pub operator: &'a Path,
    /// `flux-admission-webhook`.
    pub webhook: &'a Path,
    /// The pinned `kustomize`.
    pub kustomize: &'a Path,
    /// Certificate authorities for the operator, PEM.
    pub authorities: &'a Path,
    /// Version without `v`, which becomes a label.
    pub version: &'a str,
    /// How layers are stored.
    pub compression: Compression,
}

/// The operator with kustomize and certificate authorities. No Git: it speaks that itself.
///
/// # Errors
/// When a part cannot be read or needs a library that is not there.
pub fn sync_operator(parts: &Parts<'_>) -> Result<Image> {
    let operator = elf::read(parts.operator)?;
    let kustomize = elf::read(parts.kustomize)?;
    let authorities = match parts.authorities.exists() {
        true => elf::read(parts.authorities)?,
        false => return Err(Error::Authorities(parts.authorities.to_owned())),
    };
    let libraries = elf::libraries(&[(parts.operator, &operator), (parts.kustomize, &kustomize)])?;
    let mut base = base(&libraries);
    base.file(AUTHORITIES, 0o644, authorities)
        .folder("data", 0o700, USER);
    let layers = [
        base,
        program("kustomize", kustomize),
        program("flux-sync-operator", operator),
    ];
    let about = "Syncs a cluster from Git and updates images through Git";
    image(
        parts,
        libraries.machine,
        "flux-sync-operator",
        about,
        &layers,
    )
}

/// The webhook alone: it asks nobody but the API server, whose authority it is given.
///
/// # Errors
/// When a part cannot be read or needs a library that is not there.
pub fn admission_webhook(parts: &Parts<'_>) -> Result<Image> {
    let webhook = elf::read(parts.webhook)?;
    let libraries = elf::libraries(&[(parts.webhook, &webhook)])?;
    let layers = [base(&libraries), program("flux-admission-webhook", webhook)];
    let about = "Says what is wrong with Flux objects and Ingresses, and what to write instead";
    image(
        parts,
        libraries.machine,
        "flux-admission-webhook",
        about,
        &layers,
    )
}

/// What every program expects around it.
fn base(libraries: &Libraries) -> Tree {
    let mut tree = Tree::new();
    for (path, content) in &libraries.files {
        tree.file(&path.to_string_lossy(), 0o755, content.as_slice());
    }
    tree.file(
        "etc/passwd",
        0o644,
        format!("root:x:0:0:root:/:/nonexistent\nnonroot:x:{USER}:{USER}:nonroot:/:/nonexistent\n"),
    )
    .file(
        "etc/group",
        0o644,
        format!("root:x:0:\nnonroot:x:{USER}:\n"),
    )
    // Without it glibc asks DNS before /etc/hosts in some versions, and after it in others.
    .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n")
    .folder("tmp", 0o1777, 0);
    tree
}

fn program(name: &str, content: Vec<u8>) -> Tree {
    let mut tree = Tree::new();
    tree.file(&format!("{PROGRAMS}/{name}"), 0o755, content);
    tree
}

fn image(
    parts: &Parts<'_>,
    machine: Machine,
    entrypoint: &str,
    about: &str,
    layers: &[Tree],
) -> Result<Image> {
    let label =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    let settings = Settings {
        architecture: machine.go_name().to_owned(),
        user: format!("{USER}:{USER}"),
        entrypoint: vec![format!("/{PROGRAMS}/{entrypoint}")],
        env: vec![format!("PATH=/{PROGRAMS}")],
        labels: vec![
            label("title", entrypoint),
            label("description", about),
            label("licenses", "Apache-2.0"),
            label("version", parts.version),
        ],
    };
    let layers: Result<Vec<_>> = layers
        .iter()
        .map(|tree| tree.pack(parts.compression))
        .collect();
    Ok(Image::new(&settings, layers?))
}

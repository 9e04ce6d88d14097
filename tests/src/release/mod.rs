//! What is published: archives of the plugin, the two images, checksums, bills of materials, and
//! one archive with all of it for clusters without internet. Without a container engine.
//!
//! Nothing in it depends on the time or the machine's name: built twice from the same commit with
//! the same compiler, the same bytes come out. Errors are for people who read the output, hence
//! `anyhow`.

mod offline;
mod pins;
mod plugin;
mod programs;
pub mod sbom;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

pub use self::{pins::Pins, programs::Programs};

use crate::{
    image::{
        Compression, Image, archive, hex,
        product::{self, ADMISSION_WEBHOOK, HOST_AUTHORITIES, Parts, SYNC_OPERATOR},
    },
    sandbox::progress::Step,
};

/// Version of this tree, without `v`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of an image without its registry: what the manifests say.
pub fn image_name(name: &str) -> String {
    format!("{name}:v{VERSION}")
}

/// The root of the repository.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Both images, assembled.
#[derive(Debug)]
pub struct Images {
    /// The operator's.
    pub operator: Image,
    /// The webhook's.
    pub webhook: Image,
}

impl Images {
    /// Assembles them as they are published. Blocks for some seconds.
    ///
    /// # Errors
    /// When a program or what it needs cannot be read.
    pub fn assemble(programs: &Programs, compression: Compression) -> Result<Self> {
        let parts = Parts {
            operator: &programs.operator,
            webhook: &programs.webhook,
            kustomize: &programs.kustomize,
            authorities: Path::new(HOST_AUTHORITIES),
            version: VERSION,
            compression,
        };
        Ok(Self {
            operator: product::sync_operator(&parts)?,
            webhook: product::admission_webhook(&parts)?,
        })
    }

    /// Each with its name.
    pub fn all(&self) -> [(&'static str, &Image); 2] {
        [
            (SYNC_OPERATOR, &self.operator),
            (ADMISSION_WEBHOOK, &self.webhook),
        ]
    }

    /// What the plugin pins them by.
    pub fn pins(&self) -> Pins {
        let digests = self.all().map(|(name, image)| {
            let digest = image.digest().to_owned();
            (name.to_owned(), digest)
        });
        Pins {
            digests: digests.into(),
        }
    }
}

/// Files of a release, written one by one into a folder.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Name and SHA-256 of what was written.
    sums: Vec<(String, String)>,
}

impl Folder {
    /// An empty folder: what an earlier release left in it is removed.
    fn new(path: &Path) -> Result<Self> {
        if path.exists() {
            let is_ours = path.join(CHECKSUMS).exists() || fs::read_dir(path)?.next().is_none();
            ensure!(
                is_ours,
                "{} holds something else than a release; name another folder",
                path.display()
            );
            fs::remove_dir_all(path)?;
        }
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            sums: Vec::new(),
        })
    }

    fn write(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        self.sums.push((name.to_owned(), hex(content)));
        Ok(())
    }

    /// Writes the checksums last: a folder that has them is complete.
    fn finish(mut self) -> Result<()> {
        let text = checksums(&mut self.sums);
        let path = self.path.join(CHECKSUMS);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

const CHECKSUMS: &str = "checksums.txt";

/// As `sha256sum --check` reads it, in the order of names.
fn checksums(sums: &mut [(String, String)]) -> String {
    sums.sort();
    sums.iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect()
}

/// Makes a whole release in `folder`. `url` is where its files will be downloaded from. Builds the
/// programs unless `ready` names a folder that has them. Blocks for minutes.
///
/// # Errors
/// When something does not compile, or cannot be read or written.
pub fn make(folder: &Path, ready: Option<&Path>, url: Option<&str>) -> Result<Images> {
    let mut programs = Programs::find_or_build(ready)?;
    let step = Step::start("assembling the images");
    let images = Images::assemble(&programs, Compression::BEST)?;
    step.done();
    // The plugin carries the digests of the images, so it is built after them.
    if images.pins().write(&Pins::file())? && ready.is_none() {
        programs = Programs::find_or_build(None)?;
    }

    let step = Step::start("packing archives and bills of materials");
    let mut out = Folder::new(folder)?;
    let platform = programs.platform()?;
    for (name, image) in images.all() {
        let archive = archive::pack(&[(&image_name(name), image)])?;
        out.write(&format!("{name}_v{VERSION}_{platform}.oci.tar"), &archive)?;
    }
    let files = plugin::files(&programs.plugin)?;
    let archive = plugin::archive(&files)?;
    let name = format!("kubectl-flux_v{VERSION}_{platform}.tar.gz");
    out.write(&name, &archive)?;
    let address = plugin::address(url, &name);
    let krew = plugin::krew(&address, &hex(&archive), &platform);
    out.write("flux.yaml", krew.as_bytes())?;
    let mut packed = vec![(name, archive)];
    for (name, bill) in sbom::all(&programs)? {
        let file = format!("{name}_v{VERSION}_{platform}.cdx.json");
        let content = format!("{bill:#}\n").into_bytes();
        out.write(&file, &content)?;
        packed.push((format!("sbom/{file}"), content));
    }
    let offline = offline::archive(&images, packed)?;
    out.write(&format!("flux-offline_v{VERSION}_{platform}.tar"), &offline)?;
    out.finish()?;
    step.done();
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_what_sha256sum_reads() {
        let mut sums = vec![
            ("b.tar".to_owned(), hex(b"b")),
            ("a.tar".to_owned(), hex(b"")),
        ];
        let text = checksums(&mut sums);
        let first = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.tar";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_folder_with_something_else_is_not_emptied() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = Folder::new(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("holds something else"),
            "{error}"
        );

        let release = folder.path().join("release");
        let mut out = Folder::new(&release).unwrap();
        out.write("x", b"").unwrap();
        out.finish().unwrap();
        Folder::new(&release).unwrap();
        assert!(!release.join("x").exists());
    }
}

//! The images of the walk, with the real program in them.

use std::path::Path;

use super::super::{
    error::{Error, Result},
    registry::{Registry, image::architecture},
};
use crate::image::{Compression, Image, Layer, Settings, Tree};

/// The image that holds a pod's namespaces, and its tag.
const PAUSE: (&str, &str) = ("pause", "3.10");

/// Pushes agnhost under every tag of the walk, and as the image that holds a pod's namespaces.
pub(super) async fn push(registry: &Registry, agnhost: &Path) -> Result<()> {
    let program = agnhost.to_owned();
    let layer = tokio::task::spawn_blocking(move || self::agnhost(&program))
        .await
        .unwrap_or(Err(Error::NotStarted("image")))?;
    let settings = Settings {
        architecture: architecture().to_owned(),
        entrypoint: ["/agnhost", "pause"].map(str::to_owned).to_vec(),
        ..Settings::default()
    };
    let pause = Image::new(&settings, vec![layer.clone()]);
    let (repository, tag) = PAUSE;
    registry.push(repository, tag, &pause).await?;
    registry.fill_tags_with(layer);
    registry.seed_agnhost().await
}

/// The program at the root, and a folder for its temporary files. Not compressed: that takes
/// longer than copying it within a machine.
///
/// # Errors
/// When the program cannot be read.
pub fn agnhost(program: &Path) -> Result<Layer> {
    let content = std::fs::read(program).map_err(Error::file("read", program))?;
    let mut tree = Tree::new();
    tree.file("agnhost", 0o755, content)
        .folder("tmp", 0o1777, 0);
    Ok(tree.pack(Compression::None)?)
}

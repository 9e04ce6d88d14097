//! The images behind the tags of the walk: all with the same files, told apart by a label. Where
//! nothing runs, those files are none.

use crate::image::{Compression, Image, Layer, Result, Settings, Tree};

/// No files.
pub(super) fn empty() -> Result<Layer> {
    Tree::new().pack(Compression::BEST)
}

/// The image of a tag. The same tag makes the same image.
pub fn tagged(tag: &str, files: Layer) -> Image {
    let settings = Settings {
        architecture: architecture().to_owned(),
        labels: vec![(
            "org.opencontainers.image.version".to_owned(),
            tag.to_owned(),
        )],
        ..Settings::default()
    };
    Image::new(&settings, vec![files])
}

/// Go's name of what this machine is.
pub(in crate::sandbox) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ_in_digest_and_share_their_layer() {
        let image = |tag| tagged(tag, empty().unwrap());
        let (old, new) = (image("2.39"), image("2.51"));
        assert_ne!(old.digest(), new.digest());
        assert_eq!(old.digest(), image("2.39").digest());
        assert_eq!(old.blobs().nth(1), new.blobs().nth(1));
    }
}

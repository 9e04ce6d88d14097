//! Tiny images that stand for real ones where nothing runs: an empty layer, and a label that tells
//! the tags apart.

use crate::image::{Compression, Image, Result, Settings, Tree};

/// The image of a tag. The same tag makes the same image.
pub(super) fn tiny(tag: &str) -> Result<Image> {
    let settings = Settings {
        architecture: "amd64".to_owned(),
        labels: vec![(
            "org.opencontainers.image.version".to_owned(),
            tag.to_owned(),
        )],
        ..Settings::default()
    };
    let layer = Tree::new().pack(Compression::BEST)?;
    Ok(Image::new(&settings, vec![layer]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_differ_in_digest_and_share_their_layer() {
        let (old, new) = (tiny("2.39").unwrap(), tiny("2.51").unwrap());
        assert_ne!(old.digest(), new.digest());
        assert_eq!(old.digest(), tiny("2.39").unwrap().digest());
        assert_eq!(old.blobs().nth(1), new.blobs().nth(1));
    }
}

//! `image.toolkit.fluxcd.io`: which images there are, which of them to use, and how to say so in Git.

mod automation;
mod policy;
mod repository;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use automation::*;
pub use policy::*;
pub use repository::*;

/// One image: what a policy selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageRef {
    /// Name of the image without a tag, as the ImageRepository spells it.
    pub name: String,

    /// Tag of the image.
    pub tag: String,

    /// Digest of the image, if the policy asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl std::fmt::Display for ImageRef {
    /// `name:tag` or `name:tag@digest`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)?;
        match &self.digest {
            Some(digest) if !digest.is_empty() => write!(f, "@{digest}"),
            _ => Ok(()),
        }
    }
}

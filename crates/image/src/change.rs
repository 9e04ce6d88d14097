//! What an edit of marked values did: the record that commit messages, previews and events share.
//!
//! This module only holds data; [`crate::message`] turns it into text.

use flux_api::image::ImageRef;

/// One value that was replaced because of its marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// File, relative to the root of the repository, with `/` between folders.
    pub file: String,
    /// Line of the value, counted from 1.
    pub line: usize,
    /// Object that the value stands in.
    pub object: ObjectIdentifier,
    /// Value before, without quotes.
    pub old_value: String,
    /// Value now, without quotes.
    pub new_value: String,
    /// Marker as written: `<namespace>:<policy>`, optionally followed by `:name`, `:tag` or
    /// `:digest`.
    pub setter: String,
    /// Image that the policy stands at. The marker may have asked only for a part of it, and the
    /// `.Updated.Images` of a message template lists whole images.
    pub image: ImageRef,
}

/// Names a Kubernetes object in a file; fields that the document does not have are empty.
///
/// The order is that of Go's templates when they range over a map with such keys: field by field,
/// in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectIdentifier {
    /// `apiVersion`, such as `apps/v1`.
    pub api_version: String,
    /// `kind`, such as `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
}

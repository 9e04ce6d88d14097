//! What a policy would select, as one program tells another.

use serde::{Deserialize, Serialize};

/// What an ImagePolicy selects now, out of all tags that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// How many tags there are.
    pub total: usize,
    /// The tag that is selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Why none is, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

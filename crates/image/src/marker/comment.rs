//! The text of a marker.

use std::collections::BTreeMap;

use flux_api::ImageRef;

/// A marker as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// `namespace:policy[:part]`.
    pub(super) setter: String,
    pub(super) namespace: String,
    pub(super) policy: String,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `name:tag`, with `@digest` where the policy has one.
    Image,
    Tag,
    Name,
    Digest,
}

/// A comment that is meant as a marker and is none: what it names, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) setter: String,
    pub(super) reason: String,
}

/// Reads a comment (without its `#`); `None` when it is no marker.
///
/// As in Flux the comment as a whole must be a JSON object of strings.
pub(super) fn parse(comment: &str) -> Option<Result<Marker, Malformed>> {
    const KEY: &str = "$imagepolicy";
    if !comment.contains("\"$imagepolicy\"") {
        return None;
    }
    let malformed = |setter: &str, reason: String| {
        Some(Err(Malformed {
            setter: setter.to_owned(),
            reason,
        }))
    };
    let json = comment.trim_start_matches('#').trim();
    let object: BTreeMap<String, String> = match serde_json::from_str(json) {
        Ok(object) => object,
        Err(error) => {
            return malformed(
                "",
                format!(
                    "the comment is not a JSON object of strings ({error}); write \
                     # {{\"$imagepolicy\": \"namespace:policy\"}} and nothing else"
                ),
            );
        }
    };
    let setter = object.get(KEY).filter(|setter| !setter.is_empty())?;
    let mut parts = setter.split(':');
    let (namespace, policy) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let part = match (parts.next(), parts.next()) {
        (None, _) => Some(Part::Image),
        (Some("tag"), None) => Some(Part::Tag),
        (Some("name"), None) => Some(Part::Name),
        (Some("digest"), None) => Some(Part::Digest),
        _ => None,
    };
    match part {
        Some(part) if !namespace.is_empty() && !policy.is_empty() => Some(Ok(Marker {
            setter: setter.clone(),
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
            part,
        })),
        _ => malformed(
            setter,
            "write namespace:policy, alone or followed by :tag, :name or :digest".to_owned(),
        ),
    }
}

impl Marker {
    /// What the marker asks for; `None` for the digest of an image that comes without one.
    pub(super) fn value(&self, image: &ImageRef) -> Option<String> {
        Some(match self.part {
            Part::Image => match &image.digest {
                Some(digest) if !digest.is_empty() => {
                    format!("{}:{}@{digest}", image.name, image.tag)
                }
                _ => format!("{}:{}", image.name, image.tag),
            },
            Part::Tag => image.tag.clone(),
            Part::Name => image.name.clone(),
            Part::Digest => image.digest.clone().filter(|digest| !digest.is_empty())?,
        })
    }
}

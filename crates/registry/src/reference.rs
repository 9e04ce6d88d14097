//! The name of a repository of images, as written in `spec.image`.
//!
//! The rules are those of go-containerregistry's `name.NewRepository` with weak validation, which
//! Flux uses: the first path element is a registry host only if it holds a `.` or a `:`, and
//! everything else is on Docker Hub. A tag or digest does not belong here: an ImageRepository is
//! about all tags.

use std::fmt;
use std::net::Ipv4Addr;

use thiserror::Error;

/// Where names without a registry live, under the name go-containerregistry gives it.
const DOCKER_HUB: &str = "index.docker.io";
/// The name people write for [`DOCKER_HUB`].
const DOCKER_HUB_ALIAS: &str = "docker.io";
/// Docker Hub's namespace of images without one.
const DOCKER_HUB_LIBRARY: &str = "library";
/// Bounds on the length of a repository path, in characters.
const REPOSITORY_LENGTH: std::ops::RangeInclusive<usize> = 2..=255;

/// A repository of images on a registry, without tag or digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
}

/// Why a text does not name a repository of images. Flux's reason is `ImageURLInvalid`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The text starts like a URL. The wording is Flux's.
    #[error("image '{image}' should not include URL scheme; remove '{scheme}://'")]
    Scheme {
        /// The text as given.
        image: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// The text ends with a tag (and perhaps a digest). The wording is Flux's.
    #[error("image '{image}' should not include a tag; remove ':{tag}'")]
    Tag {
        /// The text as given.
        image: String,
        /// What follows the colon.
        tag: String,
    },
    /// The text ends with a digest.
    #[error("image '{image}' should not include a digest; remove '@{digest}'")]
    Digest {
        /// The text as given.
        image: String,
        /// What follows the `@`.
        digest: String,
    },
    /// The registry part is not `host` or `host:port`.
    #[error("image '{image}': '{registry}' is not a registry; write HOST or HOST:PORT")]
    Registry {
        /// The text as given.
        image: String,
        /// The part before the first slash.
        registry: String,
    },
    /// The path on the registry is not a repository name.
    #[error("image '{image}': '{repository}' is not a repository name: {rule}")]
    Repository {
        /// The text as given.
        image: String,
        /// The part after the registry.
        repository: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

impl ReferenceError {
    /// The reason that Flux puts into the Ready condition.
    pub fn reason(&self) -> &'static str {
        "ImageURLInvalid"
    }
}

impl Reference {
    /// Reads `spec.image`.
    ///
    /// # Errors
    /// [`ReferenceError`] when the text has a scheme, tag or digest or breaks the naming rules.
    pub fn parse(image: &str) -> Result<Self, ReferenceError> {
        if let Some((scheme, _)) = image.split_once("://") {
            return Err(ReferenceError::Scheme {
                image: image.to_owned(),
                scheme: scheme.to_owned(),
            });
        }
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        // A colon in the first of several elements belongs to a port, one in the last to a tag.
        let (name, tag) = match name.rsplit_once(':') {
            Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
            _ => (name, None),
        };
        let reference = Self::from_name(image, name)?;
        match (tag, digest) {
            (None, None) => Ok(reference),
            (Some(tag), None) => Err(ReferenceError::Tag {
                image: image.to_owned(),
                tag: tag.to_owned(),
            }),
            (Some(tag), Some(digest)) => Err(ReferenceError::Tag {
                image: image.to_owned(),
                tag: format!("{tag}@{digest}"),
            }),
            (None, Some(digest)) => Err(ReferenceError::Digest {
                image: image.to_owned(),
                digest: digest.to_owned(),
            }),
        }
    }

    fn from_name(image: &str, name: &str) -> Result<Self, ReferenceError> {
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        if !is_authority(registry) {
            return Err(ReferenceError::Registry {
                image: image.to_owned(),
                registry: registry.to_owned(),
            });
        }
        let registry = if registry == DOCKER_HUB_ALIAS {
            DOCKER_HUB
        } else {
            registry
        };
        let repository = if registry == DOCKER_HUB && !path.contains('/') {
            format!("{DOCKER_HUB_LIBRARY}/{path}")
        } else {
            path.to_owned()
        };
        let broken = broken_rule(path).or_else(|| broken_rule(&repository));
        if let Some(rule) = broken {
            return Err(ReferenceError::Repository {
                image: image.to_owned(),
                repository: path.to_owned(),
                rule,
            });
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
        })
    }

    /// Host, and port if any, of the registry: `index.docker.io`, `ghcr.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path of the repository on its registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The full name, as in `status.canonicalImageName`: `index.docker.io/library/alpine`.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    /// Whether plain HTTP may be tried when the registry does not answer TLS, though nobody said
    /// so: loopback, `.local` names and private IPv4 addresses, as in go-containerregistry.
    pub(crate) fn is_local(&self) -> bool {
        let host = host_of(&self.registry);
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return address == Ipv4Addr::LOCALHOST || address.is_private();
        }
        host == "[::1]"
            || host == "localhost"
            || host.ends_with(".localhost")
            || host.ends_with(".local")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The host of `host`, `host:port`, `[v6]` and `[v6]:port`, brackets kept.
pub(crate) fn host_of(registry: &str) -> &str {
    if registry.starts_with('[') {
        return registry
            .find(']')
            .and_then(|end| registry.get(..=end))
            .unwrap_or(registry);
    }
    registry.split_once(':').map_or(registry, |(host, _)| host)
}

/// Whether a text is `host`, `host:port` or `[v6]:port`, without user, path or anything else.
fn is_authority(registry: &str) -> bool {
    let host = host_of(registry);
    let port = registry.get(host.len()..).unwrap_or_default();
    let port_is_sound = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    let host_is_sound = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    port_is_sound && host_is_sound
}

/// The rule that a repository path breaks. Stricter than go-containerregistry in two points:
/// elements that are empty or dots would leave the path of the repository in a URL, and no
/// registry has what is only too long with Docker Hub's `library/` before it.
fn broken_rule(path: &str) -> Option<&'static str> {
    if !path
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte))
    {
        return Some("only lower-case letters, digits and '_', '-', '.', '/' may be used");
    }
    if !REPOSITORY_LENGTH.contains(&path.len()) {
        return Some("it must be 2 to 255 characters long");
    }
    if path
        .split('/')
        .any(|element| matches!(element, "" | "." | ".."))
    {
        return Some("an element between slashes is empty or only dots");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_names() {
        for (image, canonical) in [
            ("alpine", "index.docker.io/library/alpine"),
            ("docker.io/alpine", "index.docker.io/library/alpine"),
            ("index.docker.io/alpine", "index.docker.io/library/alpine"),
            ("fluxcd/flux", "index.docker.io/fluxcd/flux"),
            ("docker.io/fluxcd/flux", "index.docker.io/fluxcd/flux"),
            (
                "ghcr.io/stefanprodan/podinfo",
                "ghcr.io/stefanprodan/podinfo",
            ),
            ("ghcr.io/podinfo", "ghcr.io/podinfo"),
            ("localhost:5000/a/b", "localhost:5000/a/b"),
            ("localhost/app", "index.docker.io/localhost/app"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            (
                "registry.k8s.io/e2e-test-images/agnhost",
                "registry.k8s.io/e2e-test-images/agnhost",
            ),
        ] {
            assert_eq!(
                Reference::parse(image).unwrap().canonical(),
                canonical,
                "{image}"
            );
        }
    }

    #[test]
    fn refusals() {
        for (image, text) in [
            (
                "https://ghcr.io/a/b",
                "image 'https://ghcr.io/a/b' should not include URL scheme; remove 'https://'",
            ),
            (
                "alpine:3.1",
                "image 'alpine:3.1' should not include a tag; remove ':3.1'",
            ),
            (
                "localhost:5000/alpine:3.1",
                "image 'localhost:5000/alpine:3.1' should not include a tag; remove ':3.1'",
            ),
            (
                "alpine@sha256:00",
                "image 'alpine@sha256:00' should not include a digest; remove '@sha256:00'",
            ),
            (
                "alpine:3@sha256:00",
                "image 'alpine:3@sha256:00' should not include a tag; remove ':3@sha256:00'",
            ),
            (
                "ghcr.io/Upper",
                "image 'ghcr.io/Upper': 'Upper' is not a repository name: only lower-case \
                 letters, digits and '_', '-', '.', '/' may be used",
            ),
            (
                "",
                "image '': '' is not a repository name: it must be 2 to 255 characters long",
            ),
            (
                "ghcr.io/../admin",
                "image 'ghcr.io/../admin': '../admin' is not a repository name: an element \
                 between slashes is empty or only dots",
            ),
            (
                "user.x:pass@ghcr.io/app",
                "image 'user.x:pass@ghcr.io/app' should not include a tag; remove \
                 ':pass@ghcr.io/app'",
            ),
            (
                "ghcr.io:99999/app",
                "image 'ghcr.io:99999/app': 'ghcr.io:99999' is not a registry; write HOST or \
                 HOST:PORT",
            ),
        ] {
            let error = Reference::parse(image).unwrap_err();
            assert_eq!(error.to_string(), text, "{image}");
            assert_eq!(error.reason(), "ImageURLInvalid");
        }
    }

    #[test]
    fn the_longest_names() {
        for (prefix, length, sound) in [
            ("", 247, true),
            ("", 248, false),
            ("docker.io/", 248, false),
            ("a/", 253, true),
            ("a/", 254, false),
            ("ghcr.io/", 255, true),
            ("ghcr.io/", 256, false),
        ] {
            let image = format!("{prefix}{}", "n".repeat(length));
            let parsed = Reference::parse(&image);
            assert_eq!(parsed.is_ok(), sound, "{prefix} {length}");
            if let Ok(reference) = parsed {
                assert_eq!(Reference::parse(&reference.canonical()), Ok(reference));
            }
        }
    }

    #[test]
    fn plain_http_is_for_local_names() {
        for (image, local) in [
            ("localhost:5000/app", true),
            ("127.0.0.1:5000/app", true),
            ("127.0.0.2/app", false),
            ("10.1.2.3:5000/app", true),
            ("172.32.0.1/app", false),
            ("192.168.1.1/app", true),
            ("registry.local/app", true),
            ("registry.localhost:1/app", true),
            ("[::1]:5000/app", true),
            ("ghcr.io/app", false),
            ("alpine", false),
        ] {
            assert_eq!(
                Reference::parse(image).unwrap().is_local(),
                local,
                "{image}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parsing_never_panics_and_canonical_is_stable(text in "[a-zA-Z0-9:/@.\\[\\]_-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.canonical()).unwrap(), reference);
            }
        }
    }
}

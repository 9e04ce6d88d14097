//! Keys by which objects find each other, so that nobody has to look through all of them.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use crate::kind::Kind;
use crate::rules::ingress_view;
use crate::subject::Subject;

/// A key of an object. Different things may have equal keys, if rarely: who finds an object by its
/// key looks at it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u64);

impl Key {
    fn new(parts: impl Hash) -> Self {
        // Not RandomState: keys are compared between calls, not kept between runs.
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// All objects of a namespace.
    #[must_use]
    pub fn namespace(namespace: &str) -> Self {
        Self::new(("namespace", namespace))
    }

    /// Ingresses with a host; empty for every host.
    #[must_use]
    pub fn host(host: &str) -> Self {
        Self::new(("host", host))
    }

    /// Ingresses with this path of a host.
    #[must_use]
    pub fn path(host: &str, path: &str, path_type: &str) -> Self {
        Self::new(("path", host, path, path_type))
    }

    /// Kustomizations that apply this directory of a source.
    pub(crate) fn applies(content: &Content<'_>) -> Self {
        Self::new(("applies", content))
    }

    /// ImagePolicies that refer to this ImageRepository.
    #[must_use]
    pub fn repository(namespace: &str, name: &str) -> Self {
        Self::new(("repository", namespace, name))
    }
}

/// What a Kustomization applies, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    path: String,
    target: &'a str,
    cluster: &'a str,
}

impl<'a> Content<'a> {
    /// `None` if a part of it cannot be judged.
    pub(crate) fn of(subject: Subject<'a>) -> Option<Self> {
        let optional = |pointer: &str, default: &'a str| {
            if subject.has(pointer) {
                subject.text(pointer)
            } else {
                Some(default)
            }
        };
        let path = optional("/spec/path", "")?;
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        Some(Self {
            kind: subject.text("/spec/sourceRef/kind")?,
            namespace: optional("/spec/sourceRef/namespace", subject.namespace())?,
            name: subject.text("/spec/sourceRef/name")?,
            path: parts.join("/"),
            target: optional("/spec/targetNamespace", "")?,
            cluster: optional("/spec/kubeConfig/secretRef/name", "")?,
        })
    }
}

/// The keys of an object of this kind.
#[must_use]
pub fn keys(kind: Kind, object: &Value) -> Vec<Key> {
    let subject = Subject::new(object);
    let mut keys = match kind {
        Kind::Ingress => ingress_keys(subject),
        Kind::Kustomization => Content::of(subject)
            .iter()
            .map(Key::applies)
            .chain([Key::namespace(subject.namespace())])
            .collect(),
        Kind::ImagePolicy => {
            let field = |name: &str| subject.text(&format!("/spec/imageRepositoryRef/{name}"));
            let namespace = field("namespace").unwrap_or(subject.namespace());
            field("name")
                .map(|name| Key::repository(namespace, name))
                .into_iter()
                .chain([Key::namespace(subject.namespace())])
                .collect()
        }
        Kind::GitRepository | Kind::ImageRepository | Kind::ImageUpdateAutomation => {
            vec![Key::namespace(subject.namespace())]
        }
    };
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn ingress_keys(subject: Subject<'_>) -> Vec<Key> {
    ingress_view::paths(subject)
        .iter()
        .flat_map(|path| {
            [
                Key::host(path.host),
                Key::path(path.host, path.path, path.path_type),
            ]
        })
        .collect()
}

//! The kinds of objects that rules exist for.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A kind that this crate knows, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Kind {
    /// `source.toolkit.fluxcd.io`
    GitRepository,
    /// `image.toolkit.fluxcd.io`
    ImageRepository,
    /// `image.toolkit.fluxcd.io`
    ImagePolicy,
    /// `image.toolkit.fluxcd.io`
    ImageUpdateAutomation,
    /// `kustomize.toolkit.fluxcd.io`, not kustomize's own file
    Kustomization,
    /// `networking.k8s.io`
    Ingress,
}

impl Kind {
    /// All of them, in the order of the catalogue.
    pub const ALL: [Self; 6] = [
        Self::GitRepository,
        Self::ImageRepository,
        Self::ImagePolicy,
        Self::ImageUpdateAutomation,
        Self::Kustomization,
        Self::Ingress,
    ];

    /// The API group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::GitRepository => "source.toolkit.fluxcd.io",
            Self::ImageRepository | Self::ImagePolicy | Self::ImageUpdateAutomation => {
                "image.toolkit.fluxcd.io"
            }
            Self::Kustomization => "kustomize.toolkit.fluxcd.io",
            Self::Ingress => "networking.k8s.io",
        }
    }

    /// The name as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitRepository => "GitRepository",
            Self::ImageRepository => "ImageRepository",
            Self::ImagePolicy => "ImagePolicy",
            Self::ImageUpdateAutomation => "ImageUpdateAutomation",
            Self::Kustomization => "Kustomization",
            Self::Ingress => "Ingress",
        }
    }

    /// The name in addresses of the API.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::GitRepository => "gitrepositories",
            Self::ImageRepository => "imagerepositories",
            Self::ImagePolicy => "imagepolicies",
            Self::ImageUpdateAutomation => "imageupdateautomations",
            Self::Kustomization => "kustomizations",
            Self::Ingress => "ingresses",
        }
    }

    /// What an object says it is; `None` for kinds without rules.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let (group, _) = object.get("apiVersion")?.as_str()?.split_once('/')?;
        let name = object.get("kind")?.as_str()?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.group() == group && kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

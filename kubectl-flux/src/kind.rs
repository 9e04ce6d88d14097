//! The resource kinds this program knows: how they are called by people and by the API.

use kube::core::{ApiResource, GroupVersionKind};

use crate::error::Error;

/// One of the five kinds that are synchronised, in the order in which `get all` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A Git repository that is followed.
    GitRepository,
    /// An image repository whose tags are scanned.
    ImageRepository,
    /// The choice of one tag among those scanned.
    ImagePolicy,
    /// The commits that write chosen tags into Git.
    ImageUpdateAutomation,
    /// Manifests of a source that are applied.
    Kustomization,
}

/// Fixed facts of a kind.
struct Facts {
    kind: &'static str,
    group: &'static str,
    plural: &'static str,
    /// What messages about waiting call it; differs from the kind for sources.
    subject: &'static str,
    /// What messages about single objects call it.
    noun: &'static str,
    /// Short names people may write instead of the kind.
    short: &'static [&'static str],
}

impl Kind {
    /// All kinds, in display order.
    pub(crate) const ALL: [Kind; 5] = [
        Kind::GitRepository,
        Kind::ImageRepository,
        Kind::ImagePolicy,
        Kind::ImageUpdateAutomation,
        Kind::Kustomization,
    ];

    const fn facts(self) -> Facts {
        match self {
            Self::GitRepository => Facts {
                kind: "GitRepository",
                group: "source.toolkit.fluxcd.io",
                plural: "gitrepositories",
                subject: "GitRepository source",
                noun: "source git",
                short: &["gitrepo"],
            },
            Self::Kustomization => Facts {
                kind: "Kustomization",
                group: "kustomize.toolkit.fluxcd.io",
                plural: "kustomizations",
                subject: "Kustomization",
                noun: "kustomization",
                short: &["ks"],
            },
            Self::ImageRepository => Facts {
                kind: "ImageRepository",
                group: "image.toolkit.fluxcd.io",
                plural: "imagerepositories",
                subject: "ImageRepository",
                noun: "image repository",
                short: &["imgrepo", "imagerepo"],
            },
            Self::ImagePolicy => Facts {
                kind: "ImagePolicy",
                group: "image.toolkit.fluxcd.io",
                plural: "imagepolicies",
                subject: "ImagePolicy",
                noun: "image policy",
                short: &["imgpol", "imagepol"],
            },
            Self::ImageUpdateAutomation => Facts {
                kind: "ImageUpdateAutomation",
                group: "image.toolkit.fluxcd.io",
                plural: "imageupdateautomations",
                subject: "ImageUpdateAutomation",
                noun: "image update automation",
                short: &["iua", "imgupd", "imgauto"],
            },
        }
    }

    /// `kind` of the API, such as `GitRepository`.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().kind
    }

    /// What Flux calls the kind while it creates one: `GitRepository source`, `Kustomization`.
    pub(crate) const fn subject(self) -> &'static str {
        self.facts().subject
    }

    /// What Flux calls a single object of the kind: `source git`, `kustomization`.
    pub(crate) const fn noun(self) -> &'static str {
        self.facts().noun
    }

    /// API group.
    pub(crate) const fn group(self) -> &'static str {
        self.facts().group
    }

    /// The controller of Flux that works on the kind.
    pub(crate) const fn controller(self) -> &'static str {
        match self {
            Self::GitRepository => "source-controller",
            Self::Kustomization => "kustomize-controller",
            Self::ImageRepository | Self::ImagePolicy => "image-reflector-controller",
            Self::ImageUpdateAutomation => "image-automation-controller",
        }
    }

    /// Name of the CustomResourceDefinition: plural and group.
    pub(crate) fn crd_name(self) -> String {
        let facts = self.facts();
        format!("{}.{}", facts.plural, facts.group)
    }

    /// `apiVersion` written into manifests; today's Flux serves no other.
    pub(crate) fn api_version(self) -> String {
        format!("{}/v1", self.facts().group)
    }

    /// How the API server is asked for objects of this kind.
    pub(crate) fn resource(self) -> ApiResource {
        let facts = self.facts();
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(facts.group, "v1", facts.kind),
            facts.plural,
        )
    }

    /// The kind a person means by `ks`, `Kustomization`, `kustomizations`, ...
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| {
            let facts = kind.facts();
            facts.kind.eq_ignore_ascii_case(&word)
                || facts.plural == word
                || facts.short.contains(&word.as_str())
        })
    }
}

/// Reads `KIND/NAME` with any of the names of a kind.
///
/// # Errors
/// If it is something else, with the kinds that there are.
pub(crate) fn object(word: &str) -> Result<(Kind, String), Error> {
    let parsed = word
        .split_once('/')
        .filter(|(_, name)| !name.is_empty())
        .and_then(|(kind, name)| Some((Kind::from_word(kind)?, name.to_owned())));
    parsed.ok_or_else(|| {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        Error::input(format!(
            "'{word}' is not KIND/NAME with one of the kinds {}",
            kinds.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, object};

    #[test]
    fn people_name_kinds_in_several_ways() {
        for (word, kind) in [
            ("ks", Kind::Kustomization),
            ("Kustomization", Kind::Kustomization),
            ("gitrepositories", Kind::GitRepository),
            ("imgpol", Kind::ImagePolicy),
            ("IUA", Kind::ImageUpdateAutomation),
            ("imagerepository", Kind::ImageRepository),
        ] {
            assert_eq!(Kind::from_word(word), Some(kind), "{word}");
        }
        assert_eq!(Kind::from_word("deployment"), None);
    }

    #[test]
    fn names_of_the_definitions() {
        assert_eq!(
            Kind::ImageUpdateAutomation.crd_name(),
            "imageupdateautomations.image.toolkit.fluxcd.io"
        );
        assert_eq!(
            Kind::GitRepository.api_version(),
            "source.toolkit.fluxcd.io/v1"
        );
    }

    #[test]
    fn objects_are_named_with_their_kind() {
        assert_eq!(
            object("ks/apps").unwrap(),
            (Kind::Kustomization, "apps".to_owned())
        );
        for bad in ["apps", "ks/", "deployment/x"] {
            let error = object(bad).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{bad}' is not KIND/NAME")),
                "{error}"
            );
        }
    }
}

//! Which version of each kind a release of Flux serves. Pure.

/// Kinds by group, with the version that all releases of the table serve and, where it differs, the
/// one of 2.6.
const KINDS: &[(&str, &[&str], &str, Option<&str>)] = &[
    (
        "source.toolkit.fluxcd.io",
        &[
            "GitRepository",
            "OCIRepository",
            "Bucket",
            "HelmRepository",
            "HelmChart",
        ],
        "v1",
        None,
    ),
    (
        "kustomize.toolkit.fluxcd.io",
        &["Kustomization"],
        "v1",
        None,
    ),
    ("helm.toolkit.fluxcd.io", &["HelmRelease"], "v2", None),
    (
        "notification.toolkit.fluxcd.io",
        &["Alert", "Provider"],
        "v1beta3",
        None,
    ),
    ("notification.toolkit.fluxcd.io", &["Receiver"], "v1", None),
    (
        "image.toolkit.fluxcd.io",
        &["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"],
        "v1",
        Some("v1beta2"),
    ),
];

/// A minor release of Flux 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release(u8);

impl Release {
    /// Today's.
    pub(crate) const LATEST: Self = Self(9);

    /// Reads `2.6` to `2.9`, with or without `v`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let minor = text.trim_start_matches('v').strip_prefix("2.");
        match minor.and_then(|minor| minor.parse().ok()) {
            Some(minor @ 6..=9) => Ok(Self(minor)),
            _ => Err(format!(
                "version {text} is not supported, must be one of: 2.6, 2.7, 2.8, 2.9"
            )),
        }
    }

    /// The version that manifests of a kind should have, if it is newer than `version`.
    pub(super) fn newer(self, group: &str, kind: &str, version: &str) -> Option<&'static str> {
        let (.., usual, at_six) = KINDS
            .iter()
            .find(|(of, kinds, ..)| *of == group && kinds.contains(&kind))?;
        let wanted = match at_six {
            Some(old) if self.0 == 6 => old,
            _ => usual,
        };
        (rank(version)? < rank(wanted)?).then_some(wanted)
    }

    /// Whether message templates may not use `.Updated` any more.
    pub(super) fn refuses_updated(self) -> bool {
        self.0 >= 7
    }
}

/// Order of versions as Kubernetes has it, for those of one kind: stable ones are newer than any
/// beta of the same number.
fn rank(version: &str) -> Option<(u32, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let major = major.parse().ok()?;
    for (word, level) in [("alpha", 0), ("beta", 1)] {
        if let Some(minor) = rest.strip_prefix(word) {
            return Some((major, level, minor.parse().ok()?));
        }
    }
    rest.is_empty().then_some((major, 2, 0))
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn versions_only_go_up() {
        let image = "image.toolkit.fluxcd.io";
        let notification = "notification.toolkit.fluxcd.io";
        for (release, group, kind, version, expected) in [
            ("2.9", image, "ImagePolicy", "v1beta1", Some("v1")),
            ("v2.6", image, "ImagePolicy", "v1beta1", Some("v1beta2")),
            ("2.6", image, "ImagePolicy", "v1", None),
            ("2.7", notification, "Alert", "v1beta2", Some("v1beta3")),
            ("2.7", notification, "Receiver", "v1beta2", Some("v1")),
            (
                "2.9",
                "helm.toolkit.fluxcd.io",
                "HelmRelease",
                "v2beta2",
                Some("v2"),
            ),
            ("2.9", "helm.toolkit.fluxcd.io", "HelmRelease", "v2", None),
            ("2.9", "apps", "Deployment", "v1beta1", None),
        ] {
            let release = Release::parse(release).unwrap();
            assert_eq!(release.newer(group, kind, version), expected, "{kind}");
        }
        assert!(Release::parse("2.5").is_err());
    }
}

//! The surroundings of a review: facts about the cluster, declarations of its administrator.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flux_image::policy::Preview;

use crate::facts::{Facts, Nothing};
use crate::finding::Severity;

/// What a review may take into account besides the object. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// What the administrator declared.
    pub settings: Settings,
    facts: Arc<dyn Facts>,
    preview: Option<Arc<Preview>>,
}

impl Context {
    /// A context with these declarations and facts.
    pub fn new(settings: Settings, facts: Arc<dyn Facts>) -> Self {
        Self {
            settings,
            facts,
            preview: None,
        }
    }

    /// The same context with what the operator says about the policy under review.
    #[must_use]
    pub fn with_preview(mut self, preview: Preview) -> Self {
        self.preview = Some(Arc::new(preview));
        self
    }

    /// What the operator says about the policy under review, if anybody asked it.
    #[must_use]
    pub(crate) fn preview(&self) -> Option<&Preview> {
        self.preview.as_deref()
    }

    /// How much a clash with another object matters: files may be meant for several clusters, so
    /// there it is only a note.
    #[must_use]
    pub(crate) fn clash(&self) -> Severity {
        if self.facts.is_files() {
            Severity::Note
        } else {
            Severity::Warning
        }
    }

    /// What is known about the cluster.
    #[must_use]
    pub fn facts(&self) -> &dyn Facts {
        self.facts.as_ref()
    }
}

impl Default for Context {
    /// Nothing declared, nothing known.
    fn default() -> Self {
        Self::new(Settings::default(), Arc::new(Nothing))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What nobody can see in the cluster's objects, and its administrator may declare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The ingress-nginx that serves this cluster.
    pub ingress_nginx: Option<IngressNginx>,
}

/// The version and the settings of an ingress-nginx controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngressNginx {
    /// Its release.
    pub release: Release,
    /// `strict-validate-path-type`, if it is not the release's default.
    pub strict_path_type: Option<bool>,
    /// `allow-snippet-annotations`, if it is not the release's default.
    pub allow_snippets: Option<bool>,
}

impl IngressNginx {
    /// A controller with the default settings of its release.
    #[must_use]
    pub const fn new(release: Release) -> Self {
        Self {
            release,
            strict_path_type: None,
            allow_snippets: None,
        }
    }

    /// Whether it refuses special characters in Exact and Prefix paths: default since 1.12.
    #[must_use]
    pub fn validates_path_type(&self) -> bool {
        self.strict_path_type
            .unwrap_or(self.release >= Release(1, 12, 0))
    }

    /// Whether it takes snippets: no longer by default since 1.9.
    #[must_use]
    pub fn takes_snippets(&self) -> bool {
        self.allow_snippets
            .unwrap_or(self.release < Release(1, 9, 0))
    }

    /// Whether its strict validation accepts a dot in a path: 1.12.6, 1.13.2 and newer.
    #[must_use]
    pub fn accepts_dots(&self) -> bool {
        match self.release {
            Release(1, 12, patch) => patch >= 6,
            Release(1, 13, patch) => patch >= 2,
            release => release > Release(1, 13, 0),
        }
    }
}

/// A released version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32, pub u32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A text that is not a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a release such as 1.12.1")]
pub struct ReleaseError(String);

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `1.12`, `1.12.1` or `v1.12.1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ReleaseError(text.to_owned());
        let numbers = text
            .trim()
            .trim_start_matches('v')
            .split('.')
            .map(|part| part.parse::<u32>().map_err(|_| error()))
            .collect::<Result<Vec<_>, _>>()?;
        match numbers.as_slice() {
            [major, minor] => Ok(Self(*major, *minor, 0)),
            [major, minor, patch] => Ok(Self(*major, *minor, *patch)),
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared() {
        assert_eq!("v1.12.1".parse(), Ok(Release(1, 12, 1)));
        assert_eq!("1.9".parse(), Ok(Release(1, 9, 0)));
        assert!("1".parse::<Release>().is_err());
        assert!("1.x".parse::<Release>().is_err());
        assert!(Release(1, 9, 6) < Release(1, 12, 0));
    }

    #[test]
    fn defaults_follow_the_release() {
        let table = [
            // release, path types validated, snippets taken, dots accepted
            (Release(1, 8, 4), false, true, false),
            (Release(1, 11, 5), false, false, false),
            (Release(1, 12, 1), true, false, false),
            (Release(1, 12, 6), true, false, true),
            (Release(1, 13, 1), true, false, false),
            (Release(1, 15, 0), true, false, true),
        ];
        for (release, validates, takes, dots) in table {
            let controller = IngressNginx::new(release);
            assert_eq!(controller.validates_path_type(), validates, "{release}");
            assert_eq!(controller.takes_snippets(), takes, "{release}");
            assert_eq!(controller.accepts_dots(), dots, "{release}");
        }
    }
}

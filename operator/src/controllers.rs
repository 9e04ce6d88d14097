//! Which of Flux's controllers a process stands in for.
//!
//! `--controllers` splits the operator: a kind is worked on where its controller runs, only
//! watched where another controller reads it, and left alone elsewhere.

use std::fmt;

use clap::ValueEnum;

/// One of Flux's controllers, by the name of its Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum ControllerName {
    /// GitRepositories.
    #[value(name = "source-controller")]
    Source,
    /// Kustomizations.
    #[value(name = "kustomize-controller")]
    Kustomize,
    /// ImageRepositories and ImagePolicies.
    #[value(name = "image-reflector-controller")]
    ImageReflector,
    /// ImageUpdateAutomations.
    #[value(name = "image-automation-controller")]
    ImageAutomation,
}

impl ControllerName {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Source,
        Self::Kustomize,
        Self::ImageReflector,
        Self::ImageAutomation,
    ];

    /// The name of Flux's Deployment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source-controller",
            Self::Kustomize => "kustomize-controller",
            Self::ImageReflector => "image-reflector-controller",
            Self::ImageAutomation => "image-automation-controller",
        }
    }
}

impl fmt::Display for ControllerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a process does about a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its objects are reconciled.
    Control,
    /// Its objects are read by a controller of this process, and reconciled by another process.
    Watch,
    /// Nobody here looks at it.
    Ignore,
}

/// The role of a process with these controllers for the kind that `controller` works on and
/// `readers` read.
pub fn role(
    enabled: &[ControllerName],
    controller: ControllerName,
    readers: &[ControllerName],
) -> Role {
    if enabled.contains(&controller) {
        Role::Control
    } else if readers.iter().any(|reader| enabled.contains(reader)) {
        Role::Watch
    } else {
        Role::Ignore
    }
}

#[cfg(test)]
mod tests {
    use ControllerName::{ImageAutomation, ImageReflector, Kustomize, Source};

    use super::*;

    #[test]
    fn names_are_those_of_the_flag() {
        for name in ControllerName::ALL {
            assert_eq!(ControllerName::from_str(name.as_str(), false), Ok(name));
        }
    }

    #[test]
    fn roles() {
        let readers = [Kustomize, ImageAutomation];
        for (enabled, expected) in [
            (&ControllerName::ALL[..], Role::Control),
            (&[Source], Role::Control),
            (&[Kustomize], Role::Watch),
            (&[ImageReflector, ImageAutomation], Role::Watch),
            (&[ImageReflector], Role::Ignore),
        ] {
            assert_eq!(role(enabled, Source, &readers), expected, "{enabled:?}");
        }
    }
}

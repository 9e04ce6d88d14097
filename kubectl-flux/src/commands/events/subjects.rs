//! Whose events are shown: those of all Flux objects, or of one object and what it depends on.

use k8s_openapi::api::core::v1::ObjectReference;

use crate::cluster::{Cluster, View};
use crate::error::Error;
use crate::kind::Kind;

/// Kinds of Flux whose events are shown although this program does nothing else with them.
const OTHER_KINDS: [(&str, &[&str]); 10] = [
    ("OCIRepository", &["ocirepo"]),
    ("Bucket", &[]),
    ("HelmRepository", &["helmrepo"]),
    ("HelmChart", &["hc"]),
    ("ExternalArtifact", &["ea"]),
    ("HelmRelease", &["hr"]),
    ("Alert", &[]),
    ("Provider", &[]),
    ("Receiver", &[]),
    ("ArtifactGenerator", &[]),
];

/// What `--for` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    kind: &'static str,
    name: Option<String>,
}

impl Subject {
    /// Reads `kind[/name]`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::input("--for selector must be of format <kind>[/<name>]");
        let parts: Vec<&str> = text.split('/').collect();
        let (word, name) = match parts.as_slice() {
            [word] => (*word, None),
            [word, name] if !name.is_empty() => (*word, Some((*name).to_owned())),
            _ => return Err(malformed()),
        };
        if word.is_empty() {
            return Err(malformed());
        }
        let kind = flux_kind(word)
            .ok_or_else(|| Error::input(format!("'{word}' is not a recognized Flux kind")))?;
        Ok(Self { kind, name })
    }
}

fn flux_kind(word: &str) -> Option<&'static str> {
    let is_meant = |kind: &str, short: &[&str]| {
        let word = word.to_ascii_lowercase();
        kind.eq_ignore_ascii_case(&word)
            || format!("{}s", kind.to_ascii_lowercase()) == word
            || short.contains(&word.as_str())
    };
    Kind::from_word(word).map(Kind::name).or_else(|| {
        OTHER_KINDS
            .into_iter()
            .find(|(kind, short)| is_meant(kind, short))
            .map(|(kind, _)| kind)
    })
}

/// One object, or all of a kind where the name is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    kind: &'static str,
    name: Option<String>,
    namespace: Option<String>,
}

/// The objects whose events are shown.
#[derive(Clone, Debug)]
pub(super) struct Wanted(Vec<Pattern>);

impl Wanted {
    /// All Flux objects.
    pub(super) fn everything() -> Self {
        Self(Vec::new())
    }

    /// The named objects, in whatever namespace.
    pub(super) fn named(subject: Subject) -> Self {
        Self(vec![Pattern {
            kind: subject.kind,
            name: subject.name,
            namespace: None,
        }])
    }

    /// An object and those it takes its input from; they may live in other namespaces.
    pub(super) async fn chain(
        subject: Subject,
        namespace: &str,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        let mut patterns = vec![Pattern {
            kind: subject.kind,
            name: subject.name.clone(),
            namespace: Some(namespace.to_owned()),
        }];
        if let (Some(kind), Some(name)) = (Kind::from_word(subject.kind), &subject.name) {
            // An object that is gone still has events, but nothing is known about its input.
            if let Some(object) = cluster.find(kind, namespace, name).await? {
                patterns.extend(input_of(kind, &object, namespace));
            }
        }
        Ok(Self(patterns))
    }

    /// Whether an event about this object is shown.
    pub(super) fn fits(&self, object: &ObjectReference) -> bool {
        let is_flux = object
            .api_version
            .as_deref()
            .unwrap_or_default()
            .split('/')
            .next();
        if !is_flux.is_some_and(|group| group.ends_with(".toolkit.fluxcd.io")) {
            return false;
        }
        self.0.is_empty()
            || self.0.iter().any(|pattern| {
                object.kind.as_deref() == Some(pattern.kind)
                    && pattern
                        .name
                        .as_ref()
                        .is_none_or(|name| object.name.as_ref() == Some(name))
                    && pattern
                        .namespace
                        .as_ref()
                        .is_none_or(|namespace| object.namespace.as_ref() == Some(namespace))
            })
    }

    /// Whether objects of another namespace are among them.
    pub(super) fn spans_namespaces(&self, own: &str) -> bool {
        self.0.iter().any(|pattern| {
            pattern
                .namespace
                .as_deref()
                .is_some_and(|other| other != own)
        })
    }

    /// Namespaces to ask for events.
    pub(super) fn namespaces<'a>(&'a self, own: &'a str) -> Vec<&'a str> {
        let mut all: Vec<&str> = self
            .0
            .iter()
            .filter_map(|pattern| pattern.namespace.as_deref())
            .collect();
        all.push(own);
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What an object takes its input from.
fn input_of(kind: Kind, object: &impl View, own: &str) -> Option<Pattern> {
    let pattern = |kind, name: &str, namespace: Option<&str>| Pattern {
        kind,
        name: Some(name.to_owned()),
        namespace: Some(namespace.unwrap_or(own).to_owned()),
    };
    match kind {
        Kind::Kustomization | Kind::ImageUpdateAutomation => Some(pattern(
            flux_kind(
                object
                    .text("/spec/sourceRef/kind")
                    .unwrap_or("GitRepository"),
            )?,
            object.text("/spec/sourceRef/name")?,
            object.text("/spec/sourceRef/namespace"),
        )),
        Kind::ImagePolicy => Some(pattern(
            Kind::ImageRepository.name(),
            object.text("/spec/imageRepositoryRef/name")?,
            object.text("/spec/imageRepositoryRef/namespace"),
        )),
        Kind::GitRepository | Kind::ImageRepository => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::*;

    fn reference(kind: &str, namespace: &str, name: &str) -> ObjectReference {
        ObjectReference {
            api_version: Some("kustomize.toolkit.fluxcd.io/v1".into()),
            kind: Some(kind.into()),
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            ..ObjectReference::default()
        }
    }

    #[test]
    fn subjects() {
        let subject = |kind, name: Option<&str>| Subject {
            kind,
            name: name.map(str::to_owned),
        };
        for (text, expected) in [
            ("ks/apps", subject("Kustomization", Some("apps"))),
            ("GitRepository", subject("GitRepository", None)),
            ("hr/web", subject("HelmRelease", Some("web"))),
            ("alerts/x", subject("Alert", Some("x"))),
        ] {
            assert_eq!(Subject::parse(text).unwrap(), expected, "{text}");
        }
        for (text, error) in [
            ("pod/x", "'pod' is not a recognized Flux kind"),
            ("ks/", "--for selector must be of format <kind>[/<name>]"),
            ("ks/a/b", "--for selector must be of format <kind>[/<name>]"),
            ("", "--for selector must be of format <kind>[/<name>]"),
        ] {
            assert_eq!(Subject::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn only_flux_objects_are_shown() {
        let all = Wanted::everything();
        assert!(all.fits(&reference("Kustomization", "foo", "apps")));
        let pod = ObjectReference {
            api_version: Some("v1".into()),
            ..reference("Pod", "a", "b")
        };
        assert!(!all.fits(&pod));
    }

    #[test]
    fn a_chain_may_lead_to_another_namespace() {
        let kustomization = DynamicObject::new("apps", &Kind::Kustomization.resource())
            .data(json!({"spec": {"sourceRef":
                {"kind": "GitRepository", "name": "repo", "namespace": "flux-system"}}}));
        let source = input_of(Kind::Kustomization, &kustomization, "foo").unwrap();
        let own = Pattern {
            kind: "Kustomization",
            name: Some("apps".into()),
            namespace: Some("foo".into()),
        };
        let wanted = Wanted(vec![own, source]);
        assert!(wanted.spans_namespaces("foo"));
        assert_eq!(wanted.namespaces("foo"), ["flux-system", "foo"]);
        assert!(wanted.fits(&reference("GitRepository", "flux-system", "repo")));
        assert!(wanted.fits(&reference("Kustomization", "foo", "apps")));
        assert!(!wanted.fits(&reference("GitRepository", "foo", "repo")));
        assert!(!wanted.fits(&reference("Kustomization", "foo", "other")));
    }
}

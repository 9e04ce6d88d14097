//! Whose events are shown: those of all Flux objects, or of one object and what it depends on.

use flux_apply::Owner;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::cluster::{Cluster, Scope, Selection, View};
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

/// Most objects of a chain: what depends on more is no chain.
const MAX: usize = 100;

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

    /// An object with all that what it does depends on, to the repository at the beginning; they may
    /// live in other namespaces.
    ///
    /// # Errors
    /// If the object itself cannot be asked for. What only lies behind it is left out then.
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
        let mut next = 0;
        while let Some(pattern) = patterns.get(next).cloned() {
            let is_first = next == 0;
            next += 1;
            let (Some(kind), Some(name), Some(namespace)) = (
                Kind::from_word(pattern.kind),
                &pattern.name,
                &pattern.namespace,
            ) else {
                continue;
            };
            // An object that is gone still has events, but nothing is known about its input.
            let found = match cluster.find(kind, namespace, name).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) if is_first => return Err(error.into()),
                Err(_) => continue,
            };
            let mut inputs = inputs_of(kind, &found, namespace);
            if kind == Kind::ImageUpdateAutomation {
                inputs.extend(policies(cluster, &found, namespace).await);
            }
            for input in inputs {
                if patterns.len() < MAX && !patterns.contains(&input) {
                    patterns.push(input);
                }
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

/// What an object takes its input from: its source, what it waits for, and what applies it.
fn inputs_of(kind: Kind, object: &DynamicObject, own: &str) -> Vec<Pattern> {
    let pattern = |kind, name: &str, namespace: Option<&str>| Pattern {
        kind,
        name: Some(name.to_owned()),
        namespace: Some(namespace.unwrap_or(own).to_owned()),
    };
    let mut found = Vec::new();
    let at = |field: &str, key: &str| object.text(&format!("/spec/{field}/{key}"));
    if matches!(kind, Kind::Kustomization | Kind::ImageUpdateAutomation) {
        let source = flux_kind(at("sourceRef", "kind").unwrap_or(Kind::GitRepository.name()));
        if let (Some(kind), Some(name)) = (source, at("sourceRef", "name")) {
            found.push(pattern(kind, name, at("sourceRef", "namespace")));
        }
    }
    if kind == Kind::ImagePolicy
        && let Some(name) = at("imageRepositoryRef", "name")
    {
        let namespace = at("imageRepositoryRef", "namespace");
        found.push(pattern(Kind::ImageRepository.name(), name, namespace));
    }
    let dependencies = object.at("/spec/dependsOn").and_then(Value::as_array);
    for dependency in dependencies.into_iter().flatten() {
        if let Some(name) = dependency["name"].as_str() {
            let namespace = dependency["namespace"].as_str();
            found.push(pattern(kind.name(), name, namespace));
        }
    }
    let labels = object.metadata.labels.as_ref();
    let label = |key: &'static str| labels.and_then(|all| all.get(key)).map(String::as_str);
    if let Some(owner) = Owner::from_labels(label) {
        let kind = Kind::Kustomization.name();
        found.push(pattern(kind, &owner.name, Some(&owner.namespace)));
    }
    found
}

/// The policies that an automation may write the choice of. Who may not list them sees none.
async fn policies(cluster: &Cluster, automation: &DynamicObject, own: &str) -> Vec<Pattern> {
    let labels = automation
        .at("/spec/policySelector/matchLabels")
        .and_then(Value::as_object)
        .map(|labels| {
            let term = |(key, value): (&String, &Value)| Some(format!("{key}={}", value.as_str()?));
            labels.iter().filter_map(term).collect::<Vec<_>>().join(",")
        })
        .filter(|labels| !labels.is_empty());
    let selection = Selection {
        labels: labels.as_deref(),
        fields: None,
    };
    let scope = Scope::Namespace(own);
    let found = cluster.list(Kind::ImagePolicy, scope, selection).await;
    let pattern = |object: DynamicObject| Pattern {
        kind: Kind::ImagePolicy.name(),
        name: object.metadata.name,
        namespace: Some(own.to_owned()),
    };
    found.unwrap_or_default().into_iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
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
        let source = inputs_of(Kind::Kustomization, &kustomization, "foo").remove(0);
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

    #[test]
    fn what_an_object_depends_on() {
        let mut object = DynamicObject::new("apps", &Kind::Kustomization.resource()).data(json!({
            "spec": {"sourceRef": {"kind": "GitRepository", "name": "repo"},
                "dependsOn": [{"name": "infra"}, {"name": "db", "namespace": "data"}]}}));
        object.metadata.labels = serde_json::from_value(json!({
            "kustomize.toolkit.fluxcd.io/name": "root",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}))
        .unwrap();
        let found: Vec<String> = inputs_of(Kind::Kustomization, &object, "foo")
            .into_iter()
            .map(|p| format!("{}/{}/{}", p.kind, p.namespace.unwrap(), p.name.unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                "GitRepository/foo/repo",
                "Kustomization/foo/infra",
                "Kustomization/data/db",
                "Kustomization/flux-system/root"
            ]
        );
    }
}

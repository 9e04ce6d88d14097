//! Fields whose absence has a meaning, filled in where an administrator wants that for a cluster.

use serde_json::{Value, json};

use crate::context::Context;
use crate::duration::{self, Units};
use crate::engine::review;
use crate::finding::{Default, Finding, Review, Severity, dotted};
use crate::kind::Kind;
use crate::rules::ingress_view;
use crate::subject::{Subject, annotation_pointer, unescaped};

/// What stands in place of a rule's id where such a field is filled in.
pub const OPTIONAL: &str = "default";

/// What is filled in. By default nothing.
#[derive(Clone, Debug, std::default::Default, PartialEq, Eq)]
pub struct Optional {
    /// `spec.timeout` of Kustomizations.
    pub timeout: Option<String>,
    /// `spec.retryInterval` of Kustomizations.
    pub retry_interval: Option<String>,
    /// `spec.ref.branch` of GitRepositories without `spec.ref`.
    pub branch: Option<String>,
    /// `spec.ingressClassName` of Ingresses without a class, where there is no default class: the
    /// name of a class, or [`ONLY`].
    pub ingress_class: Option<String>,
    /// The annotation `use-regex` of Ingresses of ingress-nginx whose `rewrite-target` names groups.
    /// It changes nothing there; it tells readers, and other controllers, how the paths are meant.
    pub use_regex: bool,
}

/// Stands for the only IngressClass of a cluster.
const ONLY: &str = "only";

impl Optional {
    /// Takes a setting in, by its name after `defaults.`.
    ///
    /// # Errors
    /// In words, if there is no such setting, or its value is none.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let text = text.trim();
        let field = match name {
            "timeout" => &mut self.timeout,
            "retryInterval" => &mut self.retry_interval,
            "branch" => &mut self.branch,
            "ingressClass" => &mut self.ingress_class,
            "useRegex" => {
                let read = text.parse();
                self.use_regex = read.map_err(|_| format!("{text:?} is neither true nor false"))?;
                return Ok(());
            }
            _ => return Err("there is no such setting".to_owned()),
        };
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let duration = matches!(name, "timeout" | "retryInterval");
        if duration && duration::parse(text, Units::UpToHours).is_none() {
            return Err(format!("{text:?} is not a duration such as 5m"));
        }
        *field = Some(text.to_owned());
        Ok(())
    }

    /// Whether something of an Ingress may have to be filled in.
    #[must_use]
    pub const fn fills_ingresses(&self) -> bool {
        self.ingress_class.is_some() || self.use_regex
    }

    /// Adds what is to be filled in to a review, each with a warning. What would raise a finding
    /// of ours is left alone.
    pub(crate) fn fill(&self, object: &Value, context: &Context, answer: &mut Review) {
        for default in self.wanted(object, context) {
            let Some(filled) = with(object, &default) else {
                continue;
            };
            let after = review(&filled, None, context);
            let known = |finding: &Finding| {
                let mut before = answer.findings.iter();
                before.any(|old| old.rule == finding.rule && old.message == finding.message)
            };
            if !after.findings.iter().all(known) {
                continue;
            }
            let shown = match &default.value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            answer.findings.push(Finding {
                rule: OPTIONAL,
                severity: Severity::Warning,
                path: dotted(&default.pointer),
                pointer: default.pointer.clone(),
                message: format!(
                    "{} was not set: {shown} is used, as the administrator of this cluster decided.",
                    dotted(&default.pointer)
                ),
                fix: None,
            });
            answer.defaults.push(default);
        }
    }

    fn wanted(&self, object: &Value, context: &Context) -> Vec<Default> {
        let subject = Subject::new(object);
        let of = |pointer: &str, value: Option<Value>| {
            value.map_or_else(Vec::new, |value| Default::absent(subject, pointer, value))
        };
        let text = |value: &Option<String>| value.as_ref().map(|text| json!(text));
        match Kind::of(object) {
            Some(Kind::Kustomization) => [
                of("/spec/timeout", text(&self.timeout)),
                of("/spec/retryInterval", text(&self.retry_interval)),
            ]
            .concat(),
            Some(Kind::GitRepository) => {
                let reference = self.branch.as_ref().map(|branch| json!({"branch": branch}));
                of("/spec/ref", reference)
            }
            Some(Kind::Ingress) => {
                let named = ingress_view::names_class(subject);
                let class = (!named).then(|| self.class(context)).flatten();
                let regex = annotation_pointer(&format!("{}use-regex", ingress_view::PREFIX));
                [
                    of("/spec/ingressClassName", class),
                    of(&regex, self.regex(subject, context)),
                ]
                .concat()
            }
            _ => Vec::new(),
        }
    }

    /// `use-regex` where paths are regular expressions already, and an annotation is there to say so.
    fn regex(&self, subject: Subject<'_>, context: &Context) -> Option<Value> {
        let wanted = self.use_regex && ingress_view::Controller::of(subject, context).is_nginx();
        (wanted && ingress_view::names_groups(subject)).then(|| json!("true"))
    }

    /// The class of Ingresses that name none: one that is there, where none is the default.
    fn class(&self, context: &Context) -> Option<Value> {
        let wanted = self.ingress_class.as_ref()?;
        let classes = context.facts().ingress_classes().present()?;
        if classes.iter().any(|class| class.default) {
            return None;
        }
        let class = match classes.as_slice() {
            [only] if wanted == ONLY => only,
            _ => classes.iter().find(|class| class.name == *wanted)?,
        };
        Some(json!(class.name))
    }
}

/// An object after a default was added.
fn with(object: &Value, default: &Default) -> Option<Value> {
    let mut filled = object.clone();
    let (parent, key) = default.pointer.rsplit_once('/')?;
    let parent = filled.pointer_mut(parent)?.as_object_mut()?;
    parent.insert(unescaped(key), default.value.clone());
    Some(filled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Mode, Objects, Policy, Settings};

    fn judged(settings: &[(&str, &str)], object: &Value, given: Vec<Value>) -> Review {
        let data = settings
            .iter()
            .map(|(key, value)| (format!("defaults.{key}"), (*value).to_owned()));
        let (policy, problems) = Policy::read(&data.collect(), "flux-system");
        assert_eq!(problems, [""; 0]);
        let context = Context::new(Settings::default(), Arc::new(Objects::complete(given)));
        policy.judge(object, None, &context, Mode::Enforce)
    }

    fn filled(settings: &[(&str, &str)], object: &Value, given: Vec<Value>) -> Vec<String> {
        let review = judged(settings, object, given);
        let told = review
            .findings
            .iter()
            .filter(|finding| finding.rule == OPTIONAL);
        assert_eq!(told.count(), review.defaults.len());
        let shown = |default: &Default| format!("{}={}", default.pointer, default.value);
        review.defaults.iter().map(shown).collect()
    }

    #[test]
    fn what_the_administrator_wants_is_filled_in_where_it_is_absent() {
        let kustomization = |spec: Value| {
            let mut object = json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": "a", "namespace": "b"},
                "spec": {"interval": "10m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "a"}}});
            for (key, value) in spec.as_object().into_iter().flatten() {
                object["spec"][key] = value.clone();
            }
            object
        };
        let both = [("timeout", "5m"), ("retryInterval", "2m")];
        assert_eq!(
            filled(&both, &kustomization(json!({})), Vec::new()),
            ["/spec/timeout=\"5m\"", "/spec/retryInterval=\"2m\""]
        );
        let own = json!({"timeout": "1m"});
        assert_eq!(
            filled(&both, &kustomization(own), Vec::new()),
            ["/spec/retryInterval=\"2m\""]
        );
        // Trying again later than at the interval is a finding of its own.
        let often = kustomization(json!({"interval": "1m"}));
        assert_eq!(filled(&both, &often, Vec::new()), ["/spec/timeout=\"5m\""]);
        assert_eq!(filled(&[], &kustomization(json!({})), Vec::new()), [""; 0]);

        let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {"interval": "10m", "url": "https://example.com/a"}});
        assert_eq!(
            filled(&[("branch", "main")], &source, Vec::new()),
            ["/spec/ref={\"branch\":\"main\"}"]
        );
    }

    #[test]
    fn a_class_is_filled_in_where_there_is_no_default() {
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "a", "namespace": "b"}, "spec": {}});
        let class = |name: &str, default: &str| {
            json!({"kind": "IngressClass", "spec": {"controller": "example.com/a"}, "metadata": {"name": name,
                "annotations": {"ingressclass.kubernetes.io/is-default-class": default}}})
        };
        let only = [("ingressClass", "only")];
        let named = [("ingressClass", "a")];
        let of = |settings: &[(&str, &str)], given| filled(settings, &ingress, given);
        assert_eq!(
            of(&only, vec![class("a", "")]),
            ["/spec/ingressClassName=\"a\""]
        );
        assert_eq!(of(&only, vec![class("a", ""), class("b", "")]), [""; 0]);
        assert_eq!(of(&only, vec![class("a", "true")]), [""; 0]);
        let two = vec![class("a", ""), class("b", "")];
        assert_eq!(of(&named, two), ["/spec/ingressClassName=\"a\""]);
        assert_eq!(of(&named, vec![class("b", "")]), [""; 0]);
    }

    #[test]
    fn regular_expressions_are_said_to_be_some() {
        let on = [("useRegex", "true")];
        let of = |annotations: Value, class: &str, settings: &[(&str, &str)]| {
            let mut object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "a", "namespace": "b"},
                "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [
                    {"path": "/foo(/|$)(.*)", "pathType": "ImplementationSpecific"}]}}]}});
            object["metadata"]["annotations"] = annotations;
            if !class.is_empty() {
                object["spec"]["ingressClassName"] = json!(class);
            }
            let class = json!({"kind": "IngressClass", "metadata": {"name": "alb"},
                "spec": {"controller": "ingress.k8s.aws/alb"}});
            filled(settings, &object, vec![class])
        };
        let target = |target: &str| json!({"nginx.ingress.kubernetes.io/rewrite-target": target});
        assert_eq!(
            of(target("/$2"), "", &on),
            ["/metadata/annotations/nginx.ingress.kubernetes.io~1use-regex=\"true\""]
        );
        assert_eq!(of(target("/"), "", &on), [""; 0]);
        assert_eq!(of(target("/$2"), "alb", &on), [""; 0]);
        assert_eq!(of(target("/$2"), "", &[("useRegex", "false")]), [""; 0]);
        let mut own = target("/$2");
        own["nginx.ingress.kubernetes.io/use-regex"] = json!("false");
        assert_eq!(of(own, "", &on), [""; 0]);
    }

    #[test]
    fn wrong_settings_are_told() {
        let mut optional = Optional::default();
        assert!(optional.set("useRegex", "yes").is_err());
        assert!(optional.set("timeout", "5 minutes").is_err());
        assert!(optional.set("prune", "true").is_err());
        assert!(optional.set("branch", " ").is_err());
        assert_eq!(optional, Optional::default());
    }
}

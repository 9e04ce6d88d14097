//! An Ingress as its rules look at it.

use crate::context::Context;
use crate::facts::Fact;
use crate::finding::Severity;
use crate::subject::Subject;

use super::nginx::references;

/// The prefix of ingress-nginx's annotations.
pub(crate) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The annotation that came before `spec.ingressClassName`.
pub(crate) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// `spec.controller` of ingress-nginx's classes.
pub(crate) const NGINX_CONTROLLER: &str = "k8s.io/ingress-nginx";

/// Who serves an Ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    /// ingress-nginx: its class says so.
    Nginx,
    /// Probably ingress-nginx: its annotations are there, and nothing speaks against it.
    Presumed,
    /// Nobody knows: no class, no annotation of ingress-nginx.
    Unnamed,
    /// Another one, or one that cannot be told from here.
    Other,
}

impl Controller {
    /// Who serves this Ingress, as far as can be told.
    pub(crate) fn of(subject: Subject<'_>, context: &Context) -> Self {
        let annotated = subject
            .get("/metadata/annotations")
            .and_then(serde_json::Value::as_object)
            .is_some_and(|all| all.keys().any(|key| key.starts_with(PREFIX)));
        let classes = context.facts().ingress_classes().present();
        let known = classes.as_ref().and_then(|classes| match class(subject) {
            Some(name) => classes.iter().find(|class| class.name == name),
            None => classes.iter().find(|class| class.default),
        });
        match known {
            Some(class) if class.controller == NGINX_CONTROLLER => Self::Nginx,
            Some(_) => Self::Other,
            None if annotated => Self::Presumed,
            None if class(subject).is_none() && !names_class(subject) => Self::Unnamed,
            None => Self::Other,
        }
    }

    /// The severity of what is provably wrong for ingress-nginx: an error only where it is known
    /// to be in charge, `None` where it is not.
    pub(crate) const fn severity(self) -> Option<Severity> {
        match self {
            Self::Nginx => Some(Severity::Error),
            Self::Presumed => Some(Severity::Warning),
            Self::Unnamed | Self::Other => None,
        }
    }

    /// Whether ingress-nginx is known or presumed to be in charge.
    pub(crate) const fn is_nginx(self) -> bool {
        matches!(self, Self::Nginx | Self::Presumed)
    }
}

/// The class that an Ingress names, in the field or the old annotation.
pub(crate) fn class(subject: Subject<'_>) -> Option<&str> {
    subject
        .text("/spec/ingressClassName")
        .or_else(|| subject.annotation(CLASS_ANNOTATION))
}

/// Whether it names a class at all, be it one that cannot be judged.
pub(crate) fn names_class(subject: Subject<'_>) -> bool {
    subject.has("/spec/ingressClassName")
        || subject
            .get("/metadata/annotations")
            .is_some_and(|annotations| annotations.get(CLASS_ANNOTATION).is_some())
}

/// An annotation of ingress-nginx, by its short name.
pub(crate) fn annotation<'a>(subject: Subject<'a>, name: &str) -> Option<&'a str> {
    subject.annotation(&format!("{PREFIX}{name}"))
}

/// Whether its `rewrite-target` names groups of the paths.
pub(crate) fn names_groups(subject: Subject<'_>) -> bool {
    annotation(subject, "rewrite-target").is_some_and(|target| !references(target).is_empty())
}

/// One path of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// `/spec/rules/0/http/paths/1`
    pub(crate) pointer: String,
    /// The host of its rule, empty for all hosts.
    pub(crate) host: &'a str,
    /// The path itself; the field is optional, and then all paths are meant.
    pub(crate) path: &'a str,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    pub(crate) path_type: &'a str,
}

impl Path<'_> {
    /// The pointer of a field of this path.
    pub(crate) fn field(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }
}

/// The paths that can be judged.
pub(crate) fn paths(subject: Subject<'_>) -> Vec<Path<'_>> {
    let mut found = Vec::new();
    for (rule, entry) in subject.list("/spec/rules").iter().enumerate() {
        let rule_view = Subject::new(entry);
        let host = if rule_view.has("/host") {
            rule_view.text("/host")
        } else {
            Some("")
        };
        let Some(host) = host else { continue };
        for (index, entry) in rule_view.list("/http/paths").iter().enumerate() {
            let view = Subject::new(entry);
            let path = if view.has("/path") {
                view.text("/path")
            } else {
                Some("")
            };
            let Some(path) = path else { continue };
            let pointer = format!("/spec/rules/{rule}/http/paths/{index}");
            let path_type = view.text("/pathType").unwrap_or_default();
            found.push(Path {
                pointer,
                host,
                path,
                path_type,
            });
        }
    }
    found
}

/// A Service that an Ingress sends requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend<'a> {
    /// Pointer of the backend.
    pub(crate) pointer: String,
    /// Name of the Service.
    pub(crate) service: &'a str,
    /// Its port, by number or by name.
    pub(crate) port: Option<Port<'a>>,
}

/// How a backend names its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port<'a> {
    /// `port.number`
    Number(i64),
    /// `port.name`
    Name(&'a str),
}

/// All pointers of backends: the default one and those of the paths.
pub(crate) fn backend_pointers(subject: Subject<'_>) -> Vec<String> {
    let mut pointers = Vec::new();
    if subject.has("/spec/defaultBackend") {
        pointers.push("/spec/defaultBackend".to_owned());
    }
    for (rule, entry) in subject.list("/spec/rules").iter().enumerate() {
        for index in 0..Subject::new(entry).list("/http/paths").len() {
            pointers.push(format!("/spec/rules/{rule}/http/paths/{index}/backend"));
        }
    }
    pointers
}

/// The Services that can be judged.
pub(crate) fn backends(subject: Subject<'_>) -> Vec<Backend<'_>> {
    backend_pointers(subject)
        .into_iter()
        .filter_map(|pointer| {
            let service = subject.text(&format!("{pointer}/service/name"))?;
            let number = subject
                .get(&format!("{pointer}/service/port/number"))
                .and_then(serde_json::Value::as_i64)
                .filter(|&number| number != 0);
            let name = subject.text(&format!("{pointer}/service/port/name"));
            let name = name.filter(|name| !name.is_empty());
            let port = number.map(Port::Number).or(name.map(Port::Name));
            Some(Backend {
                pointer,
                service,
                port,
            })
        })
        .collect()
}

/// Whether a fact is certain to be missing.
pub(crate) fn is_absent<T>(fact: &Fact<T>) -> bool {
    matches!(fact, Fact::Absent)
}

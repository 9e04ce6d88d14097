//! `create kustomization`.

use flux_api::GoDuration;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::draft::{Draft, Fields};
use super::{Shared, apply};
use crate::cli::values;
use crate::cluster::View;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// Kinds of sources, as Flux lists them.
const SOURCE_KINDS: [&str; 3] = ["OCIRepository", "GitRepository", "Bucket"];
/// Kinds whose health can be asked for by flag.
const HEALTH_KINDS: [&str; 4] = ["Deployment", "DaemonSet", "StatefulSet", "HelmRelease"];

/// Flags of `create kustomization`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the Kustomization
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where the manifests come from; the kind is GitRepository if not given
    #[arg(long, value_name = "[KIND/]NAME[.NAMESPACE]", value_parser = source)]
    source: Option<SourceRef>,
    /// Folder of the source with the manifests or the kustomization.yaml
    #[arg(long, value_name = "PATH", default_value = "./")]
    path: String,
    /// Delete what disappears from the source
    #[arg(long)]
    prune: bool,
    /// Wait for everything applied to become healthy
    #[arg(long)]
    wait: bool,
    /// Workload that has to become healthy; may be repeated
    #[arg(long, value_name = "KIND/NAME.NAMESPACE", value_delimiter = ',')]
    health_check: Vec<String>,
    /// How long health may take
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    health_check_timeout: Option<GoDuration>,
    /// Kustomization that has to be ready before; with @EXPR, ready in the sense of that expression;
    /// may be repeated
    #[arg(long, value_name = "[NAMESPACE/]NAME[@EXPR]")]
    depends_on: Vec<String>,
    /// Service account to apply as
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Decryption of Secrets: sops
    #[arg(long, value_name = "PROVIDER", value_parser = decryption_provider)]
    decryption_provider: Option<String>,
    /// Secret with the keys for decryption
    #[arg(long, value_name = "NAME")]
    decryption_secret: Option<String>,
    /// Namespace to put all objects into
    #[arg(long, value_name = "NAME")]
    target_namespace: Option<String>,
    /// Secret with the kubeconfig of another cluster to apply to
    #[arg(long, value_name = "NAME")]
    kubeconfig_secret_ref: Option<String>,
    /// Time after which a failure is retried
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    retry_interval: Option<GoDuration>,
    /// Has no effect any more; objects are always validated by the API server
    #[arg(long, value_name = "WHO", hide = true)]
    validation: Option<String>,
}

/// Fields of the spec that these flags decide about.
const DECIDED: &[&str] = &[
    "decryption.provider",
    "decryption.secretRef",
    "dependsOn",
    "healthChecks",
    "interval",
    "kubeConfig.secretRef.name",
    "path",
    "prune",
    "retryInterval",
    "serviceAccountName",
    "sourceRef",
    "targetNamespace",
    "timeout",
    "wait",
];

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let source = args
        .source
        .as_ref()
        .ok_or_else(|| Error::input("source is required"))?;
    let mut draft = Draft::new(Kind::Kustomization, &args.names, shared, context)?;
    warn_about_idle_flags(args);
    draft.spec = spec(args, source, &shared.interval())?;
    draft.decided = DECIDED;
    apply::finish(&draft, shared, context, report)
}

fn report(object: &DynamicObject) -> Vec<Result<String, String>> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let revision = object
        .text("/status/lastAppliedRevision")
        .unwrap_or_default();
    vec![
        Ok(format!("Kustomization {name} is ready")),
        Ok(format!("applied revision {revision}")),
    ]
}

/// Flux drops these without a word.
fn warn_about_idle_flags(args: &Args) {
    if args.wait && !args.health_check.is_empty() {
        output::warning("--health-check has no effect with --wait, which checks everything");
    }
    if !args.wait && args.health_check.is_empty() && args.health_check_timeout.is_some() {
        output::warning("--health-check-timeout has no effect without --wait or --health-check");
    }
    if args.decryption_provider.is_none() && args.decryption_secret.is_some() {
        output::warning("--decryption-secret has no effect without --decryption-provider=sops");
    }
    if args.validation.is_some() {
        output::warning("--validation has no effect: the API server validates every object");
    }
}

fn spec(args: &Args, source: &SourceRef, interval: &str) -> Result<Value, Error> {
    let mut spec = Fields::default();
    spec.set("interval", interval)
        .set("path", values::relative_path(&args.path))
        .set("prune", args.prune)
        .set("sourceRef", source.value())
        .text("serviceAccountName", args.service_account.as_deref())
        .text("targetNamespace", args.target_namespace.as_deref());
    if let Some(retry) = args
        .retry_interval
        .as_ref()
        .filter(|time| !time.as_std().is_zero())
    {
        spec.set("retryInterval", values::canonical(retry));
    }
    if let Some(name) = args
        .kubeconfig_secret_ref
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        spec.set("kubeConfig", json!({ "secretRef": { "name": name } }));
    }
    if !args.depends_on.is_empty() {
        let all: Vec<Value> = args
            .depends_on
            .iter()
            .flat_map(|text| dependencies(text))
            .collect();
        spec.set("dependsOn", all);
    }
    if let Some(provider) = &args.decryption_provider {
        let mut decryption = Fields::default();
        decryption
            .set("provider", provider.as_str())
            .reference("secretRef", args.decryption_secret.as_deref());
        spec.set("decryption", decryption.into_value());
    }
    let timeout = args
        .health_check_timeout
        .as_ref()
        .map_or_else(|| "2m0s".to_owned(), values::canonical);
    if args.wait {
        spec.set("wait", true).set("timeout", timeout);
    } else if !args.health_check.is_empty() {
        let checks = args
            .health_check
            .iter()
            .map(|text| health_check(text))
            .collect::<Result<Vec<_>, _>>()?;
        spec.set("healthChecks", checks).set("timeout", timeout);
    }
    Ok(spec.into_value())
}

/// A source by kind, name and namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SourceRef {
    kind: &'static str,
    name: String,
    namespace: Option<String>,
}

impl SourceRef {
    fn value(&self) -> Value {
        let mut value = Fields::default();
        value
            .set("kind", self.kind)
            .set("name", self.name.as_str())
            .text("namespace", self.namespace.as_deref());
        value.into_value()
    }
}

fn source(text: &str) -> Result<SourceRef, String> {
    if text.trim().is_empty() {
        return Err(format!(
            "no Kustomization source given, please specify it as '[<kind>/]<name>[.<namespace>]', \
             where the kind is one of {} (GitRepository if not given)",
            SOURCE_KINDS.join(", ")
        ));
    }
    let (kind, name, namespace) = values::object_reference(text);
    let kind = kind.unwrap_or("GitRepository");
    if kind.is_empty() {
        return Err(format!("no kind specified for source '{text}'"));
    }
    if name.is_empty() {
        return Err(format!("no name given for source of kind '{kind}'"));
    }
    let Some(kind) = SOURCE_KINDS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(kind))
    else {
        return Err(format!(
            "source kind '{kind}' is not supported, must be one of: {}",
            SOURCE_KINDS.join(", ")
        ));
    };
    Ok(SourceRef {
        kind,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

fn decryption_provider(text: &str) -> Result<String, String> {
    values::one_of(text, &["sops"], "unsupported decryption provider")
}

/// `[namespace/]name[,...][@expression]`. An expression may hold commas: it takes the rest of the
/// text, and belongs to the name before it. Flux drops it; the field for it exists.
fn dependencies(text: &str) -> Vec<Value> {
    let (objects, expression) = match text.split_once('@') {
        Some((objects, expression)) => (objects, Some(expression)),
        None => (text, None),
    };
    let (others, last) = objects.rsplit_once(',').unwrap_or(("", objects));
    let others = others.split(',').map(|object| (object, None));
    others
        .chain([(last, expression)])
        .filter(|(object, expression)| !object.is_empty() || expression.is_some())
        .map(|(object, expression)| dependency(object, expression))
        .collect()
}

fn dependency(object: &str, expression: Option<&str>) -> Value {
    let (namespace, name) = match object.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, object),
    };
    let mut value = Fields::default();
    value
        .set("name", name)
        .text("namespace", namespace)
        .text("readyExpr", expression);
    value.into_value()
}

fn health_check(text: &str) -> Result<Value, Error> {
    let malformed = |parts: &[&str]| {
        Error::input(format!(
            "invalid health check '{text}' must be in the format 'kind/name.namespace' [{}]",
            parts.join(" ")
        ))
    };
    let parts: Vec<&str> = text.split('/').collect();
    let [kind, object] = parts.as_slice() else {
        return Err(malformed(&parts));
    };
    if !HEALTH_KINDS.contains(kind) {
        return Err(Error::input(format!(
            "invalid health check kind '{kind}' can be HelmRelease, Deployment, DaemonSet or StatefulSet"
        )));
    }
    let parts: Vec<&str> = object.split('.').collect();
    let [name, namespace] = parts.as_slice() else {
        return Err(malformed(&parts));
    };
    let mut value = Fields::default();
    value
        .set("kind", *kind)
        .set("name", *name)
        .set("namespace", *namespace);
    if *kind == "HelmRelease" {
        value.set("apiVersion", "helm.toolkit.fluxcd.io/v2");
    }
    Ok(value.into_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let reference = |kind, name: &str, namespace: Option<&str>| SourceRef {
            kind,
            name: name.into(),
            namespace: namespace.map(str::to_owned),
        };
        for (text, expected) in [
            ("apps", reference("GitRepository", "apps", None)),
            (
                "gitrepository/apps.foo",
                reference("GitRepository", "apps", Some("foo")),
            ),
            ("Bucket/b", reference("Bucket", "b", None)),
        ] {
            assert_eq!(source(text).as_ref(), Ok(&expected), "{text}");
        }
        for (text, error) in [
            (" ", "no Kustomization source given, please specify "),
            ("Bucket/", "no name given for source of kind 'Bucket'"),
            ("/x", "no kind specified for source '/x'"),
            (
                "HelmChart/x",
                "source kind 'HelmChart' is not supported, must be one of: OCIRepository, \
                 GitRepository, Bucket",
            ),
        ] {
            let found = source(text).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn dependencies_keep_their_expression() {
        assert_eq!(dependencies("a"), [json!({"name": "a"})]);
        assert_eq!(
            dependencies("ns/a"),
            [json!({"name": "a", "namespace": "ns"})]
        );
        assert_eq!(
            dependencies("ns/a@dep.status.x == 'a/b'"),
            [json!({"name": "a", "namespace": "ns", "readyExpr": "dep.status.x == 'a/b'"})]
        );
    }

    #[test]
    fn dependencies_come_in_lists() {
        assert_eq!(
            dependencies("a,ns/b,"),
            [
                json!({"name": "a"}),
                json!({"name": "b", "namespace": "ns"})
            ]
        );
        assert_eq!(
            dependencies("a,b@dep.status.x in ['y', 'z']"),
            [
                json!({"name": "a"}),
                json!({"name": "b", "readyExpr": "dep.status.x in ['y', 'z']"})
            ]
        );
    }

    #[test]
    fn health_checks() {
        assert_eq!(
            health_check("Deployment/web.prod").unwrap(),
            json!({"kind": "Deployment", "name": "web", "namespace": "prod"})
        );
        assert_eq!(
            health_check("HelmRelease/web.prod").unwrap()["apiVersion"],
            "helm.toolkit.fluxcd.io/v2"
        );
        for (text, error) in [
            (
                "web",
                "invalid health check 'web' must be in the format 'kind/name.namespace' [web]",
            ),
            (
                "Deployment/web",
                "invalid health check 'Deployment/web' must be in the format \
                 'kind/name.namespace' [web]",
            ),
            (
                "Pod/web.prod",
                "invalid health check kind 'Pod' can be HelmRelease, Deployment, DaemonSet or \
                 StatefulSet",
            ),
        ] {
            assert_eq!(health_check(text).unwrap_err().to_string(), error);
        }
    }
}

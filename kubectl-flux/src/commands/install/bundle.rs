//! The manifests of `manifests/`, which are part of this program, made to fit one cluster. Pure.

use std::collections::BTreeMap;

use flux_lang::yaml;
use serde_json::{Value, json};

use crate::error::Error;

/// What is in front of the definitions of the kinds.
const NAMESPACE_FILE: (&str, &str) = (
    "namespace.yaml",
    include_str!("../../../../manifests/namespace.yaml"),
);

/// What comes after the definitions, in the order of `manifests/kustomization.yaml`: what others
/// need comes first.
const FILES: &[(&str, &str)] = &[
    ("rbac.yaml", include_str!("../../../../manifests/rbac.yaml")),
    (
        "policies.yaml",
        include_str!("../../../../manifests/policies.yaml"),
    ),
    (
        "operator.yaml",
        include_str!("../../../../manifests/operator.yaml"),
    ),
    (
        "webhook.yaml",
        include_str!("../../../../manifests/webhook.yaml"),
    ),
];

/// The digests of the images of a release; none in between.
const DIGESTS: &str = include_str!("../../../../manifests/images.json");

/// Namespace in which the files install.
const NAMESPACE: &str = "flux-system";
/// Domain that the files assume.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The Deployment of the operator.
pub(crate) const OPERATOR: &str = "sync-operator";
/// The Deployment of the webhook.
pub(crate) const WEBHOOK: &str = "admission-webhook";

/// What is installed, and how a cluster differs from what the files say.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Namespace of the programs.
    pub(crate) namespace: String,
    /// Whether the operator is among them, and the definitions of its kinds.
    pub(crate) operator: bool,
    /// Whether the webhook is among them.
    pub(crate) webhook: bool,
    /// Registry, and folder in it, that holds the images.
    pub(crate) registry: Option<String>,
    /// Secret with which the images are pulled.
    pub(crate) image_pull_secret: Option<String>,
    /// What the programs log.
    pub(crate) log_level: Option<String>,
    /// Domain of the cluster's names.
    pub(crate) cluster_domain: Option<String>,
    /// Whether traffic to the pods is restricted.
    pub(crate) network_policy: bool,
    /// Keys of taints that the pods tolerate.
    pub(crate) tolerations: Vec<String>,
    /// Pods of the operator.
    pub(crate) replicas: u32,
    /// Controllers that the operator runs; all that it has if none.
    pub(crate) controllers: Option<Vec<&'static str>>,
    /// Labels of the objects that the operator works on; all objects if none.
    pub(crate) shard: Option<String>,
    /// Whether the operator works on the objects of all namespaces.
    pub(crate) all_namespaces: bool,
    /// Flags of the operator that a cluster has already and that must not get lost.
    pub(crate) kept: BTreeMap<String, String>,
}

/// All objects, in the order in which they can be applied.
///
/// # Errors
/// Never for the files of a release: a test reads all of them.
pub(crate) fn objects(settings: &Settings) -> Result<Vec<Value>, Error> {
    let mut objects = read(NAMESPACE_FILE)?;
    // Those of `manifests/crds/` are written from the same types; as texts they would be half of
    // what is embedded here.
    for definition in flux_api::crd::all() {
        let mut definition = json!(definition);
        shorten_numbers(&mut definition);
        objects.push(definition);
    }
    for file in FILES {
        objects.extend(read(*file)?);
    }
    objects.retain(|object| is_wanted(object, settings));
    for object in &mut objects {
        adapt(object, settings);
    }
    Ok(objects)
}

fn read((name, text): (&str, &str)) -> Result<Vec<Value>, Error> {
    let documents = yaml::read(text);
    let documents =
        documents.map_err(|error| Error::input(format!("manifests/{name}: {error}")))?;
    Ok(documents
        .into_iter()
        .map(|document| document.value)
        .collect())
}

/// Writes whole numbers as such: limits of a schema are of a type that has fractions.
fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64())
                && whole.fract() == 0.0
            {
                *value = json!(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(map) => map.values_mut().for_each(shorten_numbers),
        _ => {}
    }
}

/// Whether an object is of the kind, as manifests name it.
fn is(object: &Value, kind: &str) -> bool {
    object.get("kind").and_then(Value::as_str) == Some(kind)
}

fn is_wanted(object: &Value, settings: &Settings) -> bool {
    if is(object, "CustomResourceDefinition") {
        // Beside a real Flux, the definitions are Flux's.
        return settings.operator;
    }
    if is(object, "NetworkPolicy") && !settings.network_policy {
        return false;
    }
    let labels = object.pointer("/metadata/labels");
    // What has none is for all.
    match labels.and_then(|labels| labels[flux_api::names::COMPONENT_LABEL].as_str()) {
        Some(OPERATOR) => settings.operator,
        Some(WEBHOOK) => settings.webhook,
        _ => true,
    }
}

fn adapt(object: &mut Value, settings: &Settings) {
    if is(object, "CustomResourceDefinition") {
        return;
    }
    if settings.namespace != NAMESPACE {
        rename_namespace(object, &settings.namespace);
    }
    if is(object, "ServiceAccount")
        && let Some(name) = &settings.image_pull_secret
    {
        object["imagePullSecrets"] = json!([{ "name": name }]);
    }
    if is(object, "Deployment") {
        adapt_deployment(object, settings);
    }
}

fn adapt_deployment(object: &mut Value, settings: &Settings) {
    let is_operator = object["metadata"]["name"] == OPERATOR;
    if is_operator && settings.replicas != 1 {
        object["spec"]["replicas"] = json!(settings.replicas);
        // Those that do not lead wait: the next may start before the last has ended.
        object["spec"]["strategy"] = json!({ "type": "RollingUpdate" });
    }
    if !settings.tolerations.is_empty() {
        let tolerate = |key: &String| json!({ "key": key, "operator": "Exists" });
        object["spec"]["template"]["spec"]["tolerations"] =
            settings.tolerations.iter().map(tolerate).collect();
    }
    let containers = object.pointer_mut("/spec/template/spec/containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let (Some(registry), Some(Value::String(image))) =
            (&settings.registry, container.get_mut("image"))
        {
            *image = format!("{}/{image}", registry.trim_end_matches('/'));
        }
        if let Some(Value::String(image)) = container.get_mut("image") {
            pin(image, DIGESTS);
        }
        let Some(args) = container.get_mut("args").and_then(Value::as_array_mut) else {
            continue;
        };
        for arg in args.iter_mut() {
            if let Value::String(text) = arg {
                adapt_argument(text, settings);
            }
        }
        if is_operator {
            args.extend(operator_arguments(settings).into_iter().map(Value::from));
        }
    }
}

/// What is not in the files, because most do without it.
fn operator_arguments(settings: &Settings) -> Vec<String> {
    let mut args = Vec::new();
    if let Some(controllers) = &settings.controllers {
        args.push(format!("--controllers={}", controllers.join(",")));
    }
    if let Some(selector) = &settings.shard {
        args.push(format!("--watch-label-selector={selector}"));
    }
    if !settings.all_namespaces {
        args.push("--watch-all-namespaces=false".to_owned());
    }
    let kept = settings.kept.iter();
    args.extend(kept.map(|(name, value)| format!("--{name}={value}")));
    args
}

/// Adds the digest of a release to an image: what is pulled is what was released, in whatever
/// registry the copy is.
fn pin(image: &mut String, digests: &str) {
    let digests: Value = serde_json::from_str(digests).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split(':').next().unwrap_or(name);
    if let Some(digest) = digests["digests"][name].as_str() {
        *image = format!("{image}@{digest}");
    }
}

fn adapt_argument(text: &mut String, settings: &Settings) {
    if let Some(level) = &settings.log_level
        && text.starts_with("--log-level=")
    {
        *text = format!("--log-level={level}");
    }
    if let Some(domain) = &settings.cluster_domain
        && text.starts_with("--storage-adv-addr=")
    {
        *text = text.replace(CLUSTER_DOMAIN, domain);
    }
}

/// The namespace is a name of its own, a part of the names of what has no namespace, and a value
/// of labels and references.
fn rename_namespace(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) if text == NAMESPACE => *text = namespace.to_owned(),
        Value::String(text) => {
            if let Some(name) = text.strip_suffix(&format!("-{NAMESPACE}")) {
                *text = format!("{name}-{namespace}");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| rename_namespace(item, namespace)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|item| rename_namespace(item, namespace)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;

//! The manifests of `manifests/`, which are part of this program, made to fit one cluster. Pure.

use flux_lang::yaml;
use serde_json::{Value, json};

use crate::error::Error;

/// Files in the order of `manifests/kustomization.yaml`: what others need comes first.
const FILES: &[(&str, &str)] = &[
    (
        "namespace.yaml",
        include_str!("../../../../manifests/namespace.yaml"),
    ),
    (
        "crds/image.toolkit.fluxcd.io_imagepolicies.yaml",
        include_str!("../../../../manifests/crds/image.toolkit.fluxcd.io_imagepolicies.yaml"),
    ),
    (
        "crds/image.toolkit.fluxcd.io_imagerepositories.yaml",
        include_str!("../../../../manifests/crds/image.toolkit.fluxcd.io_imagerepositories.yaml"),
    ),
    (
        "crds/image.toolkit.fluxcd.io_imageupdateautomations.yaml",
        include_str!(
            "../../../../manifests/crds/image.toolkit.fluxcd.io_imageupdateautomations.yaml"
        ),
    ),
    (
        "crds/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
        include_str!("../../../../manifests/crds/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
    ),
    (
        "crds/source.toolkit.fluxcd.io_gitrepositories.yaml",
        include_str!("../../../../manifests/crds/source.toolkit.fluxcd.io_gitrepositories.yaml"),
    ),
    ("rbac.yaml", include_str!("../../../../manifests/rbac.yaml")),
    (
        "operator.yaml",
        include_str!("../../../../manifests/operator.yaml"),
    ),
    (
        "webhook.yaml",
        include_str!("../../../../manifests/webhook.yaml"),
    ),
];

/// Namespace in which the files install.
const NAMESPACE: &str = "flux-system";
/// Domain that the files assume.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// How a cluster differs from what the files say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    pub(super) namespace: &'a str,
    pub(super) registry: Option<&'a str>,
    pub(super) image_pull_secret: Option<&'a str>,
    pub(super) log_level: Option<&'a str>,
    pub(super) cluster_domain: Option<&'a str>,
}

/// All objects, in the order in which they can be applied.
///
/// # Errors
/// Never for the files of a release: a test reads all of them.
pub(super) fn objects(settings: &Settings<'_>) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for (name, text) in FILES {
        let documents =
            yaml::read(text).map_err(|error| Error::input(format!("manifests/{name}: {error}")))?;
        for document in documents {
            let mut object = document.value;
            adapt(&mut object, settings);
            objects.push(object);
        }
    }
    Ok(objects)
}

fn adapt(object: &mut Value, settings: &Settings<'_>) {
    let is = |object: &Value, kind: &str| object.get("kind").and_then(Value::as_str) == Some(kind);
    if is(object, "CustomResourceDefinition") {
        return;
    }
    if settings.namespace != NAMESPACE {
        rename_namespace(object, settings.namespace);
    }
    if is(object, "ServiceAccount")
        && let Some(name) = settings.image_pull_secret
    {
        object["imagePullSecrets"] = json!([{ "name": name }]);
    }
    let containers = object.pointer_mut("/spec/template/spec/containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let (Some(registry), Some(Value::String(image))) =
            (settings.registry, container.get_mut("image"))
        {
            *image = format!("{}/{image}", registry.trim_end_matches('/'));
        }
        let args = container.get_mut("args").and_then(Value::as_array_mut);
        for arg in args.into_iter().flatten() {
            if let Value::String(text) = arg {
                adapt_argument(text, settings);
            }
        }
    }
}

fn adapt_argument(text: &mut String, settings: &Settings<'_>) {
    if let Some(level) = settings.log_level
        && text.starts_with("--log-level=")
    {
        *text = format!("--log-level={level}");
    }
    if let Some(domain) = settings.cluster_domain
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
mod tests {
    use super::*;

    fn settings() -> Settings<'static> {
        Settings {
            namespace: NAMESPACE,
            registry: None,
            image_pull_secret: None,
            log_level: None,
            cluster_domain: None,
        }
    }

    fn read(name: &str) -> Value {
        let path = format!("{}/../manifests/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        yaml::read(&text).unwrap().remove(0).value
    }

    #[test]
    fn the_files_are_those_of_the_kustomization() {
        let resources = |name: &str| {
            let value = read(name);
            let list = value["resources"].as_array().unwrap().clone();
            list.into_iter()
                .map(|v| v.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let mut expected = Vec::new();
        for name in resources("kustomization.yaml") {
            if name == "crds" {
                expected.extend(
                    resources("crds/kustomization.yaml")
                        .iter()
                        .map(|n| format!("crds/{n}")),
                );
            } else {
                expected.push(name);
            }
        }
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn images_carry_the_version_of_this_program() {
        for object in objects(&settings()).unwrap() {
            let Some(containers) = object.pointer("/spec/template/spec/containers") else {
                continue;
            };
            let image = containers[0]["image"].as_str().unwrap();
            assert!(image.ends_with(&format!(":{}", crate::VERSION)), "{image}");
            assert_eq!(
                object["metadata"]["labels"]["app.kubernetes.io/version"],
                crate::VERSION
            );
        }
    }

    #[test]
    fn pods_pass_the_restricted_profile() {
        let mut pods = 0;
        for object in objects(&settings()).unwrap() {
            let Some(pod) = object.pointer("/spec/template/spec") else {
                continue;
            };
            pods += 1;
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            for container in pod["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false);
                assert_eq!(context["readOnlyRootFilesystem"], true);
                assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            }
        }
        assert_eq!(pods, 2);
    }

    #[test]
    fn a_cluster_of_ones_own() {
        let settings = Settings {
            namespace: "gitops",
            registry: Some("localhost:5000/flux/"),
            image_pull_secret: Some("regcred"),
            log_level: Some("debug"),
            cluster_domain: Some("corp.example"),
        };
        let objects = objects(&settings).unwrap();
        let find = |kind: &str, name: &str| {
            objects
                .iter()
                .find(|o| o["kind"] == kind && o["metadata"]["name"] == name)
                .unwrap_or_else(|| panic!("no {kind} {name}"))
        };
        find("Namespace", "gitops");
        let binding = find("ClusterRoleBinding", "sync-operator-gitops");
        assert_eq!(binding["subjects"][0]["namespace"], "gitops");
        let account = find("ServiceAccount", "sync-operator");
        assert_eq!(account["imagePullSecrets"], json!([{"name": "regcred"}]));
        let operator = find("Deployment", "sync-operator");
        assert_eq!(operator["metadata"]["namespace"], "gitops");
        let container = &operator["spec"]["template"]["spec"]["containers"][0];
        let image = format!("localhost:5000/flux/sync-operator:{}", crate::VERSION);
        assert_eq!(container["image"], image.as_str());
        let args = container["args"].as_array().unwrap();
        assert!(args.contains(&json!("--log-level=debug")));
        assert!(
            args.iter()
                .any(|a| a.as_str().unwrap().ends_with(".svc.corp.example."))
        );
        assert!(
            !objects
                .iter()
                .any(|o| o["kind"] != "CustomResourceDefinition"
                    && o.to_string().contains("flux-system")),
            "nothing refers to the old namespace"
        );
    }

    #[test]
    fn what_others_need_comes_first() {
        let kinds: Vec<String> = objects(&settings())
            .unwrap()
            .iter()
            .map(|o| o["kind"].as_str().unwrap().to_owned())
            .collect();
        let first = |kind: &str| kinds.iter().position(|found| found == kind).unwrap();
        assert_eq!(first("Namespace"), 0);
        assert!(first("CustomResourceDefinition") < first("ServiceAccount"));
        assert!(first("ServiceAccount") < first("Deployment"));
    }
}

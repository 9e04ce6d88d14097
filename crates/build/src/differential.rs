//! The in-process build against the `kustomize` program, over a corpus of layouts: the same
//! objects in the same order, or an error of both.

use std::path::PathBuf;

use flux_api::kustomize::KustomizationSpec;
use serde_json::json;

use crate::native::{self, Native};
use crate::{BuildError, BuildOptions, Files, build, program};

/// `kustomize`: `$KUSTOMIZE`, `PATH`, or what the sandbox built.
pub(crate) fn options() -> Option<BuildOptions> {
    let in_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("kustomize"))
            .collect::<Vec<_>>()
    });
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let sandboxes = cache
        .and_then(|cache| std::fs::read_dir(cache.join("flux-sandbox")).ok())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("kustomize"));
    let found = std::env::var_os("KUSTOMIZE")
        .map(PathBuf::from)
        .into_iter()
        .chain(in_path)
        .chain(sandboxes)
        .find(|path| path.is_file());
    if found.is_none() {
        println!(
            "skipped: kustomize is neither in $KUSTOMIZE nor in PATH nor built by the sandbox"
        );
    }
    Some(BuildOptions {
        kustomize: Some(found?),
        ..BuildOptions::default()
    })
}

/// Files from one text: `== path` begins a file.
fn layout(text: &str) -> Files {
    let mut files = Files::new();
    for part in text.split("== ").skip(1) {
        let (path, content) = part.split_once('\n').unwrap_or((part, ""));
        files.insert(path.trim().to_owned(), content.to_owned().into());
    }
    files
}

fn spec(overlay: serde_json::Value) -> KustomizationSpec {
    let mut full = json!({"interval": "1m", "prune": true,
        "sourceRef": {"kind": "GitRepository", "name": "a"}});
    full.as_object_mut()
        .unwrap()
        .append(&mut overlay.as_object().unwrap().clone());
    serde_json::from_value(full).unwrap()
}

/// A manifest of a kind and name, with more lines.
fn manifest(kind: &str, name: &str, more: &str) -> String {
    let api = match kind {
        "Deployment" => "apps/v1",
        "RoleBinding" => "rbac.authorization.k8s.io/v1",
        _ => "v1",
    };
    format!("apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n{more}")
}

/// A custom resource with one value.
fn manifest_of(value: &str) -> String {
    format!(
        "== a.yaml\napiVersion: example.com/v1\nkind: Any\nmetadata: {{name: a}}\nspec:\n  value: {value}\n"
    )
}

/// What a layout must do in process.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Expect {
    /// Built here, with the program's result.
    Same,
    /// Refused here and by the program.
    Refused,
    /// Left to the program.
    Left,
}

fn corpus() -> Vec<(&'static str, String, Expect)> {
    use Expect::{Left, Refused, Same};
    let map = |name| manifest("ConfigMap", name, "");
    let (a, b, c) = (map("a"), map("b"), map("c"));
    let service = manifest("Service", "web", "spec:\n  ports: [{port: 80}]\n");
    let values = manifest(
        "ConfigMap",
        "values",
        "data:\n  \"yes\": 'no'\n  octal: \"0777\"\n  text: |\n    a\n    b\n  folded: >-\n    a\n    b\n\
         immutable: true\n",
    );
    let anchors = manifest(
        "ConfigMap",
        "anchors",
        "  labels: &labels\n    app: x\ndata:\n  <<: *labels\n  more: \"1\"\n",
    );
    let account = manifest("ServiceAccount", "sa", "  namespace: ns\n");
    let bare = manifest(
        "RoleBinding",
        "rb",
        "subjects:\n- kind: ServiceAccount\n  name: sa\n",
    );
    vec![
        ("plain", format!("== z.yaml\n{a}== a/x.yml\n{b}== a-b/y.yaml\n{service}== README.md\nhi\n"), Same),
        ("documents", format!("== x.yaml\n---\n{a}---\n# nothing\n---\n{b}---\n"), Same),
        ("values", format!("== x.yaml\n{values}---\n{anchors}"), Same),
        ("merged after", manifest_of("\n    base: &base {name: one, image: i}\n    other:\n      name: two\n      <<: *base"), Left),
        ("merged after without effect", manifest_of("\n    base: &base {name: one}\n    other:\n      image: i\n      <<: *base"), Same),
        ("merged before", manifest_of("\n    base: &base {name: one}\n    other:\n      <<: *base\n      name: two"), Same),
        ("folded and indented", manifest_of(">\n    sum(\n      rate(x)\n    ) > 1"), Left),
        ("folded", manifest_of(">\n    sum\n    of\n\n    all"), Same),
        ("literal and indented", manifest_of("|\n    sum(\n      rate(x)\n    ) > 1"), Same),
        ("line breaks of Unicode", manifest_of("\"a\u{85}b\""), Left),
        ("key twice", manifest_of("{a: 1, b: 2, a: 3}"), Refused),
        ("crlf", format!("== x.yaml\n{}", format!("{a}---\n{b}").replace('\n', "\r\n")), Same),
        ("json", "== x.yaml\n{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"n\"}}\n".into(), Same),
        ("list", "== x.yaml\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n".into(), Same),
        ("list and more", format!("== x.yaml\napiVersion: v1\nkind: ConfigMapList\nitems:\n- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: s}}}}\n---\n{a}"), Same),
        ("units", format!("== a.yaml\n{a}== sub/kustomization.yml\nresources: [b.yaml]\n== sub/b.yaml\n{b}== sub/left-out.yaml\n{c}== t.yaml\n{service}"), Same),
        ("local config", format!("== a.yaml\n{a}---\n{}", manifest("ConfigMap", "tool", "  annotations:\n    config.kubernetes.io/local-config: \"true\"\n")), Same),
        ("same name, other namespace", format!("== a.yaml\n{a}---\n{}", manifest("ConfigMap", "a", "  namespace: other\n")), Same),
        ("resources", format!("== kustomization.yaml\nresources:\n- z.yaml\n- ./base\n- a.yaml\n== z.yaml\n{a}== a.yaml\n{b}== base/Kustomization\nresources: [c.yaml]\n== base/c.yaml\n{c}== not-listed.yaml\n{service}"), Same),
        ("bases", format!("== kustomization.yaml\nbases: [base]\nresources: [a.yaml]\n== a.yaml\n{a}== base/kustomization.yaml\nresources: [b.yaml]\n== base/b.yaml\n{b}"), Same),
        ("parents", format!("== app/kustomization.yaml\nresources: [../base, ../shared/b.yaml]\n== base/kustomization.yaml\nresources: [a.yaml]\n== base/a.yaml\n{a}== shared/b.yaml\n{b}"), Same),
        ("empty directory", "== README.md\nnothing here\n".into(), Same),
        ("empty kustomization", format!("== kustomization.yaml\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n== a.yaml\n{a}"), Same),
        ("subject with namespace", format!("== a.yaml\n{account}---\n{}", bare.replace("name: sa", "name: sa\n  namespace: ns")), Same),
        ("subject without namespace", format!("== a.yaml\n{account}---\n{bare}"), Left),
        ("annotation that is no text", format!("== a.yaml\n{}", manifest("ConfigMap", "x", "  annotations:\n    on: true\n")), Left),
        ("numbers", manifest_of("[0777, 0o17, 0x1F, 1_000, 1e3, 1.0, .5, 08, 12:30:45, 1.10, ~, True, 1.2.3, !!str 12]"), Same),
        ("word that is a boolean for some", manifest_of("yes"), Left),
        ("key that is a boolean for some", manifest_of("{on: x}"), Left),
        ("date", manifest_of("2020-01-01"), Left),
        ("quoted words and dates", manifest_of("['yes', \"2020-01-01\", say no, no-op]"), Same),
        ("namespace", format!("== kustomization.yaml\nnamespace: x\nresources: [a.yaml]\n== a.yaml\n{a}---\n{b}  namespace: old\n"), Same),
        ("namespaces of units", format!("== a.yaml\n{a}== s/kustomization.yaml\nnamespace: xx\nresources: [a.yaml]\n== s/a.yaml\n{a}== t/kustomization.yaml\nnamespace: yy\nresources: [a.yaml]\n== t/a.yaml\n{a}"), Same),
        ("namespace within a namespace", format!("== kustomization.yaml\nnamespace: outer\nresources: [base, b.yaml]\n== b.yaml\n{b}== base/kustomization.yaml\nnamespace: inner\nresources: [a.yaml]\n== base/a.yaml\n{a}"), Same),
        ("namespaces that make one of two", format!("== kustomization.yaml\nresources: [s, t]\n== s/kustomization.yaml\nnamespace: xx\nresources: [a.yaml]\n== s/a.yaml\n{a}== t/kustomization.yaml\nnamespace: xx\nresources: [a.yaml]\n== t/a.yaml\n{a}"), Refused),
        ("namespace that makes one of two", format!("== kustomization.yaml\nnamespace: outer\nresources: [s, t]\n== s/kustomization.yaml\nnamespace: xx\nresources: [a.yaml]\n== s/a.yaml\n{a}== t/kustomization.yaml\nnamespace: yy\nresources: [a.yaml]\n== t/a.yaml\n{a}"), Refused),
        ("one that a unit's namespace tells apart", format!("== kustomization.yaml\nresources: [a.yaml, s]\n== a.yaml\n{a}== s/kustomization.yaml\nnamespace: xx\nresources: [../a.yaml]\n"), Same),
        ("namespace of a kind that is renamed", "== kustomization.yaml\nnamespace: xx\nresources: [a.yaml]\n== a.yaml\napiVersion: v1\nkind: Namespace\nmetadata: {name: nn}\n".into(), Left),
        ("name that is a boolean for some", "== kustomization.yaml\nresources: [a.yaml]\n== a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\n".into(), Left),
        ("namespace of nothing", "== kustomization.yaml\nnamespace: x\nresources: []\n".into(), Left),
        ("generator", "== kustomization.yaml\nconfigMapGenerator:\n- name: g\n  literals: [a=b]\n".into(), Left),
        ("unit with prefix", format!("== a.yaml\n{a}== sub/kustomization.yaml\nnamePrefix: p-\nresources: [a.yaml]\n== sub/a.yaml\n{a}"), Left),
        ("duplicates", format!("== a.yaml\n{a}== b.yaml\n{a}"), Refused),
        ("duplicates by default namespace", format!("== a.yaml\n{a}---\n{}", manifest("ConfigMap", "a", "  namespace: default\n")), Refused),
        ("invalid", "== a.yaml\napiVersion: v1\nkind: [\n".into(), Refused),
        ("not an object", "== a.yaml\n- a\n- b\n".into(), Refused),
        ("no name", "== a.yaml\napiVersion: v1\nkind: Pod\n".into(), Refused),
        ("missing file", "== kustomization.yaml\nresources: [a.yaml]\n".into(), Refused),
        ("empty unit", format!("== a.yaml\n{a}== sub/kustomization.yaml\n\n"), Refused),
        ("cycle", "== kustomization.yaml\nresources: [a]\n== a/kustomization.yaml\nresources: [..]\n".into(), Refused),
        ("two kustomization files", "== kustomization.yaml\nresources: []\n== Kustomization\nresources: []\n".into(), Refused),
        ("directory without kustomization file", format!("== kustomization.yaml\nresources: [a]\n== a/a.yaml\n{a}"), Refused),
    ]
}

#[tokio::test]
async fn the_same_as_kustomize() {
    let Some(options) = options() else { return };
    for (name, text, expect) in corpus() {
        let files = layout(&text);
        let directory = if files.contains_key("app/kustomization.yaml") {
            "app"
        } else {
            ""
        };
        let spec = spec(json!({}));
        let reference = program::build(&files, directory, &spec, &options, name).await;
        let values = |objects: Vec<crate::Object>| {
            objects
                .into_iter()
                .map(|object| object.value)
                .collect::<Vec<_>>()
        };
        match (
            native::build(&files, directory, None, &crate::Decryption::Refuse),
            expect,
        ) {
            (Ok(Native::Objects(objects)), Expect::Same) => {
                assert!(
                    objects.iter().all(|object| object.origin.is_some()),
                    "{name}"
                );
                let reference = reference.unwrap_or_else(|error| panic!("{name}: {error}"));
                let places = |objects: &[crate::Object]| -> Vec<String> {
                    let origins = objects.iter().filter_map(|object| object.origin.as_ref());
                    origins.map(|origin| origin.file.clone()).collect()
                };
                assert_eq!(places(&objects), places(&reference), "{name}");
                assert_eq!(values(objects), values(reference), "{name}");
            }
            (Ok(Native::Program(_)), Expect::Left) => {
                reference.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            (Err(_), Expect::Refused) => {
                assert!(reference.is_err(), "{name}: kustomize takes it");
            }
            (Ok(Native::Objects(objects)), _) => {
                panic!(
                    "{name}: built in process: {:?}, kustomize: {reference:?}",
                    values(objects)
                );
            }
            (Ok(Native::Program(why)), _) => panic!("{name}: left to the program: {why}"),
            (Err(error), _) => panic!("{name}: {error}, kustomize: {reference:?}"),
        }
    }
}

/// A manifest of each kind that is moved in process, and of some that are not.
fn kinds() -> Vec<(&'static str, String)> {
    let kinds = [
        "v1/ConfigMap",
        "v1/Secret",
        "v1/Service",
        "v1/ServiceAccount",
        "v1/Pod",
        "v1/PersistentVolumeClaim",
        "v1/ReplicationController",
        "v1/LimitRange",
        "v1/ResourceQuota",
        "apps/v1/Deployment",
        "apps/v1/StatefulSet",
        "apps/v1/DaemonSet",
        "apps/v1/ReplicaSet",
        "autoscaling/v2/HorizontalPodAutoscaler",
        "autoscaling/v1/HorizontalPodAutoscaler",
        "batch/v1/Job",
        "batch/v1/CronJob",
        "batch/v1beta1/CronJob",
        "networking.k8s.io/v1/Ingress",
        "networking.k8s.io/v1/NetworkPolicy",
        "policy/v1/PodDisruptionBudget",
        "rbac.authorization.k8s.io/v1/Role",
        // Left to the program.
        "v1/Namespace",
        "v1/PersistentVolume",
        "rbac.authorization.k8s.io/v1/ClusterRole",
        "rbac.authorization.k8s.io/v1/RoleBinding",
        "example.com/v1/Any",
    ];
    let place = ["", "  namespace: elsewhere\n"];
    let each = kinds
        .iter()
        .flat_map(|kind| place.map(|place| (*kind, place)));
    each.map(|(kind, place)| {
        let (version, name) = kind.rsplit_once('/').unwrap();
        let text = format!(
            "== a.yaml\napiVersion: {version}\nkind: {name}\nmetadata:\n  name: a\n{place}"
        );
        (kind, text)
    })
    .collect()
}

#[tokio::test]
async fn a_target_namespace_as_kustomize_sets_it() {
    let Some(options) = options() else { return };
    let corpus = corpus().into_iter().map(|(name, text, _)| (name, text));
    let mut here = 0;
    for namespace in ["prod", "true", "7x"] {
        let spec = spec(json!({"targetNamespace": namespace}));
        for (name, text) in corpus.clone().chain(kinds()) {
            let files = layout(&text);
            let directory = match files.contains_key("app/kustomization.yaml") {
                true => "app",
                false => "",
            };
            let refuse = crate::Decryption::Refuse;
            let built = native::build(&files, directory, Some(namespace), &refuse);
            if matches!(built, Ok(Native::Program(_))) {
                continue;
            }
            let reference = program::build(&files, directory, &spec, &options, name).await;
            let values = |objects: Vec<crate::Object>| -> Vec<serde_json::Value> {
                objects.into_iter().map(|object| object.value).collect()
            };
            match built {
                Ok(Native::Objects(objects)) => {
                    here += 1;
                    let reference = reference.unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert_eq!(values(objects), values(reference), "{name}");
                }
                _ => assert!(reference.is_err(), "{name}: kustomize takes it"),
            }
        }
    }
    assert!(here >= 44, "{here} were built in process");
}

#[tokio::test]
async fn overlays_go_through_the_program() {
    let Some(options) = options() else { return };
    let deployment = manifest(
        "Deployment",
        "web",
        "spec:\n  template:\n    spec:\n      containers: [{name: web, image: 'nginx:1'}]\n",
    );
    let files = layout(&format!(
        "== apps/web.yaml\n{deployment}== components/label/kustomization.yaml\napiVersion: \
         kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {{from: \
         component}}\n"
    ));
    let spec = spec(json!({
        "targetNamespace": "prod", "namePrefix": "x-",
        "images": [{"name": "nginx", "newTag": "2"}],
        "components": ["../components/label", "../components/gone"],
        "ignoreMissingComponents": true,
        "patches": [{"patch": "- op: add\n  path: /spec/replicas\n  value: 3\n", "target": {"kind": "Deployment"}}],
        "commonMetadata": {"labels": {"team": "a"}},
    }));
    let objects = build(&files, "./apps", &spec, "ns", &options)
        .await
        .unwrap();
    let [object] = objects.try_into().unwrap();
    assert_eq!(object.origin.unwrap().to_string(), "apps/web.yaml");
    assert_eq!(
        object.value,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "x-web", "namespace": "prod", "labels": {"team": "a"},
                "annotations": {"from": "component"}},
            "spec": {"replicas": 3, "template": {
                "metadata": {"annotations": {"from": "component"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}},
        })
    );
}

#[tokio::test]
async fn old_patches_still_work() {
    let Some(options) = options() else { return };
    let files = layout(&format!(
        "== a.yaml\n{}",
        manifest("ConfigMap", "a", "data: {x: '1', y: '1'}\n")
    ));
    let spec = spec(json!({
        "patchesStrategicMerge": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "2"}}],
        "patchesJson6902": [{"patch": [{"op": "remove", "path": "/data/y"}], "target": {"version": "v1", "kind": "ConfigMap", "name": "a"}}],
    }));
    let objects = build(&files, "", &spec, "ns", &options).await.unwrap();
    assert_eq!(objects[0].value["data"], json!({"x": "2"}));
}

#[tokio::test]
async fn failures_of_the_program() {
    let Some(options) = options() else { return };
    let files = layout("== app/kustomization.yaml\nnamePrefix: x-\nresources: [gone.yaml]\n");
    let none = spec(json!({}));
    let error = build(&files, "app", &none, "ns", &options)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("kustomize build failed: accumulating resources"),
        "{error}"
    );
    assert!(
        error.contains("./app/gone.yaml") && !error.contains("flux-build-"),
        "{error}"
    );

    // No file of this machine is read, and nothing is fetched.
    let spied = layout(
        "== app/kustomization.yaml\nconfigMapGenerator: [{name: a, files: [/etc/hostname]}]\n",
    );
    let error = build(&spied, "app", &none, "ns", &options)
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::Escape { .. }), "{error}");
    let remote = layout("== kustomization.yaml\nresources: ['https://127.0.0.1:1/x.yaml']\n");
    let error = build(&remote, "", &none, "ns", &options).await.unwrap_err();
    assert!(matches!(error, BuildError::RemoteBase { .. }), "{error}");

    let missing = BuildOptions {
        kustomize: Some("/nonexistent/kustomize".into()),
        ..options
    };
    let error = build(&files, "app", &none, "ns", &missing)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "the kustomize program is needed (app/kustomization.yaml uses namePrefix)"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn slow_programs_are_ended() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kustomize");
    std::fs::write(&script, "#!/bin/sh\nexec /bin/sleep 60\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = BuildOptions {
        kustomize: Some(script),
        timeout: std::time::Duration::from_millis(300),
        ..BuildOptions::default()
    };
    let files = layout("== kustomization.yaml\nnamespace: x\n");
    let error = build(&files, "", &spec(json!({})), "ns", &options)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kustomize build failed: no result within 0.3 s"
    );
}

#[tokio::test]
async fn encrypted_objects_are_refused() {
    let options = BuildOptions::default();
    let files =
        layout("== a.yaml\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nsops: {mac: x}\n");
    let error = build(&files, "", &spec(json!({})), "ns", &options)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Secret/s (a.yaml:1) is encrypted with SOPS: set spec.decryption"
    );
}

//! Tests of the embedded manifests.

use super::*;

fn settings() -> Settings {
    Settings {
        namespace: NAMESPACE.to_owned(),
        operator: true,
        webhook: true,
        registry: None,
        image_pull_secret: None,
        log_level: None,
        cluster_domain: None,
        network_policy: true,
        tolerations: Vec::new(),
        replicas: 1,
        controllers: None,
        shard: None,
        all_namespaces: true,
        kept: Default::default(),
    }
}

/// The objects of a file of `manifests/`.
fn in_file(name: &str) -> Vec<Value> {
    let path = format!("{}/../manifests/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let documents = yaml::read(&text).unwrap();
    documents.into_iter().map(|found| found.value).collect()
}

#[test]
fn the_objects_are_those_of_the_kustomization() {
    let resources = |name: &str| {
        let list = in_file(name)[0]["resources"].as_array().unwrap().clone();
        list.into_iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for name in resources("kustomization.yaml") {
        if name == "crds" {
            for name in resources("crds/kustomization.yaml") {
                expected.extend(in_file(&format!("crds/{name}")));
            }
        } else {
            expected.extend(in_file(&name));
        }
    }
    let mut found = objects(&settings()).unwrap();
    for object in expected.iter_mut().chain(&mut found) {
        if is(object, "Deployment") {
            // A release pins its images.
            let containers = object
                .pointer_mut("/spec/template/spec/containers")
                .unwrap();
            containers[0]["image"].take();
        }
    }
    let name = |object: &Value| format!("{}/{}", object["kind"], object["metadata"]["name"]);
    let names = |objects: &[Value]| objects.iter().map(name).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found == expected, "{} is not as in its file", name(found));
    }
}

#[test]
fn images_carry_the_version_of_this_program() {
    for object in objects(&settings()).unwrap() {
        let Some(containers) = object.pointer("/spec/template/spec/containers") else {
            continue;
        };
        let image = containers[0]["image"].as_str().unwrap();
        let image = image.split('@').next().unwrap();
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
        namespace: "gitops".to_owned(),
        registry: Some("localhost:5000/flux/".to_owned()),
        image_pull_secret: Some("regcred".to_owned()),
        log_level: Some("debug".to_owned()),
        cluster_domain: Some("corp.example".to_owned()),
        tolerations: vec!["infra".to_owned()],
        replicas: 2,
        controllers: Some(vec!["source-controller", "kustomize-controller"]),
        shard: Some("sharding.fluxcd.io/key=one".to_owned()),
        all_namespaces: false,
        ..settings()
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
    assert!(container["image"].as_str().unwrap().starts_with(&image));
    let args = container["args"].as_array().unwrap();
    assert!(args.contains(&json!("--log-level=debug")));
    let given = [
        "--watch-label-selector=sharding.fluxcd.io/key=one",
        "--watch-all-namespaces=false",
        "--enable-leader-election",
    ];
    assert!(given.iter().all(|flag| args.contains(&json!(flag))));
    assert!(args.contains(&json!(
        "--controllers=source-controller,kustomize-controller"
    )));
    assert_eq!(operator["spec"]["replicas"], 2);
    assert_eq!(operator["spec"]["strategy"]["type"], "RollingUpdate");
    assert_eq!(
        operator["spec"]["template"]["spec"]["tolerations"],
        json!([{"key": "infra", "operator": "Exists"}])
    );
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

#[test]
fn operator_and_webhook_are_installed_without_each_other() {
    let of = |operator, webhook, network_policy| -> Vec<String> {
        let settings = Settings {
            operator,
            webhook,
            network_policy,
            ..settings()
        };
        let name = |o: &Value| format!("{}/{}", o["kind"], o["metadata"]["name"]).replace('"', "");
        objects(&settings).unwrap().iter().map(name).collect()
    };
    let alone = of(false, true, true);
    assert_eq!(
        alone,
        [
            "Namespace/flux-system",
            "ServiceAccount/admission-webhook",
            "ClusterRole/admission-webhook-flux-system",
            "ClusterRoleBinding/admission-webhook-flux-system",
            "Role/admission-webhook",
            "RoleBinding/admission-webhook",
            "NetworkPolicy/allow-egress",
            "NetworkPolicy/allow-webhooks",
            "Service/admission-webhook",
            "PodDisruptionBudget/admission-webhook",
            "Deployment/admission-webhook",
        ]
    );
    let operator = of(true, false, false);
    assert!(!operator.iter().any(|name| name.contains("webhook")));
    assert!(!operator.iter().any(|name| name.contains("NetworkPolicy")));
    let definitions = |names: &[String]| {
        let is = |name: &&String| name.starts_with("CustomResourceDefinition/");
        names.iter().filter(is).count()
    };
    assert_eq!((definitions(&alone), definitions(&operator)), (0, 5));
}

#[test]
fn everything_says_whose_it_is() {
    for object in objects(&settings()).unwrap() {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "flux-sync", "{object}");
        assert_eq!(labels["app.kubernetes.io/part-of"], "flux", "{object}");
        if object["kind"] != "CustomResourceDefinition" {
            assert_eq!(labels["app.kubernetes.io/instance"], "flux-system");
        }
    }
}

#[test]
fn images_of_a_release_are_pinned() {
    let digests = r#"{"digests": {"sync-operator": "sha256:00"}}"#;
    for (image, expected) in [
        (
            "r:5000/x/sync-operator:v1",
            "r:5000/x/sync-operator:v1@sha256:00",
        ),
        ("admission-webhook:v1", "admission-webhook:v1"),
    ] {
        let mut image = image.to_owned();
        pin(&mut image, digests);
        assert_eq!(image, expected);
    }
}

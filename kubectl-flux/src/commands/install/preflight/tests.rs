use serde_json::{Value, json};

use super::*;

fn settings(operator: bool) -> Settings {
    Settings {
        namespace: "flux-system".to_owned(),
        operator,
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
        kept: BTreeMap::new(),
    }
}

fn deployed(namespace: &str, name: &str, is_ours: bool, replicas: i32) -> Controller {
    Controller {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        component: name.to_owned(),
        selector: String::new(),
        is_ours,
        replicas,
        version: "v2.9.0".to_owned(),
        flags: BTreeMap::new(),
    }
}

#[test]
fn flags_that_people_added_are_kept() {
    let with = |controller: Controller, name: &str, value: &str| Controller {
        flags: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..controller
    };
    let account = "default-service-account";
    let flux = [
        deployed("flux-system", "source-controller", false, 1),
        with(
            deployed("flux-system", "kustomize-controller", false, 1),
            account,
            "flux",
        ),
        with(
            deployed("flux-system", "helm-controller", false, 1),
            account,
            "helm",
        ),
    ];
    let mut found = Found {
        controllers: flux.to_vec(),
        ..Found::default()
    };
    let kept = |found: &Found| found.flags_to_keep("flux-system").get(account).cloned();
    assert_eq!(kept(&found).as_deref(), Some("flux"));
    let ours = deployed("flux-system", OPERATOR, true, 1);
    found.controllers.push(with(ours, account, "ours"));
    assert_eq!(kept(&found).as_deref(), Some("ours"));
}

#[test]
fn flux_stands_in_the_way_of_the_operator_only() {
    let found = Found {
        controllers: vec![
            deployed("flux-system", "source-controller", false, 1),
            deployed("flux-system", "helm-controller", false, 1),
            deployed("flux-system", "kustomize-controller", false, 0),
        ],
        foreign: vec!["gitrepositories.source.toolkit.fluxcd.io".to_owned()],
        roots: vec![Root {
            namespace: "flux-system".to_owned(),
            name: "flux-system".to_owned(),
            is_ours: false,
            holds_flux: true,
            is_suspended: false,
        }],
        ..Found::default()
    };
    assert_eq!(
        judge(&found, &settings(true)),
        [
            "Deployment flux-system/source-controller of Flux v2.9.0 is running",
            "Kustomization flux-system/flux-system installs Flux's controllers from Git",
            "CustomResourceDefinition gitrepositories.source.toolkit.fluxcd.io was installed by \
             another program",
        ]
    );
    assert!(judge(&found, &settings(false)).is_empty());
    let text = stop(&found, &settings(true)).to_string();
    assert!(text.contains("--webhook --operator=false"), "{text}");
    assert!(text.contains("--take-over"), "{text}");
    assert!(text.contains("--watch-label-selector"), "{text}");

    let shard = Settings {
        shard: Some("sharding.fluxcd.io/key=one".to_owned()),
        namespace: "gitops".to_owned(),
        ..settings(true)
    };
    assert_eq!(
        judge(&found, &shard),
        [
            "Deployment flux-system/source-controller of Flux v2.9.0 is running and works on objects of \
             this shard, too"
        ],
        "it has no selector"
    );
    let mut found = found;
    for controller in &mut found.controllers {
        controller.selector = "!sharding.fluxcd.io/key".to_owned();
    }
    assert!(judge(&found, &shard).is_empty());
    let same = Settings {
        namespace: "flux-system".to_owned(),
        ..shard
    };
    assert!(judge(&found, &same)[0].contains("choose another --namespace"));
}

#[test]
fn ours_elsewhere_stands_in_the_way() {
    let found = Found {
        controllers: vec![
            deployed("flux-system", "sync-operator", true, 1),
            deployed("gitops", "admission-webhook", true, 2),
        ],
        ..Found::default()
    };
    let lines = judge(&found, &settings(true));
    assert_eq!(
        lines,
        ["Deployment gitops/admission-webhook is installed already, in another namespace"]
    );
    assert!(
        stop(&found, &settings(true))
            .to_string()
            .contains("--namespace")
    );
}

fn kustomization(ids: &[&str]) -> DynamicObject {
    let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "flux-system", "namespace": "flux-system"},
        "status": {"inventory": {"entries": entries}},
    }))
    .unwrap()
}

#[test]
fn a_root_is_known_by_what_it_installs() {
    let shard = Controller {
        component: "kustomize-controller".to_owned(),
        ..deployed("flux-system", "kustomize-controller-shard1", false, 1)
    };
    let of = |ids: &[&str]| {
        as_root(&kustomization(ids), std::slice::from_ref(&shard))
            .map(|root| (root.is_ours, root.holds_flux))
    };
    let upstream = "flux-system_source-controller_apps_Deployment";
    assert_eq!(of(&[upstream]), Some((false, true)));
    let ours = "flux-system_sync-operator_apps_Deployment";
    assert_eq!(of(&["_foo__Namespace", ours]), Some((true, false)));
    let shards = "flux-system_kustomize-controller-shard1_apps_Deployment";
    assert_eq!(of(&[shards]), Some((false, true)));
    // A run that failed halfway keeps the entries of before.
    assert_eq!(of(&[upstream, ours]), Some((true, true)));
    assert_eq!(of(&["foo_source-controller__Service"]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn definitions_of_both_are_not_ours() {
    let of = |labels: Value| {
        let definition = serde_json::from_value(json!({
            "metadata": {"name": "x", "labels": labels},
            "spec": {"group": "g", "names": {"kind": "X", "plural": "xs"},
                     "scope": "Namespaced", "versions": []},
        }));
        is_ours(&definition.unwrap())
    };
    assert!(of(json!({"app.kubernetes.io/name": "flux-sync"})));
    assert!(!of(json!({"app.kubernetes.io/part-of": "flux"})));
    assert!(!of(json!({"app.kubernetes.io/name": "flux-sync",
        "app.kubernetes.io/component": "source-controller"})));
}

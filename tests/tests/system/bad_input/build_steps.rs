//! What stands between a source and its objects: variables, encrypted files, and the account that
//! applies. Each is wrong first and then put right.

use flux_api::Kustomization;
use flux_tests::sandbox::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{
    Resource,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    cluster::{COMMON_KEYS, PATIENCE},
    manifests::config_map,
    scene::Scene,
};

const APPS: &str = "apps";

impl Scene {
    /// Applies an object of any shape.
    async fn put<K: Resource<DynamicType = ()>>(&self, name: &str, mut object: Value) {
        object["apiVersion"] = json!(K::api_version(&()));
        object["kind"] = json!(K::kind(&()));
        object["metadata"] = json!({"name": name, "namespace": self.namespace});
        let params = PatchParams::apply("flux-tests").force();
        self.api::<K>()
            .patch(name, &params, &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// A source and a Kustomization of its root, with these files and fields.
    async fn built(&self, files: &[(&str, Option<&str>)], fields: Value) -> String {
        let repository = self.repository(APPS);
        let revision = repository.commit(files);
        self.source(APPS, &repository).await;
        self.kustomization(APPS, APPS, "./", fields).await;
        revision
    }
}

#[tokio::test]
async fn variables_come_from_config_maps_as_they_change() {
    let scene = Scene::start("variables").await;
    let app = config_map("app", "${greeting} ${name:=you} $${kept}");
    let other = config_map("other", "${farewell}");
    let fields = json!({"postBuild": {
        "substitute": {"farewell": "bye"},
        "substituteFrom": [
            {"kind": "ConfigMap", "name": "words"},
            {"kind": "Secret", "name": "more", "optional": true},
        ],
    }});
    let files = [
        ("app.yaml", Some(app.as_str())),
        ("b/other.yaml", Some(&other)),
    ];
    let revision = scene.built(&files, fields).await;
    let words = [
        "substitute from 'ConfigMap/words' error",
        "create it, or set optional: true",
    ];
    scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &words)
        .await;

    scene
        .put::<ConfigMap>("words", json!({"data": {"x": "1"}}))
        .await;
    let words = [
        "variable not set (strict mode): \"greeting\" (line 6)",
        "in ConfigMap/app (app.yaml:1)",
        "$${name}",
    ];
    scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &words)
        .await;

    scene
        .put::<ConfigMap>("words", json!({"data": {"greeting": "hello"}}))
        .await;
    scene.applied(APPS, &revision).await;
    assert_eq!(
        scene.value("app").await.as_deref(),
        Some("hello you ${kept}")
    );
    assert_eq!(scene.value("other").await.as_deref(), Some("bye"));

    // Long before the interval of ten minutes.
    scene
        .secret("more", &[("greeting", "good\nday"), ("name", "all")])
        .await;
    scene
        .until::<ConfigMap, _>("app", "has the new words", |object| {
            let value = &object["data"]["value"];
            (*value == "goodday all ${kept}")
                .then_some(())
                .ok_or_else(|| value.to_string())
        })
        .await;
    scene.others_go_on().await;
}

#[tokio::test]
async fn encrypted_files_are_decrypted_and_checked() {
    let encrypted = include_str!("../../../../crates/build/tests/vectors/sops/multi.yaml");
    let environment = include_str!("../../../../crates/build/tests/vectors/sops/app.env");
    let key = include_str!("../../../../crates/build/tests/vectors/sops/test.agekey");
    let stranger = "AGE-SECRET-KEY-1740R039XZ7EFMG98ZRZRH8U0ELKN7T32E87NVDT87EKVG2XZXYGQPTS99W";
    let scene = Scene::start("sops").await;
    let kustomization = "resources: [secrets.yaml]\nsecretGenerator:\n- name: settings\n  envs: \
                         [app.env]\n  options: {disableNameSuffixHash: true}\n";
    let files = [
        ("kustomization.yaml", Some(kustomization)),
        ("secrets.yaml", Some(encrypted)),
        ("app.env", Some(environment)),
    ];
    let revision = scene.built(&files, json!({})).await;
    let words = ["Secret/one", "is encrypted with SOPS: set spec.decryption"];
    scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &words)
        .await;

    let decryption = json!({"decryption": {"provider": "sops", "secretRef": {"name": "keys"}}});
    scene.kustomization(APPS, APPS, "./", decryption).await;
    let words = ["decryption failed: Secret", "does not exist; create it"];
    scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &words)
        .await;
    scene.secret("keys", &[("x.agekey", stranger)]).await;
    let error = scene
        .says::<Kustomization>(
            APPS,
            "False",
            "BuildFailed",
            &["decryption failed for 'app.env'", "encrypted for age1"],
        )
        .await;
    assert!(!error.to_string().contains("AGE-SECRET-KEY-1"), "{error}");

    scene.secret("keys", &[("x.agekey", key)]).await;
    scene.applied(APPS, &revision).await;
    for (name, field, value) in [
        ("one", "a", "first"),
        ("two", "b", "second"),
        ("settings", "PASSWORD", "a=b#c \"quoted\""),
    ] {
        let secret = scene.api::<Secret>().get(name).await.unwrap();
        let found: k8s_openapi::ByteString =
            serde_json::from_value(secret.data["data"][field].clone()).unwrap();
        assert_eq!(String::from_utf8(found.0).unwrap(), value, "{name}");
        assert!(secret.data.get("sops").is_none());
    }

    // The key of all Kustomizations that name none lies in the operator's namespace; whom a change
    // of it concerns is woken.
    let common = async |key: &str| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"x.agekey": key},
            "metadata": {"name": COMMON_KEYS, "namespace": "flux-system"}});
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: flux-system}}\n---\n{secret}"
        );
        let apply = ["apply", "--server-side", "-f", "-"];
        let output = scene.env.kubectl_with_input(&apply, &text).await;
        output.unwrap().success().unwrap();
    };
    common(stranger).await;
    let decryption = json!({"decryption": {"provider": "sops"}});
    scene.kustomization(APPS, APPS, "./", decryption).await;
    scene
        .says::<Kustomization>(APPS, "False", "BuildFailed", &["encrypted for age1"])
        .await;
    common(key).await;
    scene.applied(APPS, &revision).await;
}

#[tokio::test]
async fn tenants_apply_with_their_own_rights() {
    let scene = Scene::start("tenant").await;
    scene.put::<ServiceAccount>("tenant", json!({})).await;
    let app = config_map("app", "1");
    let fields = json!({"serviceAccountName": "tenant"});
    let revision = scene
        .built(&[("app.yaml", Some(app.as_str()))], fields)
        .await;
    let user = format!("system:serviceaccount:{}:tenant", scene.namespace);
    let words = ["ConfigMap", "orbidden", user.as_str()];
    scene
        .says::<Kustomization>(APPS, "False", "ReconciliationFailed", &words)
        .await;

    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]);
    scene.put::<Role>("tenant", json!({"rules": rules})).await;
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": scene.namespace}],
    });
    scene.put::<RoleBinding>("tenant", binding).await;
    scene.request::<Kustomization>(APPS).await;
    scene.applied(APPS, &revision).await;

    // With the account gone nothing can be deleted in its name: the Kustomization goes alone.
    scene.delete::<ServiceAccount>("tenant").await;
    scene.delete::<Kustomization>(APPS).await;
    let gone = async || match scene.api::<Kustomization>().get_opt(APPS).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::until("the Kustomization's end", PATIENCE, None, gone)
        .await
        .unwrap();
    assert_eq!(scene.value("app").await.as_deref(), Some("1"));
}

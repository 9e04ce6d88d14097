//! What arrives by Git: told, completed, and never frozen.

use rustix::process::Signal;
use serde_json::json;

use super::{Hook, PATIENCE, apply_all};

#[tokio::test]
async fn what_comes_from_git_is_told_and_never_frozen() {
    let Hook { env, process } = Hook::start(&["--no-scan"]).await;
    let created = env.kubectl(&["create", "namespace", "apps"]).await;
    created.unwrap().success().unwrap();
    // The operator of this test talks to the API server as this user.
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "admission-webhook", "namespace": "flux-system"},
        "data": {"gitopsIdentities": "sandbox-administrator"}});
    apply_all(&env, &[], &[config]).await.success().unwrap();
    let storage = env.sandbox().dir().join("operator");
    let _operator = env
        .start_operator(&[
            "--health-addr=127.0.0.1:0",
            "--storage-addr=127.0.0.1:0",
            "--metrics-addr=127.0.0.1:0",
            "--storage-path",
            storage.to_str().unwrap(),
        ])
        .await
        .unwrap();
    let git = env.git().unwrap();
    git.create_repository("apps/policies").unwrap();
    let copy = git.work_copy("apps/policies").unwrap();
    // Broken: a group that is not there. Incomplete: the interval of a digest policy.
    let policies = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: bad\nspec:\n  imageRepositoryRef:\n    name: app\n  filterTags:\n    pattern: '^v(?P<n>[0-9]+)$'\n    extract: '$x'\n  policy:\n    numerical:\n      order: asc\n---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: incomplete\nspec:\n  imageRepositoryRef:\n    name: app\n  digestReflectionPolicy: Always\n  policy:\n    semver:\n      range: 1.x\n";
    copy.write("policies.yaml", policies).unwrap();
    copy.commit_and_push("feat: policies").unwrap();
    let objects = [
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
            "metadata": {"name": "policies", "namespace": "apps"},
            "spec": {"url": git.https_url("apps/policies"), "interval": "1m", "ref": {"branch": "main"}}}),
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": {"name": "policies", "namespace": "apps"},
            "spec": {"interval": "1m", "prune": true, "path": "./",
                "sourceRef": {"kind": "GitRepository", "name": "policies"}}}),
    ];
    apply_all(&env, &[], &objects).await.success().unwrap();
    let field = async |kind: &str, name: &str, path: &str| {
        let path = format!("jsonpath={path}");
        let output = env
            .kubectl(&["-n", "apps", "get", kind, name, "-o", &path])
            .await;
        output.map(|output| output.stdout).unwrap_or_default()
    };
    env.wait_for("the finding on the Kustomization", PATIENCE, async || {
        let told = field(
            "kustomization",
            "policies",
            "{.status.conditions[?(@.type=='AppliedWithWarnings')].message}",
        )
        .await;
        let all = field("kustomization", "policies", "{.status}").await;
        told.contains("[IP12]").then_some(()).ok_or(all)
    })
    .await
    .unwrap();
    assert_eq!(
        field("imagepolicy", "incomplete", "{.spec.interval}").await,
        "10m"
    );
    assert_eq!(
        field("imagepolicy", "bad", "{.spec.filterTags.extract}").await,
        "$x"
    );

    // The webhook is gone: people and the operator go on, and hear nothing.
    process.id().signal(Signal::KILL);
    let bad = json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy",
        "metadata": {"name": "alone", "namespace": "apps"},
        "spec": {"imageRepositoryRef": {"name": "app"}, "policy": {"semver": {"range": "none"}}}});
    let applied = apply_all(&env, &[], &[bad]).await;
    assert!(applied.status.success(), "{applied}");
    assert!(!applied.stderr.contains("[IP03]"), "{applied}");
    let more = policies
        .replace("incomplete", "later")
        .replace("  digestReflectionPolicy: Always\n", "");
    copy.write("policies.yaml", &more).unwrap();
    copy.commit_and_push("feat: another policy").unwrap();
    let reconcile = [
        "flux",
        "-n",
        "apps",
        "reconcile",
        "kustomization",
        "policies",
        "--with-source",
    ];
    env.kubectl(&reconcile).await.unwrap().success().unwrap();
    assert_eq!(
        field("imagepolicy", "later", "{.spec.policy.semver.range}").await,
        "1.x"
    );
}

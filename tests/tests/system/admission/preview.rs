//! The operator knows all tags, the webhook ten: what a policy selects is asked.

use flux_tests::{env::Env, sandbox::wait::free_port};
use serde_json::json;

use super::{Hook, PATIENCE, apply_all};

async fn token(env: &Env, account: &str) -> String {
    let arguments = [
        "-n",
        "flux-system",
        "create",
        "token",
        account,
        "--audience=flux-sync-operator",
    ];
    env.kubectl(&arguments).await.unwrap().success().unwrap()
}

#[tokio::test]
async fn a_preview_is_from_all_tags_while_the_operator_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let port = free_port().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let flags = [
        format!("--preview-url={url}"),
        format!("--preview-token-file={}", file.display()),
        "--no-scan".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let Hook { env, .. } = Hook::start(&flags).await;
    for account in ["admission-webhook", "somebody"] {
        let create = ["-n", "flux-system", "create", "serviceaccount", account];
        env.kubectl(&create).await.unwrap().success().unwrap();
    }
    std::fs::write(&file, token(&env, "admission-webhook").await).unwrap();
    let storage = env.sandbox().dir().join("operator");
    let operator = env
        .start_operator(&[
            "--health-addr=127.0.0.1:0",
            "--storage-addr=127.0.0.1:0",
            "--metrics-addr=127.0.0.1:0",
            &format!("--preview-addr=127.0.0.1:{port}"),
            "--storage-path",
            storage.to_str().unwrap(),
        ])
        .await
        .unwrap();

    let namespace = env.namespace("previews").await.unwrap();
    let tags: Vec<String> = (30..=55).map(|minor| format!("2.{minor}")).collect();
    let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    tags.push("2.9");
    let registry = env.registry().unwrap();
    registry.push_tags("preview/app", &tags).await.unwrap();
    let object = |kind: &str, spec: serde_json::Value| {
        json!({"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": kind,
            "metadata": {"name": "app", "namespace": namespace}, "spec": spec})
    };
    let repository = json!({"image": registry.image("preview/app"), "interval": "1h"});
    let repository = object("ImageRepository", repository);
    apply_all(&env, &[], &[repository]).await.success().unwrap();
    let policy = object(
        "ImagePolicy",
        json!({"imageRepositoryRef": {"name": "app"}, "policy": {"alphabetical": {"order": "asc"}}}),
    );
    let says = async |expected: &str| {
        env.wait_for(expected, PATIENCE, async || {
            let dry = ["--dry-run=server"];
            let said = apply_all(&env, &dry, std::slice::from_ref(&policy)).await;
            let told = said.status.success() && said.stderr.contains(expected);
            told.then_some(()).ok_or_else(|| said.to_string())
        })
        .await
        .unwrap();
    };
    says(r#"[IP23] This policy selects "2.9" and not "2.55" (all 27 scanned tags)"#).await;

    // Nobody else is answered.
    let question = json!({"namespace": namespace, "spec": policy["spec"]}).to_string();
    let ask = async |token: Option<String>| {
        let mut request = reqwest::Client::new()
            .post(format!("{url}/image-policy"))
            .body(question.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token.trim());
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(None).await, 401);
    assert_eq!(ask(Some("forged".to_owned())).await, 403);
    assert_eq!(ask(Some(token(&env, "somebody").await)).await, 403);
    assert_eq!(ask(Some(token(&env, "admission-webhook").await)).await, 200);

    operator.stop();
    says(r#"[IP23] This policy selects "2.9" and not "2.55" (sample: 10 of 27 scanned tags)"#)
        .await;
}

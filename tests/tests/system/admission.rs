//! The webhook as the API server calls it: what a person reads at `kubectl apply`.

use std::time::Duration;

use flux_tests::{
    env::{Env, Output},
    sandbox::{
        process::Process,
        wait::{self, free_port},
    },
};
use std::sync::Arc;

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIGURATIONS: &[&str] = &[
    "get",
    "validatingwebhookconfigurations,mutatingwebhookconfigurations",
    "-o",
    "jsonpath={.items[*].webhooks[0].clientConfig.caBundle}",
];

/// A cluster of its own: a webhook speaks about everything that other tests apply.
async fn start(arguments: &[&str]) -> (Env, Arc<Process>) {
    let env = Env::start().await.unwrap();
    for namespace in ["flux-system", "ingress-nginx", "foo"] {
        let created = env.kubectl(&["create", "namespace", namespace]).await;
        created.unwrap().success().unwrap();
    }
    let port = free_port().unwrap();
    let (listen, url) = (
        format!("--listen=127.0.0.1:{port}"),
        format!("--url=https://127.0.0.1:{port}"),
    );
    let mut all = vec![listen.as_str(), url.as_str()];
    all.extend(arguments);
    let webhook = env.start_webhook(&all).await.unwrap();
    wait::until("the webhook", PATIENCE, Some(&webhook), async || {
        bundles(&env).await.map(drop)
    })
    .await
    .unwrap();
    (env, webhook)
}

/// The CA bundles of both configurations.
async fn bundles(env: &Env) -> Result<Vec<String>, String> {
    let output = env
        .kubectl(CONFIGURATIONS)
        .await
        .map_err(|e| e.to_string())?;
    let bundles: Vec<_> = output
        .stdout
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    (bundles.len() == 2)
        .then_some(bundles)
        .ok_or_else(|| output.to_string())
}

async fn apply(env: &Env, manifest: &str) -> Output {
    env.kubectl_with_input(&["apply", "-f", "-"], manifest)
        .await
        .unwrap()
}

fn seed(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/seed/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

#[tokio::test]
async fn people_read_what_is_wrong_and_what_to_write() {
    let (env, webhook) = start(&["--remove-configurations-on-exit"]).await;

    // The Ingress of the walk, as it is printed and as the shell writes it: advice, no refusal.
    for (file, rule) in [
        ("ingress-verbatim.yaml", "[IN15]"),
        ("ingress-expanded.yaml", "[IN11]"),
    ] {
        let output = apply(&env, &seed(file)).await;
        assert!(output.status.success(), "{output}");
        for expected in [rule, "[IN30]"] {
            assert!(output.stderr.contains(expected), "{output}");
        }
    }

    // A scp-style address never reaches the schema's bare pattern.
    let repository = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: apps\n  namespace: foo\nspec:\n  url: git@github.com:org/apps.git\n";
    let refused = apply(&env, repository).await.failure().unwrap();
    assert!(refused.contains("[GR01]"), "{refused}");
    assert!(
        refused.contains("ssh://git@github.com/org/apps.git"),
        "{refused}"
    );

    // Required fields are filled in, and the second apply changes nothing.
    let repository = repository.replace(
        "git@github.com:org/apps.git",
        "https://github.com/org/apps.git\n  ref:\n    branch: main",
    );
    let created = apply(&env, &repository).await;
    assert!(created.status.success(), "{created}");
    let interval = env
        .kubectl(&[
            "-n",
            "foo",
            "get",
            "gitrepository",
            "apps",
            "-o",
            "jsonpath={.spec.interval}",
        ])
        .await
        .unwrap();
    assert_eq!(interval.success().unwrap(), "5m");
    let again = apply(&env, &repository).await.success().unwrap();
    assert!(again.contains("unchanged"), "{again}");

    // What is being deleted is never in the way.
    let deleted = env
        .kubectl(&["-n", "foo", "delete", "gitrepository", "apps"])
        .await
        .unwrap();
    assert!(deleted.status.success(), "{deleted}");

    webhook.stop();
    let left = env.kubectl(CONFIGURATIONS).await.unwrap();
    assert_eq!(left.stdout.trim(), "", "{left}");
}

#[tokio::test]
async fn a_lost_ca_bundle_is_put_back() {
    let (env, _webhook) = start(&[]).await;
    let before = bundles(&env).await.unwrap();
    let overwritten = env
        .kubectl(&[
            "patch",
            "validatingwebhookconfiguration",
            "admission-webhook",
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#,
        ])
        .await
        .unwrap();
    assert!(overwritten.status.success(), "{overwritten}");
    env.wait_for("both CA bundles", PATIENCE, async || {
        let found = bundles(&env).await?;
        (found == before)
            .then_some(())
            .ok_or_else(|| format!("{found:?}"))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_the_declared_controller_refuses_is_refused_at_once() {
    let (env, _webhook) = start(&["--ingress-nginx-version=1.12.1"]).await;
    let class = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: nginx\nspec:\n  controller: k8s.io/ingress-nginx\n";
    apply(&env, class).await.success().unwrap();
    let ingress =
        seed("ingress-verbatim.yaml").replace("spec:\n", "spec:\n  ingressClassName: nginx\n");
    // The webhook learns of the class by watch, a moment later.
    let refused = env
        .wait_for("the refusal", PATIENCE, async || {
            let arguments = ["apply", "--dry-run=server", "-f", "-"];
            let output = env.kubectl_with_input(&arguments, &ingress).await;
            let output = output.map_err(|error| error.to_string())?;
            if output.status.success() {
                return Err(output.to_string());
            }
            Ok(output.stderr)
        })
        .await
        .unwrap();
    assert!(refused.contains("[IN15]"), "{refused}");
    assert!(refused.contains("ImplementationSpecific"), "{refused}");
}

//! The webhook as the API server calls it: what a person reads at `kubectl apply`.

mod disturbances;
mod examples;
mod git;
mod modes;
mod preview;

use std::{sync::Arc, time::Duration};

use flux_tests::{
    env::{Env, Output},
    sandbox::{
        process::Process,
        wait::{self, free_port},
    },
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIGURATIONS: &[&str] = &[
    "get",
    "validatingwebhookconfigurations,mutatingwebhookconfigurations",
    "-o",
    "jsonpath={.items[*].webhooks[0].clientConfig.caBundle}",
];

/// A cluster of its own with a webhook: it speaks about everything that other tests apply.
struct Hook {
    env: Env,
    process: Arc<Process>,
}

impl Hook {
    async fn start(arguments: &[&str]) -> Self {
        let env = Env::start().await.unwrap();
        for namespace in ["flux-system", "ingress-nginx", "foo"] {
            let created = env.kubectl(&["create", "namespace", namespace]).await;
            created.unwrap().success().unwrap();
        }
        let process = webhook(&env, free_port().unwrap(), arguments).await;
        Self { env, process }
    }
}

/// Starts a webhook at a port and waits until it is ready.
async fn webhook(env: &Env, port: u16, arguments: &[&str]) -> Arc<Process> {
    let (listen, url) = (
        format!("--listen=127.0.0.1:{port}"),
        format!("--url=https://127.0.0.1:{port}"),
    );
    let mut all = vec![listen.as_str(), url.as_str()];
    all.extend(arguments);
    let process = env.start_webhook(&all).await.unwrap();
    ready(port, &process).await;
    process
}

/// Waits until a webhook says that it may be asked.
async fn ready(port: u16, process: &Process) {
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let url = format!("https://127.0.0.1:{port}/readyz");
    wait::until("the webhook", PATIENCE, Some(process), async || {
        let answer = client.get(&url).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(answer.text().await.unwrap_or_default())
    })
    .await
    .unwrap();
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

async fn apply_all(env: &Env, arguments: &[&str], manifests: &[Value]) -> Output {
    let texts: Vec<String> = manifests.iter().map(Value::to_string).collect();
    let mut all = vec!["apply", "-f", "-"];
    all.extend(arguments);
    // One JSON object after the other: kubectl takes no other separator for JSON.
    env.kubectl_with_input(&all, &texts.join("\n"))
        .await
        .unwrap()
}

fn seed(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/seed/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

#[tokio::test]
async fn people_read_what_is_wrong_and_what_to_write() {
    let Hook { env, process } = Hook::start(&["--remove-configurations-on-exit"]).await;

    // The Ingress of the walk, as it is printed and as the shell writes it: advice, no refusal.
    let table: [(&str, &[&str]); 2] = [
        ("ingress-verbatim.yaml", &["IN01", "IN15", "IN30"]),
        ("ingress-expanded.yaml", &["IN01", "IN11", "IN15", "IN30"]),
    ];
    for (file, rules) in table {
        let output = apply(&env, &seed(file)).await;
        assert!(output.status.success(), "{output}");
        let heard = output.stderr.lines().filter_map(|line| {
            let rule = line.strip_prefix("Warning: [")?;
            rule.split(']').next()
        });
        assert_eq!(heard.collect::<Vec<_>>(), rules, "{output}");
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

    // So it is server-side, where kubectl does not say so: what is filled in belongs to nobody.
    let server_side = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let version = async || {
        let applied = env.kubectl_with_input(&server_side, &repository).await;
        applied.unwrap().success().unwrap();
        let path = "jsonpath={.metadata.resourceVersion} {.spec.interval}";
        let get = ["-n", "foo", "get", "gitrepository", "apps", "-o", path];
        env.kubectl(&get).await.unwrap().success().unwrap()
    };
    let first = version().await;
    assert!(first.ends_with(" 5m"), "{first}");
    assert_eq!(version().await, first);

    // What is being deleted is never in the way.
    let deleted = env
        .kubectl(&["-n", "foo", "delete", "gitrepository", "apps"])
        .await
        .unwrap();
    assert!(deleted.status.success(), "{deleted}");

    process.stop();
    let left = env.kubectl(CONFIGURATIONS).await.unwrap();
    assert_eq!(left.stdout.trim(), "", "{left}");
}

#[tokio::test]
async fn a_lost_ca_bundle_is_put_back() {
    let Hook { env, .. } = Hook::start(&[]).await;
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
    let Hook { env, .. } = Hook::start(&["--ingress-nginx-version=1.12.1"]).await;
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
    // One message with everything: both paths, and both Services that are in other namespaces.
    for (what, times) in [("[IN15]", 2), ("[IN30]", 2), ("ImplementationSpecific", 2)] {
        assert_eq!(refused.matches(what).count(), times, "{what}: {refused}");
    }

    // The same from Git: told, not refused.
    let git = [
        "apply",
        "--dry-run=server",
        "-f",
        "-",
        "--as=system:serviceaccount:flux-system:kustomize-controller",
        "--as-group=system:masters",
    ];
    let told = env.kubectl_with_input(&git, &ingress).await.unwrap();
    assert!(told.status.success(), "{told}");
    assert!(told.stderr.contains("Warning: [IN15]"), "{told}");
}

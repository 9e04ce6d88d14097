//! The rules as a live API server passes them on: every example, the corpus, modes, the scan of
//! what is there, and what comes from Git.

use std::sync::Arc;
use std::time::Duration;

use flux_rules::{Kind, Objects, Rule, Severity};
use flux_tests::{
    env::{Env, Output},
    sandbox::{
        process::Process,
        wait::{self, free_port},
    },
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// The name of every example; messages contain it.
const NAME: &str = "example";

async fn start(arguments: &[&str]) -> (Env, Arc<Process>) {
    let env = Env::start().await.unwrap();
    for namespace in ["flux-system", "apps", "lenient", "free", "strict"] {
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
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    wait::until("the webhook", PATIENCE, Some(&webhook), async || {
        let ready = format!("https://127.0.0.1:{port}/readyz");
        let answer = client
            .get(ready)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(answer.text().await.unwrap_or_default())
        }
    })
    .await
    .unwrap();
    (env, webhook)
}

async fn apply(env: &Env, arguments: &[&str], manifests: &[Value]) -> Output {
    let text: Vec<String> = manifests.iter().map(Value::to_string).collect();
    let mut all = vec!["apply", "-f", "-"];
    all.extend(arguments);
    env.kubectl_with_input(&all, &text.join("\n---\n"))
        .await
        .unwrap()
}

/// What the schema requires and examples leave out.
fn required(kind: Kind) -> Value {
    match kind {
        Kind::GitRepository => json!({"url": "https://github.com/org/repo", "interval": "5m"}),
        Kind::ImageRepository => json!({"image": "ghcr.io/org/app", "interval": "5m"}),
        Kind::ImagePolicy => {
            json!({"imageRepositoryRef": {"name": "app"}, "policy": {"semver": {"range": "1.x"}}})
        }
        Kind::ImageUpdateAutomation => {
            json!({"interval": "30m", "sourceRef": {"kind": "GitRepository", "name": "app"}})
        }
        Kind::Kustomization => {
            json!({"interval": "10m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "app"}})
        }
        Kind::Ingress => {
            json!({"defaultBackend": {"service": {"name": "app", "port": {"number": 80}}}})
        }
    }
}

fn object(rule: &Rule, manifest: &str) -> Value {
    let kind = rule.kind;
    let mut object = flux_lang::yaml::read(manifest).unwrap().remove(0).value;
    if let Some(kind) = kind {
        object["apiVersion"] = json!(format!("{}/v1", kind.group()));
        object["kind"] = json!(kind.name());
    }
    object["metadata"]["name"] = json!(NAME);
    object["metadata"]["namespace"] = json!("apps");
    let Some(kind) = Kind::of(&object) else {
        return object;
    };
    for (field, value) in required(kind).as_object().unwrap() {
        let about = rule.fills() && object["spec"][field].is_null();
        if object["spec"][field].is_null() && !about {
            object["spec"][field] = value.clone();
        }
    }
    if kind == Kind::Ingress {
        complete_paths(&mut object);
    }
    object
}

/// The API server wants a backend for every path.
fn complete_paths(ingress: &mut Value) {
    let rules = ingress["spec"]["rules"].as_array_mut();
    for rule in rules.into_iter().flatten() {
        let paths = rule["http"]["paths"].as_array_mut();
        for path in paths.into_iter().flatten() {
            if path["backend"].is_null() {
                path["backend"] = json!({"service": {"name": "app", "port": {"number": 80}}});
            }
        }
    }
}

/// Examples that need nothing but themselves, and what is said about each by the engine.
fn examples() -> Vec<(&'static str, Value, Vec<String>)> {
    let context = flux_rules::Context::new(
        flux_rules::Settings::default(),
        Arc::new(Objects::partial([])),
    );
    let mut all = Vec::new();
    for rule in flux_rules::rules() {
        for example in rule.examples {
            if example.given.is_some() || example.settings != flux_rules::Settings::default() {
                continue;
            }
            let object = object(rule, example.manifest);
            let review = flux_rules::review(&object, None, &context);
            let mine = review.findings.into_iter();
            let mine = mine.filter(|f| f.rule == rule.id && f.severity > Severity::Note);
            all.push((rule.id, object, mine.map(|f| f.to_string()).collect()));
        }
    }
    all
}

#[tokio::test]
async fn every_rule_is_heard_through_a_live_api_server() {
    let (env, _webhook) = start(&["--no-scan"]).await;
    let examples = examples();
    assert!(examples.len() > 150, "{}", examples.len());
    let objects: Vec<Value> = examples
        .iter()
        .map(|(_, object, _)| object.clone())
        .collect();
    let dry = apply(&env, &["--dry-run=server"], &objects).await;
    // Server-side apply looks at types before any webhook is asked.
    let typed: Vec<Value> = examples
        .iter()
        .filter(|(id, ..)| *id != "XX01")
        .map(|(_, object, _)| object.clone())
        .collect();
    let side = apply(&env, &["--server-side", "--dry-run=server"], &typed).await;
    let mut silent = Vec::new();
    for (id, object, messages) in &examples {
        for message in messages {
            // Warnings are cut, and several places of a rule share one.
            let begin: String = message.chars().take(120).collect();
            let first = messages.first() == Some(message);
            if first && !dry.stderr.contains(&begin) {
                silent.push(format!("{id}: {begin}\n  {object}"));
            }
            if first && *id != "XX01" && !side.stderr.contains(&begin) {
                silent.push(format!("server-side {id}: {begin}"));
            }
        }
    }
    assert!(silent.is_empty(), "{}\n{}", silent.join("\n"), dry.stderr);

    // What the real controllers accept is not refused.
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/corpus");
    let namespaces = ["platform", "webapp", "legacy", "images", "web", "preview"];
    let autos = ["main", "staging", "signed", "plain", "gerrit", "values"];
    let namespaces = namespaces.map(str::to_owned).into_iter();
    for namespace in namespaces.chain(autos.map(|name| format!("auto-{name}"))) {
        env.kubectl(&["create", "namespace", &namespace])
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let applied = env
        .kubectl(&["apply", "--server-side", "-f", corpus])
        .await
        .unwrap();
    // One of them has variables in durations, which only a build replaces.
    let refused: Vec<&str> = applied
        .stderr
        .lines()
        .filter(|line| line.contains("denied the request"))
        .collect();
    assert!(refused.is_empty(), "{applied}");
    let again = env
        .kubectl(&["apply", "--server-side", "-f", corpus])
        .await
        .unwrap();
    assert!(!again.stderr.contains("denied the request"), "{again}");
}

const SCP: &str = "git@github.com:org/repo";

fn repository(namespace: &str, name: &str, url: &str) -> Value {
    json!({"apiVersion": "source.toolkit.fluxcd.io/v1beta1", "kind": "GitRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"url": url, "interval": "5m", "ref": {"branch": "main"}, "secretRef": {"name": "key"}}})
}

#[tokio::test]
async fn modes_decide_who_is_denied_and_the_scan_tells_of_the_rest() {
    let (env, _webhook) = start(&[]).await;
    for (namespace, mode) in [("lenient", "warn"), ("free", "off"), ("strict", "strict")] {
        let label = format!("admission.flux-sync.io/mode={mode}");
        env.kubectl(&["label", "namespace", namespace, &label])
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    const PORT: &str = "ssh://git@github.com:org/repo";
    const EMBEDDED: &str = "https://me:token@github.com/org/repo";
    // The webhook hears of labels by watch, a moment later.
    env.wait_for("the labels", PATIENCE, async || {
        let dry = ["--dry-run=server"];
        let strict = apply(&env, &dry, &[repository("strict", "a", EMBEDDED)]).await;
        let lenient = apply(&env, &dry, &[repository("lenient", "a", PORT)]).await;
        let off = apply(&env, &dry, &[repository("free", "a", PORT)]).await;
        let apps = apply(&env, &dry, &[repository("apps", "a", EMBEDDED)]).await;
        let well = !strict.status.success()
            && strict.stderr.contains("[GR05]")
            && lenient.status.success()
            && lenient.stderr.contains("Warning: [GR02]")
            && off.status.success()
            && !off.stderr.contains("[GR02]")
            && apps.status.success()
            && apps.stderr.contains("Warning: [GR05]");
        well.then_some(())
            .ok_or_else(|| format!("{strict}\n{lenient}\n{off}\n{apps}"))
    })
    .await
    .unwrap();
    let denied = apply(&env, &[], &[repository("apps", "a", PORT)]).await;
    assert!(
        denied.stderr.contains("[GR02]") && !denied.status.success(),
        "{denied}"
    );
    let denied = apply(&env, &[], &[repository("apps", "a", SCP)]).await;
    assert!(
        denied.stderr.contains("[GR01]") && !denied.status.success(),
        "{denied}"
    );

    // A rule is made weaker for everybody; the object is there then, and the scan tells of it.
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "admission-webhook", "namespace": "flux-system"},
        "data": {"rules.GR02": "warn"}});
    apply(&env, &[], &[config]).await.success().unwrap();
    env.wait_for("the setting", PATIENCE, async || {
        let applied = apply(&env, &[], &[repository("apps", "a", PORT)]).await;
        let well = applied.status.success() && applied.stderr.contains("Warning: [GR02]");
        well.then_some(()).ok_or_else(|| applied.to_string())
    })
    .await
    .unwrap();
    env.wait_for("the event", PATIENCE, async || {
        let events = env
            .kubectl(&[
                "-n",
                "apps",
                "get",
                "events",
                "-o",
                "jsonpath={.items[*].message}",
            ])
            .await
            .map_err(|error| error.to_string())?;
        let well = events.stdout.contains("[GR02]");
        well.then_some(()).ok_or_else(|| events.to_string())
    })
    .await
    .unwrap();
    let all = env.kubectl(&["flux", "lint", "--all"]).await.unwrap();
    assert!(all.stdout.contains("GitRepository/apps/a"), "{all}");
}

#[tokio::test]
async fn what_comes_from_git_is_told_and_never_frozen() {
    let (env, _webhook) = start(&["--no-scan"]).await;
    // The operator of this test talks to the API server as this user.
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "admission-webhook", "namespace": "flux-system"},
        "data": {"gitopsIdentities": "sandbox-administrator"}});
    apply(&env, &[], &[config]).await.success().unwrap();
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
    apply(&env, &[], &objects).await.success().unwrap();
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
}

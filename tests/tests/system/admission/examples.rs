//! Every example of every rule, through a live API server: each bad one with its message, each
//! good one silent.
//!
//! What is asked through `kubectl` is what people read; but it shows a warning once for a batch,
//! and says nothing about which object it belongs to. So each example is also sent to the API
//! server by itself, as `kubectl` and Flux send it, and with nothing switched on but its rule.

mod surroundings;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use flux_rules::{Context, Example, Kind, Objects, Rule, Settings, Severity, rules};
use flux_tests::env::Env;
use http::{Method, Request};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::sync::Arc;

use super::Hook;

const NAMESPACE: &str = "apps";

/// For a change in the cluster to reach the caches of the webhook.
const HEARD: Duration = Duration::from_secs(10);

/// About ConfigMaps and service accounts, which the webhook does not watch: they speak in
/// `kubectl flux lint` only.
const UNHEARD: [&str; 2] = ["KS12", "KS16"];

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

/// What else the API server wants in parts of objects, where they are there.
fn complete(object: &mut Value, kind: Kind) {
    fn each(list: Option<&mut Value>, field: &str, value: &Value) {
        for entry in list.and_then(Value::as_array_mut).into_iter().flatten() {
            if entry[field].is_null() {
                entry[field] = value.clone();
            }
        }
    }
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    match kind {
        Kind::Ingress => {
            for rule in object["spec"]["rules"].as_array_mut().into_iter().flatten() {
                each(rule.pointer_mut("/http/paths"), "backend", &backend);
                each(
                    rule.pointer_mut("/http/paths"),
                    "pathType",
                    &json!("Prefix"),
                );
            }
        }
        Kind::Kustomization => {
            let checks = object.pointer_mut("/spec/healthChecks");
            each(checks, "name", &json!("app"));
        }
        _ => {}
    }
}

/// An example as an object that the API server knows, with all rules but its own switched off.
fn object(rule: &Rule, example: &Example, namespace: &str) -> Option<Value> {
    let mut object = flux_lang::yaml::read(example.manifest).ok()?.pop()?.value;
    if let Some(kind) = rule.kind {
        object["apiVersion"] = json!(format!("{}/v1", kind.group()));
        object["kind"] = json!(kind.name());
    }
    let kind = Kind::of(&object)?;
    object["metadata"]["name"] = json!("example");
    object["metadata"]["namespace"] = json!(namespace);
    let others: Vec<&str> = rules()
        .map(|other| other.id)
        .filter(|id| *id != rule.id)
        .collect();
    object["metadata"]["annotations"][flux_rules::SKIP_ANNOTATION] = json!(others.join(","));
    let required = required(kind);
    for (field, value) in required.as_object().into_iter().flatten() {
        if object["spec"][field].is_null() && !rule.fills() {
            object["spec"][field] = value.clone();
        }
    }
    if rule.fills() {
        // All but what the rule fills in.
        let filled = flux_rules::review(&object, None, &Context::default()).defaults;
        for (field, value) in required.as_object().into_iter().flatten() {
            let by_rule = filled.iter().any(|d| d.pointer == format!("/spec/{field}"));
            if object["spec"][field].is_null() && !by_rule {
                object["spec"][field] = value.clone();
            }
        }
    }
    complete(&mut object, kind);
    Some(object)
}

/// What its rule says about an object in a cluster that holds these and nothing else: the texts
/// that the webhook sends.
fn said(rule: &Rule, object: &Value, settings: Settings, given: Vec<Value>) -> Vec<String> {
    let context = Context::new(settings, Arc::new(Objects::complete(given)));
    let review = flux_rules::review(object, None, &context);
    let mine = review.findings.into_iter();
    mine.filter(|f| f.rule == rule.id && f.severity > Severity::Note)
        .map(|finding| finding.to_string())
        .collect()
}

/// Of an answer: the code, the message of a refusal, the warnings.
struct Answer {
    code: u16,
    message: String,
    warnings: Vec<String>,
}

/// Sends an object without storing it: created, or applied server-side.
async fn ask(client: &Client, object: &Value, server_side: bool) -> Answer {
    let kind = Kind::of(object).unwrap();
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    let base = format!(
        "/apis/{}/v1/namespaces/{namespace}/{}",
        kind.group(),
        kind.plural()
    );
    let (method, path, content) = if server_side {
        let path = format!("{base}/example?dryRun=All&fieldManager=examples&force=true");
        (Method::PATCH, path, "application/apply-patch+yaml")
    } else {
        (
            Method::POST,
            format!("{base}?dryRun=All"),
            "application/json",
        )
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(Body::from(object.to_string().into_bytes()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let code = answer.status().as_u16();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings
        .filter_map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            let quoted = text.strip_prefix("299 - \"")?.strip_suffix('"')?;
            Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
        })
        .filter(|text| text.starts_with('['))
        .collect();
    let body = answer.into_body().collect_bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    Answer {
        code,
        message: body["message"].as_str().unwrap_or_default().to_owned(),
        warnings,
    }
}

impl Answer {
    /// What is not as it should be.
    fn differs(&self, expected: &[String]) -> Option<String> {
        let Some(first) = expected.first() else {
            let silent = self.code < 300 && self.warnings.is_empty();
            return (!silent).then(|| format!("not silent: {self}"));
        };
        // Several places of a rule share a warning, and those are cut; a refusal has it all.
        let begin: String = first.chars().take(200).collect();
        let refused = self.code == 422 || self.code == 400 || self.code == 403;
        let told = if refused {
            expected.iter().all(|text| self.message.contains(text))
        } else {
            self.warnings.len() == 1 && self.warnings.iter().all(|text| text.starts_with(&begin))
        };
        (!told).then(|| format!("{begin:?} not heard: {self}"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            message,
            warnings,
        } = self;
        write!(f, "{code} {message} {warnings:?}")
    }
}

/// The objects that are there in an example.
fn given(example: &Example) -> Vec<Value> {
    let documents = flux_lang::yaml::read(example.given.unwrap_or_default()).unwrap();
    documents
        .into_iter()
        .map(|document| document.value)
        .collect()
}

/// An example that can be played.
struct Case {
    rule: &'static Rule,
    example: &'static Example,
    object: Value,
    expected: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rule in rules() {
        for example in rule.examples {
            let Some(object) = object(rule, example, NAMESPACE) else {
                continue;
            };
            let expected = said(rule, &object, example.settings, given(example));
            // Good only because nobody knows the cluster: here everything is known.
            let unknown =
                example.given.is_none() && expected.is_empty() != is_silent(rule, example);
            // Variables are for files: what reaches an API server was substituted, or is refused.
            let variable = example.manifest.contains("${") && expected.is_empty();
            if !unknown && !variable && !UNHEARD.contains(&rule.id) {
                cases.push(Case {
                    rule,
                    example,
                    object,
                    expected,
                });
            }
        }
    }
    cases
}

/// Whether the webhook says nothing about an example, by what the example itself says.
fn is_silent(rule: &Rule, example: &Example) -> bool {
    example.messages.is_empty() || rule.severity == Severity::Note
}

#[tokio::test]
async fn each_rule_is_heard_through_the_api_server() {
    let hook = Hook::start(&["--no-scan", "--inspect-secret-keys"]).await;
    let (env, client) = (&hook.env, hook.env.client().await.unwrap());
    let created = env.kubectl(&["create", "namespace", NAMESPACE]).await;
    created.unwrap().success().unwrap();
    let cases = cases();
    let rules_heard: BTreeSet<&str> = cases
        .iter()
        .filter(|case| !case.expected.is_empty())
        .map(|case| case.rule.id)
        .collect();
    let (alone, surrounded): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| {
        case.example.given.is_none_or(str::is_empty) && case.example.settings == Settings::default()
    });
    let mut failures = Vec::new();
    for case in &alone {
        for server_side in [false, true] {
            let answer = ask(&client, &case.object, server_side).await;
            // Types are looked at before any webhook is asked.
            let typed = server_side && answer.message.contains("failed to create typed patch");
            if let Some(how) = answer.differs(&case.expected).filter(|_| !typed) {
                failures.push(format!("{} ({server_side}): {how}", case.rule.id));
            }
        }
    }
    eprintln!(
        "{} examples, {} of them with something around, {} rules heard",
        cases.len(),
        surrounded.len(),
        rules_heard.len()
    );
    for case in surrounded {
        if let Some(failure) = surroundings::play(&client, case).await {
            failures.push(format!("{}: {failure}", case.rule.id));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    through_kubectl(env, &alone).await;
}

/// The same by `kubectl`, as three batches. Each object is in a namespace of its own among those of
/// its kind, since all have the same name.
async fn through_kubectl(env: &Env, cases: &[&Case]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut placed = Vec::new();
    for case in cases {
        let mut object = case.object.clone();
        let kind = Kind::of(&object).unwrap();
        let count = counts.entry(kind.name()).or_default();
        object["metadata"]["namespace"] = json!(format!("each-{count}"));
        *count += 1;
        let expected = said(case.rule, &object, case.example.settings, Vec::new());
        placed.push((case.rule, object, expected));
    }
    let most = counts.values().copied().max().unwrap_or_default();
    let namespaces: Vec<Value> = (0..most)
        .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("each-{n}")}}))
        .collect();
    let all = |objects: &mut dyn Iterator<Item = &Value>| {
        let texts: Vec<String> = objects.map(Value::to_string).collect();
        texts.join("\n")
    };
    env.kubectl_with_input(
        &["apply", "--server-side", "-f", "-"],
        &all(&mut namespaces.iter()),
    )
    .await
    .unwrap()
    .success()
    .unwrap();
    let text = all(&mut placed.iter().map(|(_, object, _)| object));
    let mut missed = Vec::new();
    for how in [
        &["apply", "-f", "-", "--dry-run=server"][..],
        &["apply", "-f", "-", "--server-side", "--dry-run=server"],
        &["apply", "-f", "-"],
    ] {
        let shown = env.kubectl_with_input(how, &text).await.unwrap().stderr;
        for (rule, _, expected) in &placed {
            let Some(first) = expected.first() else {
                continue;
            };
            let begin: String = first.chars().take(200).collect();
            let typed = how.contains(&"--server-side") && rule.shadowed;
            if !shown.contains(&begin) && !typed {
                missed.push(format!("{how:?} {begin}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

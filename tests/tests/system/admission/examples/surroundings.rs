//! Examples with other objects around them, or declarations of the administrator.

use flux_rules::{Kind, Settings, rules};
use flux_tests::sandbox::wait;
use http::{Method, Request};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::{Case, HEARD, NAMESPACE, ask, complete, given, required};

/// Puts things as the example has them, asks until the answer is right, and takes them away.
pub(super) async fn play(client: &Client, case: &Case) -> Option<String> {
    let given = given(case.example);
    let objects: Vec<Value> = given.into_iter().map(whole).collect();
    let config = settings(case.example.settings);
    let everything: Vec<&Value> = objects.iter().chain(&config).collect();
    for object in &everything {
        if let Err(error) = put(client, object).await {
            return Some(format!("cannot be set up: {error}"));
        }
    }
    let mut last = String::new();
    let heard = wait::until("the answer", HEARD, None, async || {
        for server_side in [false, true] {
            let answer = ask(client, &case.object, server_side).await;
            if let Some(how) = answer.differs(&case.expected) {
                last.clone_from(&how);
                return Err(how);
            }
        }
        Ok(())
    });
    let heard = heard.await.is_ok();
    for object in &everything {
        take(client, object).await;
    }
    (!heard).then_some(last)
}

/// What the API server wants besides.
fn whole(mut object: Value) -> Value {
    let name = object["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) {
        object["apiVersion"] = json!(format!("{}/v1", kind.group()));
        for (field, value) in required(kind).as_object().into_iter().flatten() {
            if object["spec"][field].is_null() {
                object["spec"][field] = value.clone();
            }
        }
        complete(&mut object, kind);
        object["metadata"]["annotations"][flux_rules::SKIP_ANNOTATION] =
            json!(rules().map(|rule| rule.id).collect::<Vec<_>>().join(","));
    } else {
        object["apiVersion"] = json!(if name == "IngressClass" {
            "networking.k8s.io/v1"
        } else {
            "v1"
        });
    }
    object
}

/// What the administrator declared, as the ConfigMap that says so.
fn settings(settings: Settings) -> Option<Value> {
    let nginx = settings.ingress_nginx?;
    let mut data = json!({"ingressNginx.version": nginx.release.to_string()});
    let flags = [
        (
            "ingressNginx.strictValidatePathType",
            nginx.strict_path_type,
        ),
        ("ingressNginx.allowSnippets", nginx.allow_snippets),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            data[key] = json!(value.to_string());
        }
    }
    Some(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "admission-webhook", "namespace": "flux-system"}, "data": data}))
}

/// The address of an object.
fn address(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (version, kind) = (text("/apiVersion").unwrap(), text("/kind").unwrap());
    let plural = Kind::ALL
        .into_iter()
        .find(|known| known.name() == kind)
        .map_or_else(
            || match kind {
                "IngressClass" => "ingressclasses".to_owned(),
                kind => format!("{}s", kind.to_lowercase()),
            },
            |kind| kind.plural().to_owned(),
        );
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = match kind {
        "IngressClass" | "Namespace" => String::new(),
        _ => {
            let namespace = text("/metadata/namespace").unwrap_or("default");
            format!("/namespaces/{namespace}")
        }
    };
    let name = text("/metadata/name").unwrap();
    format!("/{root}/{version}{namespace}/{plural}/{name}")
}

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Result<(), String> {
    let content = if method == Method::PATCH {
        "application/apply-patch+yaml"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(Body::from(body.to_string().into_bytes()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    if answer.status().is_success() {
        return Ok(());
    }
    let body = answer.into_body().collect_bytes().await.unwrap();
    Err(String::from_utf8_lossy(&body).into_owned())
}

async fn put(client: &Client, object: &Value) -> Result<(), String> {
    const APPLY: &str = "?fieldManager=examples&force=true";
    let namespace = object["metadata"]["namespace"].as_str();
    if let Some(namespace) = namespace.filter(|namespace| *namespace != NAMESPACE) {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let path = format!("/api/v1/namespaces/{namespace}{APPLY}");
        send(client, Method::PATCH, &path, &object).await?;
    }
    let address = address(object);
    send(client, Method::PATCH, &format!("{address}{APPLY}"), object).await?;
    if !object["status"].is_null() {
        let path = format!("{address}/status{APPLY}");
        send(client, Method::PATCH, &path, object).await?;
    }
    Ok(())
}

async fn take(client: &Client, object: &Value) {
    let address = address(object);
    if object["kind"] == "Namespace" {
        // It stays, without its labels.
        let bare = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": object["metadata"]["name"]}});
        let path = format!("{address}?fieldManager=examples&force=true");
        send(client, Method::PATCH, &path, &bare).await.unwrap();
    } else {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        // Two examples may bring the same one.
        let _ = send(client, Method::DELETE, &address, &options).await;
    }
}

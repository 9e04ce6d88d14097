//! Single requests to the API server, with its warnings kept.
//!
//! `kube::Api` drops the `Warning` headers that admission webhooks and deprecated versions send;
//! for a change that arrives through Git nobody else would ever see them.

use bytes::Bytes;
use flux_api::lean::METADATA_ONLY;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, WARNING};
use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::mapper::Resource;
use crate::object::Gvk;
pub use crate::refusal::RequestError;
use crate::refusal::refusal;
use crate::seen::Seen;

/// What a request returned.
#[derive(Debug)]
pub struct Answer {
    /// The metadata of the object as JSON, or the `Status` of a delete.
    pub body: Bytes,
    /// Whether the object was created by this request.
    pub created: bool,
    /// Texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

/// The URL path of all objects of a kind.
pub fn collection(gvk: &Gvk, resource: &Resource) -> String {
    format!("{}/{}", root(gvk), resource.plural)
}

fn root(gvk: &Gvk) -> String {
    if gvk.group.is_empty() {
        format!("/api/{}", gvk.version)
    } else {
        format!("/apis/{}/{}", gvk.group, gvk.version)
    }
}

/// The URL path of an object.
pub fn path(gvk: &Gvk, resource: &Resource, namespace: &str, name: &str) -> String {
    let root = root(gvk);
    // A colon (RBAC) is fine in a path; what would lead elsewhere is refused by the build.
    if resource.namespaced {
        format!("{root}/namespaces/{namespace}/{}/{name}", resource.plural)
    } else {
        format!("{root}/{}/{name}", resource.plural)
    }
}

/// A resource version that no object has.
///
/// An apply that names it creates the object or fails with a conflict when there is one: the API
/// server compares versions of what exists only (`registry/generic/registry/store.go`, `Update`).
/// So what must be looked at before it is changed costs a second request, and only that.
const NONE_YET: &str = "1";

/// Applies an object by server-side apply, taking over fields that other managers hold. The answer
/// holds its metadata.
///
/// # Errors
/// See [`RequestError`].
pub async fn apply(
    client: &Client,
    path: &str,
    manager: &str,
    object: &Value,
) -> Result<Answer, RequestError> {
    let uri = format!("{path}?fieldManager={manager}&force=true");
    let body = serde_json::to_vec(object)?;
    patch(client, uri, "application/apply-patch+yaml", body).await
}

/// What an apply would make of an object; nothing is changed.
///
/// # Errors
/// See [`RequestError`].
pub async fn rehearse(
    client: &Client,
    path: &str,
    manager: &str,
    object: &Value,
) -> Result<Value, RequestError> {
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(format!(
            "{path}?fieldManager={manager}&force=true&dryRun=All"
        ))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/apply-patch+yaml")
        .body(Body::from(serde_json::to_vec(object)?))?;
    let answer = send(client, request).await?;
    Ok(serde_json::from_slice(&answer.body)?)
}

/// The same as [`apply`] for an object that is not there; `None` when it is.
///
/// # Errors
/// See [`RequestError`].
pub async fn create(
    client: &Client,
    path: &str,
    manager: &str,
    object: &Value,
) -> Result<Option<Answer>, RequestError> {
    let mut guarded = object.clone();
    guarded["metadata"]["resourceVersion"] = Value::String(NONE_YET.to_owned());
    match apply(client, path, manager, &guarded).await {
        Ok(answer) => Ok(Some(answer)),
        Err(RequestError::Api {
            code: 409, reason, ..
        }) if reason == "Conflict" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a JSON patch.
///
/// # Errors
/// See [`RequestError`].
pub async fn json_patch(
    client: &Client,
    path: &str,
    manager: &str,
    operations: &Value,
) -> Result<Answer, RequestError> {
    let uri = format!("{path}?fieldManager={manager}");
    let body = serde_json::to_vec(operations)?;
    patch(client, uri, "application/json-patch+json", body).await
}

/// Sends a JSON merge patch.
///
/// # Errors
/// See [`RequestError`].
pub(crate) async fn merge_patch(
    client: &Client,
    path: &str,
    manager: &str,
    change: &Value,
) -> Result<Answer, RequestError> {
    let uri = format!("{path}?fieldManager={manager}");
    let body = serde_json::to_vec(change)?;
    patch(client, uri, "application/merge-patch+json", body).await
}

async fn patch(
    client: &Client,
    uri: String,
    content_type: &str,
    body: Vec<u8>,
) -> Result<Answer, RequestError> {
    let request = Request::builder()
        .method(Method::PATCH)
        .uri(uri)
        .header(ACCEPT, METADATA_ONLY)
        .header(CONTENT_TYPE, content_type)
        .body(Body::from(body))?;
    send(client, request).await
}

/// Reads an object; `None` when it does not exist.
///
/// # Errors
/// See [`RequestError`].
pub async fn get(client: &Client, path: &str) -> Result<Option<Value>, RequestError> {
    let bytes = get_whole(client, path).await?;
    Ok(bytes.as_deref().map(serde_json::from_slice).transpose()?)
}

/// Reads an object's metadata as JSON; `None` when it does not exist.
///
/// # Errors
/// See [`RequestError`].
pub async fn get_metadata(client: &Client, path: &str) -> Result<Option<Bytes>, RequestError> {
    match get_bytes(client, path, METADATA_ONLY).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an object as JSON; `None` when it does not exist.
pub(crate) async fn get_whole(client: &Client, path: &str) -> Result<Option<Bytes>, RequestError> {
    match get_bytes(client, path, "application/json").await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads what is at a path in the form that `accept` asks for.
pub(crate) async fn get_bytes(
    client: &Client,
    path: &str,
    accept: &str,
) -> Result<Bytes, RequestError> {
    let request = Request::builder()
        .uri(path)
        .header(ACCEPT, accept)
        .body(Body::empty())?;
    send(client, request).await.map(|answer| answer.body)
}

/// Deletes exactly the object that was seen, in the background; false when it is gone already.
///
/// # Errors
/// See [`RequestError`]; a different uid or version is a conflict: what was decided by its labels
/// and annotations has to be decided again.
pub async fn delete(client: &Client, path: &str, seen: &Seen) -> Result<bool, RequestError> {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": seen.uid, "resourceVersion": seen.version.to_string()},
    });
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(path)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(serde_json::to_vec(&options)?))?;
    match send(client, request).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn send(client: &Client, request: Request<Body>) -> Result<Answer, RequestError> {
    let transport = |error| RequestError::Transport(Box::new(error));
    let response = client.send(request).await.map_err(transport)?;
    let status = response.status();
    let warnings = warnings(response.headers());
    let bytes = response
        .into_body()
        .collect_bytes()
        .await
        .map_err(transport)?;
    if status.is_success() {
        return Ok(Answer {
            body: bytes,
            created: status == StatusCode::CREATED,
            warnings,
        });
    }
    Err(refusal(status.as_u16(), &bytes))
}

/// The texts of `Warning: 299 - "text"` headers (RFC 7234, section 5.5).
fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .filter_map(warning_text)
        .collect()
}

fn warning_text(header: &str) -> Option<String> {
    let quoted = &header[header.find('"')? + 1..];
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_group_and_scope() {
        let gvk = |group: &str, kind: &str| Gvk {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
        };
        let resource = |plural: &str, namespaced| Resource {
            plural: plural.into(),
            namespaced,
        };
        for (gvk, resource, namespace, want) in [
            (
                gvk("", "Secret"),
                resource("secrets", true),
                "a",
                "/api/v1/namespaces/a/secrets/x",
            ),
            (
                gvk("", "Namespace"),
                resource("namespaces", false),
                "",
                "/api/v1/namespaces/x",
            ),
            (
                gvk("apps", "Deployment"),
                resource("deployments", true),
                "a",
                "/apis/apps/v1/namespaces/a/deployments/x",
            ),
        ] {
            assert_eq!(path(&gvk, &resource, namespace, "x"), want);
        }
    }

    #[test]
    fn warnings_are_unquoted() {
        for (header, want) in [
            (r#"299 - "plain text""#, Some("plain text")),
            (
                r#"299 - "a \"quoted\" word and a \\ slash""#,
                Some(r#"a "quoted" word and a \ slash"#),
            ),
            (r#"299 - "unterminated"#, None),
            ("299 - none", None),
        ] {
            assert_eq!(warning_text(header).as_deref(), want, "{header}");
        }
    }
}

//! The watch behind [`crate::live`]: lists and follows the metadata of all owned objects of a kind.
//!
//! `kube::runtime::watcher` would keep `managedFields` as JSON trees, most of what metadata is made
//! of. Here each object is read once from the bytes of the answer, and a few words of it are kept.

use std::collections::HashSet;
use std::sync::Weak;
use std::time::Duration;

use flux_api::lean::METADATA_ONLY;
use flux_api::names;
use http::Request;
use http::header::ACCEPT;
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use crate::live::{GroupKind, Inner};
use crate::refusal::{RequestError, refusal};
use crate::request;
use crate::seen::Reading;

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Seconds after which the API server ends a watch.
const WATCH_SECONDS: u32 = 280;

/// A watch that brings nothing for so long is dead: the API server sends a bookmark each minute, and
/// a machine that has lost its power does not close connections.
const SILENCE: Duration = Duration::from_secs(150);

/// For how long "not found" may mean that the endpoint of a new kind is not there yet.
const NEW: Duration = Duration::from_secs(5);

/// How soon a watch that is refused is tried again: rights may be given later.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMetadata {
    resource_version: String,
    r#continue: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

/// How a watch ended.
enum Ended {
    /// The server closed it; it goes on from the last version.
    Closed,
    /// What it would go on from is forgotten (410): everything is listed again.
    Expired,
}

/// Follows a kind as long as the table lives and there is something at the path.
pub(crate) async fn run(table: Weak<Inner>, client: Client, key: GroupKind, path: String) {
    let start = Instant::now();
    let mut pause = Duration::ZERO;
    let mut version = None;
    while table.strong_count() > 0 {
        let result = match version.take() {
            None => list(&table, &client, &key, &path).await.map(Some),
            Some(from) => watch(&table, &client, &key, &path, from).await,
        };
        match result {
            Ok(next) => {
                version = next;
                pause = Duration::ZERO;
            }
            Err((error, from)) => {
                version = from;
                if error.is_not_found() && start.elapsed() > NEW {
                    if let Some(table) = table.upgrade() {
                        table.ended(&key);
                    }
                    return;
                }
                let refused = matches!(
                    error,
                    RequestError::Api {
                        code: 401 | 403 | 405,
                        ..
                    }
                );
                pause = match refused {
                    true => REFUSED_AGAIN,
                    false => (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(10)),
                };
                tracing::debug!(kind = key.1, group = key.0, %error, "watch of managed objects failed");
                let Some(table) = table.upgrade() else { return };
                table.failed(&key, refused);
                if refused {
                    version = None;
                }
                drop(table);
                sleep(pause).await;
            }
        }
    }
}

type Step = Result<Option<String>, (RequestError, Option<String>)>;

async fn list(
    table: &Weak<Inner>,
    client: &Client,
    key: &GroupKind,
    path: &str,
) -> Result<String, (RequestError, Option<String>)> {
    let mut names = HashSet::new();
    let mut token = String::new();
    loop {
        let uri = format!(
            "{path}?labelSelector={}&limit={PAGE}&continue={token}",
            names::OWNER_NAME_LABEL
        );
        let bytes = request::get_bytes(client, &uri, LIST)
            .await
            .map_err(|error| (error, None))?;
        let page: Page<'_> =
            serde_json::from_slice(&bytes).map_err(|error| (error.into(), None))?;
        let Some(table) = table.upgrade() else {
            return Ok(String::new());
        };
        for item in page.items.unwrap_or_default() {
            let reading = Reading::parse(item.get().as_bytes(), &table.manager)
                .map_err(|error| (error.into(), None))?;
            names.insert((
                reading.namespace.as_str().into(),
                reading.name.as_str().into(),
            ));
            table.see(key, reading);
        }
        let PageMetadata {
            resource_version,
            r#continue,
        } = page.metadata;
        if r#continue.is_empty() {
            table.listed(key, &names, resource_version.parse().unwrap_or(u64::MAX));
            return Ok(resource_version);
        }
        token = r#continue;
    }
}

async fn watch(
    table: &Weak<Inner>,
    client: &Client,
    key: &GroupKind,
    path: &str,
    mut version: String,
) -> Step {
    match events(table, client, key, path, &mut version).await {
        Ok(Ended::Closed) => Ok(Some(version)),
        Ok(Ended::Expired) => Ok(None),
        Err(RequestError::Api { code: 410, .. }) => Ok(None),
        Err(error) => Err((error, Some(version))),
    }
}

async fn events(
    table: &Weak<Inner>,
    client: &Client,
    key: &GroupKind,
    path: &str,
    version: &mut String,
) -> Result<Ended, RequestError> {
    let uri = format!(
        "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}\
         &labelSelector={}&resourceVersion={version}",
        names::OWNER_NAME_LABEL
    );
    let request = Request::builder()
        .uri(uri)
        .header(ACCEPT, METADATA_ONLY)
        .body(Body::empty())?;
    let transport = |error| RequestError::Transport(Box::new(error));
    let response = client.send(request).await.map_err(transport)?;
    if !response.status().is_success() {
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await;
        return Err(refusal(code, &bytes.map_err(transport)?));
    }
    if let Some(table) = table.upgrade() {
        table.works(key);
    }
    let mut body = response.into_body();
    let mut buffer = Vec::new();
    loop {
        let silent = |_| RequestError::answered(504, "Timeout", "the watch is silent".to_owned());
        let frame = timeout(SILENCE, body.frame()).await.map_err(silent)?;
        let Some(frame) = frame else {
            return Ok(Ended::Closed);
        };
        let frame = frame.map_err(transport)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        buffer.extend_from_slice(data);
        let mut rest = buffer.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if let Some(ended) = event(table, key, line, version)? {
                return Ok(ended);
            }
        }
        let consumed = buffer.len() - rest.len();
        buffer.drain(..consumed);
    }
}

fn event(
    table: &Weak<Inner>,
    key: &GroupKind,
    line: &[u8],
    version: &mut String,
) -> Result<Option<Ended>, RequestError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let Some(table) = table.upgrade() else {
        return Ok(Some(Ended::Closed));
    };
    let event: Event<'_> = serde_json::from_slice(line)?;
    let object = event.object.get().as_bytes();
    if event.r#type == "ERROR" {
        let failed: Failed = serde_json::from_slice(object)?;
        return match failed.code {
            410 => Ok(Some(Ended::Expired)),
            code => Err(RequestError::answered(code, "WatchFailed", failed.message)),
        };
    }
    let reading = Reading::parse(object, &table.manager)?;
    *version = reading.seen.version.to_string();
    match event.r#type {
        "ADDED" | "MODIFIED" => table.see(key, reading),
        "DELETED" => table.lose(key, &reading),
        _ => {}
    }
    Ok(None)
}

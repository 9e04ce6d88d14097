//! Waiting until a CustomResourceDefinition is served.

use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::health::{self, Status};
use crate::mapper::{self, Mapper, Resource};
use crate::object::{self, Gvk};
use crate::request;

/// Pause between looks at a definition that is not served yet.
const LOOK: Duration = Duration::from_millis(50);

/// A definition that is not served for so long is touched: it takes a second.
const NUDGE: Duration = Duration::from_secs(10);

/// The annotation that does it, for the moment between two requests, and who writes it.
const TOUCHED: &str = "flux-sync/touched";
const MANAGER: &str = "flux-sync";

/// Waits until the kinds of a definition are served, for which discovery is asked: that takes a
/// moment longer than the definition's status says.
///
/// # Errors
/// Where it stands, when it cannot be served or `deadline` is over.
pub async fn await_served(
    client: &Client,
    mapper: &Mapper,
    definition: &Value,
    deadline: Instant,
) -> Result<(), Status> {
    wait(client, mapper, definition, deadline, NUDGE).await
}

async fn wait(
    client: &Client,
    mapper: &Mapper,
    definition: &Value,
    deadline: Instant,
    patience: Duration,
) -> Result<(), Status> {
    let path = path(definition);
    let mut nudge = Instant::now() + patience;
    loop {
        let status = match request::get(client, &path).await {
            Ok(Some(live)) => health::status(&live),
            Ok(None) => Status::NotFound,
            Err(error) => Status::InProgress(error.to_string()),
        };
        let accepted = status == Status::Current;
        if accepted && is_served(mapper, definition).await {
            return Ok(());
        }
        if matches!(status, Status::Failed(_)) {
            return Err(status);
        }
        let now = Instant::now();
        if now > deadline {
            return Err(match accepted {
                true => Status::InProgress("discovery does not know its kinds yet".to_owned()),
                false => status,
            });
        }
        if !accepted && now > nudge {
            touch(client, &path).await;
            nudge = now + patience;
        }
        sleep(LOOK).await;
    }
}

fn path(definition: &Value) -> String {
    let gvk = Gvk {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
    };
    let resource = Resource {
        plural: "customresourcedefinitions".to_owned(),
        namespaced: false,
    };
    request::path(&gvk, &resource, "", object::name(definition))
}

async fn is_served(mapper: &Mapper, definition: &Value) -> bool {
    for (gvk, _) in mapper::served_by(definition) {
        // What was learned before is history.
        mapper.forget(&gvk.api_version());
        if !matches!(mapper.resource(&gvk).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// Changes a definition and takes that back. An API server that is killed between accepting the names
/// of a definition and serving it goes on, after its restart, only when the definition changes, or
/// after five minutes, when it looks at all of them again.
async fn touch(client: &Client, path: &str) {
    for value in [Value::from("once"), Value::Null] {
        let patch = json!({"metadata": {"annotations": {TOUCHED: value}}});
        // Whether it helped is seen by whoever looks again.
        let _ = request::merge_patch(client, path, MANAGER, &patch).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    /// An API server that serves a definition once it was patched so often, and the patches.
    fn server(needed: usize, established: &'static str) -> (Client, Arc<AtomicUsize>) {
        let patches = Arc::new(AtomicUsize::new(0));
        let seen = patches.clone();
        let service = service_fn(move |request: Request<Body>| {
            if request.method() == Method::PATCH {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            let served = seen.load(Ordering::Relaxed) >= needed;
            let answer = match request.uri().path().contains("customresourcedefinitions") {
                true => json!({"apiVersion": "apiextensions.k8s.io/v1",
                    "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.org"},
                    "status": {"conditions": [
                        {"type": "NamesAccepted", "status": established},
                        {"type": "Established", "status": if served {"True"} else {"False"}}]}}),
                false => json!({"kind": "APIResourceList", "apiVersion": "v1",
                    "groupVersion": "example.org/v1", "resources": [{"name": "things",
                    "singularName": "", "namespaced": true, "kind": "Thing", "verbs": []}]}),
            };
            async move {
                Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        (Client::new(service, "default"), patches)
    }

    async fn awaited(client: &Client, seconds: u64) -> Result<(), Status> {
        let definition = json!({"metadata": {"name": "things.example.org"}, "spec": {
            "group": "example.org", "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": true}]}});
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mapper = Mapper::new(client.clone());
        wait(client, &mapper, &definition, deadline, Duration::ZERO).await
    }

    #[tokio::test]
    async fn what_is_not_served_in_time_is_touched() {
        let (client, patches) = server(0, "True");
        assert_eq!(awaited(&client, 10).await, Ok(()));
        assert_eq!(patches.load(Ordering::Relaxed), 0);

        let (client, patches) = server(2, "True");
        assert_eq!(awaited(&client, 10).await, Ok(()));
        assert_eq!(patches.load(Ordering::Relaxed), 2);

        let (client, _) = server(usize::MAX, "True");
        let status = awaited(&client, 0).await.unwrap_err();
        assert_eq!(status.detail(), "definition is not established yet");

        let (client, patches) = server(usize::MAX, "False");
        assert_eq!(awaited(&client, 10).await.unwrap_err().name(), "Failed");
        assert_eq!(patches.load(Ordering::Relaxed), 0);
    }
}

//! An image with very many tags: what scanning it takes, and deciding about it.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::Request, http::header::LINK, response::IntoResponse as _};
use flux_tests::sandbox::wait;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{APP, Bench, Meter, PATIENCE, Place, resource};

/// Tags on a page, as the operator asks for.
const PAGE: usize = 1_000;

/// Scans `count` tags, then one more.
pub(super) async fn run(bench: &Bench<'_>, count: usize) -> Result<()> {
    let served = Arc::new(AtomicUsize::new(count));
    let image = format!("{}/team/app", registry(served.clone()).await?);
    let place = bench
        .place("tags", &[("file".to_owned(), "x\n".to_owned())])
        .await?;
    println!(
        "{:<52} {:>8} {:>8} {:>8}",
        "", "wall ms", "CPU ms", "peak MiB"
    );
    let meter = Meter::start(&bench.operator)?;
    let start = Instant::now();
    let spec = json!({"image": image, "interval": "1h", "timeout": "3m"});
    bench
        .spec("image", "ImageRepository", &place, APP, spec)
        .await?;
    bench
        .until_ready("image", "ImageRepository", &place, APP)
        .await?;
    print(&meter, &format!("scan of {count} tags"), start)?;

    let meter = Meter::start(&bench.operator)?;
    let start = Instant::now();
    let spec = json!({"imageRepositoryRef": {"name": APP}, "policy": {"semver": {"range": "*"}}});
    bench
        .spec("image", "ImagePolicy", &place, APP, spec)
        .await?;
    selected(bench, &place, &tag(count - 1)).await?;
    print(&meter, "policy over all of them", start)?;

    served.store(count + 1, Ordering::Relaxed);
    let meter = Meter::start(&bench.operator)?;
    let start = Instant::now();
    let annotation = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}});
    bench
        .api(&resource("image", "ImageRepository"), &place)
        .patch(APP, &PatchParams::default(), &Patch::Merge(annotation))
        .await?;
    selected(bench, &place, &tag(count)).await?;
    print(&meter, "scan and policy with one more", start)?;
    let status = fs::read_to_string(meter.process.join("status"))?;
    println!(
        "resident afterwards: {} MiB",
        memory(&status, "VmRSS:")? / 1024
    );
    Ok(())
}

/// Tag of a number; greater numbers are greater versions.
fn tag(number: usize) -> String {
    format!("v1.{}.{}", number / PAGE, number % PAGE)
}

/// A registry that makes its pages as they are asked for.
async fn registry(served: Arc<AtomicUsize>) -> Result<std::net::SocketAddr> {
    let answer = move |request: Request| {
        let served = served.load(Ordering::Relaxed);
        async move {
            if !request.uri().path().ends_with("/tags/list") {
                return "{}".into_response();
            }
            let query = request.uri().query().unwrap_or_default();
            let start: usize = query
                .split_once("last=")
                .and_then(|(_, last)| last.parse().ok())
                .unwrap_or_default();
            let end = served.min(start + PAGE);
            let tags: Vec<String> = (start..end).map(tag).collect();
            let body = json!({"name": "team/app", "tags": tags}).to_string();
            if end == served {
                return body.into_response();
            }
            let next = format!("</v2/team/app/tags/list?n={PAGE}&last={end}>; rel=\"next\"");
            ([(LINK, next)], body).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn selected(bench: &Bench<'_>, place: &Place, tag: &str) -> Result<()> {
    let api = bench.api(&resource("image", "ImagePolicy"), place);
    wait::until(tag, PATIENCE, Some(&bench.operator), async || {
        let object = api.get(APP).await.map_err(|error| error.to_string())?;
        let latest = object.data["status"]["latestRef"]["tag"].clone();
        (latest == tag)
            .then_some(())
            .ok_or_else(|| object.data["status"].to_string())
    })
    .await?;
    Ok(())
}

fn print(meter: &Meter, what: &str, start: Instant) -> Result<()> {
    let wall: Duration = start.elapsed();
    let status = fs::read_to_string(meter.process.join("status"))?;
    println!(
        "{what:<52} {:>8} {:>8} {:>8}",
        wall.as_millis(),
        (meter.ticks()? - meter.ticks) * 10,
        memory(&status, "VmHWM:")? / 1024
    );
    Ok(())
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .context("no memory in the status")
}

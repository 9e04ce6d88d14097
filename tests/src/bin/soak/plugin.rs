//! The plugin: how long people wait for it, and what it costs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use flux_tests::{
    env::Env,
    measure::{RequestLog, Table, mib, seconds},
    sandbox::Options,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

/// Kinds of a list of everything, with group and plural.
const KINDS: [(&str, &str, &str); 5] = [
    (
        "GitRepository",
        "source.toolkit.fluxcd.io",
        "gitrepositories",
    ),
    (
        "Kustomization",
        "kustomize.toolkit.fluxcd.io",
        "kustomizations",
    ),
    (
        "ImageRepository",
        "image.toolkit.fluxcd.io",
        "imagerepositories",
    ),
    ("ImagePolicy", "image.toolkit.fluxcd.io", "imagepolicies"),
    (
        "ImageUpdateAutomation",
        "image.toolkit.fluxcd.io",
        "imageupdateautomations",
    ),
];

/// Settings of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often each command runs; the middle of the times counts.
    #[arg(long, default_value_t = 15)]
    runs: usize,
}

/// A command, what it has to reach, and what came of it.
struct Measured {
    wall: Duration,
    peak: u64,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let options = Options {
        audit: true,
        ..Options::default()
    };
    let env = Env::with(options).await?;
    let plugin = env.build_binaries().await?.plugin.clone();
    let kubeconfig = env.sandbox().kubeconfig_of("person")?;
    let folder = tempfile::tempdir()?;
    manifests(folder.path())?;
    let measure = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        middle(&plugin, &kubeconfig, &words, arguments.runs)
    };
    let log = env.sandbox().control_plane()?.audit_log()?;
    let mut log = RequestLog::open(log)?;
    let mut table = Table::new(["what", "reach", "wall", "peak RSS", "requests"]);
    let mut add = |what: &str, reach: &str, measured: &Measured, requests: String| {
        let (wall, peak) = (seconds(measured.wall), mib(measured.peak));
        table.row([what.to_owned(), reach.to_owned(), wall, peak, requests]);
    };

    add(
        "version --client",
        "5 ms",
        &measure("version --client")?,
        "0".to_owned(),
    );
    let source = "create source git app --url=https://example.test/app --branch=main --export";
    add(
        "create source git … --export",
        "8 ms",
        &measure(source)?,
        "0".to_owned(),
    );

    let client = env.client().await?;
    let mut made = 0;
    for (count, reach) in [(100, "30 ms, 6 requests"), (1_000, "150 ms")] {
        fill(&client, made, count).await?;
        made = count;
        log.take()?;
        let measured = measure("get all -A")?;
        let requests = log.take()?.of("person").total() as usize / arguments.runs;
        let what = format!("get all -A, {count} objects");
        add(&what, reach, &measured, requests.to_string());
    }
    let file = folder.path().join("ks.yaml");
    let path = folder.path().join("objects");
    let build = format!(
        "build kustomization apps --dry-run --path={} --kustomization-file={}",
        path.display(),
        file.display()
    );
    add(
        "build kustomization, 1,000 objects",
        "500 ms",
        &measure(&build)?,
        "0".to_owned(),
    );
    print!("{table}");
    let size = std::fs::metadata(&plugin)?.len();
    println!(
        "\nprogram: {} (reach 20 MB, goal 15; stripped in a release)",
        mib(size)
    );
    Ok(())
}

/// Runs a command several times; the time in the middle, and the most memory.
fn middle(plugin: &Path, kubeconfig: &Path, words: &[&str], runs: usize) -> Result<Measured> {
    let mut walls = Vec::new();
    let mut peak = 0;
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        let child = Command::new(plugin)
            .args(words)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run the plugin")?;
        peak = peak.max(finish(child, words)?);
        walls.push(started.elapsed());
    }
    walls.sort();
    let wall = walls.get(walls.len() / 2).copied().unwrap_or_default();
    Ok(Measured { wall, peak })
}

/// Waits for the end of a child and gives the most memory it was seen to have.
fn finish(mut child: std::process::Child, words: &[&str]) -> Result<u64> {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        // Before it is executed, the child is an image of this program.
        let is_ours = text.starts_with("Name:\tkubectl-flux\n");
        let text = if is_ours { text.as_str() } else { "" };
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() * 1024);
        if let Some(status) = child.try_wait()? {
            ensure!(
                status.success(),
                "`{}` ended with {status}",
                words.join(" ")
            );
            return Ok(peak);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A Kustomization, and 1,000 ConfigMaps in files of ten.
fn manifests(folder: &Path) -> Result<()> {
    std::fs::create_dir(folder.join("objects"))?;
    for file in 0..100 {
        let mut text = String::new();
        for number in 0..10 {
            let name = file * 10 + number;
            text.push_str(&format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-{name}\n  \
                 namespace: default\n  labels:\n    app: a\ndata:\n  one: \"1\"\n  two: two\n"
            ));
        }
        std::fs::write(folder.join(format!("objects/{file}.yaml")), text)?;
    }
    let ks = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: \
              apps, namespace: flux-system}\nspec:\n  interval: 1h\n  prune: true\n  sourceRef: \
              {kind: GitRepository, name: app}\n";
    std::fs::write(folder.join("ks.yaml"), ks)?;
    Ok(())
}

/// Makes objects of all kinds until there are `count`.
async fn fill(client: &Client, made: usize, count: usize) -> Result<()> {
    for number in made..count {
        let Some((kind, group, plural)) = KINDS.get(number % KINDS.len()) else {
            continue;
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
        let spec = match *kind {
            "GitRepository" => json!({"url": "https://example.test/app", "interval": "1h"}),
            "Kustomization" => json!({"interval": "1h", "prune": true, "path": "./",
                "sourceRef": {"kind": "GitRepository", "name": "app"}}),
            "ImageRepository" => json!({"image": "example.test/app", "interval": "1h"}),
            "ImagePolicy" => json!({"imageRepositoryRef": {"name": "app"},
                "policy": {"semver": {"range": "*"}}}),
            _ => json!({"interval": "1h", "sourceRef": {"kind": "GitRepository", "name": "app"}}),
        };
        let name = format!("object-{number}");
        let object = DynamicObject::new(&name, &resource).data(json!({"spec": spec}));
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
        api.create(&PostParams::default(), &object).await?;
        let status = json!({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready",
            "status": "True", "reason": "Succeeded", "message":
                "Applied revision: main@sha1:0123456789abcdef0123456789abcdef01234567",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        let params = PatchParams::default();
        api.patch_status(&name, &params, &Patch::Merge(status))
            .await?;
    }
    Ok(())
}

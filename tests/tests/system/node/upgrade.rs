//! From this version to the one before and back, while somebody pushes all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flux_tests::sandbox::{git::WorkCopy, node::REGISTRY_HOST};

use super::cluster::{APP, Cluster, REPOSITORY};

/// This version, as images are tagged.
const THIS: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The version before. Its programs are the same, so that what is seen is what an upgrade does.
const BEFORE: &str = "v0.0.9";

/// Between two pushes.
const PAUSE: Duration = Duration::from_millis(200);

/// Nothing that runs is restarted, nothing is pruned, nothing that was pushed is lost.
pub(super) async fn under_load_nothing_restarts(cluster: &Cluster) {
    let registry = cluster.env.registry().unwrap();
    for (name, image) in cluster.env.images().await.unwrap() {
        registry.push(name, BEFORE, &image).await.unwrap();
    }
    let export = ["flux", "install", "--export", "--registry", REGISTRY_HOST];
    let this = cluster.kubectl(&export).await;
    // What is restricted now was not then.
    let before: Vec<&str> = this
        .split("---\n")
        .filter(|document| !document.contains("kind: NetworkPolicy"))
        .collect();
    let before = before.join("---\n").replace(THIS, BEFORE);

    let load = Load::start(cluster);
    let pods = pods(cluster).await;
    for (text, version) in [(&before, BEFORE), (&this, THIS)] {
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=flux",
        ];
        let apply = [&apply[..], &["-f", "-"]].concat();
        let applied = cluster.env.kubectl_with_input(&apply, text).await.unwrap();
        applied.success().unwrap();
        for deployment in ["deployment/sync-operator", "deployment/admission-webhook"] {
            let status = ["-n", "flux-system", "rollout", "status", deployment];
            cluster
                .kubectl(&[&status[..], &["--timeout=120s"]].concat())
                .await;
        }
        let image = "jsonpath={.spec.template.spec.containers[0].image}";
        let get = [
            "-n",
            "flux-system",
            "get",
            "deployment",
            "sync-operator",
            "-o",
            image,
        ];
        let image = cluster.kubectl(&get).await;
        assert!(image.ends_with(version), "{image} is not {version}");
        // The new process is at work before the next comes.
        let reached = load.pushed();
        cluster
            .wait_for("what was pushed meanwhile", async || {
                (applied_number(cluster).await >= reached).then_some(())
            })
            .await;
    }
    let pushed = load.stop().await;
    cluster.copy.pull().unwrap();
    println!("{pushed} pushes during a downgrade and an upgrade");
    cluster
        .wait_for("the last push", async || {
            (applied_number(cluster).await == pushed).then_some(())
        })
        .await;
    let names = ["-n", APP, "get", "configmaps", "-o", "name"];
    let names = cluster.kubectl(&names).await;
    let kept = names.lines().filter(|name| name.contains("kept-")).count();
    assert_eq!(
        kept, pushed,
        "what was pushed is there, and nothing was pruned"
    );
    assert_eq!(
        self::pods(cluster).await,
        pods,
        "the app's pods are the same, not restarted"
    );
    let stored = "jsonpath={.items[*].status.storedVersions}";
    let crds = [
        "get",
        "crds",
        "-l",
        "app.kubernetes.io/part-of=flux",
        "-o",
        stored,
    ];
    let stored = cluster.kubectl(&crds).await;
    assert_eq!(stored, r#"["v1"] ["v1"] ["v1"] ["v1"] ["v1"]"#);
}

/// UIDs of the app's pods with how often they were restarted.
async fn pods(cluster: &Cluster) -> String {
    let about = "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}";
    cluster
        .kubectl(&["-n", APP, "get", "pods", "-o", about])
        .await
}

/// The number that the newest applied commit wrote.
async fn applied_number(cluster: &Cluster) -> usize {
    let get = [
        "-n",
        APP,
        "get",
        "configmap",
        "number",
        "--ignore-not-found",
    ];
    let number = cluster
        .kubectl(&[&get[..], &["-o", "jsonpath={.data.number}"]].concat())
        .await;
    number.parse().unwrap_or_default()
}

/// Somebody who pushes: every commit adds an object and changes another.
struct Load {
    ended: Arc<AtomicBool>,
    pushed: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(cluster: &Cluster) -> Self {
        let copy = cluster.env.git().unwrap().work_copy(REPOSITORY).unwrap();
        let (ended, pushed) = (Arc::<AtomicBool>::default(), Arc::default());
        let (end, count) = (Arc::clone(&ended), Arc::clone(&pushed));
        let task = tokio::task::spawn_blocking(move || push(&copy, &end, &count));
        Self {
            ended,
            pushed,
            task,
        }
    }

    fn pushed(&self) -> usize {
        self.pushed.load(Ordering::Acquire)
    }

    /// Ends it; how many commits there are.
    async fn stop(self) -> usize {
        self.ended.store(true, Ordering::Release);
        self.task.await.unwrap();
        self.pushed.load(Ordering::Acquire)
    }
}

fn push(copy: &WorkCopy, ended: &AtomicBool, pushed: &AtomicUsize) {
    while !ended.load(Ordering::Acquire) {
        let number = pushed.load(Ordering::Relaxed) + 1;
        let config_map = |name: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {APP}\n\
                 data:\n  number: \"{number}\"\n"
            )
        };
        let kept = format!("kept-{number}");
        copy.write(&format!("{kept}.yaml"), &config_map(&kept))
            .unwrap();
        copy.write("number.yaml", &config_map("number")).unwrap();
        copy.commit_and_push(&format!("feat: number {number}"))
            .unwrap();
        pushed.store(number, Ordering::Release);
        std::thread::sleep(PAUSE);
    }
}

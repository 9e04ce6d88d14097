//! What fetches, with the rights that `manifests/components/split` gives it: beside Flux, after a
//! take-over, and as a shard.

use std::{path::Path, sync::Arc};

use flux_tests::sandbox::{
    process::Process,
    wait::{self, free_port},
};
use serde_json::{Value, json};

use super::{
    conflicts::flux,
    scene::{PATIENCE, REGISTRY, Scene},
};

const ACCOUNT: &str = "sync-operator-sources";
const CONTROLLERS: &str =
    "--controllers=source-controller,image-reflector-controller,image-automation-controller";

/// Starts the operator with the token of the account that fetches.
struct Sources<'a> {
    scene: &'a Scene,
    kubeconfig: std::ffi::OsString,
}

/// One of them, and where it says whether it is ready.
struct Running {
    process: Arc<Process>,
    health: u16,
}

impl<'a> Sources<'a> {
    async fn new(scene: &'a Scene) -> Self {
        let rbac =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/components/split/rbac.yaml");
        scene.apply(&std::fs::read_to_string(rbac).unwrap()).await;
        let line = format!("-n flux-system create token {ACCOUNT}");
        let token = scene.kubectl(&line).await.success().unwrap();
        let line = "config view --raw -o json";
        let config = scene.kubectl(line).await.success().unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let path = scene.env.sandbox().dir().join("sources.kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        Self {
            scene,
            kubeconfig: path.into(),
        }
    }

    async fn start(&self, more: &[&str]) -> Running {
        let [storage, health, metrics] = [(); 3].map(|()| free_port().unwrap());
        let data = self
            .scene
            .env
            .sandbox()
            .dir()
            .join(format!("data-{storage}"));
        let arguments = [
            format!("--storage-path={}", data.display()),
            format!("--storage-addr=127.0.0.1:{storage}"),
            format!("--health-addr=127.0.0.1:{health}"),
            format!("--metrics-addr=127.0.0.1:{metrics}"),
            CONTROLLERS.to_owned(),
            "--enable-leader-election".to_owned(),
        ];
        let arguments = arguments.iter().map(String::as_str);
        let arguments: Vec<_> = arguments.chain(more.iter().copied()).collect();
        let variables = [("KUBECONFIG", self.kubeconfig.clone())];
        let process = self.scene.env.start_operator_with(&variables, &arguments);
        Running {
            process: process.await.unwrap(),
            health,
        }
    }
}

impl Running {
    /// Waits until it leads and serves.
    async fn ready(&self) {
        let url = format!("http://127.0.0.1:{}/readyz", self.health);
        wait::until("readyz", PATIENCE, Some(&self.process), async || {
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            let ready = answer.status().is_success();
            ready
                .then_some(())
                .ok_or(answer.text().await.unwrap_or_default())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn what_fetches_neither_changes_deployments_nor_needs_to() {
    let scene = Scene::start().await;
    scene.apply(&flux()).await;
    scene
        .kubectl("-n flux-system label deployment source-controller app.kubernetes.io/component=source-controller")
        .await
        .success()
        .unwrap();
    let sources = Sources::new(&scene).await;

    let refused = sources.start(&["--take-over"]).await;
    let status = wait::until("its end", PATIENCE, None, async || {
        let status = refused.process.exit_status();
        status.ok_or_else(|| "still running".to_owned())
    });
    assert!(!status.await.unwrap().success());
    let output = refused.process.output();
    for part in [
        "cannot scale Deployment flux-system/source-controller to 0",
        "may not change Deployments",
        "system:serviceaccount:flux-system:sync-operator-sources",
        "`kubectl flux install --take-over`",
        "`kubectl -n flux-system scale deployment source-controller --replicas=0`",
        "passes over it",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }

    // Somebody who may does it.
    scene
        .flux(&format!("install --take-over {REGISTRY}"))
        .await
        .success()
        .unwrap();
    let all = sources.start(&[]).await;
    all.ready().await;

    // A shard has Leases of its own.
    let git = scene.env.git().unwrap();
    git.create_repository("split/shard").unwrap();
    let copy = git.work_copy("split/shard").unwrap();
    copy.write("README.md", "one").unwrap();
    copy.commit_and_push("Begin").unwrap();
    all.process.stop();
    let shard = sources
        .start(&["--watch-label-selector=sharding.fluxcd.io/key=one"])
        .await;
    shard.ready().await;
    scene
        .apply(&format!(
            "{{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {{name: shard, namespace: \
             flux-system, labels: {{sharding.fluxcd.io/key: one}}}}, spec: {{interval: 10m, url: '{}', ref: \
             {{branch: main}}}}}}",
            git.https_url("split/shard")
        ))
        .await;
    scene
        .kubectl("-n flux-system wait --for=condition=Ready --timeout=60s gitrepositories/shard")
        .await
        .success()
        .unwrap();
    let leases = "-n flux-system get leases -o jsonpath={range.items[*]}{.metadata.name}={.spec.holderIdentity};{end}";
    let leases = scene.kubectl(leases).await.success().unwrap();
    let sharded = leases.split(';').find(|lease| {
        let name = lease.strip_prefix("source-controller-leader-election-");
        name.is_some_and(|name| !name.ends_with('='))
    });
    assert!(sharded.is_some(), "{leases}");
    scene
        .kubectl("-n flux-system delete gitrepositories/shard --timeout=60s")
        .await
        .success()
        .unwrap();
    shard.process.stop();
}

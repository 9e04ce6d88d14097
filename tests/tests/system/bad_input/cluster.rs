//! The cluster that all tests of this folder share, with its operator.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use flux_tests::{
    env::Env,
    sandbox::{
        process::Process,
        wait::{self, free_port},
    },
};
use rustix::process::Signal;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// For what takes moments; a machine that compiles and tests at once takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Secret of the operator's namespace with age keys for everybody.
pub(super) const COMMON_KEYS: &str = "common-keys";

/// The cluster with its operator, and a lock that tests hold while they rely on it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) env: Env,
    operator: RwLock<Operator>,
}

impl Cluster {
    /// The cluster of this process, started by the first test. It ends with the process.
    async fn get() -> &'static Self {
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        let start = async || {
            let env = Env::start().await.unwrap();
            let operator = Operator::start(&env).await;
            Self {
                env,
                operator: RwLock::new(operator),
            }
        };
        CLUSTER.get_or_init(start).await
    }

    /// The cluster, with an operator that nobody stops while the guard lives.
    pub(super) async fn running() -> (&'static Self, RwLockReadGuard<'static, Operator>) {
        let cluster = Self::get().await;
        (cluster, cluster.operator.read().await)
    }

    /// The cluster with the operator to oneself: no other test runs while the guard lives.
    pub(super) async fn alone() -> (&'static Self, RwLockWriteGuard<'static, Operator>) {
        let cluster = Self::get().await;
        (cluster, cluster.operator.write().await)
    }
}

/// A running operator and how it was started.
#[derive(Debug)]
pub(super) struct Operator {
    process: Arc<Process>,
    /// Storage, health and metrics: the same after a restart, as in a cluster.
    ports: [u16; 3],
    storage: PathBuf,
}

impl Operator {
    async fn start(env: &Env) -> Self {
        let ports = [(); 3].map(|()| free_port().unwrap());
        let storage = env.sandbox().dir().join("data");
        let process = launch(env, ports, &storage).await;
        Self {
            process,
            ports,
            storage,
        }
    }

    /// Where it keeps artifacts.
    pub(super) fn artifacts(&self) -> PathBuf {
        self.storage.join("artifacts")
    }

    /// Kills it as `kill -9` does and starts it again, on the storage that it had or on an empty
    /// one; returns when it has read the cluster.
    pub(super) async fn crash(&mut self, env: &Env, empty: bool) {
        static EMPTIED: AtomicU32 = AtomicU32::new(0);
        self.process.id().signal(Signal::KILL);
        let ended = async || {
            let status = self.process.exit_status();
            status.map(drop).ok_or_else(|| "still running".to_owned())
        };
        wait::until("the operator's end", PATIENCE, None, ended)
            .await
            .unwrap();
        if empty {
            let number = EMPTIED.fetch_add(1, Ordering::Relaxed);
            self.storage.set_file_name(format!("data-{number}"));
        }
        self.process = launch(env, self.ports, &self.storage).await;
    }
}

async fn launch(env: &Env, ports: [u16; 3], storage: &std::path::Path) -> Arc<Process> {
    let [artifacts, health, metrics] = ports;
    let arguments = [
        format!("--storage-path={}", storage.display()),
        format!("--storage-addr=127.0.0.1:{artifacts}"),
        format!("--health-addr=127.0.0.1:{health}"),
        format!("--metrics-addr=127.0.0.1:{metrics}"),
        "--cross-namespace-policies".to_owned(),
        format!("--sops-age-secret={COMMON_KEYS}"),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let operator = env.start_operator(&arguments).await.unwrap();
    let url = format!("http://127.0.0.1:{health}/readyz");
    wait::until("the operator", PATIENCE, Some(&operator), async || {
        let answer = reqwest::get(&url)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        status
            .is_success()
            .then_some(())
            .ok_or_else(|| status.to_string())
    })
    .await
    .unwrap();
    operator
}

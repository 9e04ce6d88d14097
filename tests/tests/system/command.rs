//! The `sandbox` command, and what happens when its process is killed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use flux_tests::sandbox::{process::ProcessId, state::Record};

const PATIENCE: Duration = Duration::from_secs(30);

/// A user of their own: own records, own temporary folder.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        let user = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(user.temporary()).unwrap();
        user
    }

    fn temporary(&self) -> PathBuf {
        self.0.path().join("tmp")
    }

    fn sandbox(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.0.path().join("state"))
            .env("TMPDIR", self.temporary());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.sandbox(arguments).output().unwrap()
    }

    /// Starts a sandbox without a control plane in the foreground and waits until it is ready.
    fn up(&self) -> (Child, Record) {
        let child = self
            .sandbox(&["up", "--no-control-plane", "--registry"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let record = wait_for("the sandbox", || {
            self.records()
                .into_iter()
                .find(|record| record.ready && record.owner_is_alive())
        });
        (child, record)
    }

    fn records(&self) -> Vec<Record> {
        serde_json::from_slice(&self.run(&["status", "-o", "json"]).stdout).unwrap()
    }
}

#[test]
fn up_in_the_background_then_status_kubeconfig_and_down() {
    let user = User::new();
    let dir = user.0.path().join("box");
    let dir_text = dir.to_str().unwrap();
    let up = user.run(&[
        "up",
        "--detach",
        "--dir",
        dir_text,
        "--repository",
        "me/apps",
    ]);
    let exports = text(&up.stdout);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert!(
        exports.contains(&format!("export KUBECONFIG='{dir_text}/kubeconfig'\n")),
        "{exports}"
    );
    assert!(
        exports.lines().all(|line| line.starts_with("export ")),
        "{exports}"
    );

    // The lines work in a shell, and the person may push.
    let script = format!(
        "{exports}\nset -e\ncd '{}'\ngit clone --quiet ${{SANDBOX_GIT}}me/apps.git\ncd apps\n\
         git -c user.name=me -c user.email=me@home commit --quiet --allow-empty -m first\n\
         git push --quiet origin HEAD\n",
        user.temporary().display()
    );
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(shell.status.success(), "{}", text(&shell.stderr));

    let status = text(&user.run(&["status"]).stdout);
    assert!(
        status.contains("ready") && status.contains(dir_text),
        "{status}"
    );
    let kubeconfig = text(&user.run(&["kubeconfig"]).stdout);
    assert!(
        kubeconfig.contains("certificate-authority-data"),
        "{kubeconfig}"
    );

    let record = user.records().remove(0);
    let down = user.run(&["down"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert_eq!(record.alive().count(), 0);
    assert!(user.records().is_empty());
    assert!(!text(&user.run(&["kubeconfig"]).stderr).is_empty());
}

#[test]
fn ctrl_c_stops_everything() {
    let user = User::new();
    let (mut child, record) = user.up();
    record.owner.signal(rustix::process::Signal::INT);
    assert!(child.wait().unwrap().success());
    assert_eq!(record.alive().count(), 0);
    assert!(!record.dir.exists());
}

#[test]
fn nothing_outlives_an_owner_that_is_killed() {
    let user = User::new();
    let (mut child, record) = user.up();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the watchdog", || {
        (record.alive().count() == 0 && !record.dir.exists()).then_some(())
    });
    wait_for("the record to go", || {
        user.records().is_empty().then_some(())
    });
}

#[test]
fn the_next_start_cleans_up_when_even_the_watchdog_was_killed() {
    let user = User::new();
    let (mut child, record) = user.up();
    let watchdog: ProcessId = record.processes[0].id;
    watchdog.signal(rustix::process::Signal::KILL);
    wait_for("the watchdog to end", || {
        (!watchdog.is_alive()).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(record.alive().count(), 1, "the registry was left behind");
    assert!(text(&user.run(&["status"]).stdout).contains("leftover"));

    let (mut next, next_record) = user.up();
    assert_eq!(record.alive().count(), 0);
    assert!(!record.dir.exists());
    assert_eq!(user.records().len(), 1);
    assert!(
        user.run(&["down", "--dir", path(&next_record.dir)])
            .status
            .success()
    );
    next.wait().unwrap();
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

//! What goes wrong around the plugin: one line that says what to do, the right exit code, nothing
//! half-written.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Output, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use super::Place;

/// A MiB of text.
const MIB: usize = 1 << 20;

impl Place {
    pub(super) fn plugin(&self, args: &[&str]) -> Command {
        let program = std::env::split_paths(&self.path())
            .map(|folder| folder.join("kubectl-flux"))
            .find(|path| path.exists())
            .unwrap();
        // Whoever runs tests in the background of a shell has SIGINT ignored.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT")
            .arg(program)
            .args(args)
            .args(["-n", &self.namespace])
            .envs(self.env.variables().unwrap())
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(super) fn path(&self) -> std::ffi::OsString {
        let variables = self.env.variables().unwrap();
        let path = variables.into_iter().find(|(name, _)| *name == "PATH");
        path.unwrap().1
    }

    async fn run(&self, args: &[&str]) -> Output {
        self.plugin(args).output().await.unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A failure of one line that contains these words.
#[track_caller]
fn assert_one_line(output: &Output, words: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("✗ ") && said.contains(words), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

fn kubeconfig(server: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: \
         a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: '{server}', \
         insecure-skip-tls-verify: true}}}}]\nusers: [{{name: a, user: {{token: {token}}}}}]\n"
    )
}

#[tokio::test]
async fn the_way_to_the_cluster() {
    let place = Place::new("plugin-way").await;
    let folder = tempfile::tempdir().unwrap();
    let none = place
        .plugin(&["get", "ks"])
        .env("KUBECONFIG", "/nonexistent/config")
        .env("HOME", folder.path())
        .output()
        .await
        .unwrap();
    assert_one_line(
        &none,
        "no Kubernetes cluster is configured: give --kubeconfig",
    );

    let file = folder.path().join("config");
    let flag = format!("--kubeconfig={}", file.display());
    std::fs::write(&file, kubeconfig("https://127.0.0.1:1", "x")).unwrap();
    let down = place.run(&["get", "all", &flag]).await;
    assert_one_line(
        &down,
        "cannot talk to the API server at https://127.0.0.1:1",
    );

    let args = [
        "config",
        "view",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ];
    let server = place.env.kubectl(&args).await.unwrap().success().unwrap();
    std::fs::write(&file, kubeconfig(&server, "t0ken-that-expired")).unwrap();
    let expired = place.run(&["get", "ks", "apps", &flag]).await;
    assert_one_line(&expired, "renew those of the kubeconfig");
    assert!(!said(&expired).contains("t0ken"), "{expired:?}");

    let nobody = place.run(&["get", "ks", "--as=nobody"]).await;
    assert_one_line(
        &nobody,
        "User \"nobody\" cannot list resource \"kustomizations\"",
    );
    std::fs::write(&file, "clusters: [").unwrap();
    let broken = place.run(&["get", "ks", &flag]).await;
    assert_one_line(&broken, "kubeconfig: ");
}

#[tokio::test]
async fn names_reach_no_shell_and_no_other_address() {
    let place = Place::new("plugin-names").await;
    for name in [
        "$(touch x)",
        "a;b",
        "../../secrets/x",
        "a b",
        "a?watch=1",
        "%2e%2e",
        "",
    ] {
        for verb in [
            &["get", "ks"][..],
            &["reconcile", "ks"],
            &["suspend", "ks"],
            &["export", "ks"],
        ] {
            let args = [verb, &[name]].concat();
            let output = place.run(&args).await;
            let text = said(&output);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
            assert!(output.stdout.is_empty(), "{args:?}");
            let last = text.lines().last().unwrap_or_default();
            assert!(
                last.starts_with("✗ ") && !last.contains("cannot talk to"),
                "{args:?}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn large_objects_and_lines_are_whole() {
    let place = Place::new("plugin-large").await;
    let comment = "x".repeat(MIB);
    let manifest = format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: \
         big}}\nspec:\n  interval: 1h\n  prune: true\n  sourceRef: {{kind: GitRepository, name: \
         a}}\n  patches:\n  - patch: |\n      # {comment}\n      - op: remove\n        path: /x\n    \
         target: {{kind: Nothing}}\n"
    );
    let file = place.env.sandbox().dir().join("big.yaml");
    std::fs::write(&file, &manifest).unwrap();
    let file = file.display().to_string();
    let create = ["create", "-n", &place.namespace, "-f", &file];
    place.env.kubectl(&create).await.unwrap().success().unwrap();
    let exported = place.run(&["export", "ks", "big"]).await;
    assert!(exported.status.success());
    assert!(String::from_utf8_lossy(&exported.stdout).contains(&comment));
    let listed = place.run(&["get", "ks", "big", "-o", "yaml"]).await;
    assert!(listed.stdout.len() > MIB);

    // Whoever reads the first line only has seen enough.
    let mut child = place.plugin(&["export", "ks", "big"]).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 4]).await.unwrap();
    drop(stdout);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        (output.status.code(), said(&output).as_str()),
        (Some(0), "")
    );

    let mut child = place
        .plugin(&["envsubst"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = format!("a: {}\nb: ${{LAST:=end}}\n", "y".repeat(MIB));
    let feed = tokio::spawn(async move { stdin.write_all(line.as_bytes()).await });
    let output = child.wait_with_output().await.unwrap();
    feed.await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.len() > MIB && text.ends_with("\nb: end\n"));
}

#[tokio::test]
async fn a_wait_ends_with_the_signal_and_a_full_disk_is_told() {
    let place = Place::new("plugin-signal").await;
    place
        .apply(
            "
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec: {interval: 1h, prune: true, path: ./, sourceRef: {kind: GitRepository, name: app}}
",
        )
        .await;
    let mut child = place.plugin(&["wait", "ks/apps"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.contains("waiting for 1 objects"), "{first}");
    let id = i32::try_from(child.id().unwrap()).unwrap();
    let process = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let status = child.wait().await.unwrap();
    // As a shell expects it: 130, and a script stops.
    assert_eq!(status.signal(), Some(2), "{status}");

    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = place.plugin(&["export", "ks", "apps"]);
    let child = command.stdout(full).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_one_line(&output, "cannot write the output: No space left on device");
}

//! `bootstrap git` over https and ssh, against the sandbox's servers and the operator.

use std::{path::Path, process::Stdio};

use flux_tests::{
    env::Output,
    sandbox::git::{Access, Login, WorkCopy},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use super::scene::{REGISTRY, Scene};

/// What Flux prints, as far as it does not differ from run to run.
const FIRST: &[&str] = &[
    "✔ cloned repository",
    "► generating component manifests",
    "✔ generated component manifests",
    "✔ committed component manifests to \"main\" (\"",
    "► pushing component manifests to \"",
    "► installing components in \"flux-system\" namespace",
    "✔ installed components",
    "✔ reconciled components",
    "► determining if source secret \"flux-system/flux-system\" exists",
    "► generating source secret",
    "► applying source secret \"flux-system/flux-system\"",
    "✔ reconciled source secret",
    "► generating sync manifests",
    "✔ generated sync manifests",
    "✔ committed sync manifests to \"main\" (\"",
    "► pushing sync manifests to \"",
    "► applying sync manifests",
    "✔ reconciled sync configuration",
    "◎ waiting for GitRepository \"flux-system/flux-system\" to be reconciled",
    "✔ GitRepository reconciled successfully",
    "◎ waiting for Kustomization \"flux-system/flux-system\" to be reconciled",
    "✔ Kustomization reconciled successfully",
    "► confirming components are healthy",
    "✔ sync-operator: deployment ready (source-controller, kustomize-controller",
    "✔ admission-webhook: deployment ready",
    "✔ all components are healthy",
];

const SECOND: &[&str] = &[
    "✔ component manifests are up to date",
    "✔ reconciled components",
    "✔ source secret up to date",
    "✔ sync manifests are up to date",
    "✔ reconciled sync configuration",
    "✔ all components are healthy",
];

/// Whether the lines come in this order; others may stand between them.
#[track_caller]
pub(super) fn assert_lines(output: &str, expected: &[&str]) {
    let mut lines = output.lines();
    for line in expected {
        assert!(
            lines.any(|found| found.starts_with(line)),
            "{line} is missing or comes too early:\n{output}"
        );
    }
}

/// The operator, started as soon as its kinds are served, and a command that waits for it.
pub(super) async fn with_operator(scene: &Scene, command: impl Future<Output = Output>) -> Output {
    let start = async {
        scene
            .until("the kinds", async || {
                let line = "get kustomizations.v1.kustomize.toolkit.fluxcd.io,imageupdateautomations.v1.image.toolkit.fluxcd.io -A";
                scene.kubectl(line).await.success().map(drop).map_err(|e| e.to_string())
            })
            .await;
        scene.operator().await
    };
    let (output, operator) = tokio::join!(command, start);
    operator.stop();
    output
}

/// `bootstrap git` over ssh, where the key of the cluster is added when it is asked for. The person's
/// own key is with an agent, or in a file where ssh looks for it.
pub(super) async fn with_deploy_key(
    scene: &Scene,
    repository: &str,
    words: &[&str],
    agent: Option<&Path>,
) -> Output {
    let git = scene.env.git().unwrap();
    let plugin = &scene.env.build_binaries().await.unwrap().plugin;
    let mut child = Command::new(plugin)
        .args(["bootstrap", "git", "--url", &git.ssh_url(repository)])
        .args(words)
        .envs(scene.env.variables().unwrap())
        .envs(agent.map(|socket| ("SSH_AUTH_SOCK", socket)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut text = String::new();
    while let Some(line) = stderr.next_line().await.unwrap() {
        text.push_str(&line);
        text.push('\n');
        if let Some(key) = line.strip_prefix("✔ public key: ") {
            git.add_deploy_key(repository, key, Access::ReadOnly)
                .unwrap();
            stdin.write_all(b"y\n").await.unwrap();
        }
    }
    Output {
        command: "kubectl-flux bootstrap git".to_owned(),
        status: child.wait().await.unwrap(),
        stdout: String::new(),
        stderr: text,
    }
}

fn log(copy: &WorkCopy) -> String {
    copy.pull().unwrap();
    copy.git(&["log", "--format=%s"]).unwrap()
}

#[tokio::test]
async fn over_https_with_a_token() {
    let scene = Scene::start().await;
    let git = scene.env.git().unwrap();
    git.create_repository("bootstrapped/web").unwrap();
    let copy = git.work_copy("bootstrapped/web").unwrap();
    copy.write("README.md", "mine\n").unwrap();
    copy.commit_and_push("first").unwrap();
    git.require_login(Some(Login {
        user: "me".to_owned(),
        password: "pa55".to_owned(),
    }));
    let line = format!(
        "bootstrap git --url={} --token-auth --username=me --password=pa55 --ca-file={} \
         --path=clusters/one {REGISTRY} \
         --components-extra=image-reflector-controller,image-automation-controller",
        git.https_url("bootstrapped/web"),
        scene.env.sandbox().ca_file().display()
    );
    let output = with_operator(&scene, scene.flux(&line)).await;
    let text = output.stderr.clone();
    output.success().unwrap();
    assert_lines(&text, FIRST);
    assert!(
        text.contains("⚠️ helm-controller and notification-controller are not part of"),
        "{text}"
    );
    assert!(!text.contains("pa55"), "{text}");
    let subjects = log(&copy);
    assert!(
        subjects.starts_with("Add Flux sync manifests\nAdd flux-sync v"),
        "{subjects}"
    );
    let sync = copy
        .read("clusters/one/flux-system/gotk-sync.yaml")
        .unwrap();
    assert!(sync.contains("  path: ./clusters/one\n"), "{sync}");
    let root = "-n flux-system get deployment sync-operator -o jsonpath={.metadata.labels}";
    let labels = scene.kubectl(root).await.success().unwrap();
    assert!(
        labels.contains(r#""kustomize.toolkit.fluxcd.io/name":"flux-system""#),
        "the operator is synced from Git: {labels}"
    );

    // What the user changes stays; nothing else changes either.
    let path = "clusters/one/flux-system/kustomization.yaml";
    let patched = format!(
        "{}patches:\n- target:\n    kind: Deployment\n    name: admission-webhook\n  patch: |\n    \
         - op: replace\n      path: /spec/replicas\n      value: 3\n",
        copy.read(path).unwrap()
    );
    copy.write(path, &patched).unwrap();
    copy.commit_and_push("more webhooks").unwrap();
    let before = log(&copy);
    let again = with_operator(&scene, scene.flux(&line)).await;
    let text = again.stderr.clone();
    again.success().unwrap();
    assert_lines(&text, SECOND);
    assert!(!text.contains("committed"), "{text}");
    assert_eq!(log(&copy), before);
    assert_eq!(copy.read(path).unwrap(), patched);
    let replicas = "-n flux-system get deployment admission-webhook -o jsonpath={.spec.replicas}";
    assert_eq!(scene.kubectl(replicas).await.success().unwrap(), "3");

    // Another folder would let go of this one.
    let other = line.replace("clusters/one", "clusters/two");
    let refused = scene.flux(&other).await.failure().unwrap();
    assert!(
        refused.contains("would overwrite path (\"./clusters/one\")"),
        "{refused}"
    );
    assert_eq!(log(&copy), before);

    // What was applied from Git goes with the namespace only, and the repository stays.
    scene.flux("uninstall --silent").await.success().unwrap();
    assert_eq!(log(&copy), before);
    git.require_login(None);
}

#[tokio::test]
async fn over_ssh_with_a_key_that_is_made_for_the_cluster() {
    let scene = Scene::start().await;
    let git = scene.env.git().unwrap();
    git.create_repository("bootstrapped/ssh").unwrap();
    let url = git.ssh_url("bootstrapped/ssh");
    let ssh = scene.env.sandbox().dir().join("home/.ssh");
    std::fs::create_dir_all(&ssh).unwrap();
    std::fs::copy(git.person_key().unwrap().private, ssh.join("id_ed25519")).unwrap();

    // The repository is empty, and the key is added when it is asked for.
    let words = [
        "--path=.",
        REGISTRY,
        "--components=source-controller,kustomize-controller",
    ];
    let command = with_deploy_key(&scene, "bootstrapped/ssh", &words, None);
    let output = with_operator(&scene, command).await;
    let text = output.stderr.clone();
    output.success().unwrap();
    let mut expected = FIRST.to_vec();
    expected.retain(|line| !line.starts_with("► applying source secret"));
    assert_lines(&text, &expected);
    assert!(!text.contains("not part of this distribution"), "{text}");
    assert!(
        text.contains("(source-controller, kustomize-controller)"),
        "{text}"
    );
    let args = "-n flux-system get deployment sync-operator -o jsonpath={.spec.template.spec.containers[0].args}";
    let args = scene.kubectl(args).await.success().unwrap();
    assert!(
        args.contains("--controllers=source-controller,kustomize-controller"),
        "{args}"
    );
    let copy = git.work_copy("bootstrapped/ssh").unwrap();
    let files = copy.git(&["ls-files"]).unwrap();
    assert_eq!(
        files,
        "flux-system/gotk-components.yaml\nflux-system/gotk-sync.yaml\nflux-system/kustomization.yaml"
    );
    scene.flux("uninstall --silent").await.success().unwrap();

    // A repository that Flux has written is not overwritten.
    let theirs =
        "---\n# This manifest was generated by flux. DO NOT EDIT.\n# Flux Version: v2.9.0\n";
    copy.write("flux-system/gotk-components.yaml", theirs)
        .unwrap();
    copy.commit_and_push("Add Flux v2.9.0 component manifests")
        .unwrap();
    let line = format!("bootstrap git --url={url} --silent --path=. {REGISTRY}");
    let refused = scene.flux(&line).await.failure().unwrap();
    assert!(refused.contains("was written by Flux v2.9.0"), "{refused}");
    let namespace = scene.kubectl("get namespace flux-system").await;
    assert!(!namespace.status.success(), "nothing was written");
}

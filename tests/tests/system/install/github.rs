//! `bootstrap github` against a stateful GitHub behind Prism, which holds every request and answer to
//! GitHub's own description.

use flux_tests::{
    env::Output,
    sandbox::github::{Github, TOKEN, USER},
};

use super::{
    bootstrap::{assert_lines, with_operator},
    scene::{REGISTRY, Scene},
};

const FIRST: &[&str] = &[
    "► connecting to 127.0.0.1:",
    "✔ repository \"https://127.0.0.1:",
    "► reconciling repository permissions",
    "✔ granted \"maintain\" permissions to \"platform\"",
    "✔ granted \"pull\" permissions to \"readers\"",
    "✔ reconciled repository permissions",
    "► cloning branch \"main\" from Git repository \"https://127.0.0.1:",
    "✔ cloned repository",
    "✔ generated component manifests",
    "✔ committed component manifests to \"main\" (\"",
    "✔ installed components",
    "► determining if source secret \"flux-system/flux-system\" exists",
    "► generating source secret",
    "✔ public key: ecdsa-sha2-nistp384 ",
    "✔ configured deploy key \"flux-system-main-flux-system-./clusters/one\" for \"https://127.0.0.1:",
    "► applying source secret \"flux-system/flux-system\"",
    "✔ reconciled source secret",
    "✔ committed sync manifests to \"main\" (\"",
    "✔ GitRepository reconciled successfully",
    "✔ Kustomization reconciled successfully",
    "✔ all components are healthy",
];

const SECOND: &[&str] = &[
    "► connecting to 127.0.0.1:",
    "✔ component manifests are up to date",
    "✔ source secret up to date",
    "✔ sync manifests are up to date",
    "✔ all components are healthy",
];

async fn bootstrap(scene: &Scene, line: &str, token: &str) -> Output {
    let line = format!("flux bootstrap github {line}");
    let words: Vec<&str> = line.split_whitespace().collect();
    scene.env.kubectl_with_input(&words, token).await.unwrap()
}

#[tokio::test]
async fn a_repository_is_made_and_followed() {
    let scene = Scene::start().await;
    let Some(github) = Github::start(scene.env.sandbox()).await.unwrap() else {
        return;
    };
    let git = scene.env.git().unwrap();
    git.require_login(Some(flux_tests::sandbox::git::Login {
        user: "git".to_owned(),
        password: TOKEN.to_owned(),
    }));
    let common = format!(
        "--hostname={} --ca-file={} --ssh-hostname=127.0.0.1:{} {REGISTRY}",
        github.host(),
        scene.env.sandbox().ca_file().display(),
        git.ssh_port()
    );
    let line = format!(
        "--owner=acme --repository=fleet --path=clusters/one --read-write-key \
         --team=platform,readers:pull {common}"
    );

    // Nothing of it happens for a try, with a token that is not accepted, or without one.
    let rehearsed = bootstrap(&scene, &format!("{line} --dry-run"), TOKEN).await;
    assert!(
        rehearsed.stderr.contains("/acme/fleet\" would be created"),
        "{rehearsed}"
    );
    rehearsed.success().unwrap();
    let refused = bootstrap(&scene, &line, "ghp_wrong")
        .await
        .failure()
        .unwrap();
    assert!(refused.contains("does not accept the token"), "{refused}");
    assert!(!refused.contains("ghp_wrong"), "{refused}");
    let absent = bootstrap(&scene, &line, "").await.failure().unwrap();
    assert!(absent.contains("set GITHUB_TOKEN"), "{absent}");
    let user = line.replace("--owner=acme", &format!("--owner={USER}"));
    let refused = bootstrap(&scene, &user, TOKEN).await.failure().unwrap();
    assert!(refused.contains("give --personal"), "{refused}");
    assert!(github.repositories().is_empty());
    github.take_changes();

    let first = with_operator(&scene, bootstrap(&scene, &line, TOKEN)).await;
    let text = first.stderr.clone();
    assert!(first.status.success(), "{first}\n{}", github.log());
    assert_lines(&text, FIRST);
    assert!(!text.contains(TOKEN), "{text}");
    let made = github.repositories().remove("acme/fleet").unwrap();
    assert!(made.private);
    assert_eq!(made.teams.get("readers").map(String::as_str), Some("pull"));
    assert_eq!(made.keys.len(), 1);
    assert!(!made.keys[0].read_only, "image updates push");
    let copy = git.work_copy("acme/fleet").unwrap();
    let sync = copy
        .read("clusters/one/flux-system/gotk-sync.yaml")
        .unwrap();
    let url = format!("url: ssh://git@127.0.0.1:{}/acme/fleet\n", git.ssh_port());
    assert!(sync.contains(&url), "{sync}");
    github.take_changes();

    // A second run changes nothing, and keeps what the user has added.
    let path = "clusters/one/flux-system/kustomization.yaml";
    let own = format!("{}# mine\n", copy.read(path).unwrap());
    copy.write(path, &own).unwrap();
    copy.commit_and_push("a word").unwrap();
    let quiet = line.replace("--team=platform,readers:pull", "");
    let second = with_operator(&scene, bootstrap(&scene, &quiet, TOKEN)).await;
    assert!(second.status.success(), "{second}");
    assert_lines(&second.stderr, SECOND);
    assert_eq!(github.take_changes(), Vec::<String>::new());
    copy.pull().unwrap();
    assert_eq!(copy.read(path).unwrap(), own);
    let rehearsed = bootstrap(&scene, &format!("{quiet} --dry-run"), TOKEN).await;
    assert!(
        rehearsed.stderr.contains("gotk-sync.yaml is up to date"),
        "{rehearsed}"
    );
    assert!(
        rehearsed.stderr.contains("✔ nothing was changed"),
        "{rehearsed}"
    );
    scene.flux("uninstall --silent").await.success().unwrap();
    git.require_login(None);
}

#[tokio::test]
async fn a_personal_repository_with_the_token_itself() {
    let scene = Scene::start().await;
    let Some(github) = Github::start(scene.env.sandbox()).await.unwrap() else {
        return;
    };
    let git = scene.env.git().unwrap();
    git.require_login(Some(flux_tests::sandbox::git::Login {
        user: "git".to_owned(),
        password: TOKEN.to_owned(),
    }));
    let key = git.client_key("signer").unwrap();
    let line = format!(
        "--owner={USER} --repository=home --personal --private=false --token-auth \
         --hostname={} --ca-file={} --ssh-signing-key-file={} \
         --components=source-controller,kustomize-controller {REGISTRY}",
        github.host(),
        scene.env.sandbox().ca_file().display(),
        key.private.display(),
    );
    let output = with_operator(&scene, bootstrap(&scene, &line, TOKEN)).await;
    assert!(output.status.success(), "{output}\n{}", github.log());
    let made = github
        .repositories()
        .remove(&format!("{USER}/home"))
        .unwrap();
    assert!(!made.private && made.keys.is_empty(), "{made:?}");
    let copy = git.work_copy(&format!("{USER}/home")).unwrap();
    let commits = copy.git(&["log", "--format=%H"]).unwrap();
    for commit in commits.lines() {
        let content = copy.git(&["cat-file", "commit", commit]).unwrap();
        assert!(
            content.contains("gpgsig -----BEGIN SSH SIGNATURE-----"),
            "{content}"
        );
    }
    scene.flux("uninstall --silent").await.success().unwrap();
    git.require_login(None);
}

#[tokio::test]
async fn files_can_be_had_without_a_cluster_or_a_token() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "flux bootstrap github --owner=acme --repository=fleet --path=clusters/one \
         --export={} --kubeconfig=/nonexistent {REGISTRY}",
        folder.path().display()
    );
    let output = scene.kubectl(&line).await;
    output.success().unwrap();
    let read = |name: &str| {
        let path = folder.path().join("clusters/one/flux-system").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    assert!(read("gotk-components.yaml").contains("kind: Deployment\n"));
    assert!(read("gotk-sync.yaml").contains("url: ssh://git@github.com/acme/fleet\n"));
    assert!(read("kustomization.yaml").contains("- gotk-sync.yaml\n"));
}

#[tokio::test]
async fn a_deploy_key_registers_itself() {
    let scene = Scene::start().await;
    let Some(github) = Github::start(scene.env.sandbox()).await.unwrap() else {
        return;
    };
    let git = scene.env.git().unwrap();
    let line = format!(
        "--owner={USER} --repository=keys --personal --hostname={}",
        github.host()
    );
    // A rehearsal is enough to see that there is no such repository yet.
    let ca = format!("--ca-file={}", scene.env.sandbox().ca_file().display());
    let rehearsed = bootstrap(&scene, &format!("{line} {ca} {REGISTRY} --dry-run"), TOKEN).await;
    rehearsed.success().unwrap();
    github.create(&format!("{USER}/keys"));

    let hosts = git.known_hosts_file();
    let secret = async |more: &str| {
        let line = format!(
            "create secret git deploy -n default --url=ssh://git@127.0.0.1:{}/{USER}/keys \
             --known-hosts-file={} --hostname={} --ca-crt-file={} {more}",
            git.ssh_port(),
            hosts.display(),
            github.host(),
            scene.env.sandbox().ca_file().display(),
        );
        let plugin = &scene.env.build_binaries().await.unwrap().plugin;
        let output = tokio::process::Command::new(plugin)
            .args(line.split_whitespace())
            .envs(scene.env.variables().unwrap())
            .env("GITHUB_TOKEN", TOKEN)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let keys = || github.repositories()[&format!("{USER}/keys")].keys.clone();
    let (_, said) = secret("--register-deploy-key=ro").await;
    assert!(
        said.contains("✔ deploy key \"default-deploy\" added to octocat/keys"),
        "{said}"
    );
    // All kinds of keys of the file, each with its fingerprint.
    assert_eq!(said.matches(" SHA256:").count(), 3, "{said}");
    assert!(keys()[0].read_only);
    let first = keys()[0].key.clone();

    let (_, said) = secret("--register-deploy-key=rw").await;
    assert!(said.contains("replaced in octocat/keys"), "{said}");
    assert_eq!(keys().len(), 1);
    assert!(!keys()[0].read_only && keys()[0].key != first);

    let file = "--known-hosts-file";
    let line = format!(
        "create secret git deploy -n default --url=ssh://git@127.0.0.1:{}/{USER}/keys {file}={}",
        git.ssh_port(),
        hosts.display()
    );
    let shown = scene.flux(&format!("{line} --public-key-only")).await;
    assert_eq!(shown.success().unwrap().trim(), keys()[0].key.trim());
    let other = line.replace("127.0.0.1:", "example.test:");
    let refused = scene.flux(&other).await.failure().unwrap();
    assert!(
        refused.contains("has no key of [example.test]:"),
        "{refused}"
    );
    scene
        .kubectl("delete secret deploy -n default")
        .await
        .success()
        .unwrap();
}

//! An installation that is disturbed: it goes on, or the next one does.

use std::{path::PathBuf, process::Command};

use flux_tests::{
    env::Env,
    sandbox::process::{Process, Stop},
};
use rustix::process::Signal;

use super::scene::{PATIENCE, REGISTRY, Scene};

/// Kills the API server as a crash does, and starts it again as it was.
async fn restart_api_server(env: &Env) -> std::sync::Arc<Process> {
    let server = env.sandbox().control_plane().unwrap().api_server();
    let process = PathBuf::from(format!("/proc/{}", server.id().pid));
    let arguments = std::fs::read(process.join("cmdline")).unwrap();
    let arguments: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let folder = std::fs::read_link(process.join("cwd")).unwrap();
    server.id().signal(Signal::KILL);
    let ended = async || {
        let status = server.exit_status();
        status.map(drop).ok_or_else(|| "still running".to_owned())
    };
    env.wait_for("the API server's end", PATIENCE, ended)
        .await
        .unwrap();
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).current_dir(folder);
    let supervisor = env.sandbox().supervisor();
    supervisor
        .spawn("kube-apiserver-again", Stop::Kill, &mut command)
        .unwrap()
}

#[tokio::test]
async fn the_api_server_goes_away_and_the_person_presses_ctrl_c() {
    let scene = Scene::start().await;

    // Interrupted after the first objects, then repeated.
    let plugin = &scene.env.build_binaries().await.unwrap().plugin;
    let mut child = tokio::process::Command::new(plugin)
        .args(["install", REGISTRY])
        .envs(scene.env.variables().unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    scene
        .until("the first definition", async || {
            let line = "get crd imagepolicies.image.toolkit.fluxcd.io";
            let output = scene.kubectl(line).await;
            output.success().map(drop).map_err(|e| e.to_string())
        })
        .await;
    child.kill().await.unwrap();
    scene
        .flux(&format!("install {REGISTRY}"))
        .await
        .success()
        .unwrap();

    // Half removed, then installed: what is left does not matter.
    scene
        .kubectl("-n flux-system delete deployment sync-operator")
        .await
        .success()
        .unwrap();
    scene
        .kubectl("delete crd imagepolicies.image.toolkit.fluxcd.io")
        .await
        .success()
        .unwrap();

    // The API server is killed while objects are applied.
    let env = scene.env;
    let line = format!("install {REGISTRY}");
    let (output, _again) = tokio::join!(scene.flux(&line), async {
        let seen = async || {
            let line = "get crd imagepolicies.image.toolkit.fluxcd.io";
            let output = scene.kubectl(line).await;
            output.success().map(drop).map_err(|e| e.to_string())
        };
        scene.until("the definition that was missing", seen).await;
        restart_api_server(env).await
    });
    let text = output.stderr.clone();
    output.success().unwrap();
    assert!(text.ends_with("✔ install finished\n"), "{text}");
    scene.flux("uninstall --silent").await.success().unwrap();
}

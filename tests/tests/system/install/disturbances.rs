//! An installation that is disturbed: it goes on, or the next one does.

use std::time::Duration;

use flux_tests::endurance::outages::restart;

use super::scene::{REGISTRY, Scene};

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
        restart(
            env,
            env.sandbox().control_plane().unwrap().api_server(),
            Duration::ZERO,
        )
        .await
        .unwrap()
    });
    let text = output.stderr.clone();
    output.success().unwrap();
    assert!(text.ends_with("✔ install finished\n"), "{text}");
    scene.flux("uninstall --silent").await.success().unwrap();
}

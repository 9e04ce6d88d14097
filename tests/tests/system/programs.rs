//! The product's programs run in the environment: only the wiring, behaviour is tested elsewhere.

use std::time::Duration;

use flux_tests::{
    env::Env,
    sandbox::wait::{self, free_port},
};

#[tokio::test]
async fn kubectl_finds_the_plugin_and_the_operator_runs_until_it_is_stopped() {
    // Not the shared one: an operator works on everything that other tests apply there.
    let env = Env::start().await.unwrap();
    env.build_binaries().await.unwrap();
    let version = env
        .kubectl(&["flux", "version", "--client"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(version.starts_with("flux: v"), "{version}");

    let health = format!("127.0.0.1:{}", free_port().unwrap());
    let storage = env.sandbox().dir().join("operator");
    let operator = env
        .start_operator(&[
            "--health-addr",
            &health,
            "--storage-addr=127.0.0.1:0",
            "--metrics-addr=127.0.0.1:0",
            "--storage-path",
            storage.to_str().unwrap(),
        ])
        .await
        .unwrap();
    wait::until(
        "the operator",
        Duration::from_secs(30),
        Some(&operator),
        async || {
            let url = format!("http://{health}/healthz");
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            answer
                .status()
                .is_success()
                .then_some(())
                .ok_or_else(|| answer.status().to_string())
        },
    )
    .await
    .unwrap();
    assert!(operator.id().resident_memory().unwrap() > 0);
    operator.stop();
    assert!(operator.exit_status().is_some());
}

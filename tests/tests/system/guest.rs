//! The tutorial on a cluster of somebody's: what it refuses before it writes anything.

use std::process::{Command, Output};

use flux_tests::env::Env;

/// Runs the tutorial with the kubeconfig of a sandbox, on whose context it would be played.
fn tutorial(env: &Env, arguments: &[&str]) -> Output {
    let kubeconfig = env.sandbox().control_plane().unwrap().kubeconfig();
    Command::new(env!("CARGO_BIN_EXE_tutorial"))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test]
async fn it_refuses_where_flux_is_and_without_servers() {
    let env = Env::shared().await.unwrap();
    env.build_binaries().await.unwrap();
    let context = ["config", "current-context"];
    let context = env.kubectl(&context).await.unwrap().success().unwrap();
    let context = ["--context", context.trim()];

    let misuse = tutorial(env, &context);
    let said = String::from_utf8_lossy(&misuse.stderr).into_owned();
    assert_eq!(misuse.status.code(), Some(2), "{said}");
    assert!(said.contains("--host <ADDRESS>|--git-url <URL>"), "{said}");

    let servers = [
        "--git-url=ssh://git@git.example.org/team",
        "--registry=registry.example.org/team",
        "--private-key-file=/dev/null",
    ];
    let unknown = tutorial(env, &[&["--context", "nowhere"], &servers[..]].concat());
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{said}");
    assert!(
        said.contains("nowhere") && said.contains("get-contexts"),
        "{said}"
    );

    let refused = tutorial(env, &[&context, &servers[..]].concat());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [
        "has Flux, or an installation of ours",
        "gitrepositories.source.toolkit.fluxcd.io",
        "Choose another cluster",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

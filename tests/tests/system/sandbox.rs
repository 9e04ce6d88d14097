//! The control plane comes up, stays to itself, and goes away.

use std::time::Duration;

use flux_tests::sandbox::{Error, Options, Sandbox, process::ProcessId, state::State};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{Api, Client, ResourceExt, api::PostParams};

/// What the start may take on an idle machine; here other tests run at the same time.
const BUSY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn comes_up_and_leaves_nothing() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    println!(
        "control plane ready after {:.1} s",
        sandbox.ready_after().as_secs_f64()
    );
    assert!(sandbox.ready_after() < BUSY);

    let record = sandbox.record();
    let names: Vec<&str> = record
        .processes
        .iter()
        .map(|process| process.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "watchdog",
            "etcd",
            "kube-apiserver",
            "kube-controller-manager"
        ]
    );
    assert_eq!(record.alive().count(), 4);
    assert!(known(&record.id));

    sandbox.stop().await;
    assert_eq!(record.alive().count(), 0);
    assert!(!record.dir.exists());
    assert!(!known(&record.id));
}

#[tokio::test]
async fn two_run_side_by_side_and_controllers_work_in_both() {
    let start = || Sandbox::start(Options::default());
    let (one, two) = tokio::try_join!(start(), start()).unwrap();
    let (in_one, in_two) = (one.client().await.unwrap(), two.client().await.unwrap());

    create_namespace(&in_one, "only-in-one").await;
    let namespaces: Api<Namespace> = Api::all(in_two.clone());
    assert!(namespaces.get_opt("only-in-one").await.unwrap().is_none());
    create_namespace(&in_two, "only-in-two").await;

    for (client, namespace) in [(in_one, "only-in-one"), (in_two, "only-in-two")] {
        let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
        flux_tests::sandbox::wait::until("the service account", BUSY, None, async || {
            let account = accounts
                .get("default")
                .await
                .map_err(|error| error.to_string())?;
            Ok(account.name_any())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_folder_serves_one_at_a_time_and_may_be_used_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a folder's name");
    let start = || {
        let dir = Some(dir.clone());
        Sandbox::start(Options {
            dir,
            control_plane: false,
            registry: true,
            ..Options::default()
        })
    };
    let first = start().await.unwrap();
    let refused = start().await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(
        refused.to_string().contains("sandbox down --dir"),
        "{refused}"
    );
    first.stop().await;
    assert!(
        dir.join("logs/registry.log").exists(),
        "a folder that was named stays"
    );
    start().await.unwrap().stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_takes_the_others_with_it() {
    let programs = tempfile::tempdir().unwrap();
    let etcd = programs.path().join("etcd");
    std::fs::write(
        &etcd,
        "#!/bin/sh\necho $$ > pid\necho no space left on device >&2\nexit 7\n",
    )
    .unwrap();
    make_executable(&etcd);
    let options = Options {
        programs: Some(programs.path().to_owned()),
        registry: true,
        ..Options::default()
    };
    let error = Sandbox::start(options).await.unwrap_err();
    let Error::Ended {
        name,
        status,
        tail,
        log,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((name.as_str(), status.code()), ("etcd", Some(7)));
    assert!(tail.contains("no space left on device"), "{error}");
    assert!(!log.exists(), "the temporary folder is gone");
}

#[tokio::test]
async fn processes_added_by_a_test_end_with_the_sandbox() {
    use flux_tests::sandbox::process::Stop;
    let options = Options {
        control_plane: false,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    // Deaf to SIGTERM, with a child of its own in the same group.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' TERM; sleep 600 & echo $!; wait; sleep 600"]);
    let stop = Stop::Terminate(Duration::from_millis(100));
    let process = sandbox
        .supervisor()
        .spawn("deaf", stop, &mut command)
        .unwrap();
    flux_tests::sandbox::wait::until("its output", BUSY, Some(&process), async || {
        process
            .output()
            .ends_with('\n')
            .then_some(())
            .ok_or_else(String::new)
    })
    .await
    .unwrap();
    let child = ProcessId::of(process.output().trim().parse().unwrap()).unwrap();
    drop(sandbox);
    assert!(!process.id().is_alive());
    assert!(!child.is_alive());
}

fn known(id: &str) -> bool {
    State::open()
        .unwrap()
        .list()
        .unwrap()
        .iter()
        .any(|record| record.id == id)
}

async fn create_namespace(client: &Client, name: &str) {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

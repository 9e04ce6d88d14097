//! The Git server behaves as a code host: the git program with real keys.

use std::process::{Command, Output};

use flux_tests::sandbox::{
    Options, Sandbox,
    git::{Access, ClientKey, Login},
};

const APPS: &str = "papafrancky/k8s-kind-apps";
const FLUXCD: &str = "papafrancky/k8s-kind-fluxcd";

async fn start() -> Sandbox {
    let options = Options {
        control_plane: false,
        git: true,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let git = sandbox.git().unwrap();
    for repository in [APPS, FLUXCD] {
        git.create_repository(repository).unwrap();
        let copy = git.work_copy(repository).unwrap();
        copy.write("foo/namespace.yaml", "kind: Namespace\n")
            .unwrap();
        copy.commit_and_push("feat: first").unwrap();
    }
    sandbox
}

/// git as a person with this key runs it.
fn git(sandbox: &Sandbox, key: &ClientKey, arguments: &[&str]) -> Output {
    run(
        sandbox,
        arguments,
        "GIT_SSH_COMMAND",
        &sandbox.git().unwrap().ssh_command(key),
    )
}

fn run(sandbox: &Sandbox, arguments: &[&str], variable: &str, value: &str) -> Output {
    Command::new("git")
        .args(["-c", "user.name=me", "-c", "user.email=me@home"])
        .args(arguments)
        .current_dir(sandbox.dir())
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ])
        .env(variable, value)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

#[track_caller]
fn fails_with(output: &Output, text: &str) {
    assert!(
        !output.status.success() && stderr(output).contains(text),
        "{}",
        stderr(output)
    );
}

#[tokio::test]
async fn deploy_keys_reach_one_repository_and_write_only_if_they_may() {
    let sandbox = start().await;
    let server = sandbox.git().unwrap();
    let url = server.ssh_url(APPS);
    let [reader, writer, stranger] =
        ["reader", "writer", "stranger"].map(|name| server.client_key(name).unwrap());
    server
        .add_deploy_key(APPS, &reader.public, Access::ReadOnly)
        .unwrap();
    server
        .add_deploy_key(APPS, &writer.public, Access::ReadWrite)
        .unwrap();
    let twice = server
        .add_deploy_key(FLUXCD, &writer.public, Access::ReadWrite)
        .unwrap_err();
    assert_eq!(twice.to_string(), "key is already in use");

    succeeds(&git(
        &sandbox,
        &reader,
        &["clone", "--quiet", &url, "clone"],
    ));
    succeeds(&git(
        &sandbox,
        &reader,
        &["-C", "clone", "commit", "--allow-empty", "-m", "x"],
    ));
    let push = ["-C", "clone", "push", "origin", "HEAD"];
    let read_only = "ERROR: The key you are authenticating with has been marked as read only.";
    fails_with(&git(&sandbox, &reader, &push), read_only);
    succeeds(&git(&sandbox, &writer, &push));

    let other = server.ssh_url(FLUXCD);
    fails_with(
        &git(&sandbox, &writer, &["ls-remote", &other]),
        "ERROR: Repository not found.",
    );
    let absent = server.ssh_url("papafrancky/absent");
    fails_with(
        &git(&sandbox, &writer, &["ls-remote", &absent]),
        "ERROR: Repository not found.",
    );
    fails_with(
        &git(&sandbox, &stranger, &["ls-remote", &url]),
        "Permission denied (publickey)",
    );

    server.remove_key(&writer.public).unwrap();
    fails_with(
        &git(&sandbox, &writer, &["ls-remote", &url]),
        "Permission denied (publickey)",
    );

    let copy = server.work_copy(APPS).unwrap();
    assert_eq!(copy.git(&["log", "--format=%s"]).unwrap(), "x\nfeat: first");
}

#[tokio::test]
async fn every_host_key_type_is_enough_and_protocol_2_is_spoken() {
    let sandbox = start().await;
    let server = sandbox.git().unwrap();
    let person = server.person_key().unwrap();
    let url = server.ssh_url(APPS);
    assert!(url.starts_with(&format!("ssh://{}@127.0.0.1:", server.user())));
    assert_eq!(server.known_hosts().unwrap().lines().count(), 3);

    for algorithms in ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"] {
        let ssh = format!(
            "{} -o HostKeyAlgorithms={algorithms}",
            server.ssh_command(&person)
        );
        succeeds(&run(
            &sandbox,
            &["ls-remote", &url],
            "GIT_SSH_COMMAND",
            &ssh,
        ));
    }
    let ssh = server.ssh_command(&person);
    let traced = Command::new("git")
        .args(["-c", "protocol.version=2", "ls-remote", &url])
        .envs([("GIT_SSH_COMMAND", ssh.as_str()), ("GIT_TRACE_PACKET", "1")])
        .output()
        .unwrap();
    assert!(
        stderr(&traced).contains("< version 2"),
        "{}",
        stderr(&traced)
    );
}

#[tokio::test]
async fn only_git_is_served() {
    let sandbox = start().await;
    let server = sandbox.git().unwrap();
    let person = server.person_key().unwrap();
    let outside = sandbox.dir().join("outside.git");
    succeeds(&git(
        &sandbox,
        &person,
        &["init", "--quiet", "--bare", outside.to_str().unwrap()],
    ));
    for (request, answer) in [
        ("ls /", "Only Git is served here"),
        ("git-upload-pack '../outside'", "Repository not found."),
        (
            "git-upload-pack 'x'; touch hacked'",
            "Repository not found.",
        ),
        ("git-upload-pack /tmp", "Repository not found."),
    ] {
        let script = format!(
            "{} -p {} {}@127.0.0.1 {}",
            server.ssh_command(&person),
            server.ssh_port(),
            server.user(),
            quoted(request)
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        fails_with(&output, &format!("ERROR: {answer}"));
    }
}

#[tokio::test]
async fn serves_https_with_and_without_a_login() {
    let sandbox = start().await;
    let server = sandbox.git().unwrap();
    let ca = sandbox.ca_file();
    let https =
        |arguments: &[&str]| run(&sandbox, arguments, "GIT_SSL_CAINFO", ca.to_str().unwrap());
    let url = server.https_url(APPS);
    succeeds(&https(&["clone", "--quiet", &url, "clone"]));
    let unknown_authority = run(
        &sandbox,
        &["ls-remote", &url],
        "GIT_SSL_CAINFO",
        "/dev/null",
    );
    assert!(!unknown_authority.status.success());
    succeeds(&https(&[
        "-C",
        "clone",
        "commit",
        "--allow-empty",
        "-m",
        "x",
    ]));
    let push = ["-C", "clone", "push", "--quiet", "origin", "HEAD"];
    assert!(!https(&push).status.success(), "nobody knows who pushes");

    let login = Login {
        user: "me".to_owned(),
        password: "s3cret".to_owned(),
    };
    assert!(!format!("{login:?}").contains("s3cret"));
    server.require_login(Some(login));
    fails_with(&https(&["ls-remote", &url]), "could not read Username");
    let with_login = url.replace("https://", "https://me:s3cret@");
    succeeds(&https(&[
        "-C",
        "clone",
        "push",
        "--quiet",
        &with_login,
        "HEAD",
    ]));
    succeeds(&https(&["ls-remote", &with_login]));
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

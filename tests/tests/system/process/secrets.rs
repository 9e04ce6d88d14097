//! No secret in the log, however much is logged, nor in what is said of objects.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flux_api::{GitRepository, Kustomization};
use flux_tests::sandbox::git::{Access, Login};
use serde_json::{Value, json};

use super::cluster::{Cluster, NAMESPACE};

const ENCRYPTED: &str = include_str!("../../../../crates/build/tests/vectors/sops/app.env");
const AGE: &str = include_str!("../../../../crates/build/tests/vectors/sops/test.agekey");
const STRANGER: &str = "AGE-SECRET-KEY-1740R039XZ7EFMG98ZRZRH8U0ELKN7T32E87NVDT87EKVG2XZXYGQPTS99W";
/// What is in the encrypted file.
const DECRYPTED: &str = "a=b#c";
const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "wrong-horse-battery";
const TOKEN: &str = "token-of-a-robot";
/// In a Secret that the API server refuses: somebody forgot to encode it.
const PLAIN: &str = "forgotten-horse!";

async fn secret(cluster: &Cluster, name: &str, entries: Value) {
    let object = json!({"stringData": entries});
    cluster
        .create("v1", "Secret", Some(NAMESPACE), name, object)
        .await;
}

async fn source(cluster: &Cluster, name: &str, url: &str, secret: &str) {
    let spec = json!({"url": url, "interval": "10m", "ref": {"branch": "main"},
        "secretRef": {"name": secret}});
    let (version, object) = ("source.toolkit.fluxcd.io/v1", json!({"spec": spec}));
    cluster
        .create(version, "GitRepository", Some(NAMESPACE), name, object)
        .await;
}

async fn kustomization(cluster: &Cluster, name: &str, path: &str, keys: &str) {
    let spec = json!({"interval": "10m", "prune": true, "path": path, "targetNamespace": NAMESPACE,
        "sourceRef": {"kind": "GitRepository", "name": "basic"},
        "decryption": {"provider": "sops", "secretRef": {"name": keys}}});
    let (version, object) = ("kustomize.toolkit.fluxcd.io/v1", json!({"spec": spec}));
    cluster
        .create(version, "Kustomization", Some(NAMESPACE), name, object)
        .await;
}

#[tokio::test]
async fn secrets_are_neither_logged_nor_told() {
    let cluster = Cluster::start().await;
    let git = cluster.env.git().unwrap();
    git.create_repository("process/secret").unwrap();
    let copy = git.work_copy("process/secret").unwrap();
    let generator = "secretGenerator:\n- name: settings\n  envs: [app.env]\n";
    copy.write("sops/kustomization.yaml", generator).unwrap();
    copy.write("sops/app.env", ENCRYPTED).unwrap();
    let plain = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plain"},
        "data": {"password": PLAIN}});
    copy.write("plain/secret.yaml", &plain.to_string()).unwrap();
    copy.commit_and_push("feat: secrets").unwrap();
    git.require_login(Some(Login {
        user: "robot".to_owned(),
        password: PASSWORD.to_owned(),
    }));
    let keys = ["right", "wrong"].map(|name| git.client_key(name).unwrap());
    git.add_deploy_key("process/secret", &keys[0].public, Access::ReadOnly)
        .unwrap();
    let identities = keys.map(|key| std::fs::read_to_string(key.private).unwrap());
    let known_hosts = git.known_hosts().unwrap();
    for (name, password) in [("basic", PASSWORD), ("basic-wrong", WRONG)] {
        let entries = json!({"username": "robot", "password": password});
        secret(&cluster, name, entries).await;
    }
    secret(&cluster, "bearer-wrong", json!({"bearerToken": TOKEN})).await;
    for (name, identity) in ["ssh", "ssh-wrong"].into_iter().zip(&identities) {
        let entries = json!({"identity": identity, "known_hosts": known_hosts});
        secret(&cluster, name, entries).await;
    }
    for (name, key) in [("sops", AGE), ("sops-wrong", STRANGER)] {
        secret(&cluster, name, json!({"x.agekey": key})).await;
    }
    let https = git.https_url("process/secret");
    let ssh = git.ssh_url("process/secret");
    let sources = ["basic", "ssh", "basic-wrong", "bearer-wrong", "ssh-wrong"];
    let applied = [
        ("sops", "./sops", "sops"),
        ("sops-wrong", "./sops", "sops-wrong"),
        ("plain-wrong", "./plain", "sops"),
    ];

    let mut hidden: Vec<String> = identities
        .iter()
        .flat_map(|identity| identity.lines())
        .filter(|line| !line.starts_with("-----") && line.len() > 16)
        // All keys begin alike.
        .skip(1)
        .map(str::to_owned)
        .collect();
    let age = AGE.lines().find(|line| line.starts_with("AGE-"));
    for text in [
        PASSWORD,
        WRONG,
        TOKEN,
        PLAIN,
        DECRYPTED,
        STRANGER,
        age.unwrap(),
    ] {
        hidden.extend([text.to_owned(), BASE64.encode(text)]);
    }
    hidden.extend([PASSWORD, WRONG].map(|password| BASE64.encode(format!("robot:{password}"))));

    for encoding in ["console", "json"] {
        for name in sources {
            let url = if name.starts_with("ssh") {
                &ssh
            } else {
                &https
            };
            source(&cluster, name, url, name).await;
        }
        for (name, path, keys) in applied {
            kustomization(&cluster, name, path, keys).await;
        }
        // The libraries, too.
        let all = [("RUST_LOG", "trace".into())];
        let flags = ["--log-level=trace", &format!("--log-encoding={encoding}")];
        let operator = cluster.operator_with(&all, encoding, 0, &flags).await;
        let mut said = String::new();
        let status = |name: &str| {
            if name.ends_with("-wrong") {
                "False"
            } else {
                "True"
            }
        };
        for name in sources {
            let ready = cluster.says::<GitRepository>(name, status(name), &[]).await;
            said.push_str(&ready.message);
        }
        for (name, ..) in applied {
            let ready = cluster.says::<Kustomization>(name, status(name), &[]).await;
            said.push_str(&ready.message);
        }
        eprintln!("{said}");
        let events = ["get", "events", "-n", NAMESPACE, "-o", "json"];
        let events = cluster.env.kubectl(&events).await.unwrap();
        said.push_str(&events.success().unwrap());
        operator.process.stop();
        let log = operator.process.output();
        assert!(log.contains("TRACE"), "all is logged");
        assert!(log.contains("basic-wrong"), "the log tells of it: {log}");
        for secret in &hidden {
            for (place, text) in [("log", &log), ("cluster", &said)] {
                let line = text.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{secret} is in the {place}");
            }
        }
        for kind in ["kustomizations", "gitrepositories"] {
            let delete = ["delete", kind, "--all", "-n", NAMESPACE, "--wait=false"];
            cluster.env.kubectl(&delete).await.unwrap();
            let patch = r#"{"metadata":{"finalizers":null}}"#;
            for name in sources.into_iter().chain(applied.map(|(name, ..)| name)) {
                let patch = [
                    "patch",
                    kind,
                    name,
                    "-n",
                    NAMESPACE,
                    "--type=merge",
                    "-p",
                    patch,
                ];
                cluster.env.kubectl(&patch).await.unwrap();
            }
        }
    }
    cluster.env.stop().await;
}

//! The CNCF registry itself (Debian's docker-registry), where it is installed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flux_registry::{Credentials, Reference, RegistryError};

use crate::server::client;

/// Ends the registry with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn tags_and_digests_of_a_real_registry() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = folder.path().join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let started = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        println!("skipped: docker-registry is not installed (apt-get install docker-registry)");
        return;
    };
    let _running = Running(child);
    let base = format!("http://127.0.0.1:{port}/v2/e2e/agnhost");
    crate::install_crypto_provider();
    let http = reqwest::Client::new();
    for _ in 0..100 {
        if http
            .get(format!("http://127.0.0.1:{port}/v2/"))
            .send()
            .await
            .is_ok()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let image = Reference::parse(&format!("127.0.0.1:{port}/e2e/agnhost")).unwrap();
    let client = client(Credentials::anonymous());
    let error = client.tags(&image).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("NAME_UNKNOWN"), "{error}");

    let config = b"{}";
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let upload = http
        .post(format!("{base}/blobs/uploads/"))
        .send()
        .await
        .unwrap();
    let location = upload.headers()["location"].to_str().unwrap();
    let done = http
        .put(format!("{location}&digest={digest}"))
        .body(&config[..])
        .send()
        .await
        .unwrap();
    assert!(done.status().is_success(), "{}", done.status());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest},
        "layers": [],
    });
    let mut pushed = String::new();
    for tag in ["2.9", "2.51", "sha256-abc.sig"] {
        let answer = http
            .put(format!("{base}/manifests/{tag}"))
            .header("content-type", kind)
            .body(manifest.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.headers()["docker-content-digest"]
            .to_str()
            .unwrap()
            .clone_into(&mut pushed);
    }

    let tags = client.tags(&image).await.unwrap().sorted(|_| true);
    assert_eq!(tags, ["sha256-abc.sig", "2.9", "2.51"]);
    assert_eq!(client.digest(&image, "2.51").await.unwrap(), pushed);
    let error = client.digest(&image, "3").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

//! An image registry: Debian's `docker-registry` (CNCF distribution) with TLS from the sandbox's
//! authority, its storage in the sandbox's folder.

pub(super) mod image;

pub use image::tagged;

use std::{
    net::IpAddr,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Certificate, Client};
use serde_json::json;

use super::{
    error::Result,
    node::REGISTRY_HOST,
    paths,
    pki::Authority,
    process::{Process, Stop, Supervisor},
    programs::debian::{self, Package},
    wait,
};
use crate::image::{Image, Layer, push::Remote};

const DEADLINE: Duration = Duration::from_secs(15);

/// The repository that the walk's apps come from.
pub const AGNHOST: &str = "e2e-test-images/agnhost";

/// Its 27 tags as the walk's scan finds them: sorted bytewise from the end, the ten it lists come
/// first, then 2.39, which the apps start with. All have two numbers, the second with up to two
/// digits: `2.9` above `2.51` is the trap that the walk's first policy falls into.
pub const AGNHOST_TAGS: [&str; 27] = [
    "2.9", "2.51", "2.50", "2.48", "2.47", "2.45", "2.44", "2.43", "2.41", "2.40", "2.39", "2.38",
    "2.36", "2.35", "2.34", "2.33", "2.32", "2.31", "2.30", "2.29", "2.28", "2.26", "2.21", "2.20",
    "2.14", "2.13", "2.10",
];

/// A tag as signing tools leave it behind. A scan does not count it: the default exclusion list
/// of an ImageRepository is `^.*\.sig$`.
pub const AGNHOST_SIGNATURE_TAG: &str =
    "sha256-16bbf38c463a4223d8cfe4da12bc61010b082a79b4bb003e2d3ba3ece5dd5f9e.sig";

/// A running image registry.
#[derive(Debug)]
pub struct Registry {
    host: String,
    port: u16,
    remote: Remote,
    process: Arc<Process>,
    /// What is in the images of [`Self::push_tags`].
    files: Mutex<Layer>,
}

impl Registry {
    /// What must be installed.
    pub(super) const PACKAGES: [Package; 1] = [debian::REGISTRY];

    /// Starts the registry with everything it needs below `dir`.
    pub(super) async fn start(
        dir: PathBuf,
        supervisor: &Supervisor,
        authority: &Authority,
        address: Option<IpAddr>,
    ) -> Result<Self> {
        let [program] = debian::require(Self::PACKAGES)?;
        paths::create_dir(&dir)?;
        let address = address.map(|address| address.to_string());
        let own = ["127.0.0.1", "localhost", REGISTRY_HOST];
        let names: Vec<&str> = own.into_iter().chain(address.as_deref()).collect();
        let certificate = authority.server("registry", &names)?;
        let (crt, key) = (dir.join("tls.crt"), dir.join("tls.key"));
        paths::write(&crt, &certificate.certificate)?;
        paths::write_secret(&key, &certificate.key)?;
        let config = dir.join("config.yml");
        let (port, process) = wait::on_free_port(async |port| {
            let settings = json!({
                "version": 0.1,
                "log": {"level": "info", "accesslog": {"disabled": false}},
                "storage": {
                    "filesystem": {"rootdirectory": dir.join("storage")},
                    "delete": {"enabled": true},
                },
                "http": {
                    "addr": format!("127.0.0.1:{port}"),
                    "secret": "one registry only, nothing to share",
                    "tls": {"certificate": crt, "key": key},
                },
            });
            // JSON is YAML.
            paths::write(&config, &format!("{settings:#}\n"))?;
            let mut command = Command::new(&program);
            command.arg("serve").arg(&config).current_dir(&dir);
            let process = supervisor.spawn("registry", Stop::Kill, &mut command)?;
            wait::until("the image registry", DEADLINE, Some(&process), async || {
                wait::accepts(port).await
            })
            .await?;
            Ok((port, process))
        })
        .await?;
        let host = format!("127.0.0.1:{port}");
        let ca = Certificate::from_pem(authority.certificate().as_bytes())?;
        let client = Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        let remote = Remote::new(format!("https://{host}"), client);
        Ok(Self {
            host,
            port,
            remote,
            process,
            files: Mutex::new(image::empty()?),
        })
    }

    /// Host and port, as image names begin.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Name of an image in this registry, without a tag.
    pub fn image(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }

    /// The registry's process, for tests that stop it or read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The registry as a client sees it, to pull what is in it.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Pushes an image, such as one of [`crate::image::product`].
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        Ok(self.remote.push(repository, tag, image).await?)
    }

    /// Pushes an image under each tag: a tiny one, or with a node agnhost's. Images of different tags have different digests; one
    /// pushed again has the same.
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn push_tags(&self, repository: &str, tags: &[&str]) -> Result<()> {
        for tag in tags {
            let files = self
                .files
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            self.push(repository, tag, &image::tagged(tag, files))
                .await?;
        }
        Ok(())
    }

    /// Fills the images of [`Self::push_tags`] from now on; before, there is nothing in them.
    pub(super) fn fill_tags_with(&self, files: Layer) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// All tags of a repository as the registry lists them.
    ///
    /// # Errors
    /// When there is no such repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        Ok(self.remote.tags(repository).await?)
    }

    /// Digest of a tag's manifest, `sha256:...`.
    ///
    /// # Errors
    /// When there is no such tag.
    pub async fn digest(&self, repository: &str, tag: &str) -> Result<String> {
        Ok(self.remote.digest(repository, tag).await?)
    }

    /// Fills the repository of the walk: [`AGNHOST_TAGS`] and [`AGNHOST_SIGNATURE_TAG`].
    ///
    /// # Errors
    /// When the registry refuses.
    pub async fn seed_agnhost(&self) -> Result<()> {
        self.push_tags(AGNHOST, &AGNHOST_TAGS).await?;
        self.push_tags(AGNHOST, &[AGNHOST_SIGNATURE_TAG]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_of_the_walk() {
        let mut sorted = AGNHOST_TAGS;
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(sorted, AGNHOST_TAGS, "sorted from the end, none twice");
        let listed = [
            "2.9", "2.51", "2.50", "2.48", "2.47", "2.45", "2.44", "2.43", "2.41", "2.40",
        ];
        assert_eq!(sorted[..10], listed);
        assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(sorted.contains(&"2.39"));
        let two_numbers = regex::Regex::new(r"^\d\.\d+$").unwrap();
        assert!(sorted.iter().all(|tag| two_numbers.is_match(tag)));
    }
}

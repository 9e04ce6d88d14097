//! The artifact of a GitRepository that another process works on: downloaded, verified and
//! unpacked in memory, within bounds.
//!
//! Its files are shared by the builds that need them at the same time, and given up soon after.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use flux_api::Artifact;
use flux_git::{DigestAlgorithm, may_be_manifest};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

/// Largest tarball that is downloaded.
const MAX_PACKED: u64 = 64 << 20;

/// Largest single file in it, and all of them together: what a read from a mirror may hold, too.
/// As there, larger files that are no manifests by their name are left out.
const MAX_FILE: u64 = 32 << 20;
const MAX_TOTAL: u64 = 256 << 20;

/// All files that are left out together: they have to be unpacked to come to what follows.
const MAX_SKIPPED: u64 = 1 << 30;

/// Most files in it; each costs about 200 bytes besides its content.
const MAX_FILES: usize = 100_000;

/// How long files stay in memory after they were used: a new revision is built by many
/// Kustomizations shortly after each other.
const KEPT: Duration = Duration::from_secs(10);

/// Pause before the second attempt; it doubles with each further one, up to [`MOST`].
const PAUSE: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// Limit of one attempt.
const TIMEOUT: Duration = Duration::from_secs(60);

type Files = BTreeMap<String, Bytes>;

/// Why an artifact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No answer, or not to the end.
    #[error("cannot download the artifact from {url}: {problem}")]
    Transport {
        /// Address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The server has no such file (any more).
    #[error(
        "cannot download the artifact from {url}: the source-controller answers {status}; it names a newer one as soon as it has it"
    )]
    Status {
        /// Address.
        url: String,
        /// For example `404 Not Found`.
        status: String,
    },
    /// The status of the GitRepository and the file do not agree.
    #[error("the artifact at {url} has the digest {found}, not {wanted} as the GitRepository says")]
    Digest {
        /// Address.
        url: String,
        /// As the status says.
        wanted: String,
        /// As computed.
        found: String,
    },
    /// A digest that we cannot compute.
    #[error("the digest {0:?} of the artifact is not of sha256, sha384 or sha512")]
    Algorithm(String),
    /// More than fits into the memory we allow ourselves.
    #[error("the artifact is too large: {what}; exclude files in .sourceignore or spec.ignore")]
    TooLarge {
        /// What is beyond which limit.
        what: String,
    },
    /// No tarball, or a hostile one.
    #[error("the artifact cannot be unpacked: {0}")]
    Unpack(String),
    /// There is no such path in it.
    #[error("path '{0}' not found in the artifact")]
    NoPath(String),
}

/// An artifact, and its files as long as somebody uses them.
pub(super) struct Download {
    artifact: Artifact,
    files: Mutex<Weak<Files>>,
}

impl Download {
    pub(super) fn new(artifact: Artifact) -> Self {
        Self {
            artifact,
            files: Mutex::default(),
        }
    }

    pub(super) fn digest(&self) -> &str {
        &self.artifact.digest
    }

    pub(super) fn is_of(&self, artifact: &Artifact) -> bool {
        let Artifact {
            digest,
            revision,
            url,
            ..
        } = artifact;
        (
            &self.artifact.digest,
            &self.artifact.revision,
            &self.artifact.url,
        ) == (digest, revision, url)
    }

    /// The files at or below a path.
    pub(super) async fn files(
        &self,
        under: Option<&str>,
        attempts: u32,
    ) -> Result<Files, DownloadError> {
        let path = normal(under.unwrap_or_default());
        let all = self.all(attempts).await?;
        let files: Files = below(&all, &path)
            .map(|(name, content)| (name.clone(), content.clone()))
            .collect();
        if files.is_empty() && !path.is_empty() {
            return Err(DownloadError::NoPath(path));
        }
        Ok(files)
    }

    /// Digests over the files at or below paths.
    pub(super) async fn ids(
        &self,
        paths: &[String],
        attempts: u32,
    ) -> Result<Vec<Option<String>>, DownloadError> {
        let all = self.all(attempts).await?;
        Ok(paths.iter().map(|path| id(&all, &normal(path))).collect())
    }

    /// All files by path; several callers share one download.
    async fn all(&self, attempts: u32) -> Result<Arc<Files>, DownloadError> {
        let mut shared = self.files.lock().await;
        if let Some(files) = shared.upgrade() {
            return Ok(files);
        }
        let packed = self.fetch(attempts).await?;
        let files = tokio::task::spawn_blocking(move || unpack(&packed))
            .await
            .unwrap_or_else(|error| Err(DownloadError::Unpack(error.to_string())))?;
        let files = Arc::new(files);
        *shared = Arc::downgrade(&files);
        let kept = files.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            drop(kept);
        });
        Ok(files)
    }

    async fn fetch(&self, attempts: u32) -> Result<Vec<u8>, DownloadError> {
        let mut pause = PAUSE;
        for _ in 1..attempts.max(1) {
            match self.attempt().await {
                Err(error @ DownloadError::Transport { .. }) => tracing::debug!(%error, "again"),
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST);
        }
        self.attempt().await
    }

    async fn attempt(&self) -> Result<Vec<u8>, DownloadError> {
        let url = &self.artifact.url;
        let failed = |error: reqwest::Error| DownloadError::Transport {
            url: url.clone(),
            problem: crate::words::chain(&error.without_url()),
        };
        let mut response = client()
            .get(url)
            .timeout(TIMEOUT)
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        if status.is_server_error() {
            return Err(DownloadError::Transport {
                url: url.clone(),
                problem: format!("the server answers {status}"),
            });
        }
        if !status.is_success() {
            return Err(DownloadError::Status {
                url: url.clone(),
                status: status.to_string(),
            });
        }
        let mut packed = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if (packed.len() + chunk.len()) as u64 > MAX_PACKED {
                return Err(DownloadError::TooLarge {
                    what: format!("the tarball has more than {MAX_PACKED} bytes"),
                });
            }
            packed.extend_from_slice(&chunk);
        }
        verify(url, &self.artifact.digest, &packed)?;
        Ok(packed)
    }
}

/// A path without `.`, doubled and outer slashes.
fn normal(path: &str) -> String {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    parts.join("/")
}

fn below<'a>(files: &'a Files, path: &str) -> impl Iterator<Item = (&'a String, &'a Bytes)> {
    files.iter().filter(move |(name, _)| {
        let rest = name.strip_prefix(path);
        path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn id(files: &Files, path: &str) -> Option<String> {
    let (mut hash, mut found) = (Sha256::new(), false);
    for (name, content) in below(files, path) {
        found = true;
        hash.update(name);
        hash.update([0]);
        hash.update(Sha256::digest(content));
    }
    found.then(|| hex(&hash.finalize()))
}

/// One client for all artifacts: connections are kept.
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap_or_default()
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(url: &str, wanted: &str, packed: &[u8]) -> Result<(), DownloadError> {
    let algorithm = DigestAlgorithm::of(wanted);
    let algorithm = algorithm.ok_or_else(|| DownloadError::Algorithm(wanted.to_owned()))?;
    let mut digest = algorithm.begin();
    digest.update(packed);
    let found = digest.finish();
    if found == wanted {
        return Ok(());
    }
    Err(DownloadError::Digest {
        url: url.to_owned(),
        wanted: wanted.to_owned(),
        found,
    })
}

/// The regular files of a tarball; directories and links are left out.
fn unpack(packed: &[u8]) -> Result<Files, DownloadError> {
    let broken = |error: std::io::Error| DownloadError::Unpack(error.to_string());
    let too_large = |what| DownloadError::TooLarge { what };
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let (mut files, mut total, mut skipped) = (Files::new(), 0, 0);
    for entry in tar.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(broken)?;
        let name =
            plain(&path).ok_or_else(|| DownloadError::Unpack(format!("unsafe path {path:?}")))?;
        let size = entry.size();
        if size > MAX_FILE && !may_be_manifest(&name) {
            skipped += size;
            if skipped > MAX_SKIPPED {
                return Err(too_large(format!(
                    "its files above {MAX_FILE} bytes have more than {MAX_SKIPPED} bytes, with '{name}'"
                )));
            }
            continue;
        }
        if size > MAX_FILE {
            return Err(too_large(format!(
                "file '{name}' has {size} bytes, the limit is {MAX_FILE}"
            )));
        }
        total += size;
        if total > MAX_TOTAL {
            return Err(too_large(format!(
                "its files have more than {MAX_TOTAL} bytes"
            )));
        }
        if files.len() == MAX_FILES {
            return Err(too_large(format!("it has more than {MAX_FILES} files")));
        }
        // The size is what the header claims: reserve nothing because of it.
        let mut content = Vec::new();
        entry.take(size).read_to_end(&mut content).map_err(broken)?;
        files.insert(name, Bytes::from(content));
    }
    Ok(files)
}

/// A relative path without `.`, or none if it leads elsewhere.
fn plain(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(entries: &[(&str, u64, &str)]) -> Vec<u8> {
        let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (path, size, content) in entries {
            let mut header = tar::Header::new_gnu();
            // Not `set_path`, which refuses what we want to see refused.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(*size);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn files_are_unpacked() {
        let video = "0".repeat(MAX_FILE as usize + 1);
        let packed = pack(&[
            ("./a.yaml", 4, "a: 1"),
            ("dir/a.mp4", MAX_FILE + 1, &video),
            ("dir/b.yaml", 0, ""),
        ]);
        let files = unpack(&packed).unwrap();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.yaml", "dir/b.yaml"]);
        assert_eq!(files["a.yaml"], "a: 1");
    }

    #[test]
    fn hostile_tarballs_are_refused() {
        let huge = pack(&[("huge.yaml", MAX_FILE + 1, "")]);
        let endless = pack(&[("endless", MAX_SKIPPED + 1, "")]);
        for (packed, part) in [
            (pack(&[("../a", 1, "a")]), "unsafe path"),
            (pack(&[("/etc/a", 1, "a")]), "unsafe path"),
            (huge, "file 'huge.yaml' has"),
            (endless, "bytes, with 'endless'"),
            (b"no gzip".to_vec(), "cannot be unpacked"),
            (pack(&[("a", 1, "a")])[..20].to_vec(), "cannot be unpacked"),
        ] {
            let error = unpack(&packed).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn digests_are_compared() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(verify("u", &format!("sha256:{abc}"), b"abc").is_ok());
        for (wanted, part) in [
            (
                format!("sha256:{}", "0".repeat(64)),
                "has the digest sha256:ba78",
            ),
            (format!("blake3:{abc}"), "is not of sha256"),
            (String::new(), "is not of sha256"),
        ] {
            let error = verify("u", &wanted, b"abc").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_path_has_an_id_of_its_own() {
        let packed = pack(&[("a/x", 1, "1"), ("ab/x", 1, "1"), ("c", 1, "1")]);
        let files = unpack(&packed).unwrap();
        let id = |path: &str| id(&files, &normal(path));
        assert_eq!(id("./"), id(""));
        assert_eq!(id("./a"), id("a/"));
        assert_ne!(id("a"), id(""));
        assert_ne!(id("ab"), id("a"));
        assert!(id("c").is_some());
        assert_eq!(id("b"), None);
        let names: Vec<_> = below(&files, "a").map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a/x"]);
    }
}

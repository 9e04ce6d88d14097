//! GitHub, as far as a bootstrap sees it: a small stateful server over the sandbox's Git server.
//!
//! Requests reach it through Prism, which holds each of them and each answer to GitHub's own OpenAPI
//! description; both come from npm, once, into the cache. In front of that is TLS, under the paths of
//! GitHub Enterprise Server.

mod api;
mod description;
mod front;
mod prism;

use std::{collections::BTreeMap, sync::Arc};

pub use api::{KeyState, RepositoryState};

use self::api::Api;
use super::{
    Sandbox,
    error::{Error, Result},
    process::Process,
    tls::TlsListener,
    wait,
};

/// The token that is accepted.
pub const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// Whose token it is.
pub const USER: &str = "octocat";

/// A running GitHub; it ends with the test's runtime.
#[derive(Debug)]
pub struct Github {
    port: u16,
    api: Arc<Api>,
    prism: Arc<Process>,
}

impl Github {
    /// Starts it; `None`, after a word on why, where npm is missing.
    ///
    /// # Errors
    /// When the packages cannot be installed, or a server does not start.
    pub async fn start(sandbox: &'static Sandbox) -> Result<Option<Self>> {
        let Some(packages) = prism::packages()? else {
            return Ok(None);
        };
        let description = description::of(&packages, sandbox.dir())?;
        let ports = [wait::free_port()?, wait::free_port()?];
        let git = sandbox.git()?;
        let failed = |source| Error::Run {
            program: "the GitHub server".to_owned(),
            source,
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0));
        let listener = listener.await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let certificate = sandbox.authority.server("github", &["127.0.0.1"])?;
        let listener = TlsListener::new(listener, &certificate)?;

        let api = Arc::new(Api::new(git, &description.examples, port));
        let upstream = tokio::net::TcpListener::bind(("127.0.0.1", ports[0]));
        let upstream = upstream.await.map_err(failed)?;
        tokio::spawn(axum::serve(upstream, api::router(api.clone())).into_future());
        let prism = prism::start(sandbox, &packages, &description.file, ports).await?;
        let front = front::router(ports[1], &git.https_prefix());
        tokio::spawn(axum::serve(listener, front).into_future());
        Ok(Some(Self { port, api, prism }))
    }

    /// Host and port, as `--hostname` takes them.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What there is, by `owner/name`.
    pub fn repositories(&self) -> BTreeMap<String, RepositoryState> {
        self.api.repositories()
    }

    /// Makes a private repository, as its owner would on the page.
    pub fn create(&self, repository: &str) {
        self.api.make(repository, true);
    }

    /// The requests that changed something since the last call, as `METHOD /path`.
    pub fn take_changes(&self) -> Vec<String> {
        self.api.take_changes()
    }

    /// What Prism has said.
    pub fn log(&self) -> String {
        self.prism.output()
    }
}

//! The walk on a cluster of somebody's: `tutorial --context NAME`. Git server and registry are this
//! machine's or existing ones; nothing is touched that was there before.

mod preflight;
mod steps;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;

use super::Args;
use super::walk::IMAGE;
use crate::env::{Env, images::VERSION};
use crate::image::{Layer, target::Target};
use crate::sandbox::Options;
use crate::sandbox::progress::Step;
use crate::sandbox::registry::{AGNHOST_TAGS, tagged};

/// Where the walk's commands are carried out when it is not in a sandbox.
#[derive(Debug)]
pub(super) struct Guest {
    /// The context's name.
    context: String,
    /// A kubeconfig with this context alone.
    kubeconfig: PathBuf,
    /// The registry from which the cluster pulls the programs.
    pub(super) programs: String,
    servers: Servers,
    /// What was not there before, as `kubectl delete` takes it.
    pub(super) created: Vec<String>,
}

#[derive(Debug)]
enum Servers {
    /// This machine's, under this address.
    Own(IpAddr),
    /// Existing ones.
    Existing(Box<Existing>),
}

#[derive(Debug)]
struct Existing {
    /// URL of the folder with both repositories, ending in a slash.
    git: String,
    /// A key that may read and write them.
    key: PathBuf,
    registry: String,
    target: Target,
    app: Option<Layer>,
}

impl Guest {
    /// What the command line asks for; `None` without `--context`.
    ///
    /// # Errors
    /// When kubectl does not know the context, or a value makes no sense.
    pub(super) async fn new(args: &Args, env: &Env) -> Result<Option<Self>> {
        let Some(context) = args.context.clone() else {
            return Ok(None);
        };
        let servers = match (args.host, &args.git_url, &args.registry) {
            (Some(address), ..) => Servers::Own(address),
            (None, Some(url), Some(registry)) => {
                let key = args.private_key_file.clone();
                let key = key.context("--git-url needs --private-key-file")?;
                ensure!(
                    url.starts_with("ssh://"),
                    "--git-url must be a URL as ssh://git@HOST/OWNER, with the two repositories below it"
                );
                Servers::Existing(Box::new(Existing {
                    git: format!("{}/", url.trim_end_matches('/')),
                    key: std::path::absolute(key)?,
                    registry: registry.trim_end_matches('/').to_owned(),
                    target: Target::open(registry, false, None)?,
                    app: None,
                }))
            }
            _ => bail!("--context needs --image and --host, or --git-url and --registry"),
        };
        let programs = args.image.as_ref().or(args.registry.as_ref());
        let programs = programs.context("--host needs --image")?.clone();
        let guest = Self {
            kubeconfig: kubeconfig(&context, env).await?,
            context,
            programs,
            servers,
            created: Vec::new(),
        };
        Ok(Some(guest))
    }

    /// What of the sandbox such a walk needs.
    pub(super) fn options(args: &Args) -> Options {
        let own = args.host.is_some();
        Options {
            control_plane: false,
            git: own,
            registry: own,
            address: args.host,
            ..Options::default()
        }
    }

    /// The kubeconfig for all commands.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What URLs of the walk's repositories begin with, ending in a slash.
    pub(super) fn git_prefix(&self, env: &Env, owner: &str) -> Result<String> {
        Ok(match &self.servers {
            Servers::Own(_) => {
                let prefix = env.sandbox().outside()?.ssh_prefix(env.git()?.user());
                format!("{prefix}{owner}/")
            }
            Servers::Existing(existing) => existing.git.clone(),
        })
    }

    /// The registry of the app's image.
    pub(super) fn registry(&self, env: &Env) -> Result<String> {
        Ok(match &self.servers {
            Servers::Own(_) => env.sandbox().outside()?.registry(),
            Servers::Existing(existing) => existing.registry.clone(),
        })
    }

    /// The key that reaches existing repositories.
    pub(super) fn key(&self) -> Option<&Path> {
        match &self.servers {
            Servers::Own(_) => None,
            Servers::Existing(existing) => Some(&existing.key),
        }
    }

    /// Puts the app's first tags, and where it is ours to do the programs, into the registry.
    pub(super) async fn push_images(&mut self, env: &Env) -> Result<()> {
        let Servers::Existing(existing) = &mut self.servers else {
            return Ok(env.registry()?.seed_agnhost().await?);
        };
        let step = Step::start("pushing images");
        for (name, image) in env.images().await? {
            existing.target.push(name, VERSION, &image).await?;
        }
        existing.app = Some(env.agnhost().await?);
        self.push_tags(env, &AGNHOST_TAGS).await?;
        step.done();
        Ok(())
    }

    /// Puts further tags of the app into the registry.
    pub(super) async fn push_tags(&self, env: &Env, tags: &[&str]) -> Result<()> {
        let Servers::Existing(existing) = &self.servers else {
            return Ok(env.registry()?.push_tags(IMAGE, tags).await?);
        };
        let files = existing.app.clone();
        let files = files.context("the image of the app is not built yet")?;
        for tag in tags {
            let image = tagged(tag, files.clone());
            existing.target.push(IMAGE, tag, &image).await?;
        }
        Ok(())
    }
}

/// Writes what kubectl knows about a context, and nothing else, into a file.
async fn kubeconfig(context: &str, env: &Env) -> Result<PathBuf> {
    let view = ["config", "view", "--minify", "--flatten", "--raw"];
    let output = Command::new("kubectl")
        .args(view)
        .arg(format!("--context={context}"))
        .env("PATH", env.search_path()?)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run kubectl")?;
    ensure!(
        output.status.success(),
        "{}; `kubectl config get-contexts` lists them",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let path = env.sandbox().dir().join("context.kubeconfig");
    crate::sandbox::write_secret(&path, &String::from_utf8_lossy(&output.stdout))?;
    Ok(path)
}

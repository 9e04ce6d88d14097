//! The person who walks: a shell, a folder of clones, and the programs under test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Args;
use super::guest::Guest;
use super::report::Report;
use super::shell::{Ran, Shell};
use crate::env::Env;
use crate::sandbox::git::Access;
use crate::sandbox::node::{GIT_HOST, REGISTRY_HOST};
use crate::sandbox::process::Process;
use crate::sandbox::progress::Step;
use crate::sandbox::{self, Options};

/// Owner of both repositories, as in the walk.
const OWNER: &str = "papafrancky";

/// The repository of the cluster.
pub(super) const FLEET: &str = "k8s-kind-fluxcd";

/// The repository of the apps.
pub(super) const APPS: &str = "k8s-kind-apps";

/// The image of both apps.
pub(super) const IMAGE: &str = "e2e-test-images/agnhost";

/// What the walk waits for takes moments; a loaded machine may take longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured on the way.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) new_tag_both: Duration,
    pub(super) new_tag: Duration,
    /// From the install to everything Ready; without a node nothing is installed.
    pub(super) install: Option<Duration>,
}

/// The walk's surroundings.
pub(super) struct Walk {
    pub(super) env: Env,
    pub(super) report: Report,
    pub(super) figures: Figures,
    pub(super) shell: Shell,
    clones: PathBuf,
    pub(super) operator: Option<Arc<Process>>,
    pub(super) webhook: Option<Arc<Process>>,
    /// The cluster of somebody's on which the walk is played.
    pub(super) guest: Option<Guest>,
}

impl Walk {
    /// Starts the sandbox and builds the programs; on a cluster of somebody's, asks first.
    pub(super) async fn start(args: &Args) -> Result<Self> {
        let env = surroundings(args).await?;
        env.build_binaries().await?;
        let mut guest = Guest::new(args, &env).await?;
        let clones = env.sandbox().dir().join("home/code/github");
        std::fs::create_dir_all(&clones)?;
        let mut environment = BTreeMap::new();
        let variables = match &guest {
            None => env.variables()?,
            // The person's own home stays: credentials for the cluster may be there.
            Some(guest) => vec![
                ("PATH", env.search_path()?),
                ("KUBECONFIG", guest.kubeconfig().into()),
            ],
        };
        for (name, value) in variables {
            environment.insert(name.to_owned(), value.to_string_lossy().into_owned());
        }
        let ssh = match guest.as_ref().and_then(Guest::key) {
            None => {
                let git = env.git()?;
                Some(git.ssh_command(&git.person_key()?))
            }
            Some(_) if std::env::var_os("GIT_SSH_COMMAND").is_some() => None,
            Some(key) => Some(format!("ssh -i '{}' -o IdentitiesOnly=yes", key.display())),
        };
        environment.extend(ssh.map(|command| ("GIT_SSH_COMMAND".to_owned(), command)));
        for (name, value) in [
            ("GIT_AUTHOR_NAME", OWNER),
            ("GIT_AUTHOR_EMAIL", "papafrancky@example.com"),
            ("GIT_COMMITTER_NAME", OWNER),
            ("GIT_COMMITTER_EMAIL", "papafrancky@example.com"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
        ] {
            environment.insert(name.into(), value.into());
        }
        let shell = Shell {
            folder: clones.clone(),
            environment,
            network: env.node().ok().map(|node| node.network().clone()),
        };
        match &mut guest {
            Some(guest) => {
                guest.preflight(&shell, args.yes).await?;
                guest.push_images(&env).await?;
            }
            None if env.node().is_err() => env.registry()?.seed_agnhost().await?,
            None => {}
        }
        Ok(Self {
            env,
            report: Report::default(),
            figures: Figures::default(),
            shell,
            clones,
            operator: None,
            webhook: None,
            guest,
        })
    }

    /// Makes a repository on the server and clones it.
    pub(super) async fn create_repository(&mut self, name: &str) -> Result<()> {
        if self.env.git().is_ok() {
            let repository = format!("{OWNER}/{name}");
            self.env.git()?.create_repository(&repository)?;
        }
        let url = self.ssh_url(name)?;
        let out = self
            .sh(&format!(
                "git clone -q {url}\ncd {name} && git checkout -q -B main"
            ))
            .await?;
        self.report
            .check(&format!("{name} is there and cloned"), out.ok, &out.text);
        if self.guest.is_some() {
            let out = self.sh_in(name, "git branch -r").await?;
            ensure!(
                out.ok && out.text.trim().is_empty(),
                "{url} is not an empty repository"
            );
        }
        Ok(())
    }

    /// Whether the sandbox has a node.
    pub(super) fn has_node(&self) -> bool {
        self.env.node().is_ok()
    }

    /// Whether pods run.
    pub(super) fn runs_pods(&self) -> bool {
        self.has_node() || self.guest.is_some()
    }

    /// What URLs of the walk's repositories begin with.
    fn git_prefix(&self) -> Result<String> {
        if let Some(guest) = &self.guest {
            return guest.git_prefix(&self.env, OWNER);
        }
        let git = self.env.git()?;
        Ok(match self.has_node() {
            true => format!("ssh://{}@{GIT_HOST}/{OWNER}/", git.user()),
            false => format!("{}{OWNER}/", git.ssh_prefix()),
        })
    }

    /// The URL of a repository.
    pub(super) fn ssh_url(&self, repository: &str) -> Result<String> {
        Ok(format!("{}{repository}.git", self.git_prefix()?))
    }

    /// The image without tag.
    pub(super) fn image(&self) -> Result<String> {
        let registry = match &self.guest {
            Some(guest) => guest.registry(&self.env)?,
            None if self.has_node() => REGISTRY_HOST.to_owned(),
            None => self.env.registry()?.host().to_owned(),
        };
        Ok(format!("{registry}/{IMAGE}"))
    }

    /// A manifest of the walk; the names of GitHub and the registry are those of the sandbox.
    pub(super) fn seed(&self, fixture: &str) -> Result<String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/seed");
        let text = std::fs::read_to_string(folder.join(fixture))
            .with_context(|| format!("cannot read the fixture {fixture}"))?;
        let prefix = self.git_prefix()?;
        Ok(text
            .replace("registry.k8s.io/e2e-test-images/agnhost", &self.image()?)
            .replace(&format!("ssh://git@github.com/{OWNER}/"), &prefix))
    }

    /// Writes a file of a clone.
    pub(super) fn write(&self, repository: &str, path: &str, content: &str) -> Result<()> {
        let path = self.clones.join(repository).join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, content)?)
    }

    /// Runs commands in the folder of all clones and shows them.
    pub(super) async fn sh(&mut self, command: &str) -> Result<Ran> {
        let ran = self.shell.run(command).await?;
        self.report.command(command, &ran.text);
        Ok(ran)
    }

    /// Runs commands in a clone and shows them.
    pub(super) async fn sh_in(&mut self, repository: &str, command: &str) -> Result<Ran> {
        let shell = Shell {
            folder: self.clones.join(repository),
            ..self.shell.clone()
        };
        let ran = shell.run(command).await?;
        self.report.command(command, &ran.text);
        Ok(ran)
    }

    /// Applies a manifest that is not in Git.
    pub(super) async fn apply_stdin(&mut self, file: &str, manifest: &str) -> Result<()> {
        std::fs::write(self.clones.join(file), manifest)?;
        let out = self.sh(&format!("kubectl apply -f {file}")).await?;
        ensure!(out.ok, "{}", out.text);
        Ok(())
    }

    /// The revision of a repository's branch main, in Flux's form.
    pub(super) async fn revision(&self, repository: &str) -> Result<String> {
        let url = self.ssh_url(repository)?;
        let list = format!("git ls-remote --quiet {url} refs/heads/main");
        let ran = self.shell.run(&list).await?;
        let id = ran.text.split_whitespace().next().unwrap_or_default();
        ensure!(ran.ok && !id.is_empty(), "{}", ran.text);
        Ok(format!("main@sha1:{id}"))
    }

    /// Takes the public key out of a Secret and registers it, as a person does on GitHub's page.
    pub(super) async fn add_deploy_key(
        &mut self,
        namespace: &str,
        secret: &str,
        repository: &str,
        write: bool,
    ) -> Result<()> {
        let out = self
            .sh(&format!(
                "kubectl -n {namespace} get secret {secret} -o jsonpath='{{.data.identity\\.pub}}' | base64 -d"
            ))
            .await?;
        self.register_deploy_key(repository, &out.text, write)
    }

    /// The same for a key that is known.
    pub(super) fn register_deploy_key(
        &mut self,
        repository: &str,
        public_key: &str,
        write: bool,
    ) -> Result<()> {
        if self
            .guest
            .as_ref()
            .is_some_and(|guest| guest.key().is_some())
        {
            self.report
                .say("The key may read and write both repositories already.");
            return Ok(());
        }
        let access = if write {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let repository = format!("{OWNER}/{repository}");
        self.env
            .git()?
            .add_deploy_key(&repository, public_key.trim(), access)?;
        let how = if write {
            "with \"Allow write access\""
        } else {
            "for reading"
        };
        self.report.say(&format!(
            "The key is added to {repository} as a deploy key {how}."
        ));
        Ok(())
    }

    /// Waits until the Ready condition's message of an object contains a text, and checks it.
    pub(super) async fn condition(
        &mut self,
        kind: &str,
        namespace: &str,
        name: &str,
        part: &str,
    ) -> Result<()> {
        let command = format!(
            "kubectl -n {namespace} get {kind} {name} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].message}}'"
        );
        let (holds, text) = self.until(&command, |text| text.contains(part)).await?;
        self.report.check(
            &format!("{kind} {namespace}/{name} says: {part}"),
            holds,
            &text,
        );
        Ok(())
    }

    /// Repeats a command until its output is as wanted, or patience is at its end.
    pub(super) async fn until(
        &self,
        command: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Result<(bool, String)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.shell.run(command).await?;
            if ran.ok && holds(&ran.text) {
                return Ok((true, ran.text));
            }
            if Instant::now() > deadline {
                return Ok((false, ran.text));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Pushes a new tag of the image.
    pub(super) async fn push_tag(&mut self, tag: &str) -> Result<()> {
        match &self.guest {
            Some(guest) => guest.push_tags(&self.env, &[tag]).await?,
            None => self.env.registry()?.push_tags(IMAGE, &[tag]).await?,
        }
        self.report
            .say(&format!("Somebody pushes {IMAGE}:{tag} to the registry."));
        Ok(())
    }

    /// Time from the request to scan to the changed Deployment.
    pub(super) async fn time_new_tag(&mut self, app: &str, image: &str) -> Result<Duration> {
        let started = Instant::now();
        let request = format!(
            "kubectl -n {app} annotate --overwrite imagerepository agnhost reconcile.fluxcd.io/requestedAt=\"$(date +%s%N)\""
        );
        self.sh(&request).await?;
        let (holds, text) = self
            .until(&image_command(app), |text| text == image)
            .await?;
        let took = started.elapsed();
        self.report.check(
            &format!("the Deployment of {app} runs {image}"),
            holds,
            &text,
        );
        Ok(took)
    }

    /// Shortest of five runs of the plugin's simplest command.
    pub(super) async fn time_version(&self) -> Result<Duration> {
        let plugin = self.env.build_binaries().await?.plugin.clone();
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            let status = tokio::process::Command::new(&plugin)
                .args(["version", "--client"])
                .stdout(std::process::Stdio::null())
                .status()
                .await?;
            ensure!(status.success(), "kubectl-flux version --client failed");
            best = best.min(started.elapsed());
        }
        Ok(best)
    }

    /// How long the control plane took to start.
    pub(super) fn ready_after(&self) -> Duration {
        self.env.sandbox().ready_after()
    }

    /// Says how to look around and waits for Ctrl-C.
    pub(super) async fn wait_for_interrupt(&self) -> Result<()> {
        println!("\nStill running. To look around:");
        for name in ["KUBECONFIG", "PATH"] {
            if let Some(value) = self.shell.environment.get(name) {
                println!("  export {name}={value}");
            }
        }
        println!("  cd {}", self.clones.display());
        if let Ok(node) = self.env.node() {
            println!(
                "{} sh   # at the node, where its names and addresses mean something",
                node.network().enter()
            );
        }
        println!("Ctrl-C ends it.");
        Ok(tokio::signal::ctrl_c().await?)
    }

    /// Stops everything, checks that nothing is left, and closes the report.
    pub(super) async fn stop(mut self) -> Result<bool> {
        self.report.chapter("Leaving");
        // Whatever fails: what this has started is stopped.
        if let Err(error) = self.stop_programs().await {
            let error = format!("{error:#}");
            self.report.check("the programs stop", false, &error);
        }
        let record = self.env.sandbox().record();
        let folder = self.env.sandbox().dir().to_owned();
        self.env.stop().await;
        let alive: Vec<_> = record
            .alive()
            .map(|process| format!("{process:?}"))
            .collect();
        self.report.check(
            "nothing is left running",
            alive.is_empty(),
            &alive.join("\n"),
        );
        self.report.check(
            "nothing is left on disk",
            !folder.exists(),
            &folder.display().to_string(),
        );
        Ok(self.report.close())
    }
}

/// A sandbox with a node where that is wanted and possible; else a word on what is left out.
async fn surroundings(args: &Args) -> Result<Env> {
    if args.context.is_some() {
        return Env::empty(Guest::options(args)).await;
    }
    let step = Step::start("starting a cluster, a Git server and a registry");
    let refused = match !args.no_node {
        false => "no node is wanted".to_owned(),
        true => match Env::empty(Options::with_node()).await {
            Ok(env) => {
                step.done();
                return Ok(env);
            }
            Err(error) => match error.downcast_ref::<sandbox::Error>() {
                Some(sandbox::Error::NoNode(_)) => error.to_string(),
                _ => return Err(error),
            },
        },
    };
    let env = Env::start().await?;
    step.done();
    println!(
        "{refused}. The walk is played without one: operator and webhook run as processes of this \
         machine, no pod runs, and no Ingress is served. Steps that need a node are skipped."
    );
    Ok(env)
}

pub(super) fn image_command(app: &str) -> String {
    format!(
        "kubectl -n {app} get deployment {app} -o jsonpath='{{.spec.template.spec.containers[].image}}'"
    )
}

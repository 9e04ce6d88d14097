//! The person who walks: a shell, a folder of clones, and the programs under test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::report::Report;
use super::shell::{Ran, Shell};
use crate::env::Env;
use crate::sandbox::git::Access;
use crate::sandbox::process::{Process, Stop};
use crate::sandbox::{progress::Step, wait};

/// Owner of both repositories, as in the walk.
const OWNER: &str = "papafrancky";

/// The repository of the cluster.
pub(super) const FLEET: &str = "k8s-kind-fluxcd";

/// The repository of the apps.
pub(super) const APPS: &str = "k8s-kind-apps";

/// The image of both apps.
const IMAGE: &str = "e2e-test-images/agnhost";

/// What the walk waits for takes moments; a loaded machine may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

const GRACE: Duration = Duration::from_secs(10);

/// What is measured on the way.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) new_tag_both: Duration,
    pub(super) new_tag: Duration,
}

/// The walk's surroundings.
pub(super) struct Walk {
    env: Env,
    pub(super) report: Report,
    pub(super) figures: Figures,
    shell: Shell,
    clones: PathBuf,
    operator: Option<Arc<Process>>,
    webhook: Option<Arc<Process>>,
}

impl Walk {
    /// Starts the sandbox and builds the programs.
    pub(super) async fn start() -> Result<Self> {
        let step = Step::start("starting a control plane, a Git server and a registry");
        let env = Env::start().await?;
        step.done();
        env.build_binaries().await?;
        env.registry()?.seed_agnhost().await?;
        let clones = env.sandbox().dir().join("home/code/github");
        std::fs::create_dir_all(&clones)?;
        let mut environment = BTreeMap::new();
        for (name, value) in env.variables()? {
            environment.insert(name.to_owned(), value.to_string_lossy().into_owned());
        }
        let git = env.git()?;
        environment.insert(
            "GIT_SSH_COMMAND".into(),
            git.ssh_command(&git.person_key()?),
        );
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
        };
        Ok(Self {
            env,
            report: Report::default(),
            figures: Figures::default(),
            shell,
            clones,
            operator: None,
            webhook: None,
        })
    }

    /// Starts webhook and operator and waits until both are ready.
    pub(super) async fn start_programs(&mut self) -> Result<()> {
        let binaries = self.env.build_binaries().await?.clone();
        let port = wait::free_port()?;
        let webhook = self.spawn(
            "webhook",
            Command::new(&binaries.webhook)
                .arg(format!("--listen=127.0.0.1:{port}"))
                .arg(format!("--url=https://127.0.0.1:{port}"))
                .arg("--remove-configurations-on-exit"),
        )?;
        self.report
            .say("flux-admission-webhook runs, the API server reaches it by URL");
        let [health, metrics, storage] =
            [wait::free_port()?, wait::free_port()?, wait::free_port()?];
        let ca = self.env.sandbox().ca_file();
        let operator = self.spawn(
            "operator",
            Command::new(&binaries.operator)
                .arg(format!(
                    "--storage-path={}",
                    self.env.sandbox().dir().join("data").display()
                ))
                .arg(format!("--storage-addr=127.0.0.1:{storage}"))
                .arg(format!("--health-addr=127.0.0.1:{health}"))
                .arg(format!("--metrics-addr=127.0.0.1:{metrics}"))
                // The registry's certificate is signed by the sandbox's own authority.
                .env("SSL_CERT_FILE", ca),
        )?;
        self.report.say("flux-sync-operator runs");
        let client = reqwest::Client::new();
        wait::until("the operator", PATIENCE, Some(&operator), async || {
            let answer = client
                .get(format!("http://127.0.0.1:{health}/readyz"))
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        wait::until("the webhook", PATIENCE, Some(&webhook), async || {
            let list = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o jsonpath='{.items[*].webhooks[0].clientConfig.caBundle}'";
            let ran = self.shell.run(list).await.map_err(|error| error.to_string())?;
            let both = ran.ok && ran.text.split_whitespace().count() == 2;
            both.then_some(()).ok_or_else(|| format!("configurations: {}", ran.text))
        })
        .await?;
        self.operator = Some(operator);
        self.webhook = Some(webhook);
        Ok(())
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Arc<Process>> {
        command
            .envs(self.env.variables()?)
            .current_dir(self.env.sandbox().dir());
        Ok(self
            .env
            .sandbox()
            .supervisor()
            .spawn(name, Stop::Terminate(GRACE), command)?)
    }

    /// Makes a repository on the server and clones it.
    pub(super) async fn create_repository(&mut self, name: &str) -> Result<()> {
        self.env
            .git()?
            .create_repository(&format!("{OWNER}/{name}"))?;
        let url = self.ssh_url(name)?;
        let out = self
            .sh(&format!(
                "git clone -q {url}\ncd {name} && git checkout -q -B main"
            ))
            .await?;
        self.report
            .check(&format!("{name} is there and cloned"), out.ok, &out.text);
        Ok(())
    }

    /// The URL of a repository.
    pub(super) fn ssh_url(&self, repository: &str) -> Result<String> {
        Ok(self.env.git()?.ssh_url(&format!("{OWNER}/{repository}")))
    }

    /// The user part of Git URLs.
    pub(super) fn git_user(&self) -> Result<String> {
        Ok(self.env.git()?.user().to_owned())
    }

    /// The image without tag.
    pub(super) fn image(&self) -> Result<String> {
        Ok(self.env.registry()?.image(IMAGE))
    }

    /// A manifest of the walk; the names of GitHub and the registry are those of the sandbox.
    pub(super) fn seed(&self, fixture: &str) -> Result<String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/seed");
        let text = std::fs::read_to_string(folder.join(fixture))
            .with_context(|| format!("cannot read the fixture {fixture}"))?;
        let prefix = self.env.git()?.ssh_prefix();
        Ok(text
            .replace("registry.k8s.io/e2e-test-images/agnhost", &self.image()?)
            .replace("ssh://git@github.com/", &prefix))
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
        let path = self
            .env
            .git()?
            .repository_path(&format!("{OWNER}/{repository}"));
        let ran = self
            .shell
            .run(&format!("git -C {} rev-parse main", path.display()))
            .await?;
        ensure!(ran.ok, "{}", ran.text);
        Ok(format!("main@sha1:{}", ran.text.trim()))
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
        let access = if write {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let repository = format!("{OWNER}/{repository}");
        self.env
            .git()?
            .add_deploy_key(&repository, out.text.trim(), access)?;
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

    /// Waits until the Deployment of an app has an image, and checks it.
    pub(super) async fn image_of(&mut self, app: &str, image: &str) -> Result<()> {
        let command = image_command(app);
        let (holds, text) = self.until(&command, |text| text == image).await?;
        self.report.command(&command, &text);
        self.report.check(
            &format!("the Deployment of {app} runs {image}"),
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
        self.env.registry()?.push_tags(IMAGE, &[tag]).await?;
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

    /// Resident bytes of operator and webhook.
    pub(super) fn resident_memory(&self) -> (Option<u64>, Option<u64>) {
        let of = |process: &Option<Arc<Process>>| process.as_ref()?.id().resident_memory();
        (of(&self.operator), of(&self.webhook))
    }

    /// How long the control plane took to start.
    pub(super) fn ready_after(&self) -> Duration {
        self.env.sandbox().ready_after()
    }

    /// Shows what the programs complained about.
    pub(super) fn show_logs(&self) {
        for process in [&self.operator, &self.webhook].into_iter().flatten() {
            println!("{} has these complaints:", process.log().display());
            let log = process.output();
            let bad = |line: &&str| line.contains("\"ERROR\"") || line.contains("\"WARN\"");
            for line in log.lines().filter(bad) {
                println!("  {line}");
            }
        }
    }

    /// Says how to look around and waits for Ctrl-C.
    pub(super) async fn wait_for_interrupt(&self) -> Result<()> {
        println!("\nStill running. To look around:");
        for name in ["KUBECONFIG", "PATH"] {
            if let Some(value) = self.shell.environment.get(name) {
                println!("  export {name}={value}");
            }
        }
        println!("  cd {}\nCtrl-C ends it.", self.clones.display());
        Ok(tokio::signal::ctrl_c().await?)
    }

    /// Stops everything, checks that nothing is left, and closes the report.
    pub(super) async fn stop(mut self) -> Result<bool> {
        for process in [self.operator.take(), self.webhook.take()]
            .into_iter()
            .flatten()
        {
            process.stop();
        }
        let list =
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name";
        let out = self.shell.run(list).await?;
        self.report.chapter("Leaving");
        self.report.check(
            "the webhook took its configurations with it",
            out.ok && !out.text.contains("webhook.admissionregistration"),
            &out.text,
        );
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

fn image_command(app: &str) -> String {
    format!(
        "kubectl -n {app} get deployment {app} -o jsonpath='{{.spec.template.spec.containers[].image}}'"
    )
}

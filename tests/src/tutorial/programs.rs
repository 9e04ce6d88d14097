//! Operator and webhook: in the cluster where there is a node, as processes of this machine where
//! there is none.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::guest::Guest;
use super::walk::{PATIENCE, Walk, image_command};
use crate::sandbox::node::{APPS_HOST, REGISTRY_HOST};
use crate::sandbox::process::{Process, Stop};
use crate::sandbox::wait;

const GRACE: Duration = Duration::from_secs(10);

/// Why some of it cannot be shown.
pub(super) const NO_NODE: &str = "it takes a node of the sandbox";

/// Deployments and, in the same order, the programs in them.
const DEPLOYMENTS: [(&str, &str); 2] = [
    ("sync-operator", "flux-sync-operator"),
    ("admission-webhook", "flux-admission-webhook"),
];

impl Walk {
    /// Waits until the API server can call the webhook, and checks how it does.
    pub(super) async fn webhook_is_registered(&mut self) -> Result<()> {
        // It fills them in when it can be called.
        let list = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o jsonpath='{.items[*].webhooks[0].clientConfig.caBundle}'";
        let (registered, text) = self
            .until(list, |text| text.split_whitespace().count() == 2)
            .await?;
        ensure!(registered, "the webhook's configurations: {text}");
        let out = self
            .sh("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name")
            .await?;
        self.report.check(
            "the webhook has registered itself twice",
            out.text.lines().count() == 2,
            &out.text,
        );
        let expected = "the API server calls it through its Service";
        if !self.runs_pods() {
            self.report.skip(expected, NO_NODE);
            return Ok(());
        }
        let service = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o jsonpath='{.items[*].webhooks[0].clientConfig.service.name}'";
        let out = self.sh(service).await?;
        self.report.check(
            expected,
            out.text == "admission-webhook admission-webhook",
            &out.text,
        );
        Ok(())
    }

    /// Installs both in the cluster by way of Git, as a person does, and looks at their pods.
    pub(super) async fn bootstrap(&mut self, repository: &str) -> Result<()> {
        let registry = match &self.guest {
            Some(guest) => guest.programs.clone(),
            None => {
                self.env.push_images().await?;
                self.report.say(&format!(
                    "The images of both are in the registry {REGISTRY_HOST}, which is the sandbox's own here, as is github.com."
                ));
                REGISTRY_HOST.to_owned()
            }
        };
        let key = match self.guest.as_ref().and_then(Guest::key) {
            Some(key) => format!("'{}'", key.display()),
            None => {
                let made = self
                    .sh("ssh-keygen -q -t ed25519 -N '' -C flux-system -f flux-system.key\ncat flux-system.key.pub")
                    .await?;
                self.register_deploy_key(repository, &made.text, true)?;
                "flux-system.key".to_owned()
            }
        };
        let command = format!(
            "kubectl flux bootstrap git --silent --url={} --branch=main --path=. \
             --private-key-file={key} --registry={registry} \
             --components-extra=image-reflector-controller,image-automation-controller",
            self.ssh_url(repository)?
        );
        let started = Instant::now();
        let out = self.sh(&command).await?;
        self.figures.install = Some(started.elapsed());
        let mut lines = out.text.lines();
        let said = [
            "✔ committed component manifests",
            "✔ reconciled components",
            "✔ reconciled source secret",
            "✔ committed sync manifests",
            "✔ Kustomization reconciled successfully",
            "✔ sync-operator: deployment ready",
            "✔ admission-webhook: deployment ready",
            "✔ all components are healthy",
        ];
        let in_order = said
            .iter()
            .all(|line| lines.any(|found| found.starts_with(line)));
        self.report.check(
            "both are committed, installed, synced from Git, and healthy",
            out.ok && in_order,
            &out.text,
        );
        let out = self.sh(&command).await?;
        self.report.check(
            "a second run has nothing to do",
            out.ok
                && out.text.contains("✔ component manifests are up to date")
                && out.text.contains("✔ sync manifests are up to date"),
            &out.text,
        );
        self.sh_in(repository, "git pull -q origin main\nls -R flux-system")
            .await?;
        self.pods_are_well().await?;
        let out = self.sh("kubectl flux check").await?;
        self.report.contains(
            "kubectl flux check agrees",
            &out.text,
            "✔ all checks passed",
        );
        Ok(())
    }

    /// Looks at everything in flux-system: all pods run, and none has had to start again.
    pub(super) async fn pods_are_well(&mut self) -> Result<()> {
        let out = self.sh("kubectl -n flux-system get all").await?;
        let pods: Vec<Vec<&str>> = out
            .text
            .lines()
            .filter(|line| line.starts_with("pod/"))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let well = |columns: &Vec<&str>| columns.get(1..4) == Some(&["1/1", "Running", "0"]);
        self.report.check(
            "everything is Running, with 0 restarts",
            pods.len() >= DEPLOYMENTS.len() && pods.iter().all(well),
            &out.text,
        );
        Ok(())
    }

    /// Starts both on this machine, with the administrator's rights.
    pub(super) async fn start_processes(&mut self) -> Result<()> {
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

    /// Ends both, and checks that they leave nothing in the cluster.
    pub(super) async fn stop_programs(&mut self) -> Result<()> {
        let processes = [self.operator.take(), self.webhook.take()];
        if self.runs_pods() {
            let uninstalled = self.uninstall("bar").await;
            return self.leave().await.and(uninstalled);
        }
        for process in processes.into_iter().flatten() {
            process.stop();
        }
        let list =
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o name";
        let out = self.shell.run(list).await?;
        self.report.check(
            "the webhook took its configurations with it",
            out.ok && !out.text.contains("webhook.admissionregistration"),
            &out.text,
        );
        Ok(())
    }

    /// Takes both out of the cluster; an app that they applied does not notice.
    async fn uninstall(&mut self, app: &str) -> Result<()> {
        let pods = format!("kubectl -n {app} get pods -o jsonpath='{{.items[*].metadata.uid}}'");
        let before = self.sh(&pods).await?;
        let out = self.sh("kubectl flux uninstall --silent").await?;
        self.report
            .check("the programs are uninstalled", out.ok, &out.text);
        let ours = "kubectl get crds,validatingwebhookconfigurations,mutatingwebhookconfigurations,clusterroles,clusterrolebindings,namespaces -l app.kubernetes.io/part-of=flux -o name";
        let (gone, text) = self.until(ours, |text| text.trim().is_empty()).await?;
        self.report.command(ours, &text);
        self.report
            .check("nothing of them is left in the cluster", gone, &text);
        let after = self.sh(&pods).await?;
        self.report.check(
            &format!("{app} runs on in the same pod"),
            after.ok && !after.text.is_empty() && before.text == after.text,
            &format!("{}\n{}", before.text, after.text),
        );
        Ok(())
    }

    /// Waits until the Deployment of an app has an image, and checks it.
    pub(super) async fn image_of(&mut self, app: &str, image: &str) -> Result<()> {
        let command = image_command(app);
        let (holds, text) = self.until(&command, |text| text == image).await?;
        self.report.command(&command, &text);
        self.report.check(
            &format!("the Deployment of {app} has {image}"),
            holds,
            &text,
        );
        self.pods_run(app, image).await
    }

    /// Waits until the pods of an app, all of them, run an image and answer.
    pub(super) async fn pods_run(&mut self, app: &str, image: &str) -> Result<()> {
        let expected = format!("the pods of {app} run {image} and answer through their Service");
        if !self.runs_pods() {
            self.report.skip(&expected, NO_NODE);
            return Ok(());
        }
        if self.guest.is_some() {
            return self.pods_run_for_guest(app, image, &expected).await;
        }
        let command = format!(
            "kubectl -n {app} get pods -l app={app} -o jsonpath='{{.items[*].spec.containers[*].image}} {{.items[*].status.phase}}'"
        );
        let wanted = format!("{image} Running");
        let (holds, text) = self.until(&command, |text| text == wanted).await?;
        self.report.command(&command, &text);
        let ask = format!(
            "curl -s http://$(kubectl -n {app} get service {app} -o jsonpath='{{.spec.clusterIP}}'):8080/hostname"
        );
        let (answers, answer) = self.until(&ask, |text| is_pod_of(app, text)).await?;
        self.report.command(&ask, &answer);
        self.report
            .check(&expected, holds && answers, &format!("{text}\n{answer}"));
        Ok(())
    }

    /// Checks that nothing answers for an app behind the Ingress of the walk.
    pub(super) async fn ingress_fails(&mut self) -> Result<()> {
        let expected = "a request for /foo/hostname is not answered by foo";
        if !self.has_node() {
            self.report.skip(expected, NO_NODE);
            return Ok(());
        }
        let out = self
            .sh(&format!(
                "curl -s -o /dev/null -w '%{{http_code}}' http://{APPS_HOST}/foo/hostname"
            ))
            .await?;
        self.report.check(expected, out.text == "404", &out.text);
        Ok(())
    }

    /// Checks that an app answers behind its Ingress.
    pub(super) async fn ingress_leads_to(&mut self, app: &str) -> Result<()> {
        let expected = format!("a request for /{app}/hostname is answered by a pod of {app}");
        if !self.has_node() {
            self.report.skip(&expected, NO_NODE);
            return Ok(());
        }
        let ask = format!("curl -s http://{APPS_HOST}/{app}/hostname");
        let (holds, text) = self.until(&ask, |text| is_pod_of(app, text)).await?;
        self.report.command(&ask, &text);
        self.report.check(&expected, holds, &text);
        Ok(())
    }

    /// Resident bytes of operator and webhook.
    pub(super) fn resident_memory(&self) -> (Option<u64>, Option<u64>) {
        if let Ok(node) = self.env.node() {
            let [(_, operator), (_, webhook)] = DEPLOYMENTS;
            return (
                node.resident_memory(operator),
                node.resident_memory(webhook),
            );
        }
        let of = |process: &Option<Arc<Process>>| process.as_ref()?.id().resident_memory();
        (of(&self.operator), of(&self.webhook))
    }

    /// Shows what the programs complained about.
    pub(super) async fn show_logs(&self) -> Result<()> {
        if self.runs_pods() {
            for (deployment, _) in DEPLOYMENTS {
                let logs = format!("kubectl -n flux-system logs deployment/{deployment}");
                let logs = self.shell.run(&logs).await?;
                println!("{deployment} has these complaints:");
                print_complaints(&logs.text);
            }
            let pods = self.shell.run("kubectl get pods -A -o wide").await?;
            println!("{}", pods.text);
        }
        for process in [&self.operator, &self.webhook].into_iter().flatten() {
            println!("{} has these complaints:", process.log().display());
            print_complaints(&process.output());
        }
        Ok(())
    }
}

fn print_complaints(log: &str) {
    let bad = |line: &&str| line.contains("\"ERROR\"") || line.contains("\"WARN\"");
    for line in log.lines().filter(bad) {
        println!("  {line}");
    }
}

/// Whether a host name is that of a pod of the Deployment `app`.
fn is_pod_of(app: &str, name: &str) -> bool {
    name.starts_with(&format!("{app}-"))
}

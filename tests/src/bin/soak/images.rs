//! Image updates: speed in large repositories, and commits from three sides for many rounds.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use flux_tests::{
    env::Env,
    sandbox::{
        git::{Access, WorkCopy},
        process::Process,
        wait::{self, free_port},
    },
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

mod setters;
mod tags;

const PATIENCE: Duration = Duration::from_secs(180);
const APP: &str = "app";

/// Settings of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// YAML files of the repositories that are measured; one in a hundred is marked.
    #[arg(long, default_values_t = [5_000, 50_000])]
    files: Vec<usize>,

    /// Rounds of two automations and a person pushing to one branch.
    #[arg(long, default_value_t = 200)]
    rounds: usize,

    /// Tags of the image that is scanned.
    #[arg(long, default_value_t = 1_000_000)]
    tags: usize,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let env = Env::start().await?;
    let bench = Bench::start(&env).await?;
    println!(
        "{:<52} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "wall ms", "ours ms", "server", "CPU ms", "peak MiB"
    );
    for files in &arguments.files {
        bench.setters(*files).await?;
    }
    bench.chain().await?;
    bench.three_sides(arguments.rounds).await?;
    tags::run(&bench, arguments.tags).await
}

/// A cluster with an operator, and few words for what is measured.
struct Bench<'e> {
    env: &'e Env,
    client: Client,
    operator: Arc<Process>,
}

/// A namespace with a repository.
struct Place {
    namespace: String,
    repository: String,
    copy: WorkCopy,
    bare: PathBuf,
}

impl<'e> Bench<'e> {
    async fn start(env: &'e Env) -> Result<Self> {
        let port = || free_port().map(|port| format!("127.0.0.1:{port}"));
        let arguments = [
            format!(
                "--storage-path={}",
                env.sandbox().dir().join("data").display()
            ),
            format!("--storage-addr={}", port()?),
            format!("--health-addr={}", port()?),
            format!("--metrics-addr={}", port()?),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(Self {
            env,
            client: env.client().await?,
            operator: env.start_operator(&arguments).await?,
        })
    }

    async fn place(&self, name: &str, files: &[(String, String)]) -> Result<Place> {
        let namespace = self.env.namespace(name).await?;
        let git = self.env.git()?;
        let repository = format!("{namespace}/{APP}");
        git.create_repository(&repository)?;
        let copy = git.work_copy(&repository)?;
        for (path, content) in files {
            copy.write(path, &content.replace("NAMESPACE", &namespace))?;
        }
        copy.commit_and_push("first")?;
        let key = git.client_key(&namespace)?;
        git.add_deploy_key(&repository, &key.public, Access::ReadWrite)?;
        let place = Place {
            bare: git.repository_path(&repository),
            namespace,
            repository,
            copy,
        };
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let data = json!({
            "identity": encode(&fs::read_to_string(&key.private)?),
            "known_hosts": encode(&git.known_hosts()?),
        });
        self.apply("", "Secret", &place, APP, json!({"data": data}))
            .await?;
        let spec = json!({
            "interval": "1h",
            "url": git.ssh_url(&place.repository),
            "ref": {"branch": "main"},
            "secretRef": {"name": APP},
        });
        self.spec("source", "GitRepository", &place, APP, spec)
            .await?;
        Ok(place)
    }

    /// An image, its policy, and an automation of the folder of the same name.
    async fn image(&self, place: &Place, name: &str, path: &str) -> Result<()> {
        let registry = self.env.registry()?;
        let image = format!("{}/{name}", place.namespace);
        registry.push_tags(&image, &["1.0.0"]).await?;
        let spec = json!({"image": registry.image(&image), "interval": "1h"});
        self.spec("image", "ImageRepository", place, name, spec)
            .await?;
        let spec = json!({
            "imageRepositoryRef": {"name": name},
            "policy": {"semver": {"range": "*"}},
        });
        self.spec("image", "ImagePolicy", place, name, spec).await?;
        let template = "{{range .Changed.Changes}}{{.Setter}} {{.NewValue}}\n{{end}}";
        let spec = json!({
            "interval": "1h",
            "sourceRef": {"kind": "GitRepository", "name": APP},
            "git": {"commit": {"author": {"email": "bot@example.com"}, "messageTemplate": template}},
            "update": {"path": path},
        });
        self.spec("image", "ImageUpdateAutomation", place, name, spec)
            .await?;
        self.until_ready("image", "ImageUpdateAutomation", place, name)
            .await
    }

    async fn spec(
        &self,
        group: &str,
        kind: &str,
        place: &Place,
        name: &str,
        spec: Value,
    ) -> Result<()> {
        self.apply(group, kind, place, name, json!({"spec": spec}))
            .await
    }

    async fn apply(
        &self,
        group: &str,
        kind: &str,
        place: &Place,
        name: &str,
        mut object: Value,
    ) -> Result<()> {
        let resource = resource(group, kind);
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": name, "namespace": place.namespace});
        let params = PatchParams::apply("soak").force();
        self.api(&resource, place)
            .patch(name, &params, &Patch::Apply(object))
            .await?;
        Ok(())
    }

    fn api(&self, resource: &ApiResource, place: &Place) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &place.namespace, resource)
    }

    async fn until_ready(&self, group: &str, kind: &str, place: &Place, name: &str) -> Result<()> {
        let api = self.api(&resource(group, kind), place);
        let what = format!("{kind} {}/{name}", place.namespace);
        wait::until(&what, PATIENCE, Some(&self.operator), async || {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let ready = object.data["status"]["conditions"]
                .as_array()
                .and_then(|all| {
                    all.iter()
                        .find(|condition| condition["type"] == "Ready")
                        .cloned()
                });
            let ready = ready.unwrap_or_default();
            (ready["status"] == "True")
                .then_some(())
                .ok_or_else(|| ready.to_string())
        })
        .await?;
        Ok(())
    }

    /// Pushes a tag, then has it looked for; the time of the request.
    async fn tag(&self, place: &Place, name: &str, tag: &str) -> Result<Instant> {
        let image = format!("{}/{name}", place.namespace);
        self.env.registry()?.push_tags(&image, &[tag]).await?;
        self.ask("ImageRepository", place, name, tag).await
    }

    /// Asks for a run; the time of that.
    async fn ask(&self, kind: &str, place: &Place, name: &str, token: &str) -> Result<Instant> {
        let annotation =
            json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}});
        let api = self.api(&resource("image", kind), place);
        let start = Instant::now();
        api.patch(name, &PatchParams::default(), &Patch::Merge(annotation))
            .await?;
        Ok(start)
    }

    /// Waits until the branch is another than `before`.
    async fn pushed(&self, place: &Place, before: &str) -> Result<String> {
        let file = place.bare.join("refs/heads/main");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = fs::read_to_string(&file).unwrap_or_default();
            if !now.is_empty() && now.trim() != before {
                return Ok(now.trim().to_owned());
            }
            ensure!(
                Instant::now() < deadline,
                "nothing was pushed:\n{}",
                self.operator.tail()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// From a new tag to the commit, and to what runs, for two apps on one branch.
    async fn chain(&self) -> Result<()> {
        let names = ["one", "two"];
        let files = names.map(|name| (format!("{name}/app.yaml"), config_map(name)));
        let place = self.place("chain", &files).await?;
        for name in names {
            self.image(&place, name, &format!("./{name}")).await?;
            let spec = json!({
                "interval": "1h", "prune": true, "path": format!("./{name}"),
                "sourceRef": {"kind": "GitRepository", "name": APP},
            });
            self.spec("kustomize", "Kustomization", &place, name, spec)
                .await?;
            self.until_ready("kustomize", "Kustomization", &place, name)
                .await?;
        }
        for round in 2..=6 {
            let tag = format!("{round}.0.0");
            let before = head(&place)?;
            for name in names {
                let image = format!("{}/{name}", place.namespace);
                self.env.registry()?.push_tags(&image, &[&tag]).await?;
            }
            // What is measured begins with the first request; pushing an image is not ours.
            let start = self.ask("ImageRepository", &place, "one", &tag).await?;
            self.ask("ImageRepository", &place, "two", &tag).await?;
            self.pushed(&place, &before).await?;
            let pushed = start.elapsed();
            let mut applied = Vec::new();
            for name in names {
                let api = self.api(&resource("", "ConfigMap"), &place);
                wait::until(name, PATIENCE, Some(&self.operator), async || {
                    let object = api.get(name).await.map_err(|error| error.to_string())?;
                    let value = object.data["data"]["value"].clone();
                    (value == tag)
                        .then_some(())
                        .ok_or_else(|| value.to_string())
                })
                .await?;
                applied.push(start.elapsed().as_millis());
            }
            println!(
                "scan requested to commit pushed {} ms, to first object changed {} ms, to both {} ms",
                pushed.as_millis(),
                applied[0],
                applied[1]
            );
        }
        Ok(())
    }

    /// Two automations and a person push to one branch at once.
    async fn three_sides(&self, rounds: usize) -> Result<()> {
        let names = ["one", "two"];
        let files = names.map(|name| (format!("{name}/app.yaml"), config_map(name)));
        let place = self.place("three", &files).await?;
        for name in names {
            self.image(&place, name, &format!("./{name}")).await?;
        }
        let start = Instant::now();
        for round in 2..rounds + 2 {
            let tag = format!("{round}.0.0");
            let (one, two) =
                tokio::join!(self.tag(&place, "one", &tag), self.tag(&place, "two", &tag));
            one?;
            two?;
            place.copy.write("person", &tag)?;
            place.copy.git(&["add", "-A"])?;
            place
                .copy
                .git(&["commit", "--quiet", "-m", &format!("person {tag}")])?;
            let push = || {
                place
                    .copy
                    .git(&["pull", "--quiet", "--rebase", "origin", "main"])
                    .and_then(|_| place.copy.git(&["push", "--quiet", "origin", "HEAD:main"]))
            };
            while push().is_err() {}
            let all: Vec<String> = names.map(|name| format!("{name}/app.yaml")).into();
            wait::until("both commits", PATIENCE, Some(&self.operator), async || {
                let missing = all.iter().find(|path| !show(&place, path).contains(&tag));
                missing.map_or(Ok(()), |path| Err(path.clone()))
            })
            .await?;
        }
        place.copy.pull()?;
        let log = place.copy.git(&["log", "--format=%s"])?;
        let subjects: Vec<&str> = log.lines().collect();
        let distinct: BTreeSet<&&str> = subjects.iter().collect();
        ensure!(distinct.len() == subjects.len(), "a commit was made twice");
        ensure!(
            subjects.len() == 1 + 3 * rounds,
            "{} commits",
            subjects.len()
        );
        let complaints = fs::read_to_string(self.operator.log())?;
        let complaints = complaints
            .lines()
            .filter(|line| line.contains("GitOperationFailed"))
            .count();
        println!(
            "{rounds} rounds from three sides: {} commits, none lost, none twice, {complaints} Git errors, {:.0} s",
            subjects.len(),
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

fn head(place: &Place) -> Result<String> {
    Ok(fs::read_to_string(place.bare.join("refs/heads/main"))?
        .trim()
        .to_owned())
}

fn show(place: &Place, path: &str) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(&place.bare)
        .args(["show", &format!("main:{path}")])
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

fn config_map(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: NAMESPACE}}\ndata:\n  \
         value: \"1.0.0\" # {{\"$imagepolicy\": \"NAMESPACE:{name}:tag\"}}\n"
    )
}

fn resource(group: &str, kind: &str) -> ApiResource {
    let (group, version) = match group {
        "" => (String::new(), "v1"),
        group => (format!("{group}.toolkit.fluxcd.io"), "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(&group, version, kind))
}

/// CPU and memory of the operator.
struct Meter {
    process: PathBuf,
    ticks: u64,
}

impl Meter {
    fn start(process: &Process) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{}", process.id().pid));
        let mut meter = Self { process, ticks: 0 };
        meter.ticks = meter.ticks()?;
        // Only the peak from now on counts; it is no error where that may not be reset.
        fs::write(meter.process.join("clear_refs"), "5").ok();
        Ok(meter)
    }

    /// Hundredths of a second in user and system mode.
    fn ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(self.process.join("stat"))?;
        // From the state on, which is the third field: utime and stime are 14 and 15.
        let fields = stat.rsplit(") ").next().context("no fields")?;
        let times = fields.split(' ').skip(11).take(2);
        Ok(times.filter_map(|field| field.parse::<u64>().ok()).sum())
    }

    fn print(&self, what: &str, wall: Duration, ours: u64, server: u64) -> Result<()> {
        let status = fs::read_to_string(self.process.join("status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        println!(
            "{what:<52} {:>8} {ours:>8} {server:>8} {:>8} {:>8}",
            wall.as_millis(),
            (self.ticks()? - self.ticks) * 10,
            peak.unwrap_or_default() / 1024
        );
        Ok(())
    }
}

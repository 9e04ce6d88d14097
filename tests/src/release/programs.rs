//! The programs of a release.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    env::cargo,
    image::elf::{Linkage, Machine},
    sandbox::{
        programs::{Program, Search},
        progress::Step,
    },
};

/// What runs in the cluster, and its profile.
const SERVERS: ([&str; 2], &str) = (["flux-sync-operator", "flux-admission-webhook"], "dist");
/// What runs on people's machines, and its profile.
const PLUGIN: ([&str; 1], &str) = (["kubectl-flux"], "dist-plugin");

/// Paths of all programs that are published, for one platform.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `flux-sync-operator`.
    pub operator: PathBuf,
    /// `flux-admission-webhook`.
    pub webhook: PathBuf,
    /// `kubectl-flux`.
    pub plugin: PathBuf,
    /// The kustomize that the operator calls, of the pinned version.
    pub kustomize: PathBuf,
}

impl Programs {
    /// Those in the folder `ready`, or built with the profiles of releases. kustomize is looked for
    /// there, too, and otherwise built from the module that pins it.
    ///
    /// # Errors
    /// When one is missing, or does not compile.
    pub fn find_or_build(ready: Option<&Path>) -> Result<Self> {
        let (servers, folder) = match ready {
            Some(folder) => (folder.to_owned(), folder.to_owned()),
            None => (build(SERVERS.0, SERVERS.1)?, build(PLUGIN.0, PLUGIN.1)?),
        };
        let program = |folder: &Path, name: &str| {
            let path = folder.join(name);
            ensure!(path.exists(), "there is no {}", path.display());
            Ok(path)
        };
        let [operator, webhook] = SERVERS.0.map(|name| program(&servers, name));
        let [plugin] = PLUGIN.0.map(|name| program(&folder, name));
        let kustomize = program(&servers, Program::Kustomize.name()).or_else(|_| {
            // Not the one in PATH: a release holds the version that the tests ran with.
            let programs = Search::built_only().require(&[Program::Kustomize])?;
            programs.path(Program::Kustomize).cloned()
        })?;
        Ok(Self {
            operator: operator?,
            webhook: webhook?,
            plugin: plugin?,
            kustomize,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&Path; 4] {
        [&self.operator, &self.webhook, &self.plugin, &self.kustomize].map(PathBuf::as_path)
    }

    /// What all of them run on, as names of files have it: `linux_amd64`.
    ///
    /// # Errors
    /// When they are not for the same machine.
    pub(super) fn platform(&self) -> Result<String> {
        let mut first = None;
        for path in self.all() {
            let machine = machine(path)?;
            ensure!(
                *first.get_or_insert(machine) == machine,
                "{} is for {}, the others are not",
                path.display(),
                machine.go_name()
            );
        }
        let machine = first.context("no programs")?;
        Ok(format!("linux_{}", machine.go_name()))
    }
}

fn machine(path: &Path) -> Result<Machine> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let linkage = Linkage::parse(&content)
        .map_err(|reason| anyhow!("{} cannot be published: {reason}", path.display()))?;
    Ok(linkage.machine)
}

/// Builds programs with a profile; the folder with them. Those of a profile in one call, also when
/// only one has changed: the features of dependencies are those of the selection.
fn build<const N: usize>(names: [&str; N], profile: &str) -> Result<PathBuf> {
    let what = names.join(" and ");
    let step = Step::start(format!("building {what} as published"));
    let status = cargo()
        .current_dir(super::root())
        .args(["build", "--locked"])
        .arg(format!("--profile={profile}"))
        .args(names.map(|name| format!("--package={name}")))
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the product does not compile");
    step.done();
    let own = std::env::current_exe().context("cannot find this program")?;
    // Programs are in PROFILE, tests in PROFILE/deps, below the folder of all profiles.
    let target = own
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .context("this program is not in cargo's target folder")?;
    Ok(target.join(profile))
}

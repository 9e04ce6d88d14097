//! Finds the programs of the control plane and its node, or builds them once.
//!
//! First match of: a folder given by the caller, `KUBEBUILDER_ASSETS`, `PATH`, the cache. What is
//! in none of them is built from the Go module in `tests/controlplane`, which pins every version
//! ([`build`]). Debian packages are another matter: [`debian`].

mod build;
pub mod debian;

use std::{collections::BTreeMap, env, path::PathBuf};

use super::{
    error::{Error, Result},
    paths,
};

pub use build::GO_VERSION;

/// A program that comes from the Go module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The store behind the API server.
    Etcd,
    /// The Kubernetes API server.
    KubeApiserver,
    /// Garbage collection, namespaces, Deployments, service accounts.
    KubeControllerManager,
    /// The command line tool, which also runs plugins.
    Kubectl,
    /// What the operator calls for directories with a `kustomization.yaml`.
    Kustomize,
    /// Chooses the node of a pod.
    KubeScheduler,
    /// Runs the pods of a node.
    Kubelet,
    /// Leads addresses of Services to pods.
    KubeProxy,
    /// The program of the walk's apps, and of the container that holds a pod's namespaces.
    Agnhost,
}

impl Program {
    /// What a control plane consists of.
    pub const CONTROL_PLANE: [Self; 3] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager];

    /// What a node adds to it.
    pub const NODE: [Self; 4] = [
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Agnhost,
    ];

    /// All of them, quickest to build first.
    pub const ALL: [Self; 9] = [
        Self::Etcd,
        Self::Kustomize,
        Self::Kubectl,
        Self::KubeControllerManager,
        Self::KubeApiserver,
        Self::KubeScheduler,
        Self::KubeProxy,
        Self::Kubelet,
        Self::Agnhost,
    ];

    /// Name of the executable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Kustomize => "kustomize",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Agnhost => "agnhost",
        }
    }

    /// The Go package it is built from.
    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::KubeApiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::KubeControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
            Self::Kustomize => "sigs.k8s.io/kustomize/kustomize/v5",
            Self::KubeScheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::KubeProxy => "k8s.io/kubernetes/cmd/kube-proxy",
            Self::Agnhost => "k8s.io/kubernetes/test/images/agnhost",
        }
    }
}

/// Where to look for programs.
#[derive(Clone, Debug)]
pub struct Search {
    folders: Vec<PathBuf>,
    cache: PathBuf,
}

impl Search {
    /// `folder` (if given), then `KUBEBUILDER_ASSETS`, `PATH` and the cache of this user.
    pub fn new(folder: Option<PathBuf>) -> Self {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let cache = paths::cache().join(build::key());
        let folders = folder
            .into_iter()
            .chain(assets)
            .chain(paths::search_path())
            .chain([cache.clone()])
            .collect();
        Self { folders, cache }
    }

    /// The cache of this user alone: what was built from the pinned module.
    pub fn built_only() -> Self {
        let cache = paths::cache().join(build::key());
        Self {
            folders: vec![cache.clone()],
            cache,
        }
    }

    /// The program, if it is somewhere already.
    pub fn find(&self, program: Program) -> Option<PathBuf> {
        paths::find_executable(program.name(), self.folders.iter().cloned())
    }

    /// All of `programs`; builds those that are nowhere. Blocks, the first time for minutes.
    ///
    /// # Errors
    /// [`Error::Go`] when something must be built and Go is missing or too old,
    /// [`Error::Failed`] when the build fails.
    pub fn require(&self, programs: &[Program]) -> Result<Programs> {
        let missing: Vec<Program> = programs
            .iter()
            .copied()
            .filter(|&program| self.find(program).is_none())
            .collect();
        if !missing.is_empty() {
            build::build(&missing, &self.cache)?;
        }
        let found = programs.iter().map(|&program| {
            let path = self
                .find(program)
                .unwrap_or_else(|| self.cache.join(program.name()));
            (program, path)
        });
        Ok(Programs(found.collect()))
    }
}

/// The programs that were asked for and where they are.
#[derive(Clone, Debug, Default)]
pub struct Programs(BTreeMap<Program, PathBuf>);

impl Programs {
    /// Path of a program.
    ///
    /// # Errors
    /// When it was not among those asked for.
    pub fn path(&self, program: Program) -> Result<&PathBuf> {
        self.0
            .get(&program)
            .ok_or(Error::NotStarted(program.name()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_first_folder_with_an_executable_wins() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str, mode: u32| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("etcd"), "").unwrap();
            fs::set_permissions(path.join("etcd"), fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let folders = vec![
            folder("not-executable", 0o644),
            folder("a", 0o755),
            folder("b", 0o755),
        ];
        let search = Search {
            folders,
            cache: root.path().join("cache"),
        };
        assert_eq!(search.find(Program::Etcd), Some(root.path().join("a/etcd")));
        assert_eq!(search.find(Program::Kubectl), None);
    }
}

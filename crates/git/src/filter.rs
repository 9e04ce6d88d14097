//! Which files of a commit count: ignore rules, and the directories of a sparse checkout.

use flux_lang::gitignore::IgnoreList;

/// Which files of a commit count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Patterns of the specification (`spec.ignore`); those of `.sourceignore` files in the tree
    /// are added.
    pub ignore: IgnoreList,
    /// Directories (or files) to limit a commit to (`spec.sparseCheckout`); all of it when there are
    /// none.
    pub dirs: Vec<String>,
}

impl From<IgnoreList> for Filter {
    fn from(ignore: IgnoreList) -> Self {
        Self {
            ignore,
            dirs: Vec::new(),
        }
    }
}

impl Filter {
    /// The directories without `./`, doubled and outer slashes; empty when the root is one of them.
    pub(crate) fn normal_dirs(&self) -> Vec<String> {
        let normal = |dir: &String| {
            let parts: Vec<_> = dir
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect();
            parts.join("/")
        };
        let dirs: Vec<_> = self.dirs.iter().map(normal).collect();
        if dirs.iter().any(String::is_empty) {
            return Vec::new();
        }
        dirs
    }
}

/// Names of the file that tells kustomize what a directory is.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether a file may hold manifests, by its name. A build can use another one only as the content
/// of an object, which the API server takes up to about 1 MiB.
pub fn may_be_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    KUSTOMIZATIONS.contains(&name) || matches!(ending, Some("yaml" | "yml" | "json"))
}

/// A filter together with the patterns of one tree.
pub(crate) struct Selection {
    ignore: IgnoreList,
    dirs: Vec<String>,
}

impl Selection {
    /// Patterns of files in the tree that a sparse checkout leaves out do not count: nobody would
    /// have read them.
    pub(crate) fn new(mut tree: IgnoreList, spec: &IgnoreList, dirs: Vec<String>) -> Self {
        tree.retain_files(|path| is_checked_out(&dirs, path, false));
        Self {
            ignore: IgnoreList::effective(tree, spec),
            dirs,
        }
    }

    /// Whether a file or directory counts. Directories that lead to those of a sparse checkout do.
    pub(crate) fn takes(&self, path: &str, is_dir: bool) -> bool {
        is_checked_out(&self.dirs, path, is_dir) && !self.ignore.ignores(path, is_dir)
    }
}

fn is_checked_out(dirs: &[String], path: &str, is_dir: bool) -> bool {
    let below = |path: &str, dir: &str| {
        path.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let leads = |dir: &String| below(path, dir) || (is_dir && below(dir, path));
    dirs.is_empty() || dirs.iter().any(leads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_known_by_their_names() {
        for (path, expected) in [
            ("a.yaml", true),
            ("apps/a.yml", true),
            ("apps/secret.sops.json", true),
            ("apps/Kustomization", true),
            ("Kustomization", true),
            ("apps/backup.tar.gz", false),
            ("a.yaml/video.mp4", false),
            ("yaml", false),
            ("Kustomization.bin", false),
        ] {
            assert_eq!(may_be_manifest(path), expected, "{path}");
        }
    }

    #[test]
    fn a_sparse_checkout_ends_at_directories() {
        let dirs = ["./apps/foo/", "infra"].map(str::to_owned).to_vec();
        let filter = Filter {
            dirs,
            ..Filter::default()
        };
        let spec = IgnoreList::parse("*.md", &[]);
        let selection = Selection::new(IgnoreList::new(), &spec, filter.normal_dirs());
        for (path, is_dir, expected) in [
            ("apps", true, true),
            ("apps", false, false),
            ("apps/foo", true, true),
            ("apps/foo/a.yaml", false, true),
            ("apps/foo/README.md", false, false),
            ("apps/foobar/a.yaml", false, false),
            ("infra/x/y.yaml", false, true),
            ("README", false, false),
        ] {
            assert_eq!(selection.takes(path, is_dir), expected, "{path}");
        }
        let root = Filter {
            dirs: vec!["apps".into(), "./".into()],
            ..Filter::default()
        };
        assert!(root.normal_dirs().is_empty());
    }
}

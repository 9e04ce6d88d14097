//! The product's programs, built from this tree.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::sandbox::progress::Step;

/// A folder with ready programs: nothing is built then. For CI, which builds them before, and
/// for benchmarks of release builds.
const FOLDER_VARIABLE: &str = "FLUX_TEST_BINARIES";

const OPERATOR: &str = "flux-sync-operator";
const WEBHOOK: &str = "flux-admission-webhook";
const PLUGIN: &str = "kubectl-flux";

/// Paths of the product's programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `flux-sync-operator`.
    pub operator: PathBuf,
    /// `flux-admission-webhook`.
    pub webhook: PathBuf,
    /// `kubectl-flux`.
    pub plugin: PathBuf,
}

impl Binaries {
    /// Takes the programs from the folder in `FLUX_TEST_BINARIES`, or builds them with the
    /// profile that this program was built with. Blocks.
    ///
    /// # Errors
    /// When one is missing or does not compile.
    pub fn build() -> Result<Self> {
        if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
            let folder = PathBuf::from(folder);
            let ready = |name| {
                let path = folder.join(name);
                ensure!(
                    path.exists(),
                    "{} not found ({FOLDER_VARIABLE})",
                    path.display()
                );
                Ok(path)
            };
            return Ok(Self {
                operator: ready(OPERATOR)?,
                webhook: ready(WEBHOOK)?,
                plugin: ready(PLUGIN)?,
            });
        }
        let own = env::current_exe().context("cannot find this program")?;
        let step = Step::start("building operator, webhook and plugin");
        let output = cargo()
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // The whole workspace with a selection of programs: the features of dependencies are
            // then those of `cargo run` and `cargo test --workspace`, and nothing builds twice.
            .args([
                "build",
                "--workspace",
                "--message-format=json-render-diagnostics",
            ])
            .args([OPERATOR, WEBHOOK, PLUGIN].map(|name| format!("--bin={name}")))
            .arg(format!("--profile={}", profile(&own)))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "the product does not compile");
        step.done();
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let find = |name| {
            executable(&messages, name).with_context(|| format!("cargo built no program {name}"))
        };
        Ok(Self {
            operator: find(OPERATOR)?,
            webhook: find(WEBHOOK)?,
            plugin: find(PLUGIN)?,
        })
    }
}

/// cargo as a person would call it. `cargo run` and `cargo test` tell programs about the package
/// that they belong to; build scripts (ring's) that look at the same variables would run again,
/// and everything above them would be compiled again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_a_package) {
            command.env_remove(name);
        }
    }
    command
}

fn is_about_a_package(variable: &str) -> bool {
    const PREFIXES: [&str; 4] = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ];
    const NAMES: [&str; 3] = ["CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// The profile that a program in cargo's target folder was built with: tests are in
/// `PROFILE/deps`, programs in `PROFILE`.
fn profile(program: &Path) -> &str {
    let folders = program
        .ancestors()
        .skip(1)
        .filter_map(|folder| folder.file_name()?.to_str());
    match folders
        .into_iter()
        .find(|name| !matches!(*name, "deps" | "examples"))
    {
        None | Some("debug") => "dev",
        Some(name) => name,
    }
}

/// Path of the program `name` in cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_profile() {
        for (program, expected) in [
            ("/t/debug/deps/system-0123", "dev"),
            ("/t/debug/tutorial", "dev"),
            ("/t/release/tutorial", "release"),
            ("/t/dist/deps/bench-4567", "dist"),
        ] {
            assert_eq!(profile(Path::new(program)), expected);
        }
    }

    #[test]
    fn keeps_what_a_person_sets_for_cargo() {
        assert!(is_about_a_package("CARGO_PKG_VERSION"));
        assert!(is_about_a_package("CARGO_MANIFEST_DIR"));
        assert!(!is_about_a_package("CARGO_TARGET_DIR"));
        assert!(!is_about_a_package("CARGO_HOME"));
    }

    #[test]
    fn reads_cargo_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"kubectl-flux","kind":["lib"]},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"kubectl-flux"},"executable":"/t/debug/kubectl-flux"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, PLUGIN),
            Some("/t/debug/kubectl-flux".into())
        );
        assert_eq!(executable(messages, WEBHOOK), None);
    }
}

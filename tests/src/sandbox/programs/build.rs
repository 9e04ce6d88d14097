//! Builds the programs of the control plane from the pinned Go module into the cache.
//!
//! `go install PACKAGE@VERSION` cannot do this: Kubernetes' module has replace directives, so a
//! module of our own names the packages and replaces the same staging modules. It is embedded
//! here, and unpacked into a scratch folder for the build.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::{
    super::{
        error::{Error, Result, tail},
        paths,
        progress::Step,
    },
    Program,
};

/// The oldest Go that can build the control plane, as the `go` line of its module says.
pub const GO_VERSION: &str = "1.26";

const GO_MOD: &str = include_str!("../../../controlplane/go.mod");
const GO_SUM: &str = include_str!("../../../controlplane/go.sum");
const TOOLS_GO: &str = include_str!("../../../controlplane/tools.go");

/// How many lines of a failed build are shown.
const TAIL_LINES: usize = 20;

/// Name of the folder in the cache: changes with every version that the module pins.
pub(super) fn key() -> String {
    let digest = Sha256::digest(GO_MOD.as_bytes());
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Builds `programs` into `cache`. Starts at the same time build once: whoever comes second
/// waits and finds the result.
pub(super) fn build(programs: &[Program], cache: &Path) -> Result<()> {
    paths::create_dir(cache)?;
    let scratch = tempfile::Builder::new()
        .prefix(".build-")
        .tempdir_in(cache)
        .map_err(Error::file("create a folder in", cache))?;
    let module = scratch.path();
    for (name, content) in [
        ("go.mod", GO_MOD),
        ("go.sum", GO_SUM),
        ("tools.go", TOOLS_GO),
    ] {
        paths::write(&module.join(name), content)?;
    }
    check_go(module).map_err(|reason| {
        let missing: Vec<&str> = programs.iter().map(|program| program.name()).collect();
        Error::Go {
            missing: missing.join(", "),
            cache: cache.to_owned(),
            reason,
        }
    })?;

    let lock = cache.join("lock");
    let _lock = fs::File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(Error::file("lock", &lock))?;
    for (index, program) in programs.iter().enumerate() {
        let target = cache.join(program.name());
        if target.exists() {
            continue;
        }
        let position = format!("{} of {}", index + 1, programs.len());
        let step = Step::start(format!("building {} ({position}, once)", program.name()));
        build_one(*program, module)?;
        let built = module.join(program.name());
        fs::rename(&built, &target).map_err(Error::file("move", &built))?;
        step.done();
    }
    Ok(())
}

fn build_one(program: Program, module: &Path) -> Result<()> {
    let arguments = [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-ldflags",
        &linker_flags(),
        "-o",
        program.name(),
        program.package(),
    ];
    let output = go(module)
        .args(arguments)
        .output()
        .map_err(|source| Error::Run {
            program: "go".to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Failed {
        command: format!("go build {}", program.package()),
        status: output.status,
        output: tail(&String::from_utf8_lossy(&output.stderr), TAIL_LINES),
    })
}

/// Strips symbols, which halves the size, and stamps the version that `kubectl version` and the
/// API server report: Kubernetes' own build takes it from Git.
fn linker_flags() -> String {
    let version = kubernetes_version();
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    format!(
        "-s -w -X k8s.io/component-base/version.gitVersion={version} \
         -X k8s.io/component-base/version.gitMajor={major} \
         -X k8s.io/component-base/version.gitMinor={minor} \
         -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )
}

/// The version of Kubernetes that the module requires, such as `v1.36.3`.
fn kubernetes_version() -> &'static str {
    GO_MOD
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .map_or("v0.0.0", str::trim)
}

/// Whether `go` is there and new enough. Asked inside the module, where an older `go` may fetch
/// the toolchain that the module names.
fn check_go(module: &Path) -> Result<(), String> {
    let output = go(module)
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`go` cannot be run ({error})"))?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let found = go_version(&answer);
    let needed = go_version(&format!("go{GO_VERSION}"));
    if output.status.success() && found.is_some() && found >= needed {
        return Ok(());
    }
    let said = if answer.is_empty() {
        String::from_utf8_lossy(&output.stderr)
    } else {
        answer.into()
    };
    Err(format!("`go version` says: {}", said.trim()))
}

/// Major and minor version in a text such as `go version go1.26.8 linux/amd64`.
fn go_version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let (major, rest) = word.strip_prefix("go")?.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

/// `go`, deaf to whatever workspace or flags the person has set for work of their own.
fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "")]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_versions() {
        let table = [
            ("go version go1.26.8 linux/amd64", Some((1, 26))),
            ("go version go1.27rc1 linux/arm64", Some((1, 27))),
            ("go version devel linux/amd64", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(go_version(text), expected, "{text}");
        }
    }

    #[test]
    fn the_module_names_what_the_code_expects() {
        assert!(kubernetes_version().starts_with("v1."));
        assert!(GO_MOD.contains(&format!("\ngo {GO_VERSION}")));
        for program in Program::ALL {
            assert!(TOOLS_GO.contains(&format!("\"{}\"", program.package())));
        }
    }
}

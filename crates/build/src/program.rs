//! The `kustomize` program: on a private copy of what it needs, without our environment.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flux_api::kustomize::KustomizationSpec;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::aside::aside;
use crate::decryption::{Decryption, MASK, Role};
use crate::folder::Folder;
use crate::kustomization::{self, Kustomization, NAMES};
use crate::native::{Entry, walk};
use crate::references::{Inputs, inputs};
use crate::{
    BuildError, BuildOptions, Files, Object, Origin, Redaction, manifest, memory, overlay, paths,
    sops,
};

/// Most output that is read, in MiB.
const MAX_OUTPUT_MIB: usize = 64;
/// Longest text of the program that is passed on, in bytes.
const MAX_MESSAGE: usize = 2_000;
/// Where kustomize writes the origin of an object, when asked to.
const ORIGIN: &str = "config.kubernetes.io/origin";
/// The value of `buildMetadata` that asks for it.
const ORIGIN_ANNOTATIONS: &str = "originAnnotations";
/// A proxy that is not there: what the program uses when it must not reach the network.
const NO_PROXY_THERE: &str = "http://127.0.0.1:9";

/// Builds a directory with kustomize, with the overlays of a spec.
///
/// # Errors
/// [`BuildError`]; `why` says in it what made the program necessary.
pub(crate) async fn build(
    files: &Files,
    directory: &str,
    spec: &KustomizationSpec,
    options: &BuildOptions,
    why: &str,
) -> Result<Vec<Object>, BuildError> {
    let program = find(options).ok_or_else(|| BuildError::Program {
        why: why.to_owned(),
        problem: "it is not in PATH".to_owned(),
    })?;
    let prepare = || {
        let mut root = root_kustomization(files, directory)?;
        overlay::apply(&mut root, spec, files, directory)?;
        let keep_origin = ask_for_origin(&mut root.fields);
        let needed = inputs(files, directory, &root, options.remote_bases)?;
        Ok::<_, BuildError>((root, keep_origin, needed))
    };
    let (root, keep_origin, needed) = aside(prepare).await?;

    let share = memory::next().await;
    let folder = Folder::new(&std::env::temp_dir()).map_err(BuildError::Copy)?;
    let decrypt = || {
        let copies = copies(files, directory, &root, &needed, &options.decryption)?;
        let decrypted = decrypted(files, &copies);
        Ok::<_, BuildError>((copies, decrypted))
    };
    let (copies, decrypted) = aside(decrypt).await?;
    let place = folder.path().to_owned();
    tokio::task::spawn_blocking(move || write(&place, copies))
        .await
        .map_err(|error| BuildError::Copy(std::io::Error::other(error)))?
        .map_err(BuildError::Copy)?;

    let place = Place {
        folder: folder.path(),
        directory,
        mib: share.mib,
    };
    let output =
        run(&program, &place, &needed, options, why)
            .await
            .map_err(|error| match error {
                // It shows the nodes that it cannot use.
                BuildError::Kustomize { message } => BuildError::Kustomize {
                    message: Redaction::of_content(&decrypted, MASK).hide(&message),
                },
                error => error,
            })?;
    drop((folder, share));
    let text = String::from_utf8(output).map_err(|_| BuildError::Kustomize {
        message: "its output is not UTF-8".to_owned(),
    })?;
    aside(|| objects(&text, directory, keep_origin)).await
}

/// The kustomization file to build: the directory's own, or one that lists what is in it.
fn root_kustomization(files: &Files, directory: &str) -> Result<Kustomization, BuildError> {
    if let Some(kustomization) = kustomization::read(files, directory)? {
        return Ok(kustomization);
    }
    let mut resources = Vec::new();
    for entry in walk(files, directory) {
        let path = match &entry {
            Entry::File(path) => {
                // Each file must hold objects only, and is reported by name if it does not.
                manifest::objects(path, files.get(path).map(AsRef::as_ref).unwrap_or_default())?;
                path
            }
            Entry::Unit(path) => path,
        };
        let relative = path
            .strip_prefix(directory)
            .unwrap_or(path)
            .trim_start_matches('/');
        resources.push(json!(format!("./{relative}")));
    }
    let fields = [("resources".to_owned(), Value::Array(resources))]
        .into_iter()
        .collect();
    Ok(Kustomization {
        file: paths::child(directory, NAMES[0]),
        fields,
    })
}

/// Lets kustomize say where each object comes from. Returns whether it was asked to already.
fn ask_for_origin(fields: &mut Map<String, Value>) -> bool {
    let asked =
        kustomization::texts(fields.get("buildMetadata")).any(|one| one == ORIGIN_ANNOTATIONS);
    if !asked {
        match fields.get_mut("buildMetadata") {
            Some(Value::Array(list)) => list.push(json!(ORIGIN_ANNOTATIONS)),
            _ => {
                fields.insert("buildMetadata".to_owned(), json!([ORIGIN_ANNOTATIONS]));
            }
        }
    }
    asked
}

/// What is written to disk: path from the root of the source, and content.
fn copies(
    files: &Files,
    directory: &str,
    root: &Kustomization,
    needed: &Inputs,
    decryption: &Decryption,
) -> Result<Vec<(String, bytes::Bytes)>, BuildError> {
    let own = NAMES.map(|name| paths::child(directory, name));
    let inside = needed
        .directories
        .iter()
        .flat_map(|directory| paths::below(files, directory));
    let outside = needed
        .files
        .iter()
        .filter_map(|path| files.get_key_value(path))
        .map(|(path, content)| (path.as_str(), content));
    let mut copies: Vec<(String, bytes::Bytes)> = inside
        .chain(outside)
        .filter(|(path, _)| paths::is_plain(path) && !own.iter().any(|name| name == path))
        .map(|(path, content)| {
            let role = needed.roles.get(path).copied().unwrap_or(Role::Other);
            let name = needed.names.get(path).map_or(path, String::as_str);
            let content = decryption.before(path, name, content, role)?;
            Ok((path.to_owned(), content))
        })
        .collect::<Result<_, BuildError>>()?;
    copies.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    copies.dedup_by(|(left, _), (right, _)| left == right);
    // JSON is YAML.
    let text = Value::Object(root.fields.clone()).to_string();
    copies.push((paths::child(directory, NAMES[0]), text.into()));
    Ok(copies)
}

/// The copies that are not what the source has.
fn decrypted(files: &Files, copies: &[(String, bytes::Bytes)]) -> Vec<bytes::Bytes> {
    let is_other = |(path, content): &&(String, bytes::Bytes)| {
        let source = files.get(path);
        source.is_some_and(|source| sops::may_be_encrypted(source) && source != content)
    };
    let contents = copies.iter().filter(is_other);
    contents.map(|(_, content)| content.clone()).collect()
}

fn write(folder: &Path, copies: Vec<(String, bytes::Bytes)>) -> std::io::Result<()> {
    let source = folder.join("source");
    std::fs::create_dir_all(folder.join("home"))?;
    std::fs::create_dir_all(folder.join("tmp"))?;
    let mut made = None;
    for (path, content) in copies {
        let target = source.join(&path);
        let parent = target.parent().map(Path::to_owned);
        if parent != made {
            if let Some(parent) = &parent {
                std::fs::create_dir_all(parent)?;
            }
            made = parent;
        }
        std::fs::write(target, content)?;
    }
    Ok(())
}

/// Where the program runs, and with how much memory.
struct Place<'a> {
    folder: &'a Path,
    /// What it builds, from the root of the source.
    directory: &'a str,
    mib: u64,
}

async fn run(
    program: &Path,
    place: &Place<'_>,
    needed: &Inputs,
    options: &BuildOptions,
    why: &str,
) -> Result<Vec<u8>, BuildError> {
    let &Place {
        folder,
        directory,
        mib,
    } = place;
    let source = folder.join("source");
    // What came over the network never gets the right to name files elsewhere.
    let restricted = !needed.needs_parents || needed.must_be_confined || needed.remote;
    let restrictor = if restricted {
        "LoadRestrictionsRootOnly"
    } else {
        "LoadRestrictionsNone"
    };
    let mut command = Command::new(program);
    command
        .arg("build")
        .arg("--load-restrictor")
        .arg(restrictor)
        .arg(source.join(directory))
        .current_dir(folder)
        .env_clear()
        .envs(environment(folder, mib, needed.remote))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let failed = |problem: std::io::Error| match problem.kind() {
        ErrorKind::FileTooLarge => BuildError::TooLarge {
            what: "the result of kustomize".to_owned(),
            limit: MAX_OUTPUT_MIB,
        },
        _ => BuildError::Program {
            why: why.to_owned(),
            problem: format!("{}: {problem}", program.display()),
        },
    };
    let mut child = command.spawn().map_err(failed)?;
    memory::bound(&child, mib);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (output, complaint) = tokio::try_join!(read_output(stdout), read_complaint(stderr))?;
        Ok((child.wait().await?, output, complaint))
    };
    let (status, output, complaint) = tokio::time::timeout(options.timeout, work)
        .await
        .map_err(|_| BuildError::Timeout(options.timeout))?
        .map_err(failed)?;
    if status.success() {
        return Ok(output);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    if memory::is_exhausted(&complaint) {
        return Err(BuildError::Memory(mib));
    }
    let message = message(&complaint, &source);
    let message = if message.is_empty() {
        status.to_string()
    } else {
        message
    };
    Err(BuildError::Kustomize { message })
}

async fn read_output(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let limit = MAX_OUTPUT_MIB << 20;
    let mut content = Vec::new();
    if let Some(stream) = stream {
        stream
            .take(limit as u64 + 1)
            .read_to_end(&mut content)
            .await?;
    }
    if content.len() > limit {
        Err(ErrorKind::FileTooLarge.into())
    } else {
        Ok(content)
    }
}

/// The beginning of what the program says. The rest is read, too, so that it is not held up.
async fn read_complaint(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(stream) = stream {
        // Room for warnings, which are dropped later, before the words that count.
        let mut beginning = stream.take(MAX_MESSAGE as u64 * 16);
        beginning.read_to_end(&mut content).await?;
        tokio::io::copy(&mut beginning.into_inner(), &mut tokio::io::sink()).await?;
    }
    Ok(content)
}

/// Nothing of our own environment but what a clone of a remote base needs.
fn environment(folder: &Path, mib: u64, remote: bool) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&str, OsString)> = vec![
        ("HOME", folder.join("home").into()),
        ("XDG_CONFIG_HOME", folder.join("home").into()),
        ("TMPDIR", folder.join("tmp").into()),
        // The program collects garbage more often before it grows beyond this.
        ("GOMEMLIMIT", format!("{}MiB", mib / 4 * 3).into()),
    ];
    if remote {
        const PASSED_ON: [&str; 8] = [
            "PATH",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "SSL_CERT_FILE",
        ];
        variables.extend(
            PASSED_ON
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        variables.push(("GIT_TERMINAL_PROMPT", "0".into()));
    } else {
        // No git to clone with, and no way to a web server.
        variables.push(("PATH", folder.join("home").into()));
        variables.push(("HTTP_PROXY", NO_PROXY_THERE.into()));
        variables.push(("HTTPS_PROXY", NO_PROXY_THERE.into()));
    }
    variables
}

/// The program's complaint: without warnings, without our temporary folder.
fn message(complaint: &str, source: &Path) -> String {
    let source = source.to_string_lossy();
    let text = complaint
        .replace(&format!("{source}/"), "./")
        .replace(source.as_ref(), ".");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("# Warning") && !line.is_empty());
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if let Some(rest) = text.strip_prefix("Error: ") {
        text = rest.to_owned();
    }
    if text.len() > MAX_MESSAGE {
        let end = text.floor_char_boundary(MAX_MESSAGE);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The objects of the output, with the origin that kustomize noted.
fn objects(text: &str, directory: &str, keep_origin: bool) -> Result<Vec<Object>, BuildError> {
    const OUTPUT: &str = "the result of kustomize";
    let documents = flux_lang::yaml::read(text).map_err(|error| BuildError::Yaml {
        file: OUTPUT.to_owned(),
        line: error.line,
        column: error.column,
        message: error.message,
    })?;
    documents
        .into_iter()
        .map(|mut document| {
            let origin = origin(&document.value, directory);
            if !keep_origin {
                forget_origin(&mut document.value);
            }
            manifest::check(&document.value).map_err(|problem| BuildError::Object {
                origin: origin.clone().unwrap_or(Origin {
                    file: OUTPUT.to_owned(),
                    line: Some(document.line),
                }),
                problem,
            })?;
            Ok(Object {
                value: document.value,
                origin,
            })
        })
        .collect()
}

fn origin(value: &Value, directory: &str) -> Option<Origin> {
    let note = value
        .pointer("/metadata/annotations")?
        .get(ORIGIN)?
        .as_str()?;
    let note = flux_lang::yaml::read(note).ok()?.into_iter().next()?.value;
    if note.get("repo").is_some() {
        return None;
    }
    let path = note
        .get("path")
        .or_else(|| note.get("configuredIn"))?
        .as_str()?;
    Some(Origin {
        file: paths::join(directory, path)?,
        line: None,
    })
}

fn forget_origin(value: &mut Value) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    annotations.remove(ORIGIN);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

fn find(options: &BuildOptions) -> Option<PathBuf> {
    if let Some(program) = &options.kustomize {
        return Some(program.clone());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("kustomize"))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_paths_of_the_source() {
        let source = Path::new("/tmp/flux-build-x/source");
        let complaint = "# Warning: 'bases' is deprecated.\nError: accumulating resources: \
                         accumulation err='x': '/tmp/flux-build-x/source/app/a' must \
                         be in '/tmp/flux-build-x/source'\n\n";
        assert_eq!(
            message(complaint, source),
            "accumulating resources: accumulation err='x': './app/a' must be in '.'"
        );
        assert!(message(&"é".repeat(MAX_MESSAGE), source).len() <= MAX_MESSAGE + 3);
    }

    #[test]
    fn origins_are_read_and_taken_away() {
        let text = "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  annotations:\n    \
                    config.kubernetes.io/origin: |\n      path: ../base/a.yaml\n";
        let [object] = objects(text, "apps/x", false).unwrap().try_into().unwrap();
        assert_eq!(object.origin.unwrap().to_string(), "apps/base/a.yaml");
        assert_eq!(object.value["metadata"], json!({"name": "a"}));
        let kept = objects(text, "apps/x", true).unwrap();
        assert!(kept[0].value.pointer("/metadata/annotations").is_some());
    }
}

//! `preview image-update`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flux_api::ImageRef;
use flux_image::marker::Lookup;
use flux_image::message;
use flux_image::update::{self, Scope, Update};
use serde_json::{Value, json};

use super::{files, manifests, read_text};
use crate::cluster::chain;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::{self, manifest};
use crate::unified::unified;

/// Name of the automation in messages: there is none.
const AUTOMATION: &str = "preview";

/// Flags of `preview image-update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the manifests, normally the root of the Git repository
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// What a policy selects: NAMESPACE/NAME=IMAGE:TAG[@DIGEST]; can be repeated
    #[arg(long, value_name = "POLICY")]
    policy: Vec<String>,
    /// File with ImagePolicies whose status is used; - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: Option<String>,
    /// Folder below DIR in which markers are applied, as update.path of an automation
    #[arg(long, value_name = "SUB")]
    path: Option<String>,
    /// Template of the commit message, or @FILE with it
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,
    /// Edit the files
    #[arg(long)]
    write: bool,
    /// Format: diff or json
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "diff", value_parser = format)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Diff,
    Json,
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "diff" => Ok(Format::Diff),
        "json" => Ok(Format::Json),
        _ => Err(format!(
            "format '{text}' not supported, must be one of: diff, json"
        )),
    }
}

/// What policies selected, by namespace and name; none where they have not yet.
type Policies = BTreeMap<(String, String), Option<ImageRef>>;

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let mut policies = Policies::new();
    if let Some(file) = &args.file {
        policies.extend(from_file(file, context.namespace())?);
    }
    for text in &args.policy {
        let (key, image) = policy(text).map_err(Error::input)?;
        policies.insert(key, Some(image));
    }
    let template = args.template.as_deref().map(template).transpose()?;
    let marked = files::find(&args.dir)?;
    let scope = Scope {
        path: update::folder(args.path.as_deref()),
        elsewhere: Vec::new(),
    };
    if !args.dir.join(&scope.path).exists() {
        return Err(Error::input(format!(
            "there is no {} below {}",
            scope.path,
            args.dir.display()
        )));
    }
    let lookup = |namespace: &str, name: &str| match policies
        .get(&(namespace.to_owned(), name.to_owned()))
    {
        Some(Some(image)) => Lookup::Ref(image.clone()),
        Some(None) => Lookup::NoValueYet,
        None => Lookup::Unknown,
    };
    let files = marked.iter().map(|file| (&*file.path, &file.content));
    let update = update::plan(files, &scope, &lookup);
    let message = match template {
        Some(text) if !update.changes.is_empty() => {
            let automation = (context.namespace(), AUTOMATION);
            let message =
                message::render(Some(&text), automation, &update.changes, &BTreeMap::new());
            Some(message.map_err(|error| Error::input(chain(&error)))?)
        }
        _ => None,
    };
    let mut changed = Vec::new();
    for (path, plan) in &update.files {
        let old = files::read(&args.dir, path)?;
        changed.push((path.as_str(), plan.rewrite(&old), old));
    }
    let text = match args.output {
        Format::Diff => {
            let diffs: String = changed
                .iter()
                .map(|(path, new, old)| unified(path, old, new))
                .collect();
            diffs + &outcomes(&update, message.as_deref())
        }
        Format::Json => manifest::json(&as_json(&update, message.as_deref()))?,
    };
    if args.write {
        write(&args.dir, &changed)?;
    }
    output::data(&text)?;
    if args.write || changed.is_empty() {
        return Ok(());
    }
    Err(Error::Answer)
}

fn write(dir: &Path, changed: &[(&str, String, String)]) -> Result<(), Error> {
    let new: Vec<(&str, &str)> = changed
        .iter()
        .map(|(path, new, _)| (*path, new.as_str()))
        .collect();
    files::write(dir, &new)
}

/// Reads `NAMESPACE/NAME=IMAGE:TAG[@DIGEST]`.
fn policy(text: &str) -> Result<((String, String), ImageRef), String> {
    let wrong =
        || format!("--policy {text:?} is not of the form NAMESPACE/NAME=IMAGE:TAG[@DIGEST]");
    let (key, image) = text.split_once('=').ok_or_else(wrong)?;
    let (namespace, name) = key.split_once('/').ok_or_else(wrong)?;
    let (image, digest) = match image.split_once('@') {
        Some((image, digest)) => (image, Some(digest.to_owned())),
        None => (image, None),
    };
    let (repository, tag) = image.rsplit_once(':').ok_or_else(wrong)?;
    let parts = [namespace, name, repository, tag];
    // The colon of a port is not that of a tag.
    if parts.iter().any(|part| part.is_empty())
        || tag.contains('/')
        || name.contains('/')
        || digest.as_deref() == Some("")
    {
        return Err(wrong());
    }
    let image = ImageRef {
        name: repository.to_owned(),
        tag: tag.to_owned(),
        digest,
    };
    Ok(((namespace.to_owned(), name.to_owned()), image))
}

fn from_file(file: &str, namespace: &str) -> Result<Policies, Error> {
    let objects = manifests::read(file)?;
    let policies = manifests::of_kind(&objects, Kind::ImagePolicy.name());
    if policies.is_empty() {
        return Err(Error::input(format!("{file} holds no ImagePolicy")));
    }
    let mut selected = Policies::new();
    for policy in policies {
        let status = &policy["status"]["latestRef"];
        let image = match status {
            Value::Null => None,
            status => Some(serde_json::from_value::<ImageRef>(status.clone()).map_err(
                |error| {
                    Error::input(format!(
                        "{file}: status.latestRef of ImagePolicy \"{}\": {error}",
                        manifests::name(policy)
                    ))
                },
            )?),
        };
        let namespace = manifests::namespace(policy, namespace).to_owned();
        selected.insert((namespace, manifests::name(policy).to_owned()), image);
    }
    Ok(selected)
}

/// The text of a template, or of the file after an `@`.
fn template(text: &str) -> Result<String, Error> {
    match text.strip_prefix('@') {
        Some(path) => read_text(path),
        None => Ok(text.to_owned()),
    }
}

/// Every marker with its outcome, and the message.
fn outcomes(update: &Update, message: Option<&str>) -> String {
    let mut lines: Vec<(&str, usize, String)> = Vec::new();
    for change in &update.changes {
        let text = format!(
            "{} {} -> {}",
            change.setter, change.old_value, change.new_value
        );
        lines.push((&change.file, change.line, text));
    }
    for (file, line, setter) in &update.current {
        lines.push((file, *line, format!("{setter} is current")));
    }
    for problem in &update.problems {
        let policy = match &*problem.policy {
            "" => String::new(),
            policy => format!("{policy} "),
        };
        let text = format!("{policy}skipped: {}", problem.reason);
        lines.push((&problem.file, problem.line, text));
    }
    lines.sort();
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("Markers:\n");
    }
    for (file, line, outcome) in lines {
        let at = match line {
            0 => String::new(),
            line => format!(":{line}"),
        };
        text.push_str(&format!("  {file}{at} {outcome}\n"));
    }
    if let Some(message) = message {
        text.push_str("Commit message:\n");
        let indented = message.lines().map(|line| format!("  {line}\n"));
        text.extend(indented);
    }
    text
}

fn as_json(update: &Update, message: Option<&str>) -> Value {
    let changes: Vec<Value> = update
        .changes
        .iter()
        .map(|change| {
            json!({
                "file": change.file,
                "line": change.line,
                "old": change.old_value,
                "new": change.new_value,
                "policy": change.setter,
            })
        })
        .collect();
    let skipped: Vec<Value> = update
        .problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "policy": problem.policy,
                "reason": problem.reason,
            })
        })
        .collect();
    json!({"changes": changes, "skipped": skipped, "message": message})
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn policies_of_the_command_line() {
        let ((namespace, name), image) = policy("ns/app=reg.io:5000/a/b:2.51@sha256:ab").unwrap();
        assert_eq!((&*namespace, &*name), ("ns", "app"));
        assert_eq!(image.to_string(), "reg.io:5000/a/b:2.51@sha256:ab");
        assert_eq!(policy("ns/app=app:1").unwrap().1.to_string(), "app:1");
        for bad in [
            "",
            "app=app:1",
            "ns/app",
            "ns/app=app",
            "ns/app=reg.io:5000/app",
            "/app=app:1",
            "ns/=app:1",
            "ns/app=app:",
            "ns/app=app:1@",
            "ns/a/b=app:1",
        ] {
            assert!(policy(bad).is_err(), "{bad}");
        }
    }
}

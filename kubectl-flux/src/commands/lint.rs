//! `lint`: what is wrong with manifests, before anybody applies them.
//!
//! The rules are those of the admission webhook ([`flux_rules`]); in addition it sees what only a
//! text can show. This module collects files, asks the cluster where that is wanted, and prints.

mod baseline;
mod cluster;
mod collect;
mod overlay;
mod print;

use std::collections::BTreeMap;
use std::path::PathBuf;

use flux_rules::files::{self, File, Located, Surroundings};
use flux_rules::{IngressNginx, Release, Settings, Severity};

use crate::cli::values;
use crate::context::Context;
use crate::disk;
use crate::error::Error;
use crate::output;
use baseline::Baseline;
use print::Format;

/// Flags of `lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files and folders to look at; - is standard input
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Folder of a kustomize overlay to build and look at; may be repeated
    #[arg(short = 'k', long = "kustomize", value_name = "DIR")]
    overlays: Vec<String>,
    /// How to print findings: text, json, sarif or github
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: String,
    /// Write the fixes that are certain into the files
    #[arg(long)]
    fix: bool,
    /// Let warnings fail, too
    #[arg(long)]
    strict: bool,
    /// File with findings to leave out
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write all findings to this file, to leave them out from now on
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
    /// Look at the objects of the cluster instead of files
    #[arg(long)]
    all: bool,
    /// With --all: show only what the webhook would deny in mode enforce
    #[arg(long)]
    as_enforced: bool,
    /// Release of the ingress-nginx that serves these Ingresses, e.g. 1.12.1
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    ingress_nginx_version: Option<Release>,
}

fn format(text: &str) -> Result<String, String> {
    values::one_of(
        text,
        &["text", "json", "sarif", "github"],
        "output format is not supported:",
    )
}

fn release(text: &str) -> Result<Release, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// What to print about: findings and the texts they are in.
struct Outcome {
    findings: Vec<Located>,
    /// Content by file name; none for objects of a cluster.
    texts: BTreeMap<String, String>,
    /// How much was looked at, e.g. `12 files`.
    what: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    check(args)?;
    let format = Format::named(&args.output);
    if args.all {
        let outcome = context.block_on(cluster::scan(args, context))?;
        return finish(args, format, outcome);
    }
    let (sources, mut files) = collect::all(&args.paths)?;
    let built = if args.overlays.is_empty() {
        Vec::new()
    } else {
        context.block_on(overlay::build(&args.overlays))?
    };
    files.extend(built.iter().map(|built| built.file.clone()));
    let surroundings = Surroundings {
        settings: settings(args),
        cluster: if context.names_cluster() {
            Some(context.block_on(cluster::objects(context))?)
        } else {
            None
        },
    };
    let mut findings = files::lint(&files, &surroundings);
    let mut texts: BTreeMap<String, String> = files
        .into_iter()
        .map(|file| (file.path, file.text))
        .collect();
    if args.fix {
        fix(&mut findings, &mut texts, &sources, &surroundings)?;
    }
    overlay::relocate(&mut findings, &built, &mut texts);
    let what = match texts.len() {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    };
    let outcome = Outcome {
        findings,
        texts,
        what,
    };
    finish(args, format, outcome)
}

/// Refuses what makes no sense, before anything is read.
fn check(args: &Args) -> Result<(), Error> {
    let misuse = |text: &str| Err(Error::input(text));
    let named = !args.paths.is_empty() || !args.overlays.is_empty();
    if args.all && named {
        return misuse("--all looks at the cluster: name no files with it");
    }
    if args.all && args.fix {
        return misuse("--fix changes files, not the objects of a cluster");
    }
    if args.as_enforced && !args.all {
        return misuse("--as-enforced needs --all");
    }
    if !args.all && !named {
        return misuse("name files or folders, - for standard input, or --all for the cluster");
    }
    Ok(())
}

fn settings(args: &Args) -> Settings {
    Settings {
        ingress_nginx: args.ingress_nginx_version.map(IngressNginx::new),
    }
}

/// Writes fixes into the files that were read from disk, and looks at those again.
fn fix(
    findings: &mut Vec<Located>,
    texts: &mut BTreeMap<String, String>,
    sources: &BTreeMap<String, PathBuf>,
    surroundings: &Surroundings,
) -> Result<(), Error> {
    let mut written = Vec::new();
    for (name, text) in texts.iter_mut() {
        let Some(path) = sources.get(name) else {
            continue;
        };
        let mine: Vec<&Located> = findings
            .iter()
            .filter(|found| found.file == *name)
            .collect();
        let Some(fixed) = files::fixed(text, &mine) else {
            continue;
        };
        *text = fixed;
        written.push((path.as_path(), text.as_str()));
    }
    disk::write("cannot write the fixed file", &written)?;
    let changed = written.len();
    if changed > 0 {
        output::success(format!(
            "fixed {changed} {}",
            if changed == 1 { "file" } else { "files" }
        ));
        let files: Vec<File> = texts
            .iter()
            .map(|(path, text)| File {
                path: path.clone(),
                text: text.clone(),
            })
            .collect();
        *findings = files::lint(&files, surroundings);
    }
    Ok(())
}

/// Prints, and decides about the exit code: 1 for errors, with `--strict` also for warnings.
fn finish(args: &Args, format: Format, mut outcome: Outcome) -> Result<(), Error> {
    if let Some(path) = &args.write_baseline {
        return baseline::write(path, &outcome.findings);
    }
    let mut known = 0;
    if let Some(path) = &args.baseline {
        let baseline = Baseline::read(path)?;
        let before = outcome.findings.len();
        baseline.subtract(&mut outcome.findings);
        known = before - outcome.findings.len();
    }
    print::findings(format, &outcome, known)?;
    let fails = |found: &Located| match found.severity {
        Severity::Error => true,
        Severity::Warning => args.strict,
        Severity::Note => false,
    };
    if outcome.findings.iter().any(fails) {
        Err(Error::Answer)
    } else {
        Ok(())
    }
}

//! What a build reads of a source: the directory, and what its kustomization files lead to.
//!
//! A commit that changes nothing of it changes nothing that is applied. Git knows the id of every
//! directory, so the comparison reads no file. ConfigMaps and Secrets that a build reads are
//! watched ([`super::past::Known::reference_changed`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_api::KustomizationSpec;
use flux_build::Files;
use flux_lang::yaml;
use serde_json::Value;

use crate::context::Context;
use crate::source::{Source, SourceError};

/// How often one build may lead to further directories before all of the source is read.
const MAX_ROUNDS: usize = 32;

/// Names of kustomization files.
const KUSTOMIZATION: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// How fields begin that name files whose content names further ones, in ways only kustomize knows;
/// lower case, for it takes them in any.
const OPAQUE: &[&str] = &[
    "generators",
    "transformers",
    "validators",
    "configurations",
    "helm",
];

/// What the last build has read: ids of Git objects by path, `None` for what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inputs {
    /// Where the source comes from.
    origin: (String, i64),
    /// Of the Kustomization.
    generation: i64,
    objects: Vec<(String, Option<String>)>,
}

impl Inputs {
    /// Whether a build would read the same from `source`.
    pub(super) async fn are_in(
        &self,
        source: &Source,
        generation: i64,
        context: &Arc<Context>,
    ) -> bool {
        if self.origin != source.origin() || self.generation != generation {
            return false;
        }
        let paths: Vec<_> = self.objects.iter().map(|(path, _)| path.clone()).collect();
        match source.ids(paths, context).await {
            Ok(found) => self.objects.iter().map(|(_, id)| id).eq(found.iter()),
            Err(_) => false,
        }
    }
}

/// The files that a build reads, and what they are; `None` when that cannot be told.
///
/// # Errors
/// When the mirror was damaged or lost; the next fetch rebuilds it.
pub(super) async fn read(
    source: &Source,
    spec: &KustomizationSpec,
    generation: i64,
    context: &Arc<Context>,
) -> Result<(Files, Option<Inputs>), SourceError> {
    let Some(path) = normal(spec.path.as_deref().unwrap_or_default(), "") else {
        return Ok((source.files(None, context).await?, None));
    };
    let mut paths = BTreeSet::from([path.clone()]);
    for component in &spec.components {
        paths.extend(normal(component, &path));
    }
    let mut files = Files::new();
    let mut read = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        let missing: Vec<_> = paths.difference(&read).cloned().collect();
        if missing.is_empty() {
            break;
        }
        for path in missing {
            let under = (!path.is_empty()).then_some(path.as_str());
            match source.files(under, context).await {
                Ok(found) => files.extend(found),
                // The build says it, with what there is instead.
                Err(error) if error.is_missing_path() => {}
                Err(error) => return Err(error),
            }
            read.insert(path);
        }
        match leads_to(&files) {
            Some(found) => paths.extend(found),
            None => {
                paths.insert(String::new());
            }
        }
        if paths.contains("") {
            paths.retain(String::is_empty);
            break;
        }
    }
    if !paths.is_subset(&read) || !files.keys().any(|file| is_below(file, &path)) {
        paths = BTreeSet::from([String::new()]);
        files = source.files(None, context).await?;
    }
    if context.args.fetches_remote_bases() && may_be_remote(&files) {
        return Ok((files, None));
    }
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.extend(ignore_files(&path));
    let found = source.ids(paths.clone(), context).await?;
    let inputs = Inputs {
        origin: source.origin(),
        generation,
        objects: paths.into_iter().zip(found).collect(),
    };
    Ok((files, Some(inputs)))
}

/// The ignore files above a directory; those below it are part of it.
fn ignore_files(path: &str) -> Vec<String> {
    const NAME: &str = ".sourceignore";
    let mut found = vec![NAME.to_owned()];
    let mut at = 0;
    while let Some(end) = path.get(at..).and_then(|rest| rest.find('/')) {
        at += end;
        found.push(format!("{}/{NAME}", path.get(..at).unwrap_or_default()));
        at += 1;
    }
    found
}

fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    KUSTOMIZATION.contains(&name)
}

/// Whether kustomization files name what may be on another host, in one of kustomize's many ways; it can
/// change without a commit here. Guessing too often does no harm but building more.
fn may_be_remote(files: &Files) -> bool {
    const SIGNS: &[&str] = &["//", "@", "github.com", "gh:", ".git", "_git/", "?"];
    files.iter().any(|(path, text)| {
        let text = String::from_utf8_lossy(text);
        is_kustomization(path) && SIGNS.iter().any(|sign| text.contains(sign))
    })
}

fn is_below(file: &str, directory: &str) -> bool {
    directory.is_empty()
        || file
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Paths that kustomization files name outside their own directories; `None` when they may name
/// some in a way that is not understood here. Too many do no harm but reading more.
fn leads_to(files: &Files) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| is_kustomization(path)) {
        let text = std::str::from_utf8(text).ok()?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        if !may_lead_elsewhere(text) {
            continue;
        }
        for document in yaml::read(text).ok()? {
            let fields = document.value.as_object().into_iter().flatten();
            let mut fields = fields.map(|(field, _)| field.to_lowercase());
            if fields.any(|field| OPAQUE.iter().any(|opaque| field.starts_with(opaque))) {
                return None;
            }
            named(&document.value, &mut |name| {
                if name.split('/').any(|part| part == "..") {
                    found.extend(normal(name, directory));
                }
            });
        }
    }
    Some(found)
}

/// Whether a kustomization file is worth being parsed. An escape can stand for any character.
fn may_lead_elsewhere(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut signs = ["..", "\\"].iter().chain(OPAQUE);
    signs.any(|sign| lower.contains(sign))
}

/// All texts that may be paths: those of one line, and of `key=path` the path. What kustomization
/// files hold on several lines are objects.
fn named(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if !text.trim_end().contains('\n') => {
            let text = text.trim();
            take(text);
            if let Some((_, path)) = text.split_once('=') {
                take(path);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| named(value, take)),
        Value::Object(map) => map.values().for_each(|value| named(value, take)),
        _ => {}
    }
}

/// A path from the root, without `.` and `..`; `None` when it leads out.
pub(super) fn normal(path: &str, from: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').filter(|p| !p.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        let entry = |(path, text): &(&str, &str)| ((*path).to_owned(), text.to_string().into());
        list.iter().map(entry).collect()
    }

    #[test]
    fn kustomization_files_lead_elsewhere() {
        let found = |text: &str| {
            let files = files(&[
                ("apps/a/kustomization.yaml", text),
                ("apps/a/other.yaml", "path: ../not/looked/at"),
            ]);
            leads_to(&files).map(|found| found.into_iter().collect::<Vec<_>>())
        };
        let list = |paths: &[&str]| Some(paths.iter().map(|p| (*p).to_owned()).collect());
        assert_eq!(found("resources: [a.yaml, b/]"), list(&[]));
        assert_eq!(
            found("resources:\n- ../base\n- \"../../lib/x.yaml\"\n"),
            list(&["apps/base", "lib/x.yaml"])
        );
        assert_eq!(
            found("configMapGenerator:\n- files: ['key=../c.txt']\n"),
            list(&["apps/c.txt"])
        );
        assert_eq!(found("resources: [b/../../c]"), list(&["apps/c"]));
        // Names as people give them to folders.
        for name in ["my base", "a=b", "a,b", "a(1)", "a#1", "it's", "[a]"] {
            let expected = format!("apps/{name}/x");
            let text = format!("resources:\n- ../{name}/x # why\n");
            assert_eq!(found(&text), list(&[&expected]), "{text}");
        }
        assert_eq!(
            found("secretGenerator:\n- envs: [key=../my c.txt]\n"),
            list(&["apps/my c.txt"])
        );
        assert_eq!(
            found("patches:\n- patch: |-\n    a: ../b\n    c: d\n"),
            list(&[])
        );
        assert_eq!(found("resources: [../a"), None);
        assert_eq!(found("resources: [../../../out]"), list(&[]));
        assert_eq!(found("resources: [\"\\x2e./base\"]"), list(&["apps/base"]));
        for opaque in [
            "transformers: [t.yaml]",
            "\"t\\x72ansformers\": []",
            "HelmCharts: []",
        ] {
            assert_eq!(found(opaque), None, "{opaque}");
        }
        // Words that only look like such a field.
        for plain in [
            "resources: [helmrelease.yaml] # not generators",
            "patches:\n- patch: |\n    a: \\d+\n    transformers: b\n",
        ] {
            assert_eq!(found(plain), list(&[]), "{plain}");
        }
    }

    #[test]
    fn bases_elsewhere_are_noticed() {
        for (entry, remote) in [
            ("https://example.com/x.yaml", true),
            ("github.com/a/b?ref=main", true),
            ("github.com/a/b", true),
            ("git@example.com:a/b", true),
            ("example.com:a/b.git", true),
            ("../base", false),
        ] {
            let text = format!("resources: ['{entry}']\n");
            let found = may_be_remote(&files(&[("a/kustomization.yaml", &text)]));
            assert_eq!(found, remote, "{entry}");
            assert!(!may_be_remote(&files(&[("a/other.yaml", &text)])));
        }
    }

    #[test]
    fn ignore_files_of_all_directories_above_count() {
        assert_eq!(ignore_files(""), [".sourceignore"]);
        assert_eq!(
            ignore_files("a/b/c"),
            [".sourceignore", "a/.sourceignore", "a/b/.sourceignore"]
        );
        assert!(is_below("a/b", "a") && is_below("a", "") && !is_below("ab/c", "a"));
    }
}

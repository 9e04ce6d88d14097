//! `preview image-policy`.

use flux_api::{ImagePolicySpec, ImageRepositorySpec};
use flux_image::policy::{Explanation, PolicyError, Selector};
use flux_lang::goregex::GoRegex;
use serde_json::{Value, json};

use super::tags::{self, Source};
use super::{manifests, read_text};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::{self, manifest};

/// Names listed per reason in the text; the JSON has all.
const LISTED: usize = 5;
/// Excluded where the object says nothing, as its schema has it.
const DEFAULT_EXCLUSION: &str = r"^.*\.sig$";

/// Flags of `preview image-policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the ImagePolicy: in the cluster, or in the file of -f
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// File with the ImagePolicy, and perhaps its ImageRepository; - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: Option<String>,
    /// File with the tags to choose from, one a line; - for standard input. Without it the
    /// registry is asked
    #[arg(long, value_name = "FILE")]
    tags: Option<String>,
    /// Image whose tags the registry is asked for [default: that of the ImageRepository]
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Format: text or json
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!(
            "format '{text}' not supported, must be one of: text, json"
        )),
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let answer = answer(args, context)?;
    let text = match args.output {
        Format::Text => answer.text(),
        Format::Json => manifest::json(&answer.json())?,
    };
    output::data(&text)?;
    match answer.selected {
        Some(_) => Ok(()),
        None => Err(Error::Answer),
    }
}

/// A policy, and the repository that it selects from if that is known.
struct Subject {
    policy: ImagePolicySpec,
    repository: Option<ImageRepositorySpec>,
}

fn answer(args: &Args, context: &Context) -> Result<Answer, Error> {
    match (&args.file, &args.name) {
        (None, None) => Err(Error::input(
            "name an ImagePolicy of the cluster, or give one with -f POLICY.yaml",
        )),
        (Some(file), name) => {
            let subject = from_file(file, name.as_deref(), context)?;
            let tags = match &args.tags {
                Some(path) if path == "-" && file == "-" => {
                    return Err(Error::input(
                        "only one of -f and --tags can be standard input",
                    ));
                }
                Some(path) => Ok(tags::of_text(&read_text(path)?)),
                None => {
                    let source =
                        Source::offline(args.image.as_deref(), subject.repository.as_ref())?;
                    context.block_on(async { Ok(source.list().await) })?
                }
            };
            Ok(match tags {
                Ok(tags) => decide(&subject, tags),
                Err(error) => Answer::failed(error),
            })
        }
        (None, Some(name)) => {
            let given = args.tags.as_deref().map(read_text).transpose()?;
            let given = given.as_deref().map(tags::of_text);
            context.block_on(in_cluster(name, given, args.image.as_deref(), context))
        }
    }
}

/// The policy of a file: the one of this name, else the only one.
fn from_file(file: &str, name: Option<&str>, context: &Context) -> Result<Subject, Error> {
    let objects = manifests::read(file)?;
    let mut policies = manifests::of_kind(&objects, Kind::ImagePolicy.name());
    if policies.is_empty() {
        // Only filter and policy are needed.
        let bare =
            |object: &&Value| object["kind"].is_null() && object["spec"]["policy"].is_object();
        policies = objects.iter().filter(bare).collect();
    }
    if let Some(name) = name {
        policies.retain(|policy| manifests::name(policy) == name);
    }
    let [policy] = policies[..] else {
        let names: Vec<&str> = policies.iter().map(|p| manifests::name(p)).collect();
        return Err(Error::input(match (names.is_empty(), name) {
            (true, None) => format!("{file} holds no ImagePolicy"),
            (true, Some(name)) => format!("{file} holds no ImagePolicy \"{name}\""),
            _ => format!(
                "{file} holds {} ImagePolicies, name one of them: {}",
                names.len(),
                names.join(", ")
            ),
        }));
    };
    let reference = &policy["spec"]["imageRepositoryRef"];
    let wanted = reference["name"].as_str();
    let own = manifests::namespace(policy, context.namespace());
    let namespace = reference["namespace"].as_str().unwrap_or(own);
    let repository = manifests::of_kind(&objects, Kind::ImageRepository.name())
        .into_iter()
        .find(|repository| {
            wanted.is_none_or(|wanted| {
                manifests::name(repository) == wanted
                    && manifests::namespace(repository, context.namespace()) == namespace
            })
        });
    Ok(Subject {
        policy: policy_spec(policy)
            .map_err(|error| Error::input(format!("{file}: ImagePolicy spec: {error}")))?,
        repository: repository
            .map(repository_spec)
            .transpose()
            .map_err(|error| Error::input(format!("{file}: ImageRepository spec: {error}")))?,
    })
}

fn policy_spec(policy: &Value) -> serde_json::Result<ImagePolicySpec> {
    let mut spec = policy["spec"].clone();
    if spec["imageRepositoryRef"].is_null() {
        spec["imageRepositoryRef"] = json!({"name": ""});
    }
    serde_json::from_value(spec)
}

fn repository_spec(repository: &Value) -> serde_json::Result<ImageRepositorySpec> {
    let mut spec = repository["spec"].clone();
    if spec["interval"].is_null() {
        spec["interval"] = json!("1h");
    }
    serde_json::from_value(spec)
}

async fn in_cluster(
    name: &str,
    given: Option<Vec<String>>,
    image: Option<&str>,
    context: &Context,
) -> Result<Answer, Error> {
    let cluster = context.cluster().await?;
    let policy = cluster
        .get(Kind::ImagePolicy, context.namespace(), name)
        .await?;
    let policy = policy_spec(&policy.data)
        .map_err(|error| Error::input(format!("ImagePolicy \"{name}\": {error}")))?;
    let reference = &policy.image_repository_ref;
    let namespace = reference
        .namespace
        .as_deref()
        .unwrap_or(context.namespace());
    let object = cluster
        .find(Kind::ImageRepository, namespace, &reference.name)
        .await?;
    let Some(object) = object else {
        return Ok(Answer::failed(format!(
            "ImageRepository \"{namespace}/{}\" does not exist",
            reference.name
        )));
    };
    let repository = repository_spec(&object.data).map_err(|error| {
        Error::input(format!("ImageRepository \"{}\": {error}", reference.name))
    })?;
    let (tags, warning) = match given {
        Some(tags) => (Ok(tags), None),
        None => tags::of_cluster(&cluster, namespace, &object.data, &repository, image).await,
    };
    let subject = Subject {
        policy,
        repository: Some(repository),
    };
    let mut answer = match tags {
        Ok(tags) => decide(&subject, tags),
        Err(error) => Answer::failed(error),
    };
    answer.warnings.extend(warning);
    Ok(answer)
}

/// Excludes, then lets the policy decide.
fn decide(subject: &Subject, tags: Vec<String>) -> Answer {
    let exclusion = match &subject.repository {
        None => Vec::new(),
        Some(repository) => repository
            .exclusion_list
            .clone()
            .unwrap_or_else(|| vec![DEFAULT_EXCLUSION.to_owned()]),
    };
    let mut patterns = Vec::new();
    for (at, pattern) in exclusion.into_iter().enumerate() {
        match GoRegex::compile(&pattern) {
            Ok(regex) => patterns.push((pattern, regex)),
            Err(error) => {
                return Answer::failed(format!(
                    "spec.exclusionList[{at}] \"{pattern}\" of the ImageRepository is no valid \
                     pattern: {error}"
                ));
            }
        }
    }
    let selector = match Selector::new(&subject.policy) {
        Ok(selector) => selector,
        Err(error) => return Answer::failed(error.to_string()),
    };
    let mut excluded = Vec::new();
    let mut left = Vec::new();
    for tag in &tags {
        match patterns.iter().find(|(_, regex)| regex.is_match(tag)) {
            Some((pattern, _)) => excluded.push(Rejected {
                tag: tag.clone(),
                reason: format!("excluded by spec.exclusionList pattern '{pattern}'"),
            }),
            None => left.push(tag.as_str()),
        }
    }
    Answer::of(&selector.explain(&left), excluded)
}

struct Rejected {
    tag: String,
    reason: String,
}

/// What is printed.
#[derive(Default)]
struct Answer {
    selected: Option<String>,
    /// Tag and key, the best first.
    candidates: Vec<(String, String)>,
    rejected: Vec<Rejected>,
    warnings: Vec<String>,
    error: Option<String>,
}

impl Answer {
    fn failed(error: String) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    fn of(explanation: &Explanation<'_>, excluded: Vec<Rejected>) -> Self {
        let mut rejected = excluded;
        rejected.extend(explanation.rejected.iter().map(|(tag, reason)| Rejected {
            tag: (*tag).to_owned(),
            reason: reason.clone(),
        }));
        let pair = |c: &flux_image::policy::Candidate<'_>| (c.tag().to_owned(), c.key().to_owned());
        Self {
            selected: explanation.selected().map(|c| c.tag().to_owned()),
            candidates: explanation.candidates.iter().map(pair).collect(),
            rejected,
            warnings: explanation.warnings.clone(),
            error: explanation.error.as_ref().map(PolicyError::to_string),
        }
    }

    fn json(&self) -> Value {
        let candidates: Vec<Value> = self
            .candidates
            .iter()
            .map(|(tag, key)| json!({"tag": tag, "key": key}))
            .collect();
        let rejected: Vec<Value> = self
            .rejected
            .iter()
            .map(|r| json!({"tag": r.tag, "reason": r.reason}))
            .collect();
        json!({
            "selected": self.selected,
            "candidates": candidates,
            "rejected": rejected,
            "warnings": self.warnings,
            "error": self.error,
        })
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        let shown = |(tag, key): &(String, String)| {
            if tag == key {
                tag.clone()
            } else {
                format!("{tag} (key {key})")
            }
        };
        match (&self.selected, self.candidates.first()) {
            (Some(_), Some(best)) => lines.push(format!("selected: {}", shown(best))),
            _ => lines.push("selected: nothing".to_owned()),
        }
        if let Some(error) = &self.error {
            lines.push(format!("error: {error}"));
        }
        let others = if self.selected.is_some() { 1 } else { 0 };
        let next: Vec<String> = self.candidates.iter().skip(others).map(shown).collect();
        if !next.is_empty() {
            let label = if others == 1 {
                "next best"
            } else {
                "candidates"
            };
            lines.push(format!("{label}: {}", some(&next)));
        }
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for Rejected { tag, reason } in &self.rejected {
            // A number's reason names the tag: one line each would be endless.
            let reason = reason.split(": '").next().unwrap_or(reason);
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, tags)) => tags.push(tag.clone()),
                None => reasons.push((reason, vec![tag.clone()])),
            }
        }
        if !reasons.is_empty() {
            lines.push(format!("out: {}", self.rejected.len()));
        }
        for (reason, tags) in reasons {
            lines.push(format!("  {} {reason}: {}", tags.len(), some(&tags)));
        }
        lines.extend(self.warnings.iter().map(|w| format!("warning: {w}")));
        lines.join("\n") + "\n"
    }
}

/// The first few, and how many more there are.
fn some(names: &[String]) -> String {
    let listed: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    match names.len().saturating_sub(LISTED) {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(policy: Value, exclusion: Option<Value>) -> Subject {
        let repository = exclusion.map(|list| {
            let spec = json!({"spec": {"image": "x", "exclusionList": list}});
            repository_spec(&spec).unwrap()
        });
        Subject {
            policy: policy_spec(&json!({"spec": policy})).unwrap(),
            repository,
        }
    }

    fn tags(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_answer_in_both_forms() {
        let policy = json!({
            "filterTags": {"pattern": r"^(?P<maj>\d+)\.(?P<min>\d+)$", "extract": "$maj.$min.0"},
            "policy": {"semver": {"range": ">=2.0.0"}},
        });
        let subject = subject(policy, Some(json!(["^dev"])));
        let answer = decide(
            &subject,
            tags(&["2.9", "2.51", "1.0", "latest", "dev-1", "2.39"]),
        );
        assert_eq!(
            answer.json(),
            json!({
                "selected": "2.51",
                "candidates": [
                    {"tag": "2.51", "key": "2.51.0"},
                    {"tag": "2.39", "key": "2.39.0"},
                    {"tag": "2.9", "key": "2.9.0"},
                ],
                "rejected": [
                    {"tag": "dev-1", "reason": "excluded by spec.exclusionList pattern '^dev'"},
                    {"tag": "1.0", "reason": "not in range '>=2.0.0'"},
                    {"tag": "latest", "reason": "no match: spec.filterTags.pattern \
                        '^(?P<maj>\\d+)\\.(?P<min>\\d+)$' is not found in it"},
                ],
                "warnings": [],
                "error": null,
            })
        );
        let text = answer.text();
        assert!(
            text.starts_with("selected: 2.51 (key 2.51.0)\nnext best: 2.39 (key 2.39.0), 2.9"),
            "{text}"
        );
        assert!(
            text.contains("\n  1 not in range '>=2.0.0': 1.0\n"),
            "{text}"
        );
    }

    #[test]
    fn nothing_selected_says_why() {
        let numerical = subject(json!({"policy": {"numerical": {"order": "asc"}}}), None);
        let answer = decide(&numerical, tags(&["1", "main", "2.sig"]));
        assert_eq!(answer.selected, None);
        assert_eq!(answer.candidates, [("1".to_owned(), "1".to_owned())]);
        assert!(answer.error.as_ref().unwrap().contains("'2.sig'"));
        let text = answer.text();
        assert!(text.contains("2 not a number: main, 2.sig"), "{text}");
        // The exclusion list applies only with an ImageRepository, then by default, too.
        let excluded = Subject {
            repository: Some(repository_spec(&json!({"spec": {"image": "x"}})).unwrap()),
            ..numerical
        };
        let answer = decide(&excluded, tags(&["1", "2.sig"]));
        assert_eq!(answer.selected.as_deref(), Some("1"));

        let broken = subject(json!({"policy": {"semver": {"range": "newest"}}}), None);
        let answer = decide(&broken, tags(&["1.0.0"]));
        assert!(answer.error.unwrap().contains("'newest'"));
    }
}

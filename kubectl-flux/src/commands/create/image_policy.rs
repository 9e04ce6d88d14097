//! `create image policy`.

use flux_lang::goregex::GoRegex;
use flux_lang::semver::Constraint;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::draft::{Draft, Fields};
use super::{Shared, apply};
use crate::cli::values;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;

/// Flags of `create image policy`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Name of the ImagePolicy
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// ImageRepository whose tags are chosen from, in the same namespace
    #[arg(long, value_name = "NAME")]
    image_ref: Option<String>,
    /// Choose the highest version in a range, such as ">=1.0.0 <2.0.0"
    #[arg(long, value_name = "RANGE")]
    select_semver: Option<String>,
    /// Choose the last tag in alphabetical order: asc, or desc for the first
    #[arg(long, value_name = "ORDER")]
    select_alpha: Option<String>,
    /// Choose the highest number: asc, or desc for the lowest
    #[arg(long, value_name = "ORDER")]
    select_numeric: Option<String>,
    /// Regular expression that a tag has to match; without anchors, anywhere in the tag
    #[arg(long, value_name = "PATTERN")]
    filter_regex: Option<String>,
    /// What of a matching tag is compared, with the groups of the pattern: $name
    #[arg(long, value_name = "TEMPLATE")]
    filter_extract: Option<String>,
    /// Whether the digest of the chosen tag is looked up: Never, IfNotPresent or Always
    #[arg(long, value_name = "POLICY")]
    reflect_digest: Option<String>,
}

/// Fields of the spec that these flags decide about.
const DECIDED: &[&str] = &[
    "digestReflectionPolicy",
    "filterTags",
    "imageRepositoryRef.name",
    "interval",
    "policy",
];

/// Runs the command.
pub(super) fn run(args: &Args, shared: &Shared, context: &Context) -> Result<(), Error> {
    let mut draft = Draft::new(Kind::ImagePolicy, &args.names, shared, context)?;
    let interval = shared
        .interval
        .as_ref()
        .filter(|interval| !interval.as_std().is_zero())
        .map(values::canonical);
    draft.spec = spec(args, interval)?;
    draft.decided = DECIDED;
    apply::finish(&draft, shared, context, report)
}

fn report(_: &DynamicObject) -> Vec<Result<String, String>> {
    vec![Ok("ImagePolicy reconciliation completed".to_owned())]
}

fn spec(args: &Args, interval: Option<String>) -> Result<Value, Error> {
    let repository = given(&args.image_ref).ok_or_else(|| {
        Error::input("the name of an ImageRepository in the namespace is required (--image-ref)")
    })?;
    let mut spec = Fields::default();
    spec.set("imageRepositoryRef", json!({ "name": repository }))
        .set("policy", policy(args)?)
        .set_some("filterTags", filter(args)?);
    if let Some(reflect) = given(&args.reflect_digest) {
        if !["Never", "IfNotPresent", "Always"].contains(&reflect) {
            return Err(Error::input(
                "invalid value for --reflect-digest, must be one of 'Never', 'IfNotPresent', 'Always'",
            ));
        }
        spec.set("digestReflectionPolicy", reflect);
    }
    if let Some(interval) = interval {
        if given(&args.reflect_digest) != Some("Always") {
            return Err(Error::input(
                "the --interval flag can only be used with the 'Always' digest reflection policy, use --reflect-digest=Always",
            ));
        }
        spec.set("interval", interval);
    }
    Ok(spec.into_value())
}

fn given(flag: &Option<String>) -> Option<&str> {
    flag.as_deref().filter(|text| !text.is_empty())
}

/// The one way of choosing that was asked for. Flux lets two of them through and exports a policy
/// that chooses nothing.
fn policy(args: &Args) -> Result<Value, Error> {
    let chosen = (
        given(&args.select_semver),
        given(&args.select_alpha),
        given(&args.select_numeric),
    );
    match chosen {
        (Some(range), None, None) => {
            Constraint::parse(range).map_err(|error| {
                Error::input(format!(
                    "--select-semver is an invalid range {range:?}: {error}"
                ))
            })?;
            Ok(json!({ "semver": { "range": range } }))
        }
        (None, Some(order), None) => Ok(json!({ "alphabetical": ordered("alpha", order)? })),
        (None, None, Some(order)) => Ok(json!({ "numerical": ordered("numeric", order)? })),
        (None, None, None) => Err(Error::input(
            "a policy must be provided with either --select-semver or --select-alpha",
        )),
        _ => Err(Error::input(
            "only one of --select-semver, --select-alpha or --select-numeric can be specified",
        )),
    }
}

fn ordered(flag: &str, order: &str) -> Result<Value, Error> {
    match order {
        "asc" | "desc" => Ok(json!({ "order": order })),
        _ => Err(Error::input(format!(
            "--select-{flag} must be one of [\"asc\", \"desc\"]"
        ))),
    }
}

fn filter(args: &Args) -> Result<Option<Value>, Error> {
    let extract = given(&args.filter_extract);
    let Some(pattern) = given(&args.filter_regex) else {
        return match extract {
            Some(_) => Err(Error::input(
                "cannot specify --filter-extract without specifying --filter-regex",
            )),
            None => Ok(None),
        };
    };
    let regex = GoRegex::compile(pattern).map_err(|error| {
        Error::input(format!(
            "--filter-regex is an invalid regex pattern: {error}"
        ))
    })?;
    if let Some(template) = extract {
        check_groups(template, &regex)?;
    }
    Ok(Some(
        json!({ "pattern": pattern, "extract": extract.unwrap_or_default() }),
    ))
}

/// Whether the template can be read, and names only groups of the pattern.
fn check_groups(template: &str, regex: &GoRegex) -> Result<(), Error> {
    if is_malformed(template) {
        return Err(Error::input("--filter-extract is malformed"));
    }
    match regex.unknown_groups(template).first() {
        Some(name) => Err(Error::input(format!(
            "capture group ${name} used in --filter-extract not found in --filter-regex"
        ))),
        None => Ok(()),
    }
}

/// Whether a `$` is followed by neither a name, nor `{name}`, nor another `$`. Go would drop it
/// without a word.
fn is_malformed(template: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('$') {
        rest = match after.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some((name, tail)) if !name.is_empty() && name.chars().all(is_word) => tail,
                _ => return true,
            },
            None if after.starts_with('$') => after.split_at(1).1,
            None if after.starts_with(is_word) => after,
            None => return true,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn args() -> Args {
        Args {
            image_ref: some("agnhost"),
            ..Args::default()
        }
    }

    fn error(args: &Args, interval: Option<&str>) -> String {
        spec(args, interval.map(str::to_owned))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_policies() {
        let semver = Args {
            select_semver: some(">=1.0.0"),
            ..args()
        };
        assert_eq!(
            spec(&semver, None).unwrap(),
            json!({"imageRepositoryRef": {"name": "agnhost"},
                   "policy": {"semver": {"range": ">=1.0.0"}}})
        );
        let numeric = Args {
            select_numeric: some("asc"),
            filter_regex: some(r"\d\.\d\d"),
            reflect_digest: some("Always"),
            ..args()
        };
        assert_eq!(
            spec(&numeric, some("5m0s")).unwrap(),
            json!({"imageRepositoryRef": {"name": "agnhost"},
                   "policy": {"numerical": {"order": "asc"}},
                   "filterTags": {"pattern": r"\d\.\d\d", "extract": ""},
                   "digestReflectionPolicy": "Always",
                   "interval": "5m0s"})
        );
    }

    #[test]
    fn only_one_policy_whichever_two_were_given() {
        let text =
            "only one of --select-semver, --select-alpha or --select-numeric can be specified";
        for both in [
            Args {
                select_semver: some("1.x"),
                select_alpha: some("asc"),
                ..args()
            },
            Args {
                select_semver: some("1.x"),
                select_numeric: some("asc"),
                ..args()
            },
            Args {
                select_alpha: some("asc"),
                select_numeric: some("asc"),
                ..args()
            },
        ] {
            assert_eq!(error(&both, None), text);
        }
    }

    #[test]
    fn mistakes() {
        let alpha = || Args {
            select_alpha: some("asc"),
            ..args()
        };
        for (args, interval, text) in [
            (
                Args::default(),
                None,
                "the name of an ImageRepository in the namespace is required (--image-ref)",
            ),
            (
                args(),
                None,
                "a policy must be provided with either --select-semver or --select-alpha",
            ),
            (
                Args {
                    select_alpha: some("up"),
                    ..args()
                },
                None,
                "--select-alpha must be one of [\"asc\", \"desc\"]",
            ),
            (
                Args {
                    select_numeric: some("up"),
                    ..args()
                },
                None,
                "--select-numeric must be one of [\"asc\", \"desc\"]",
            ),
            (
                Args {
                    filter_extract: some("$x"),
                    ..alpha()
                },
                None,
                "cannot specify --filter-extract without specifying --filter-regex",
            ),
            (
                Args {
                    filter_regex: some("(?P<ts>.*)"),
                    filter_extract: some("${ts"),
                    ..alpha()
                },
                None,
                "--filter-extract is malformed",
            ),
            (
                Args {
                    filter_regex: some("(?P<ts>.*)"),
                    filter_extract: some("$tx"),
                    ..alpha()
                },
                None,
                "capture group $tx used in --filter-extract not found in --filter-regex",
            ),
            (
                Args {
                    reflect_digest: some("Sometimes"),
                    ..alpha()
                },
                None,
                "invalid value for --reflect-digest, must be one of 'Never', 'IfNotPresent', 'Always'",
            ),
            (
                alpha(),
                Some("5m0s"),
                "the --interval flag can only be used with the 'Always' digest reflection policy, use --reflect-digest=Always",
            ),
        ] {
            assert_eq!(error(&args, interval), text);
        }
        let regex = Args {
            filter_regex: some("("),
            ..alpha()
        };
        assert!(error(&regex, None).starts_with("--filter-regex is an invalid regex pattern"));
        let range = Args {
            select_semver: some("not a range"),
            ..args()
        };
        assert!(error(&range, None).starts_with("--select-semver is an invalid range"));
    }

    #[test]
    fn templates() {
        for good in ["$ts", "v${a}-$1x.$$", "no groups", ""] {
            assert!(!is_malformed(good), "{good}");
        }
        for bad in ["$", "a$-b", "${a", "${}", "${a-b}"] {
            assert!(is_malformed(bad), "{bad}");
        }
    }
}

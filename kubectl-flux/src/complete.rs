//! Candidates for the word at the cursor, in the protocol of cobra that kubectl and the scripts of
//! `completion` speak: one candidate a line with an optional description after a tab, then a line
//! `:N` with a directive.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, ArgAction, Command as Tree};

use crate::cli;
use crate::cluster::{Cluster, Scope, Selection};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;

/// The hidden verb, named as cobra names it.
pub(crate) const COMMAND: &str = "__complete";
/// Name by which kubectl starts completion; a link of that name to this program will do.
const KUBECTL_HOOK: &str = "kubectl_complete-flux";
/// The shell waits: whoever has no quick answer from the cluster gets none.
const PATIENCE: Duration = Duration::from_secs(2);

/// Verbs that take names of objects which exist.
const NAMING: &[&str] = &[
    "build",
    "debug",
    "delete",
    "diff",
    "export",
    "get",
    "reconcile",
    "resume",
    "suspend",
    "tree",
];

/// Directive: nothing more is known, do not offer files.
const NO_FILES: u8 = 4;
/// Directive: files may be offered.
const FILES: u8 = 0;

/// The words to complete, if that is what the program was called for. They are taken as they are:
/// a parser would act upon flags that are yet to be completed.
pub(crate) fn words(args: &[OsString]) -> Option<Vec<String>> {
    let (program, rest) = args.split_first()?;
    let words = match rest.split_first() {
        Some((verb, words)) if verb == COMMAND => words,
        _ if Path::new(program)
            .file_stem()
            .is_some_and(|name| name == KUBECTL_HOOK) =>
        {
            rest
        }
        _ => return None,
    };
    Some(
        words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
    )
}

/// Prints the candidates for the last of the words, which may be empty. Failures are silent: a
/// shell has no place for them.
pub(crate) fn run(words: &[String]) -> Result<(), Error> {
    let (last, words) = words
        .split_last()
        .map_or(("", words), |(last, rest)| (last.as_str(), rest));
    let mut tree = cli::command();
    tree.build();
    let place = find_place(&tree, words, last);
    let (mut candidates, directive) = match &place.wanted {
        Wanted::Words => (of_words(place.command, last), NO_FILES),
        Wanted::Value { flag, .. } => match values_of(flag) {
            Some(values) => (values.iter().map(|v| (*v).to_owned()).collect(), NO_FILES),
            None if *flag == "namespace" => (namespaces(words), NO_FILES),
            None if names_file(flag) => (Vec::new(), FILES),
            None => (Vec::new(), NO_FILES),
        },
    };
    if matches!(place.wanted, Wanted::Words)
        && !last.starts_with('-')
        && let Some(kind) = kind_of(&place.path)
    {
        candidates.extend(objects(kind, words));
    }
    let prefix = match &place.wanted {
        Wanted::Value {
            typed, attached, ..
        } => (typed.as_str(), attached.as_str()),
        Wanted::Words => (last, ""),
    };
    let mut text: String = candidates
        .iter()
        .filter(|candidate| candidate.starts_with(prefix.0))
        .map(|candidate| format!("{}{candidate}\n", prefix.1))
        .collect();
    text.push_str(&format!(":{directive}\n"));
    output::data(&text)
}

/// Where the cursor is.
struct Place<'a> {
    command: &'a Tree,
    path: Vec<&'a str>,
    wanted: Wanted<'a>,
}

/// What can stand there.
enum Wanted<'a> {
    /// A command, a flag or a name.
    Words,
    /// The value of a flag.
    Value {
        flag: &'a str,
        /// What of the value is typed.
        typed: String,
        /// What the shell holds for the beginning of the word: `--flag=` or nothing.
        attached: String,
    },
}

fn find_place<'a>(tree: &'a Tree, words: &[String], last: &str) -> Place<'a> {
    let mut command = tree;
    let mut path = Vec::new();
    let mut pending: Option<&'a Arg> = None;
    for word in words {
        if pending.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            pending = flag_named(command, word)
                .filter(|_| !word.contains('='))
                .filter(takes_word);
        } else if let Some(next) = command.find_subcommand(word) {
            command = next;
            path.push(next.get_name());
        }
    }
    let long = |arg: &'a Arg| arg.get_long().unwrap_or_default();
    let wanted = match (pending, last.split_once('=')) {
        (Some(arg), _) => Wanted::Value {
            flag: long(arg),
            typed: last.to_owned(),
            attached: String::new(),
        },
        (None, Some((name, typed))) if last.starts_with("--") => match flag_named(command, name) {
            Some(arg) => Wanted::Value {
                flag: long(arg),
                typed: typed.to_owned(),
                attached: format!("{name}="),
            },
            None => Wanted::Words,
        },
        _ => Wanted::Words,
    };
    Place {
        command,
        path,
        wanted,
    }
}

fn flag_named<'a>(command: &'a Tree, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    command
        .get_arguments()
        .find(|arg| match name.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => {
                let mut letters = name.chars().skip(1);
                arg.get_short().is_some()
                    && arg.get_short() == letters.next()
                    && letters.next().is_none()
            }
        })
}

/// Whether the next word is the flag's value.
fn takes_word(arg: &&Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && !arg.is_require_equals_set()
}

/// Commands, or flags once a dash is typed; each with its description.
fn of_words(command: &Tree, last: &str) -> Vec<String> {
    let described = |name: String, about: Option<String>| match about {
        Some(about) => format!("{name}\t{}", about.lines().next().unwrap_or_default()),
        None => name,
    };
    if last.starts_with('-') {
        return command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .filter_map(|arg| {
                let help = arg.get_help().map(ToString::to_string);
                Some(described(format!("--{}", arg.get_long()?), help))
            })
            .collect();
    }
    command
        .get_subcommands()
        .filter(|child| !child.is_hide_set())
        .map(|child| {
            described(
                child.get_name().to_owned(),
                child.get_about().map(ToString::to_string),
            )
        })
        .collect()
}

/// Values of flags that have a fixed set of them.
fn values_of(flag: &str) -> Option<&'static [&'static str]> {
    Some(match flag {
        "ssh-key-algorithm" => &["rsa", "ecdsa", "ed25519"],
        "ssh-ecdsa-curve" => &["p256", "p384", "p521"],
        "select-alpha" | "select-numeric" => &["asc", "desc"],
        "reflect-digest" => &["Never", "IfNotPresent", "Always"],
        "signing-key-type" => &["gpg", "ssh"],
        "decryption-provider" => &["sops"],
        "provider" => &["generic", "github", "aws", "azure"],
        "output" => &[
            "json",
            "yaml",
            "name",
            "wide",
            "jsonpath=",
            "custom-columns=",
        ],
        "register-deploy-key" => &["ro", "rw"],
        "color" => &["auto", "always", "never"],
        "types" => &["Normal", "Warning"],
        "log-level" => &["trace", "debug", "info", "warn", "error"],
        _ => return None,
    })
}

fn names_file(flag: &str) -> bool {
    flag == "kubeconfig"
        || flag.ends_with("-file")
        || matches!(
            flag,
            "certificate-authority" | "client-certificate" | "client-key"
        )
}

/// Kind of the objects whose names the command takes.
fn kind_of(path: &[&str]) -> Option<Kind> {
    let (verb, kind) = path.split_first()?;
    if !NAMING.contains(verb) {
        return None;
    }
    Some(match kind {
        ["source" | "sources", "git"] => Kind::GitRepository,
        ["kustomization" | "kustomizations"] => Kind::Kustomization,
        ["image" | "images", "repository"] => Kind::ImageRepository,
        ["image" | "images", "policy"] => Kind::ImagePolicy,
        ["image" | "images", "update"] => Kind::ImageUpdateAutomation,
        _ => return None,
    })
}

fn objects(kind: Kind, words: &[String]) -> Vec<String> {
    ask(words, async |context, cluster| {
        let scope = Scope::Namespace(context.namespace());
        let objects = cluster.list(kind, scope, Selection::default()).await?;
        Ok(objects
            .into_iter()
            .filter_map(|object| object.metadata.name)
            .collect())
    })
}

fn namespaces(words: &[String]) -> Vec<String> {
    ask(words, async |_, cluster| Ok(cluster.namespaces().await?))
}

/// Asks the cluster that the words typed so far describe.
fn ask(
    words: &[String],
    question: impl AsyncFnOnce(&Context, &Cluster) -> Result<Vec<String>, Error>,
) -> Vec<String> {
    let answer = || -> Result<Vec<String>, Error> {
        let context = Context::new(cli::global_of(words))?;
        context.block_on(async {
            let cluster = context.cluster().await?;
            let answer = tokio::time::timeout(PATIENCE, question(&context, &cluster)).await;
            answer.unwrap_or_else(|_| Ok(Vec::new()))
        })
    };
    answer().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(words: &[&str], last: &str) -> (Vec<String>, Option<(String, String)>) {
        let mut tree = cli::command();
        tree.build();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let place = find_place(&tree, &words, last);
        let value = match place.wanted {
            Wanted::Words => None,
            Wanted::Value { flag, typed, .. } => Some((flag.to_owned(), typed)),
        };
        (place.path.into_iter().map(str::to_owned).collect(), value)
    }

    #[test]
    fn the_cursor_is_found() {
        let value = |flag: &str, typed: &str| Some((flag.to_owned(), typed.to_owned()));
        assert_eq!(
            place(&["get", "ks"], ""),
            (vec!["get".into(), "kustomizations".into()], None)
        );
        assert_eq!(place(&["get", "-n"], "fl").1, value("namespace", "fl"));
        assert_eq!(
            place(&["get"], "--namespace=fl").1,
            value("namespace", "fl")
        );
        assert_eq!(place(&["-n", "foo", "get"], "k").0, ["get"]);
        assert_eq!(place(&["get", "--all-namespaces"], "k").1, None);
    }

    #[test]
    fn candidates() {
        let mut tree = cli::command();
        tree.build();
        let commands = of_words(&tree, "");
        assert!(
            commands.iter().any(|c| c.starts_with("create\t")),
            "{commands:?}"
        );
        let flags = of_words(tree.find_subcommand("check").unwrap(), "--");
        assert!(flags.iter().any(|f| f.starts_with("--pre\t")), "{flags:?}");
        assert!(
            flags.iter().any(|f| f.starts_with("--namespace\t")),
            "{flags:?}"
        );
    }

    #[test]
    fn completion_is_asked_for_by_verb_or_by_name() {
        let ask = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            words(&args)
        };
        assert_eq!(
            ask(&["kubectl-flux", "__complete", "-n", ""]).unwrap(),
            ["-n", ""]
        );
        assert_eq!(
            ask(&["/usr/bin/kubectl_complete-flux", "get", ""]).unwrap(),
            ["get", ""]
        );
        assert_eq!(ask(&["kubectl-flux", "get"]), None);
        assert_eq!(ask(&[]), None);
    }
}

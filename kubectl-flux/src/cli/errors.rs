//! What clap finds wrong, in the words of Flux's flag parser: scripts and eyes know those.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command as Tree};

use super::elsewhere;

/// What to tell the person.
pub(super) enum Description {
    /// Help or version, which was asked for.
    Help(String),
    /// One line about the mistake.
    Mistake(String),
}

/// Puts an error of clap into words.
pub(super) fn describe(error: &clap::Error, tree: &Tree) -> Description {
    let text = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Description::Help(error.render().to_string());
        }
        ErrorKind::UnknownArgument => unknown_argument(error),
        ErrorKind::InvalidSubcommand => unknown_command(error, tree),
        ErrorKind::MissingSubcommand => missing_command(error, tree),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => value(error, tree),
        _ => first_line(error),
    };
    Description::Mistake(text)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn unknown_argument(error: &clap::Error) -> String {
    let argument = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let suggestion = context(error, ContextKind::SuggestedArg)
        .map(|flag| format!(" (did you mean {flag}?)"))
        .unwrap_or_default();
    let mut characters = argument.chars();
    match (characters.next(), characters.next()) {
        (Some('-'), Some('-')) => {
            let flag = argument.split('=').next().unwrap_or(&argument);
            format!("unknown flag: {flag}{suggestion}")
        }
        (Some('-'), Some(letter)) => format!("unknown shorthand flag: '{letter}' in {argument}"),
        _ => format!("unexpected argument {argument:?}"),
    }
}

fn unknown_command(error: &clap::Error, tree: &Tree) -> String {
    let word = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
    if let Some(text) = elsewhere::explain(&word) {
        return text;
    }
    let mut text = format!("unknown command {word:?} for {:?}", path(error, tree));
    let suggested = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(words)) => words.clone(),
        Some(ContextValue::String(word)) => vec![word.clone()],
        _ => Vec::new(),
    };
    if !suggested.is_empty() {
        text.push_str("\n\nDid you mean this?\n");
        for word in suggested {
            text.push_str(&format!("\t{word}\n"));
        }
    }
    text
}

fn missing_command(error: &clap::Error, tree: &Tree) -> String {
    let valid = context(error, ContextKind::ValidSubcommand).unwrap_or_default();
    format!(
        "{:?} needs one of these commands: {valid}",
        path(error, tree)
    )
}

/// The commands typed before the mistake, read off the usage line.
fn path(error: &clap::Error, tree: &Tree) -> String {
    let usage = context(error, ContextKind::Usage).unwrap_or_default();
    let usage = usage.trim_start_matches("Usage:").trim();
    let called_as = tree.get_bin_name().unwrap_or_default();
    let rest = usage.strip_prefix(called_as).unwrap_or_default();
    let mut path = vec!["flux"];
    let mut here = tree;
    for word in rest.split_whitespace() {
        let Some(next) = here.find_subcommand(word) else {
            break;
        };
        path.push(word);
        here = next;
    }
    path.join(" ")
}

fn value(error: &clap::Error, tree: &Tree) -> String {
    let argument = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let given = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let Some(cause) = std::error::Error::source(error) else {
        return format!("flag needs an argument: {flag}");
    };
    let name = match find(tree, flag.trim_start_matches('-')).and_then(Arg::get_short) {
        Some(short) => format!("-{short}, {flag}"),
        None => flag.to_owned(),
    };
    format!("invalid argument {given:?} for {name:?} flag: {cause}")
}

/// The first flag of that long name in the tree; a name has the same short form everywhere.
fn find<'a>(tree: &'a Tree, long: &str) -> Option<&'a Arg> {
    tree.get_arguments()
        .find(|arg| arg.get_long() == Some(long))
        .or_else(|| tree.get_subcommands().find_map(|child| find(child, long)))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

//! The page about all commands, for people: `docs/commands.md`. Pure.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command as Tree, Id};

use crate::cli;

/// How the program is called there.
const NAME: &str = "kubectl flux";

/// All commands with their flags, as Markdown: written by `cargo run -p kubectl-flux --example
/// commands`, and a test fails when the file says something else.
#[must_use]
pub fn markdown() -> String {
    let mut tree = cli::command();
    tree.build();
    let mut text = format!(
        "# Commands\n\n\
         What `{NAME}` can do. This page is generated from the program's own definitions.\n\n\
         A switch takes `--flag` or `--flag=false`; of a flag that is given twice, the last counts, \
         unless it may be repeated.\n\n## Flags of all commands\n\n"
    );
    flags(
        &mut text,
        tree.get_arguments().filter(|arg| arg.is_global_set()),
    );
    let known: Vec<&Id> = tree.get_arguments().map(Arg::get_id).collect();
    for command in shown(&tree) {
        describe(&mut text, command, NAME, 2, &known);
    }
    text
}

fn shown(command: &Tree) -> impl Iterator<Item = &Tree> {
    command
        .get_subcommands()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help")
}

/// `known` are the flags that were listed for all commands above.
fn describe(text: &mut String, command: &Tree, above: &str, depth: usize, known: &[&Id]) {
    let path = format!("{above} {}", command.get_name());
    let level = "#".repeat(depth.min(4));
    let _ = write!(text, "\n{level} {path}\n\n{}.\n", about(command));
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        let _ = write!(text, "\nAlso: {}.\n", aliases.join(", "));
    }
    if shown(command).next().is_none() {
        let words = command.get_positionals().map(|arg| match arg.get_action() {
            ArgAction::Append => format!("[{}...]", value(arg)),
            _ => format!("[{}]", value(arg)),
        });
        let line: Vec<String> = std::iter::once(path.clone()).chain(words).collect();
        let _ = write!(text, "\n```sh\n{}\n```\n", line.join(" "));
        for arg in command.get_positionals() {
            let _ = write!(text, "\n`{}`: {}.\n", value(arg), help(arg));
        }
    }
    let mut listed = String::new();
    let own = command.get_arguments().filter(|arg| !arg.is_positional());
    flags(
        &mut listed,
        own.filter(|arg| !known.contains(&arg.get_id())),
    );
    if !listed.is_empty() {
        let _ = write!(text, "\n{listed}");
    }
    let inherited = command.get_arguments().filter(|arg| arg.is_global_set());
    let known: Vec<&Id> = known
        .iter()
        .copied()
        .chain(inherited.map(Arg::get_id))
        .collect();
    for child in shown(command) {
        describe(text, child, &path, depth + 1, &known);
    }
}

fn flags<'a>(text: &mut String, flags: impl Iterator<Item = &'a Arg>) {
    for arg in flags {
        if arg.is_hide_set() || matches!(arg.get_id().as_str(), "help" | "version") {
            continue;
        }
        let Some(long) = arg.get_long() else {
            continue;
        };
        let short = arg
            .get_short()
            .map(|letter| format!("-{letter}, "))
            .unwrap_or_default();
        let takes = match is_switch(arg) {
            true => String::new(),
            false => format!(" {}", value(arg)),
        };
        let default = default(arg)
            .map(|default| format!(" Default: `{default}`."))
            .unwrap_or_default();
        let _ = writeln!(text, "- `{short}--{long}{takes}`: {}.{default}", help(arg));
    }
}

fn is_switch(arg: &Arg) -> bool {
    arg.get_value_names()
        .and_then(|names| names.first())
        .is_some_and(|name| *name == "bool")
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.join(" ")
}

fn default(arg: &Arg) -> Option<String> {
    let values = arg.get_default_values();
    let text: Vec<String> = values
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let text = text.join(",");
    let is_said_anyway = text.is_empty() || (is_switch(arg) && text == "false");
    (!is_said_anyway).then_some(text)
}

fn about(command: &Tree) -> String {
    let about = command.get_about().map(ToString::to_string);
    escaped(about.unwrap_or_default().trim_end_matches('.'))
}

fn help(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    escaped(&help)
}

/// A text as Markdown shows it unchanged.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
        .replace('*', "\\*")
        .replace('[', "\\[")
}

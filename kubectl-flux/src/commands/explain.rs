//! `explain`: a rule in words and examples.

use std::fmt::Write as _;

use flux_rules::files::RULES;

use crate::error::Error;
use crate::output;

/// Flags of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of a rule, e.g. IN15; all rules are listed without one
    #[arg(value_name = "RULE")]
    rule: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let Some(wanted) = &args.rule else {
        return output::data(&list());
    };
    let id = wanted.trim_matches(['[', ']']).to_ascii_uppercase();
    match flux_rules::explain(&id) {
        Some(text) => output::data(&text),
        None => Err(Error::input(format!(
            "there is no rule {wanted}; all rules: kubectl flux explain"
        ))),
    }
}

fn list() -> String {
    let mut text = String::new();
    let of_objects = flux_rules::rules().map(|rule| (rule.id, rule.severity, rule.title));
    let of_files = RULES
        .iter()
        .map(|rule| (rule.id, rule.severity, rule.title));
    for (id, severity, title) in of_objects.chain(of_files) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{id}  {severity:<7}  {title}");
    }
    text
}

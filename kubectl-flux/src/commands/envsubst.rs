//! `envsubst`: standard input with the variables of the environment, to standard output.

use std::collections::HashMap;
use std::io::Read as _;

use flux_lang::envsubst::{self, Unset};

use crate::error::Error;
use crate::output;

/// Most that is read, in bytes.
const MAX_INPUT: u64 = 64 << 20;

/// Flags of `envsubst`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fail if a variable without a default value is missing from the environment
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_INPUT + 1)
        .read_to_string(&mut text)
        .map_err(|source| Error::File {
            what: "cannot read the input",
            path: "standard input".to_owned(),
            source,
        })?;
    if text.len() as u64 > MAX_INPUT {
        return Err(Error::input("the input has more than 64 MiB"));
    }
    let variables: HashMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let unset = if args.strict {
        Unset::Error
    } else {
        Unset::Empty
    };
    let lookup = |name: &str| variables.get(name).map(String::as_str);
    let mut result =
        envsubst::expand(&text, unset, &lookup).map_err(|error| Error::input(say(&error)))?;
    if !result.is_empty() && !result.ends_with('\n') {
        result.push('\n');
    }
    output::data(&result)
}

/// Flux's words, with the lines.
fn say(error: &envsubst::Error) -> String {
    match error {
        envsubst::Error::NotSet(missing) => {
            let list: Vec<String> = missing
                .iter()
                .map(|one| format!("{one} (line {})", one.line))
                .collect();
            format!("variable not set (strict mode): {}", list.join(", "))
        }
        other => other.to_string(),
    }
}
